"""Importance of weights: what the loss would be without them, and two proxies for it.

`natural` is the change of the loss when weights are put back to a reference, `magnitude` is Σ θ_i², `hessian` is
Σ H_ii θ_i². The diagonal H_ii comes from `hessian_diagonal`: exact for small networks, the Gauss-Newton one, or
Hutchinson's estimate with its standard error for networks of any size; `two_layer_diagonal` is a closed form, and
`hessian_matrix` the whole matrix. Each works on any torch module and leaves it as it was; the loss is a callable
(outputs, labels) that returns a batch's mean, and batches of any sizes count by their samples. Networks are
evaluated in evaluation mode. One number a weight, to prune by, is in `prunekit.masks.scores`.
"""

from prunekit._system import with_torch as _with_torch  # noqa: F401
from prunekit.curvature.entries import Diagonal, hessian_diagonal, hessian_matrix
from prunekit.importance.measures import hessian, magnitude, natural, saliencies
from prunekit.importance.two_layer import TwoLayerDiagonal, two_layer_diagonal
from prunekit.statistics import Estimate

__all__ = [
    "Diagonal",
    "Estimate",
    "TwoLayerDiagonal",
    "hessian",
    "hessian_diagonal",
    "hessian_matrix",
    "magnitude",
    "natural",
    "saliencies",
    "two_layer_diagonal",
]
