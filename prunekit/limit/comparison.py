"""One trained network, all its predicted limits and all its measured ones."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from torch import nn

from prunekit import _checks
from prunekit._checks import Floats
from prunekit.limit.lanczos import Lanczos
from prunekit.limit.landscape import Landscape
from prunekit.limit.measured import RULES, MeasuredLimit, PruningCurve, pruning_curve
from prunekit.limit.networks import network_landscape, program_zero_share, training_pairs
from prunekit.limit.prediction import METHODS, Method, PruningLimit, predict
from prunekit.limit.program import LANCZOS_STEPS
from prunekit.limit.tolerance import Tolerance, minibatch_tolerance
from prunekit.limit.upper import upper_gap
from prunekit.nets.access import Loss, Names
from prunekit.nets.data import dataset, loss_of


@dataclass(frozen=True, eq=False)
class LimitComparison:
    """What was predicted and measured of one network.

    Attributes
    ----------
    landscape : Landscape
        Its weights and spectrum.
    epsilon : Tolerance
        ε and its rule.
    predicted : mapping of str to PruningLimit
        The limit of each method; "re-optimized" is missing where the Hessian is not known entry by entry.
    measured : mapping of str to MeasuredLimit
        The limit of each rule.
    curve : PruningCurve
        Loss and accuracy against the share kept.
    gap : (float, float)
        U(T) - T at the published T, and its standard error.
    """

    landscape: Landscape
    epsilon: Tolerance
    predicted: Mapping[str, PruningLimit]
    measured: Mapping[str, MeasuredLimit]
    curve: PruningCurve
    gap: tuple[float, float]

    def __repr__(self) -> str:
        """Say the limits by method and rule."""
        limits: dict[str, Any] = {**self.predicted, **self.measured}
        listed = ", ".join(f"{name} {each.fraction:.4g}" for name, each in limits.items())
        return f"LimitComparison(shares kept: {listed}{'; ' * bool(self.coverage)}{self.coverage})"

    @property
    def coverage(self) -> str:
        """Which share of the network's parameters the weights are, and what the others are."""
        return self.landscape.coverage

    def to_frame(self) -> dict[str, list[Any]]:
        """Return one row a limit in columns, which ``pandas.DataFrame`` takes as they are."""
        limits = [("predicted", *each) for each in self.predicted.items()]
        rows: list[tuple[str, str, Any]] = [*limits, *(("measured", *each) for each in self.measured.items())]
        return {
            "kind": [kind for kind, *_ in rows],
            "method or rule": [name for _, name, _ in rows],
            "fraction": [each.fraction for *_, each in rows],
            "error": [each.error for *_, each in rows],
        }

    def plot(self, axes: Any = None) -> Any:
        """Draw the measured curve with every predicted limit, and return matplotlib's axes.

        Parameters
        ----------
        axes : matplotlib axes, optional
            Where to draw; by default on a new figure.
        """
        axes = self.curve.plot(axes)
        for k, (name, limits) in enumerate(self.predicted.items()):
            axes.axvline(max(limits.fraction, self.curve.shares[0]), color=f"C{2 + k}", linestyle="--", label=name)
        axes.legend()
        return axes

    def row(self) -> dict[str, Any]:
        """Return the numbers as one row of a table; an error that is not known is None, `resolved` 1 or 0."""
        row: dict[str, Any] = {
            "weights": self.landscape.dimension,
            "epsilon": self.epsilon.value,
            "norm": self.landscape.distance(0),
            "trace": self.landscape.spectrum.integrate(lambda h: h).value,
            "negative_share": self._negative_share(),
            ("dense_accuracy" if self.curve.classifies else "dense_loss"): self.measured["held-out"].dense,
            "train_loss": self.measured["training loss"].dense,
            "gap": self.gap[0],
            "gap_error": _known(self.gap[1]),
            "distance": self.predicted["published"].distance,
        }
        for kind, limits in (("predicted", self.predicted), ("measured", self.measured)):
            for name, each in limits.items():
                row[f"{kind} {name}"], row[f"{kind} {name}, error"] = each.fraction, _known(each.error)
        row |= {f"predicted {name}, resolved": int(limits.resolved) for name, limits in self.predicted.items()}
        return row

    def _negative_share(self) -> float:
        """Return the share of Σ|h| that lies at negative eigenvalues."""
        pooled = self.landscape.spectrum.pooled
        return pooled.integrate(lambda h: abs(h) * (h < 0)) / pooled.integrate(abs)


