"""Convex cones: statistical dimension, Gaussian width, and whether a random subspace meets them."""

from prunekit.cones.equivalents import (
    cone_dimension,
    cone_root,
    dimension_as_published,
    orthogonal_limit,
    orthogonal_root,
    width_as_published,
)

__all__ = [
    "cone_dimension",
    "cone_root",
    "dimension_as_published",
    "orthogonal_limit",
    "orthogonal_root",
    "width_as_published",
]
