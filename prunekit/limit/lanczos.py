"""How a Hessian that is known by its products is examined: one record of settings for all functions that do so."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from prunekit import _checks
from prunekit._checks import Seed


@dataclass(frozen=True)
class Lanczos:
    """How spectra, and measures of vectors, are found by Lanczos' method.

    Parameters
    ----------
    steps : int, optional
        Lanczos steps; by default as many as the integral needs for the `accuracy`, within the budget.
    probes : int
        Random starts; an error bar's scatter comes from the spread over them.
    accuracy : float
        Relative error of a predicted share at which no more steps are taken, where they are not fixed.
    budget : int
        Products for each spectrum, that of H or of a block, where steps are not fixed. Where it ends before the
        integrand is resolved, the result says so and has no error bar. Products along directions are not counted.
    direction_steps : int, optional
        The most steps from w* - w^k, for each of its measures; as many as a spectrum's by default.
    seed : int
        Where the random starts come from.
    storage : str
        How vectors are kept: "float32" takes half the memory, steps × D × 4 bytes a probe.

    Raises
    ------
    TypeError, ValueError
        If a field is not as described.
    """

    steps: int | None = None
    probes: int = 4
    accuracy: float = 0.03
    budget: int = 512
    direction_steps: int | None = None
    seed: Seed = 0
    storage: Literal["float64", "float32"] = "float64"

    def __post_init__(self) -> None:
        """Check the fields."""
        for name in ("steps", "probes", "direction_steps", "budget"):
            value = getattr(self, name)
            if value is not None or name in ("probes", "budget"):
                object.__setattr__(self, name, _checks.count(name, value))
        if self.probes > self.budget:
            raise ValueError(
                f"probes is {self.probes} and budget {self.budget}: give a budget of a product a probe or more"
            )
        object.__setattr__(self, "accuracy", _checks.scalar("accuracy", self.accuracy, positive=True))
        _checks.choice("storage", self.storage, ("float64", "float32"))
        _checks.generator(self.seed)
