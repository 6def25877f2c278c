"""`diagnose`: plan, carry out, keep what was done, and report."""

from __future__ import annotations

import hashlib
import io
import json
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from prunekit import _checks
from prunekit._checks import Seed
from prunekit._system import bars, files
from prunekit.diagnosis import plan as planning
from prunekit.diagnosis import spectral, stages
from prunekit.diagnosis.balance import Balance, balance
from prunekit.diagnosis.plan import CostPlan, Planned
from prunekit.diagnosis.report import Report
from prunekit.diagnosis.stages import Plain, Work
from prunekit.diagnosis.subject import Subject, prepared, samples
from prunekit.limit.authors import BATCH
from prunekit.limit.tolerance import Tolerance, minibatch_tolerance

STAGES: dict[str, Callable[[Work], Plain]] = {
    "weights": stages.weights,
    "measured": stages.measured,
    "saliencies": stages.saliencies,
    "scores": stages.scores,
    "one-shot": stages.one_shot,
    "linearized": stages.linearized,
    "last layer": stages.last_layer,
    "products": stages.products,
    "layers measured": stages.layers_measured,
    "layers predicted": stages.layers_predicted,
    "layers linearized": stages.layers_linearized,
    "layers re-optimized": stages.layers_reoptimized,
    "re-optimized": spectral.reoptimized,
    "published": spectral.published,
    "orthogonal": spectral.orthogonal,
    "cone": spectral.cone,
}


def diagnose(
    model: nn.Module,
    data: Any,
    loss: Any = "cross_entropy",
    *,
    budget: float | str | None = "1 min",
    held_out: Any = None,
    epsilon: float | Tolerance | None = None,
    initial: Mapping[str, Tensor] | None = None,
    balanced: bool = True,
    resume: str | Path | None = None,
    progress: bool | None = None,
    seed: Seed = 0,
    parts: Sequence[str] | None = None,
) -> Report:
    """Report on a trained network: what the five theories predict about pruning it, beside what was measured.

    Parameters
    ----------
    model : Module
        The network. It is not changed: neither weights nor modes, hooks or random states.
    data : batches or Dataset
        A pair (inputs, labels) of tensors or arrays, a DataLoader, an iterable of such pairs or of mappings with
        labels among them, or a Dataset.
    loss : callable, str or None
        (outputs, labels) -> mean over the samples; 'cross_entropy', 'next_token', 'multi_label' or 'mse'; None for the
        loss that the network computes itself.
    budget : float or str or None
        Seconds, or a text such as "1 min"; None for as long as it takes. It picks the parts and the numbers of
        samples; what is left out is named in the report.
    held_out : batches, optional
        Samples to measure on. Without them the samples of `data` are halved at random, and of a Dataset the test split
        is taken.
    epsilon : float or Tolerance, optional
        How much the loss may rise, in its units; by default the standard deviation of the loss over minibatches of
        128, the rule of geometric's authors.
    initial : mapping from name to tensor, optional
        The weights at initialization (a state dict), to which layers are reset; 0 otherwise.
    balanced : bool
        Whether scales that the network does not see are balanced first, see `prunekit.diagnosis.balance`.
    resume : path, optional
        A folder where each part is kept as it is done, and from which a repeated call takes it up.
    progress : bool, optional
        Whether the plan and bars are shown; by default where somebody looks.
    seed : int
        Where all draws come from.
    parts : sequence of str, optional
        Only these parts of the plan, such as "layers measured", as far as the budget allows; all of them by default.

    Returns
    -------
    Report
        `layers`, `limit`, `theories`, `advice`; tables, masks and a page of its own.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as described: the network cannot run on the data, there are no labels or only one class,
        fewer than two minibatches for ε, or a budget that is too small for anything.
    FloatingPointError
        If a loss or a weight is not finite.

    Notes
    -----
    Ctrl-C ends it with a report of what was done until then.

    Examples
    --------
    >>> from prunekit.nets import Config, fit, load, models
    >>> digits = load("digits", seed=0)
    >>> model = models.fcn(digits.inputs, [16], digits.classes, seed=0)
    >>> _ = fit(model, digits, Config(epochs=5, batch_size=128, lr=0.05, momentum=0.9))
    >>> diagnose(model, digits, budget=30)  # doctest: +SKIP
    """
    allowed, balanced = planning.seconds(budget), _checks.flag("balanced", balanced)
    progress = None if progress is None else _checks.flag("progress", progress)
    subject = prepared(model, data, loss, held_out, seed=seed)
    _check_initial(initial, subject)
    tolerance = _tolerance(subject, epsilon, seed)
    scales = balance(subject) if balanced else Balance(dict.fromkeys(subject.names, 1.0))
    there = _Folder.of(resume, subject, tolerance, seed)
    whole = there.plan() or planning.plan(subject, planning.prices(subject), allowed)
    whole = whole if parts is None else planning.only(whole, parts)
    there.keep_plan(whole)
    work = Work(subject, scales, tolerance, whole.curvature, whole.held, seed, initial)
    _announce(whole, progress)
    spent, left_out = _carry_out(work, whole, there)
    return Report(
        found=work.found,
        network=_network(work),
        plan=whole,
        spent=spent,
        left_out=left_out,
    )


