"""The parts of a diagnosis: each is asked what it will cost, takes the network, and returns plain numbers.

What a part returns are dictionaries of numbers, words and tensors, so that they can be kept in a file and taken up
again. Nothing here draws conclusions: that is for `theories` and `advice`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from prunekit import _checks
from prunekit._checks import Floats, Seed
from prunekit._system import bars
from prunekit.diagnosis import cuts, factors, head
from prunekit.diagnosis.balance import Balance
from prunekit.diagnosis.curves import REMOVED, RiseCurve, sought
from prunekit.diagnosis.linearized import Linearized
from prunekit.diagnosis.quadratic import Quadratic
from prunekit.diagnosis.subject import Losses, Subject, first, samples
from prunekit.diagnosis.tails import Histogram, left_of, relative_scales, tails
from prunekit.importance import hessian_diagonal, hessian_matrix
from prunekit.limit.landscape import Landscape
from prunekit.limit.prediction import predict
from prunekit.limit.tolerance import Tolerance
from prunekit.statistics import few

Plain = dict[str, Any]
KEEPS = (0.5, 0.2, 0.1, 0.05, 0.02)  # shares of all weights kept, at which scores are compared
DENSE_LAYER = 600  # weights of a layer up to which its block of the Hessian is computed, for the re-optimized model
_OUTPUTS = 100  # numbers a sample up to which the Gauss-Newton diagonal is computed, and not estimated
_PROBES, _MOST_PROBES = 16, 128
_AGREE = 0.95  # of two estimates' rankings: share of the kept tenth that both keep


@dataclass(eq=False)
class Work:
    """A network under diagnosis, and what was found so far.

    Attributes
    ----------
    subject : Subject
        The network, balanced.
    epsilon : Tolerance
        How much the loss may rise.
    curvature, held : int
        Numbers of samples for curvature and for measurements.
    seed : int
        Where all draws come from.
    """

    subject: Subject
    balance: Balance
    epsilon: Tolerance
    curvature: int
    held: int
    seed: Seed
    initial: Mapping[str, Tensor] | None = None
    found: dict[str, Plain] = field(default_factory=dict)
    _kept: dict[str, Any] = field(default_factory=dict)

    def once(self, name: str, find: Callable[[], Any]) -> Any:
        """Return what was found under a name, or find it."""
        if name not in self._kept:
            self._kept[name] = find()
        return self._kept[name]

    @property
    def quadratic(self) -> Quadratic:
        """The quadratic model from the curvature's samples."""
        model: Quadratic = self.once("quadratic", lambda: Quadratic.of(self.subject, self.curvature))
        return model

    @property
    def linearized(self) -> Linearized:
        """The network with linear outputs, on the curvature's samples."""
        model: Linearized = self.once("linear", lambda: Linearized.of(self.subject, self.curvature))
        return model

    @property
    def measured_on(self) -> list[Any]:
        """The held-out samples that are used."""
        return first(self.subject.held, self.held)

    @property
    def dense(self) -> Losses:
        """Losses of the whole network on them."""
        losses: Losses = self.once("dense", lambda: self.subject.losses(self.measured_on))
        return losses

    def rises(self, changed: Mapping[str, Tensor]) -> Floats:
        """Return the rise of the held-out loss with other weights, and the rise without each group (1 + G,)."""
        losses = self.subject.losses(self.measured_on, changed)
        return np.append(losses.mean - self.dense.mean, losses.without() - self.dense.without())


def weights(work: Work) -> Plain:
    """Return what the weights alone tell, by layer, and what global cuts by magnitude would leave of each."""
    layers: dict[str, Plain] = {}
    histograms = {}
    names = work.subject.names
    for name in bars.each("weights", names, len(names), "layers"):
        w = work.subject.weights[name].cpu().numpy()
        layers[name] = vars(tails(w, last=name == names[-1], seed=_checks.generator(work.seed))).copy()
        histograms[name] = Histogram.of(w.reshape(-1))
    for name, scale in zip(names, relative_scales(each["scale"] for each in layers.values()), strict=True):
        layers[name]["relative_scale"] = float(scale)
    return {"layers": layers, "left": {str(keep): left_of(histograms, keep) for keep in KEEPS}}


