"""The theory of neural-network pruning, made executable.

``import prunekit`` loads nothing but this file: every public name is fetched from its module when it is first
used, so that a command line or a notebook pays only for what it calls.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_HOME = {
    "LinearGaussian": "linear",
    "min_norm": "linear",
    "ridge": "linear",
    "retrain": "linear",
    "width_sweep": "linear",
    "MinNormLaw": "asymptotics",
    "characterize": "asymptotics",
    "prune": "pruning",
    "support": "pruning",
    "SoftThreshold": "pruning",
    "HardThreshold": "pruning",
    "UniformQuantizer": "pruning",
    "TwoOfFour": "pruning",
    "OptimalBrainSurgeon": "pruning",
    "Magnitude": "pruning",
    "Hessian": "pruning",
    "Oracle": "pruning",
    "check": "claims",
    "report": "claims",
    "pick": "scales",
    "recording": "recordings",
}
__all__ = ["__version__", *sorted(_HOME)]  # noqa: PLE0604


def __getattr__(name: str) -> Any:
    """Fetch a public name from the module that defines it (PEP 562)."""
    if name in _HOME:
        return getattr(import_module(f"prunekit.{_HOME[name]}"), name)
    raise AttributeError(f"module 'prunekit' has no attribute {name!r}")


def __dir__() -> list[str]:
    """List the public names, fetched or not."""
    return sorted([*globals(), *_HOME])
