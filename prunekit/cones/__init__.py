"""Convex cones: their statistical dimension, their Gaussian width, and whether a random subspace meets them.

The pruning limit of geometric is such a question: does the subspace of the kept weights, seen from the pruned point,
reach the ellipsoid where the loss is low? This package has

* `equivalents`: the cone of an ellipsoid in high dimension from spectra alone, as published and corrected, and the
  limit for subspaces orthogonal to the direction of pruning; they serve networks of any size;
* `ellipsoid`: the same cone exactly, and the width of an ellipsoid;
* `families`: subspaces, the orthant, circular cones, descent cones of the ℓ1 norm;
* `sampling`: dimension and width by Monte Carlo, from a projector; `volumes`: exactly, from intrinsic volumes;
* `kinematic`: the chance that a random subspace meets a cone, predicted and simulated;
* `quadratic`: what pruning costs in the quadratic model, one-shot and re-optimized.
"""

from prunekit.cones import kinematic, volumes
from prunekit.cones.ellipsoid import (
    EllipsoidCone,
    ellipsoid_width,
    ellipsoid_width_as_published,
    radii,
    sampled_ellipsoid_width,
)
from prunekit.cones.equivalents import (
    cone_dimension,
    cone_root,
    dimension_as_published,
    orthogonal_limit,
    orthogonal_root,
    width_as_published,
)
from prunekit.cones.families import CircularCone, DescentCone, Orthant, Subspace
from prunekit.cones.quadratic import (
    fewest_kept,
    kept_order,
    one_shot_losses,
    removed,
    reoptimized_losses,
    self_consistent,
)
from prunekit.cones.sampling import (
    Cone,
    Norms,
    Projector,
    dimension_of,
    excess,
    gaussian_width,
    intrinsic_variance,
    projected_norms,
    random_subspace,
    statistical_dimension,
)

__all__ = [
    "CircularCone",
    "Cone",
    "DescentCone",
    "EllipsoidCone",
    "Norms",
    "Orthant",
    "Projector",
    "Subspace",
    "cone_dimension",
    "cone_root",
    "dimension_as_published",
    "dimension_of",
    "ellipsoid_width",
    "ellipsoid_width_as_published",
    "excess",
    "fewest_kept",
    "gaussian_width",
    "intrinsic_variance",
    "kept_order",
    "kinematic",
    "one_shot_losses",
    "orthogonal_limit",
    "orthogonal_root",
    "projected_norms",
    "radii",
    "random_subspace",
    "removed",
    "reoptimized_losses",
    "sampled_ellipsoid_width",
    "self_consistent",
    "statistical_dimension",
    "volumes",
    "width_as_published",
]
