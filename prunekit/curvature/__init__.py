"""Curvature of a network's loss at scale: products with the Hessian, its spectrum by Lanczos' method, its zero mass.

`Curvature` is the operator, `spectrum` its counting measure with error bars, `vector_measure` how a vector lies in the
eigenbasis. Importing this package imports torch; ``import prunekit`` does not, and curvlinops is imported where the
first operator is made.
"""

from prunekit._system import with_torch as _with_torch  # noqa: F401
from prunekit.curvature.matrix import Matrix, Operator
from prunekit.curvature.operator import Curvature
from prunekit.curvature.spectra import spectrum, vector_measure
from prunekit.curvature.zeros import Restricted, ZeroMass, counting, row_norms, zero_mass, zero_rows

__all__ = [
    "Curvature",
    "Matrix",
    "Operator",
    "Restricted",
    "ZeroMass",
    "counting",
    "row_norms",
    "spectrum",
    "vector_measure",
    "zero_mass",
    "zero_rows",
]
