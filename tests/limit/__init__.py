"""Tests of `prunekit.limit`."""
