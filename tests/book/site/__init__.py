"""The built site, as a reader and as a browser meets it."""