def compare_limits(
    model: nn.Module,
    data: Any,
    *,
    loss: Loss = nn.functional.cross_entropy,
    epsilon: float | Tolerance | Literal["minibatch"] = "minibatch",
    methods: Sequence[Method] = METHODS,
    shares: Sequence[float] | Floats | None = None,
    drop: float = 0.01,
    curvature_data: Any = None,
    zero_share: float | None = None,
    resolution: float = 1e-3,
    program_steps: int = LANCZOS_STEPS,
    dense: bool | None = None,
    lanczos: Lanczos | None = None,
    seed: int = 0,
    parameters: Names | None = None,
) -> LimitComparison:
    """Return all limits of a trained network, predicted and measured.

    Parameters
    ----------
    model, data, loss, dense, lanczos, parameters
        As for `network_landscape` and `pruning_curve`.
    epsilon : float, Tolerance or "minibatch"
        As for `pruning_limit`; it serves the predictions and the measured rule "training loss".
    methods : sequence of str
        Some of `METHODS`, "published" among them; "re-optimized" is left out where the Hessian is not dense.
    shares, drop
        As for `pruning_curve` and `measured_limit`.
    curvature_data : (inputs, labels) or an iterable of them, optional
        What the Hessian is averaged over; by default all training images.
    resolution, program_steps
        As for `predict`.
    zero_share : float, optional
        As for `pruning_limit`.
    seed : int
        Where minibatches and bootstrap come from, and the starts of Lanczos where `lanczos` is not given.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as described.
    """
    loss = loss_of(data, loss)
    data = dataset(data, loss)
    methods = [_checks.choice("methods", each, METHODS) for each in _checks.listed("methods", methods, "methods")]
    drop, program_steps = _checks.share("drop", drop), _checks.count("program_steps", program_steps)
    if zero_share is not None:
        zero_share = _checks.share("zero_share", zero_share)
    if curvature_data is not None and (
        isinstance(curvature_data, str | bytes) or not hasattr(curvature_data, "__iter__")
    ):
        raise TypeError(f"curvature_data is {_checks.shown(curvature_data)}: give pairs (inputs, labels) of tensors")
    if "published" not in methods:
        raise ValueError(f"methods is {tuple(methods)}: give 'published' among them, at whose limit the gap is taken")
    pairs = training_pairs(data)
    if isinstance(epsilon, str):
        if epsilon != "minibatch":
            raise ValueError(f"epsilon is {epsilon!r}: give a number, a Tolerance or 'minibatch'")
        epsilon = minibatch_tolerance(model, pairs, loss, seed=seed)
    lanczos = Lanczos(seed=seed) if lanczos is None else lanczos
    curved = pairs if curvature_data is None else curvature_data
    landscape = network_landscape(model, curved, loss, dense=dense, lanczos=lanczos, parameters=parameters)
    if zero_share is None:
        zero_share = program_zero_share(model, landscape) if "program" in methods else 0.0
    tolerance = epsilon if isinstance(epsilon, Tolerance) else Tolerance(epsilon)
    predicted: dict[str, PruningLimit] = {
        method: predict(
            landscape,
            tolerance,
            method=method,
            resolution=resolution,
            zero_share=zero_share,
            program_steps=program_steps,
        )
        for method in methods
        if method != "re-optimized" or landscape.hessian is not None
    }
    gap = upper_gap(landscape, tolerance.value, predicted["published"].kept)
    curve = pruning_curve(model, data, shares, loss=loss, parameters=parameters)
    measured: dict[str, MeasuredLimit] = {
        rule: curve.limit(rule, epsilon=tolerance, drop=drop, seed=seed) for rule in RULES
    }
    return LimitComparison(landscape, tolerance, predicted, measured, curve, gap)


def _known(error: float) -> float | None:
    return None if math.isinf(error) else error
