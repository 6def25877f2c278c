"""Tests of `prunekit.curvature`."""