def _check_initial(initial: Mapping[str, Tensor] | None, subject: Subject) -> None:
    """Refuse initial weights that are none of this network's."""
    if initial is None:
        return
    _checks.instance("initial", initial, Mapping, "a mapping from names to tensors")
    for name, w in subject.weights.items():
        given = initial.get(name)
        if not isinstance(given, Tensor) or given.shape != w.shape:
            what = tuple(given.shape) if isinstance(given, Tensor) else type(given).__name__
            raise ValueError(f"initial[{name!r}] is {what}: give a tensor of shape {tuple(w.shape)}")


def _tolerance(subject: Subject, epsilon: float | Tolerance | None, seed: Seed) -> Tolerance:
    if isinstance(epsilon, Tolerance):
        return epsilon
    if epsilon is not None:
        return Tolerance(_checks.scalar("epsilon", epsilon, positive=True))
    together = [*subject.known, *subject.held]
    if samples(together) <= BATCH:
        raise ValueError(
            f"data have {samples(together)} samples, fewer than two minibatches of {BATCH} to take ε from: give more, "
            "or epsilon"
        )
    if not subject.has_own_loss:
        return minibatch_tolerance(
            subject.model, together, subject.loss.given, shuffles=8, seed=_checks.generator(seed)
        )
    values = np.array([subject.losses([batch]).mean for batch in subject.cut(together, BATCH)])
    if not values.std():
        raise ValueError("data have minibatches whose losses do not differ: give epsilon")
    rule = f"standard deviation of {values.size} training losses, at most {BATCH} samples each"
    return Tolerance(float(values.std()), rule, float(values.mean()))


def _announce(whole: CostPlan, progress: bool | None) -> None:
    """Say what it will cost, before it is spent."""
    if progress or (progress is None and bars._watched()):
        print(whole)


def _carry_out(work: Work, whole: CostPlan, there: _Folder) -> tuple[dict[str, float], dict[str, str]]:
    """Do what is planned; return the seconds of each part, and why each of the others was left out."""
    spent: dict[str, float] = {}
    left_out = {part.name: part.left_out for part in whole.parts if part.left_out}
    todo: list[Planned] = [part for part in whole.parts if not part.left_out]
    started = time.perf_counter()
    for at, part in enumerate(todo):
        over = whole.budget is not None and time.perf_counter() - started + 0.5 * part.seconds > 1.5 * whole.budget
        if over:
            left_out[part.name] = "left out: the parts before it took longer than planned"
            continue
        begin = time.perf_counter()
        try:
            work.found[part.name] = there.taken(part.name) or there.kept(part.name, STAGES[part.name](work))
        except KeyboardInterrupt:
            left_out |= {other.name: "left out: interrupted" for other in todo[at:]}
            break
        except NotImplementedError as reason:
            left_out[part.name] = f"left out: {reason}"
        spent[part.name] = time.perf_counter() - begin
    return spent, left_out


def _network(work: Work) -> Plain:
    """Return what is said of the network itself."""
    subject = work.subject
    return {
        "coverage": [
            {"name": p.name, "shape": list(p.shape), "weights": p.size, "reason": p.reason}
            for p in subject.coverage.parts
        ],
        "share": subject.coverage.share,
        "kind": subject.kind,
        "epsilon": {"value": work.epsilon.value, "rule": work.epsilon.rule},
        "factors": dict(work.balance.factors),
        "chains": [list(chain) for chain in work.balance.chains],
        "normed": list(work.balance.normed),
        "weights": {name: w.cpu() for name, w in subject.weights.items()},
        "samples": {"curvature": work.curvature, "held": work.held},
    }


class _Folder:
    """Where parts are kept; nowhere, if no folder is given."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder

    @classmethod
    def of(cls, path: str | Path | None, subject: Subject, epsilon: Tolerance, seed: Seed) -> _Folder:
        """Return the folder of this network, data and settings."""
        if path is None:
            return cls(None)
        digest = hashlib.sha256(f"{epsilon.value} {seed}".encode())
        for t in (*subject.weights.values(), *(labels for _, labels in subject.known + subject.held)):
            digest.update(t.detach().cpu().contiguous().numpy().tobytes())
        folder = _checks.path("resume", path) / digest.hexdigest()[:16]
        folder.mkdir(parents=True, exist_ok=True)
        return cls(folder)

    def taken(self, name: str) -> Plain | None:
        """Return what was kept of a part, if it was done."""
        if self._folder is None or not (self._folder / f"{name}.pt").is_file():
            return None
        kept: Plain = torch.load(self._folder / f"{name}.pt", weights_only=True)
        return kept

    def kept(self, name: str, found: Plain) -> Plain:
        """Keep a part that is done."""
        if self._folder is not None:
            content = io.BytesIO()
            torch.save(found, content)
            files.write(self._folder / f"{name}.pt", content.getvalue())
        return found

    def plan(self) -> CostPlan | None:
        """Return the plan that was begun, so that what is taken up was made with the same samples."""
        if self._folder is None or not (self._folder / "plan.json").is_file():
            return None
        told = json.loads((self._folder / "plan.json").read_text())
        return CostPlan(
            tuple(Planned(**part) for part in told["parts"]), told["curvature"], told["held"], told["budget"]
        )

    def keep_plan(self, whole: CostPlan) -> None:
        """Keep the plan."""
        if self._folder is not None:
            told = {**vars(whole), "parts": [vars(part) for part in whole.parts]}
            files.write(self._folder / "plan.json", json.dumps(told))
