"""Overparameterized matrix sensing: recover U⋆U⋆ᵀ by a factor with too many columns, prune it, fine-tune it.

The paper (sensing) is known to this book by its abstract. The problem is its own; the form of the smoothed penalty
and the cut-off are stated where they are defined and are marked there as not taken from that abstract.

* `problem`: ground truths, Gaussian measurements, the measured and the population loss;
* `penalty`: the smoothed group lasso, the penalized objective, the cut;
* `solver`: approximate local minima with the stationarity reached, gradient descent step by step;
* `theory`: what local minima of the population loss look like, the λ and β that follow from it, how descent ends.
"""

from prunekit.sensing.penalty import (
    Penalized,
    cut_off,
    greedy_prune,
    group_penalty,
    share_above,
    shrinkage,
)
from prunekit.sensing.problem import MatrixSensing, ground_truth
from prunekit.sensing.solver import (
    Descent,
    Stationary,
    approximate_minimum,
    descent_limit,
    gradient_descent,
    least_curvature,
    random_start,
)
from prunekit.sensing.theory import (
    binding_strength,
    contraction,
    growth_level,
    largest_strength,
    least_column,
    linearized_distance,
    noise_level,
    strength_range,
    suggested_penalty,
    surviving_mass,
)

__all__ = [
    "Descent",
    "MatrixSensing",
    "Penalized",
    "Stationary",
    "approximate_minimum",
    "binding_strength",
    "contraction",
    "cut_off",
    "descent_limit",
    "gradient_descent",
    "greedy_prune",
    "ground_truth",
    "group_penalty",
    "growth_level",
    "largest_strength",
    "least_column",
    "least_curvature",
    "linearized_distance",
    "noise_level",
    "random_start",
    "share_above",
    "shrinkage",
    "strength_range",
    "suggested_penalty",
    "surviving_mass",
]
