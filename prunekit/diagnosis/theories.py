"""What each of the five theories says of a network: the prediction, what was checked of its assumptions, what came out.

All is read from what the parts of a diagnosis found. A theory that does not apply says why; one whose part was left
out says so. How often a kind of prediction held is counted from the book's own ledger.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from prunekit.diagnosis.words import percent, pm, share_pm

PAPERS = {
    "overparameterization": "chang",
    "Hessian bias": "li",
    "heavy tails": "barsbey",
    "pruning limit": "geometric",
    "matrix sensing": "sensing",
}
PAGES = {
    "overparameterization": "chapters/overparameterization/linear-gaussian.html",
    "Hessian bias": "chapters/hessian-bias/layer-death.html",
    "heavy tails": "chapters/heavy-tails/tail-index.html",
    "pruning limit": "chapters/pruning-limit/what-sets-the-limit.html",
    "matrix sensing": "chapters/matrix-sensing/pruning.html",
}
DEAD = 0.01  # of a layer left by a global cut, below which it is called dead
Found = Mapping[str, Any]


@dataclass(frozen=True)
class Check:
    """An assumption of a theory, and whether this network meets it."""

    assumption: str
    held: bool | None
    seen: str


@dataclass(frozen=True)
class Theory:
    """One theory's line in a report.

    Attributes
    ----------
    name, paper : str
        The theory, and the paper's key in the ledger.
    applies : bool or None
        Whether it says something of this network; None where its part was left out.
    prediction, measured : str
        What it predicts here, and the measurement beside it; why it does not apply, or was left out, in `prediction`.
    checks : tuple of Check
        Its assumptions, as far as they were tried on this network.
    in_book : str
        How often the paper's statements held in the book.
    page : str
        The book's page, relative to its root.
    """

    name: str
    paper: str
    applies: bool | None
    prediction: str
    measured: str
    checks: tuple[Check, ...]
    in_book: str
    page: str


def theories(found: Found, network: Mapping[str, Any], left_out: Mapping[str, str]) -> tuple[Theory, ...]:
    """Return the five lines of a report."""
    makers = {
        "overparameterization": _overparameterization,
        "Hessian bias": _hessian_bias,
        "heavy tails": _heavy_tails,
        "pruning limit": _pruning_limit,
        "matrix sensing": _matrix_sensing,
    }
    lines = []
    for name, make in makers.items():
        applies, prediction, measured, checks = make(found, network, left_out)
        record = in_book(PAPERS[name])
        lines.append(Theory(name, PAPERS[name], applies, prediction, measured, tuple(checks), record, PAGES[name]))
    return tuple(lines)


Line = tuple[bool | None, str, str, list[Check]]


def _missing(part: str, left_out: Mapping[str, str]) -> Line:
    return None, f"{part}: {left_out.get(part, 'not done')}", "", []


def _overparameterization(found: Found, network: Mapping[str, Any], left_out: Mapping[str, str]) -> Line:
    """Take the last layer as a linear problem: the law's risk after pruning beside the measured one."""
    head = found.get("last layer")
    if head is None:
        return _missing("last layer", left_out)
    if not head["applies"]:
        return False, f"does not apply: {head['reason']}", "", []
    n, p = head["samples"], head["components"]
    at = len(head["kept"]) - 1
    told = [
        f"{percent(kept)} of its components: {risk:.2f}"
        for kept, risk in zip(head["kept"], head["predicted"], strict=True)
    ]
    seen = [
        f"{percent(kept)}: {pm(risk, error)}"
        for kept, risk, error in zip(head["kept"], head["measured"], head["errors"], strict=True)
    ]
    agree = [
        abs(a - b) <= 2 * e + 0.1 * b
        for a, b, e in zip(head["measured"], head["predicted"], head["errors"], strict=True)
    ]
    checks = [
        Check("more features than samples", p > n, f"p/n = {p / n:.2f}"),
        Check(
            "Gaussian features: the law holds to a tenth at every share kept",
            all(agree),
            f"{sum(agree)} of {at + 1} shares",
        ),
    ]
    words = f"risk of the last layer fitted to {n} samples and pruned by magnitude, over the targets' variance: "
    return True, words + "; ".join(told), "; ".join(seen), checks


def _hessian_bias(found: Found, network: Mapping[str, Any], left_out: Mapping[str, str]) -> Line:
    """Say which layers of small scale die by global magnitude; curvature ranks otherwise."""
    weights = found.get("weights")
    if weights is None:
        return _missing("weights", left_out)
    dead = dying(found)
    scales = {name: each["relative_scale"] for name, each in weights["layers"].items()}
    low, high = min(scales, key=scales.__getitem__), max(scales, key=scales.__getitem__)
    told = (
        f"global magnitude pruning to {percent(dead[0][1])} leaves {percent(dead[0][2], 2)} of {dead[0][0]}"
        if dead
        else "no layer dies by global magnitude pruning down to 2% kept"
    )
    told += f"; scales between layers lie {scales[high] / max(scales[low], 1e-300):.1f} apart ({low} to {high})"
    checks = []
    if network["chains"] or network["normed"]:
        free = len(network["normed"]) + sum(map(len, network["chains"]))
        checks.append(
            Check("scales are seen by the network", False, f"{free} layers' scales are free, and were balanced")
        )
    rows = found.get("scores", {}).get("rows", [])
    pair = score_pair(rows, 0.1)
    if pair is None:
        return True, told, "", checks
    seen = (
        f"at 10% kept the held-out loss rises by {pm(pair['rise'], pair['error'])} by Hessian saliency, "
        f"{pm(abs(pair['less']), pair['less_error'])} {'less' if pair['less'] > 0 else 'more'} than by magnitude"
    )
    importance = agreement(found)
    if importance is not None:
        checks.append(
            Check(
                "layers' importance by magnitude orders them as Hessian importance",
                importance > 0.5,
                f"rank {importance:.2f}",
            )
        )
    return True, told, seen, checks


