"""Symmetric α-stable laws, their tail index, and how well heavy-tailed weights can be pruned.

A variable is SαS(σ) if its characteristic function is exp(-|σω|^α), 0 < α ≤ 2 (barsbey, Section 2). Its p-th absolute
moment is finite for p < α only, so the variance is infinite for every α < 2. At α = 2 the law is Gaussian, with the
variance 2σ² and not σ²; at α = 1 it is Cauchy's, with the quartiles ±σ.

`sample` and `sample_elliptical` draw; `tail_index` and `layer_tail_index` estimate α; `compression_error` and its
column and singular-value versions say what pruning costs, `smallest_kept` how much must stay. `limits` predicts that
for independent weights, `distribution` holds the distribution function that it needs. `layers` reads the weights of a
torch module and reports its tail indices; it alone imports torch, when it is called.
"""

from prunekit.stable.compression import (
    column_error,
    column_norms,
    compression_error,
    singular_value_error,
    singular_values,
    smallest_kept,
)
from prunekit.stable.sampling import sample, sample_elliptical
from prunekit.stable.tails import TailIndex, authors_blocks, layer_tail_index, tail_index

__all__ = [
    "TailIndex",
    "authors_blocks",
    "column_error",
    "column_norms",
    "compression_error",
    "layer_tail_index",
    "sample",
    "sample_elliptical",
    "singular_value_error",
    "singular_values",
    "smallest_kept",
    "tail_index",
]
