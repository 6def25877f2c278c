"""Reports on readers' own networks: `prunekit.diagnosis`."""
