"""Reference notebooks: how they are made and that they guard what they should."""
