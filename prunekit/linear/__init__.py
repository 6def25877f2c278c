"""Linear Gaussian problems: the law of their least-squares solutions, and what pruning them costs (chang; li).

`LinearGaussian` is a problem, `characterize` its law, `min_norm`, `ridge`, `retrain` and `width_sweep` are solvers on
data, `Magnitude`, `Hessian`, `Oracle` and others say what is kept, and `predicted_risks` and `measured_risks` set the
law beside the solvers. `prunekit.linear.random_features` finds the problem that stands for random features, and
`auxiliary_norm` is the minimum with two Gaussian vectors that the min-max theorem sets beside a fit of least norm.
"""

from prunekit.linear.interval_moments import interval_moments
from prunekit.linear.law import MinNormLaw, characterize
from prunekit.linear.least_squares import min_norm, retrain, ridge, width_sweep
from prunekit.linear.min_max import auxiliary_norm, penalized_norm
from prunekit.linear.problem import LinearGaussian
from prunekit.linear.risk_curves import measured_risks, predicted_risks
from prunekit.linear.strategies import (
    HardThreshold,
    Hessian,
    Magnitude,
    Natural,
    OptimalBrainSurgeon,
    Oracle,
    SoftThreshold,
    Strategy,
    TwoOfFour,
    UniformQuantizer,
    prune,
    support,
)

__all__ = [
    "HardThreshold",
    "Hessian",
    "LinearGaussian",
    "Magnitude",
    "MinNormLaw",
    "Natural",
    "OptimalBrainSurgeon",
    "Oracle",
    "SoftThreshold",
    "Strategy",
    "TwoOfFour",
    "UniformQuantizer",
    "auxiliary_norm",
    "characterize",
    "interval_moments",
    "measured_risks",
    "min_norm",
    "penalized_norm",
    "predicted_risks",
    "prune",
    "retrain",
    "ridge",
    "support",
    "width_sweep",
]