def measured(work: Work) -> Plain:
    """Return the curve of the held-out loss as the smallest weights of all layers together go."""
    order = cuts.Order(magnitudes(work))
    accuracies: dict[float, float | None] = {}

    def rise(share: float) -> Floats:
        changed = cuts.pruned(work.subject.weights, order.kept(share))
        losses = work.subject.losses(work.measured_on, changed)
        accuracies[share] = losses.accuracy
        return np.append(losses.mean - work.dense.mean, losses.without() - work.dense.without())

    rows = {share: rise(share) for share in bars.each("measured", REMOVED, len(REMOVED), "cuts")}
    curve = _curve(rows)
    share, error = curve.within(work.epsilon.value)
    return {
        "removed": curve.removed.tolist(),
        "rises": curve.rises.tolist(),
        "errors": curve.errors.tolist(),
        "accuracies": [accuracies[share] for share in curve.removed],
        "share": share,
        "error": error,
        "loss": work.dense.mean,
        "accuracy": work.dense.accuracy,
        "samples": samples(work.measured_on),
    }


def _curve(rows: Mapping[float, Floats], *, jackknife: bool = True) -> RiseCurve:
    removed = np.array(sorted(rows))
    table = np.array([rows[share] for share in removed])
    return RiseCurve(removed, table[:, 0], table[:, 1:], jackknife)


def magnitudes(work: Work) -> dict[str, Tensor]:
    """Return |θ| by layer."""
    return {name: w.abs() for name, w in work.subject.weights.items()}


def one_shot(work: Work) -> Plain:
    """Return what the quadratic model says of global cuts by magnitude, the kept weights as they are."""
    quadratic, weights = work.quadratic, work.subject.weights
    curve, told = _predicted(work, quadratic, weights)
    at = int(np.argmin(np.abs(curve.removed - told["share"])))
    cut = cuts.removed(weights, cuts.Order(magnitudes(work)).kept(float(curve.removed[at])))
    slope = quadratic.mean(quadratic.slopes(cut))
    return told | _points(curve) | {"slope": abs(slope) / max(abs(float(curve.rises[at])), 1e-300)}


def linearized(work: Work) -> Plain:
    """Return what global cuts by magnitude cost where outputs are linear along them."""
    curve, told = _predicted(work, work.linearized, work.subject.weights)
    return told | _points(curve)


def _predicted(
    work: Work, model: Quadratic | Linearized, weights: Mapping[str, Tensor]
) -> tuple[RiseCurve, dict[str, float]]:
    """Return the rise that a model predicts as the smallest of some weights go, and the share within ε."""
    order = cuts.Order({name: w.abs() for name, w in weights.items()})

    def rise(share: float) -> Floats:
        parts = model.rises(cuts.removed(weights, order.kept(share)))
        return np.append(model.mean(parts), parts)

    curve = sought(rise, work.epsilon.value)
    curve = RiseCurve(curve.removed, curve.rises, curve.parts, jackknife=False)
    share, error = _within(curve, work.epsilon.value)
    return curve, {"share": share, "error": error, "samples": model.count}


def _points(curve: RiseCurve) -> Plain:
    """Return a curve's points as plain lists."""
    return {name: getattr(curve, name).tolist() for name in ("removed", "rises", "errors")}


def _within(curve: RiseCurve, epsilon: float) -> tuple[float, float]:
    """Return the share within ε, with an error from four parts or fewer, two of which cover as two errors do."""
    share, _ = curve.within(epsilon)
    each = [curve.__class__(curve.removed, column, column[:, None]).within(epsilon)[0] for column in curve.parts.T]
    return share, few(each).error if len(each) > 1 else math.inf


