"""What follows for who prunes the network: at most five sentences, each by a stated rule, each with its evidence.

A rule speaks only where its numbers tell: a difference counts from two of its standard errors on. Rules are tried in
the order of what they are worth, and the first five that speak are given.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from prunekit.diagnosis.theories import dying, score_pair
from prunekit.diagnosis.words import percent, pm, share_pm

MOST = 5
_FREE = 1.5  # factor by which balancing moved a layer, from which on it matters
_ROOM = 0.1  # of all weights that go only if the others are trained again, from which on that is worth saying
_FRAGILE = 0.5  # of the median layer's share that can go, below which a layer is called sensitive
_LOSSLESS = 0.02


@dataclass(frozen=True)
class Advice:
    """One sentence, the rule that gave it, and the numbers behind it."""

    text: str
    evidence: str
    rule: str


def advice(found: Mapping[str, Any], network: Mapping[str, Any]) -> tuple[Advice, ...]:
    """Return what follows, at most five sentences."""
    empty = no_better_than_empty(found, network)
    if empty is not None:
        return (empty,)
    given = (rule(found, network) for rule in RULES)
    return tuple(each for each in given if each is not None)[:MOST]


def no_better_than_empty(found: Mapping[str, Any], network: Mapping[str, Any]) -> Advice | None:
    """Say that nothing follows where all weights can go: then the network is none for these data."""
    measured = found.get("measured")
    if measured is None or measured["share"] < max(measured["removed"]):
        return None
    text = "Check data, labels and loss before you prune: the network does no better on them than an empty one."
    evidence = f"all but {percent(1 - measured['share'])} of its weights can go, ε = {network['epsilon']['value']:.3g}"
    return Advice(text, evidence, "the largest share that was tried can go")


def how_far(found: Mapping[str, Any], network: Mapping[str, Any]) -> Advice | None:
    """Say how much can go without retraining: what was measured, else what the quadratic model says."""
    measured, one = found.get("measured"), found.get("one-shot")
    epsilon = network["epsilon"]
    rule = "the largest share at which, and below which, the held-out loss rises by ε at most"
    if measured is not None and measured["share"] > _LOSSLESS:
        said = f" (the quadratic model says {share_pm(one['share'], one['error'])})" if one else ""
        text = (
            f"Without retraining, remove up to {percent(measured['share'])} of the weights by global magnitude{said}."
        )
        evidence = f"{share_pm(measured['share'], measured['error'])} measured on {measured['samples']} samples"
        evidence += f", ε = {epsilon['value']:.3g}"
        return Advice(text, evidence, rule)
    if measured is not None:
        text = "Do not prune this network by global magnitude without retraining: the loss rises at once."
        return Advice(
            text, f"{share_pm(measured['share'], measured['error'])} can go, ε = {epsilon['value']:.3g}", rule
        )
    return None


def which_score(found: Mapping[str, Any], network: Mapping[str, Any]) -> Advice | None:
    """Say which score to rank by, where two differ by more than their error at some share kept."""
    rows = found.get("scores", {}).get("rows", [])
    told = [row for keep in sorted({r["keep"] for r in rows}) if (row := score_pair(rows, keep)) is not None]
    clear = [row for row in told if abs(row["less"]) > 2 * row["less_error"] > 0]
    if not clear:
        return None
    best = max(clear, key=lambda row: abs(row["less"]) / row["less_error"])
    for_it = [row for row in clear if row["less"] > 0]
    if 0 < len(for_it) < len(clear):
        return None  # one way at one share, the other way at another
    score = "Hessian saliency" if for_it else "magnitude"
    text = f"Rank weights by {score}, all layers together."
    evidence = (
        f"at {percent(best['keep'])} kept the held-out loss rises by {pm(abs(best['less']), best['less_error'])} less "
        f"than by {'magnitude' if for_it else 'Hessian saliency'}"
    )
    return Advice(text, evidence, "the two scores differ by two standard errors, the same way wherever they do")


def which_scope(found: Mapping[str, Any], network: Mapping[str, Any]) -> Advice | None:
    """Say whether to cut all layers together or each alike, by magnitude."""
    rows = [r for r in found.get("scores", {}).get("rows", []) if r["score"] == "magnitude" and r["scope"] == "layer"]
    clear = [row for row in rows if abs(row["less"]) > 2 * row["less_error"] > 0]
    if not clear or len({row["less"] > 0 for row in clear}) > 1:
        return None
    best = max(clear, key=lambda row: abs(row["less"]) / row["less_error"])
    alike = best["less"] > 0
    text = (
        "If you rank by magnitude, cut the same share of every layer rather than all layers together."
        if alike
        else "If you rank by magnitude, rank all layers together rather than cutting the same share of each."
    )
    evidence = (
        f"at {percent(best['keep'])} kept the loss rises by {pm(abs(best['less']), best['less_error'])} less that way"
    )
    return Advice(text, evidence, "the two scopes differ by two standard errors, the same way wherever they do")


def layer_death(found: Mapping[str, Any], network: Mapping[str, Any]) -> Advice | None:
    """Say which layer a global cut by magnitude kills."""
    if "weights" not in found:
        return None
    dead = dying(found)
    if not dead:
        return None
    name, keep, left = dead[0]
    if _better_together(found, keep):
        return None
    scale = found["weights"]["layers"][name]["relative_scale"]
    text = f"Give {name} a share of its own: a global cut by magnitude to {percent(keep)} all but empties it."
    evidence = f"{percent(left, 2)} of it is left; its weights are {scale:.2g} times the layers' geometric mean"
    return Advice(
        text, evidence, "a global cut to 2% or more leaves less than 1% of a layer, and is not measured to be better"
    )


def _better_together(found: Mapping[str, Any], keep: float) -> bool:
    """Tell whether cutting each layer alike was measured to be worse than the global cut, at this share or nearest."""
    rows = [r for r in found.get("scores", {}).get("rows", []) if r["score"] == "magnitude" and r["scope"] == "layer"]
    if not rows:
        return False
    near = min(rows, key=lambda row: abs(row["keep"] - keep))
    return bool(near["less"] < -2 * near["less_error"])


def sensitive(found: Mapping[str, Any], network: Mapping[str, Any]) -> Advice | None:
    """Say which layer to spare: the one that can lose least alone, if that is clear."""
    layers = found.get("layers measured", {}).get("layers", {})
    if len(layers) < 3:
        return None
    shares = sorted(each["share"] for each in layers.values())
    middle = shares[len(shares) // 2]
    name = min(layers, key=lambda n: layers[n]["share"])
    share, error = layers[name]["share"], layers[name]["error"]
    if share + 2 * error >= _FRAGILE * middle:
        return None
    text = (
        f"Spare {name}: alone it can lose {percent(share)} of its weights, half the layers {percent(middle)} or more."
    )
    return Advice(
        text,
        f"{share_pm(share, error)} measured",
        "a layer's share, with two errors, is below half of the median",
    )


def retraining(found: Mapping[str, Any], network: Mapping[str, Any]) -> Advice | None:
    """Say whether retraining pays: what the model allows with the kept weights at their best, beside one-shot."""
    method = "re-optimized" if "re-optimized" in found else "orthogonal"
    one, best = found.get("one-shot"), found.get(method)
    if one is None or best is None:
        return None
    room = best["share"] - one["share"]
    if room <= _ROOM + 2 * (best["error"] + one["error"]):
        return None
    name = (
        "with the kept weights at their best"
        if method == "re-optimized"
        else "for a random subspace of as many weights"
    )
    text = f"Retraining pays from {percent(one['share'])} on: beyond that the loss rises at once, but need not."
    evidence = f"the quadratic model allows {percent(best['share'])} removed {name}, {percent(one['share'])} one-shot"
    return Advice(
        text,
        evidence,
        "the re-optimized model, else that of an orthogonal subspace, allows a tenth of the weights more",
    )


def balancing(found: Mapping[str, Any], network: Mapping[str, Any]) -> Advice | None:
    """Say that magnitudes must not be compared before scales are balanced."""
    moved = {name: max(f, 1 / f) for name, f in network["factors"].items()}
    if not moved or max(moved.values()) < _FREE:
        return None
    name = max(moved, key=moved.__getitem__)
    text = "Balance scales before you compare magnitudes of layers, as this report does: the network does not see them."
    evidence = f"{name} was multiplied by {network['factors'][name]:.3g} without any change of the outputs"
    return Advice(text, evidence, "balancing multiplies or divides a layer by 1.5 or more")


RULES: tuple[Callable[[Mapping[str, Any], Mapping[str, Any]], Advice | None], ...] = (
    how_far,
    which_score,
    layer_death,
    retraining,
    sensitive,
    balancing,
    which_scope,
)