def score_pair(rows: list[dict[str, Any]], keep: float, scope: str = "global") -> dict[str, Any] | None:
    """Return what Hessian saliency gave at a share kept, and by how much less than magnitude the loss rose."""
    return next((r for r in rows if r["score"] == "hessian" and r["scope"] == scope and r["keep"] == keep), None)


def dying(found: Found) -> list[tuple[str, float, float]]:
    """Return which layers a global cut by magnitude kills: name, the largest share kept at which, what is left."""
    left = found["weights"]["left"]
    dead: dict[str, tuple[str, float, float]] = {}
    for keep in sorted(left, key=float, reverse=True):
        for name, share in left[keep].items():
            if share < DEAD and name not in dead:
                dead[name] = (name, float(keep), share)
    return list(dead.values())


def agreement(found: Found) -> float | None:
    """Return the rank correlation, over layers, of magnitude and Hessian importance."""
    from scipy.stats import spearmanr

    if "saliencies" not in found or "weights" not in found or len(found["weights"]["layers"]) < 3:
        return None
    names = list(found["weights"]["layers"])
    one = [found["weights"]["layers"][name]["squares"] for name in names]
    two = [found["saliencies"]["importance"][name] for name in names]
    rank = float(spearmanr(one, two).statistic)
    return rank if math.isfinite(rank) else None


def _heavy_tails(found: Found, network: Mapping[str, Any], left_out: Mapping[str, str]) -> Line:
    """Say which layers heavier tails make compressible, where fewer weights keep the norm."""
    from scipy.stats import spearmanr

    weights = found.get("weights")
    if weights is None:
        return _missing("weights", left_out)
    told = {name: each for name, each in weights["layers"].items() if each["alpha"] is not None}
    if not told:
        return False, "does not apply: no layer is large enough for a tail index", "", []
    heavy = [name for name, each in told.items() if each["alpha"] + 2 * each["error"] < 2]
    stable = [name for name in told if told[name]["stable"]]
    lowest = min(told, key=lambda name: told[name]["alpha"])
    words = (
        f"{len(heavy)} of {len(told)} layers have tails heavier than Gaussian (α + 2 errors below 2); the heaviest is "
        f"{lowest}, α = {pm(told[lowest]['alpha'], told[lowest]['error'])}, where pruning costs the least norm"
    )
    seen = f"{lowest} keeps 90% of its norm with {percent(told[lowest]['norm_90'])} of its weights (Gaussian: 33%)"
    checks = [
        Check(
            "a stable law fits the weights",
            len(stable) == len(told),
            f"not rejected in {len(stable)} of {len(told)} layers",
        )
    ]
    if len(told) >= 4:
        alphas, shares = zip(*((each["alpha"], each["norm_90"]) for each in told.values()), strict=True)
        if len(set(alphas)) > 1 and len(set(shares)) > 1:
            rank = float(spearmanr(alphas, shares).statistic)
            checks.append(Check("layers of lower α keep their norm with fewer weights", rank > 0, f"rank {rank:.2f}"))
    return bool(heavy), words, seen, checks


def _pruning_limit(found: Found, network: Mapping[str, Any], left_out: Mapping[str, str]) -> Line:
    """Say how much can go without retraining: the quadratic model, the cones, and the measurement."""
    if "one-shot" not in found:
        return _missing("one-shot", left_out)
    one = found["one-shot"]
    words = f"one-shot, {share_pm(one['share'], one['error'])} of the weights can go within ε"
    linear = found.get("linearized")
    if linear:
        words += f"; with outputs linear along the cut, {share_pm(linear['share'], linear['error'])}"
    published = found.get("published")
    if published:
        words += f"; published threshold, {share_pm(published['share'], published['error'])}"
    checks = [
        Check(
            "the network is at a minimum: along the cut the gradient adds less than a tenth",
            one["slope"] < 0.1,
            f"{one['slope']:.0%} of ½cᵀHc",
        )
    ]
    measured = found.get("measured")
    if measured is None:
        return True, words, "", checks
    seen = f"{share_pm(measured['share'], measured['error'])} on {measured['samples']} held-out samples"
    return True, words, seen, checks


def _matrix_sensing(found: Found, network: Mapping[str, Any], left_out: Mapping[str, str]) -> Line:
    """Say how many columns products of two factors need."""
    products = found.get("products")
    if products is None:
        return _missing("products", left_out)
    pairs = products["pairs"]
    if not pairs:
        return (
            False,
            "does not apply: no layer is a product of two factors (a nonlinearity lies between any two)",
            "",
            [],
        )
    best = min(pairs, key=lambda pair: pair["rank"] / pair["columns"])
    words = (
        f"{len(pairs)} products of two factors; {best['second']} · {best['first']} needs {best['rank']} of its "
        f"{best['columns']} columns for 99% of its squared norm, once a group penalty has turned them"
    )
    seen = f"as they are, the largest {best['needed']} columns hold as much"
    held = best["needed"] <= 1.1 * best["rank"]
    checks = [Check("the columns are separated already, as after training with the penalty", held, seen)]
    return True, words, seen, checks


def in_book(paper: str) -> str:
    """Return how the paper's statements fared in the book, by its ledger."""
    from prunekit.diagnosis.record import counts

    told = counts(paper)
    if not told:
        return "the book's verdicts are not at hand"
    total = sum(told.values())
    return f"{told.get('reproduced', 0)} of {total} statements reproduced, {told.get('differs', 0)} differ"
