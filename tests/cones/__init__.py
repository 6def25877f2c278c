"""Cones: dimensions, widths, ellipsoids, random subspaces."""