def saliencies(work: Work) -> Plain:
    """Return H_ii θ_i² of every weight: Gauss-Newton where outputs are few, else Hutchinson until the ranking stays."""
    subject, batches = work.subject, first(work.subject.known, work.curvature)
    if _outputs(subject) <= _OUTPUTS:
        try:
            diagonal = hessian_diagonal(
                subject.model, subject.loss.given, batches, method="gauss-newton", parameters=subject.names
            )
            return _saliencies(work, diagonal.values, "Gauss-Newton", 0, 1.0)
        except (ValueError, NotImplementedError, RuntimeError):
            pass  # a loss that is no mean over samples: Hutchinson takes any
    return _hutchinson(work, batches)


def _hutchinson(work: Work, batches: list[Any]) -> Plain:
    subject, probes = work.subject, _PROBES
    rng = _checks.generator(work.seed)
    sums: dict[str, Tensor] = {}
    halves: list[dict[str, Tensor]] = []
    taken = 0
    while True:
        new = [_diagonal(subject, batches, probes // 2, rng) for _ in range(2)]
        halves = [_mean(old, each, taken, probes) for old, each in zip(halves or new, new, strict=True)]
        taken += probes
        sums = {name: (halves[0][name] + halves[1][name]) / 2 for name in subject.names}
        agree = _agreement(*(_weighed(subject, half) for half in halves))
        if agree >= _AGREE or taken >= _MOST_PROBES:
            return _saliencies(work, sums, "Hutchinson", taken, agree)
        probes = taken


def _diagonal(subject: Subject, batches: list[Any], probes: int, seed: Seed) -> Mapping[str, Tensor]:
    diagonal = hessian_diagonal(
        subject.model,
        subject.loss.given,
        batches,
        method="hutchinson",
        parameters=subject.names,
        probes=max(probes, 2),
        seed=seed,
    )
    return diagonal.values


def _mean(old: Mapping[str, Tensor], new: Mapping[str, Tensor], taken: int, probes: int) -> dict[str, Tensor]:
    share = probes / (taken + probes)
    return {name: (1 - share) * old[name] + share * new[name] for name in new}


def _weighed(subject: Subject, diagonal: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: diagonal[name].to(w) * w**2 for name, w in subject.weights.items()}


def _agreement(one: Mapping[str, Tensor], two: Mapping[str, Tensor]) -> float:
    """Return the share of the kept tenth that two scores have in common."""
    kept = [torch.cat([k.flatten() for k in cuts.Order(s).kept(0.9).values()]) for s in (one, two)]
    return float((kept[0] & kept[1]).sum() / max(int(kept[0].sum()), 1))


def _saliencies(work: Work, diagonal: Mapping[str, Tensor], method: str, probes: int, agree: float) -> Plain:
    values = _weighed(work.subject, diagonal)
    total = sum(v.numel() for v in values.values())
    negative = sum(int((v < 0).sum()) for v in values.values()) / total
    return {
        "method": method,
        "probes": probes,
        "agreement": agree,
        "negative": negative,
        "values": {name: v.cpu() for name, v in values.items()},
        "importance": {name: float(v.double().sum()) for name, v in values.items()},
        "samples": samples(first(work.subject.known, work.curvature)),
    }


def _outputs(subject: Subject) -> int:
    """Return the numbers in the network's outputs for a sample."""
    from torch.utils import _pytree

    batch = first(subject.known, 1)[0]
    with torch.no_grad():
        leaves = _pytree.tree_leaves(subject.model(*batch[0]))
    return sum(x.numel() for x in leaves if isinstance(x, Tensor)) // max(len(batch[1]), 1)


def scores(work: Work) -> Plain:
    """Return the held-out loss after cuts by each score, of the whole network and of each layer alike."""
    rules: dict[tuple[str, cuts.Scope], Mapping[str, Tensor]] = {
        ("magnitude", "global"): magnitudes(work),
        ("magnitude", "layer"): magnitudes(work),
    }
    if "saliencies" in work.found:
        values = {name: v.to(work.subject.device) for name, v in work.found["saliencies"]["values"].items()}
        rules |= {("hessian", "global"): values, ("hessian", "layer"): values}
    rows = []
    turns = [(score, scope, keep) for score, scope in rules for keep in KEEPS]
    orders = {key: cuts.Order(values, key[1]) for key, values in rules.items()}
    parts: dict[tuple[str, str, float], Floats] = {}
    for score, scope, keep in bars.each("scores", turns, len(turns), "cuts"):
        kept = orders[score, scope].kept(1 - keep)
        after = work.rises(cuts.pruned(work.subject.weights, kept))
        parts[score, scope, keep] = after
        curve = RiseCurve(np.array([1 - keep]), after[:1], after[None, 1:])
        first_of = parts["magnitude", "global", keep]
        difference = RiseCurve(curve.removed, after[:1] - first_of[:1], (after - first_of)[None, 1:])
        rows.append(
            {
                "score": score,
                "scope": scope,
                "keep": keep,
                "rise": float(after[0]),
                "error": float(curve.errors[0]),
                "less": -float(difference.rises[0]),
                "less_error": float(difference.errors[0]),
                "emptied": [name for name, stay in kept.items() if not bool(stay.any())],
            }
        )
    return {"rows": rows}


def layers_measured(work: Work) -> Plain:
    """Return for each layer the largest share that can go alone, measured, and the rise when all of it is reset."""
    rows: dict[str, Plain] = {}
    for name in bars.each("layers measured", work.subject.names, len(work.subject.names), "layers"):
        w = work.subject.weights[name]
        share, error = _layer_measured(work, name, w)
        initial = (work.initial or {}).get(name)
        reset = work.rises({name: torch.zeros_like(w) if initial is None else initial.to(w)})
        rows[name] = {"share": share, "error": error, "reset": float(reset[0])}
    return {"layers": rows, "to": "0" if work.initial is None else "initial weights"}


def _layer_measured(work: Work, name: str, w: Tensor) -> tuple[float, float]:
    order = cuts.Order({name: w.abs()})

    def rise(share: float) -> Floats:
        return work.rises(cuts.pruned({name: w}, order.kept(share)))

    return sought(rise, work.epsilon.value).within(work.epsilon.value)


def layers_predicted(work: Work) -> Plain:
    """Return for each layer the largest share that can go alone by the quadratic model, the others as they are."""
    return _layers_by(work, work.quadratic, "layers predicted")


def layers_linearized(work: Work) -> Plain:
    """Return the same where outputs are linear along each cut."""
    return _layers_by(work, work.linearized, "layers linearized")


def _layers_by(work: Work, model: Quadratic | Linearized, what: str) -> Plain:
    rows: dict[str, Plain] = {}
    for name in bars.each(what, work.subject.names, len(work.subject.names), "layers"):
        _, told = _predicted(work, model, {name: work.subject.weights[name]})
        rows[name] = {"share": told["share"], "error": told["error"]}
    return {"layers": rows}


def layers_reoptimized(work: Work) -> Plain:
    """Return the same with the layer's kept weights at their best, for layers whose block of the Hessian is small."""
    rows: dict[str, Plain] = {}
    subject = work.subject
    small = [name for name, w in subject.weights.items() if w.numel() <= DENSE_LAYER and bool(w.any())]
    for name in bars.each("layers re-optimized", small, len(small), "layers"):
        matrix = hessian_matrix(subject.model, subject.loss.given, work.quadratic.batches, parameters=[name])
        landscape = Landscape.of_matrix(subject.weights[name].double().flatten().cpu().numpy(), matrix.cpu().numpy())
        rows[name] = {"share": 1 - predict(landscape, work.epsilon, method="re-optimized").fraction}
    return {"layers": rows, "largest": DENSE_LAYER}


def last_layer(work: Work) -> Plain:
    """Return the last layer as a linear problem on its features: law and measured risk of pruning it."""
    return head.examine(work.subject)


def products(work: Work) -> Plain:
    """Return which layers are products of two factors, and how much each of their columns holds."""
    return factors.examine(work.subject)
