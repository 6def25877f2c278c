"""Every sentence of advice: numbers with which it must appear, and numbers with which it must not."""

from __future__ import annotations

from typing import Any

import pytest

from prunekit.diagnosis import advice as rules
from prunekit.diagnosis.advice import MOST, advice

NETWORK = {"epsilon": {"value": 0.01, "rule": "given"}, "factors": {"a": 1.0, "b": 1.0}, "chains": [], "normed": []}


def measured(share: float, error: float = 0.01) -> dict[str, Any]:
    return {"measured": {"share": share, "error": error, "samples": 100, "removed": [0.1, 0.5, 0.99]}}


def row(score: str, less: float, error: float, keep: float = 0.1, scope: str = "global") -> dict[str, Any]:
    return {
        "score": score,
        "scope": scope,
        "keep": keep,
        "rise": 1 - less,
        "error": error,
        "less": less,
        "less_error": error,
        "emptied": [],
    }


def scores(*rows: dict[str, Any]) -> dict[str, Any]:
    return {"scores": {"rows": [row("magnitude", 0.0, 0.0), *rows]}}


def weights(left: float, keep: str = "0.1") -> dict[str, Any]:
    layers = {name: {"relative_scale": scale} for name, scale in (("a", 0.1), ("b", 10.0))}
    return {"weights": {"layers": layers, "left": {keep: {"a": left, "b": 0.5}}}}


def layers(*shares: float, error: float = 0.01) -> dict[str, Any]:
    rows = {str(k): {"share": share, "error": error, "reset": 1.0} for k, share in enumerate(shares)}
    return {"layers measured": {"layers": rows}}


def quadratic(one: float, best: float, error: float = 0.01, method: str = "re-optimized") -> dict[str, Any]:
    return {"one-shot": {"share": one, "error": error}, method: {"share": best, "error": error}}


def moved(factor: float) -> dict[str, Any]:
    return {**NETWORK, "factors": {"a": factor, "b": 1.0}}


def texts(found: dict[str, Any], network: dict[str, Any] = NETWORK) -> str:
    return " ".join(each.text for each in advice(found, network))


@pytest.mark.parametrize(
    ("words", "there", "absent"),
    [
        ("remove up to 40%", measured(0.4), measured(0.01)),
        ("Do not prune this network by global magnitude", measured(0.005), measured(0.4)),
        ("no better on them than an empty one", measured(0.99), measured(0.9)),
        ("Rank weights by Hessian saliency", scores(row("hessian", 0.5, 0.1)), scores(row("hessian", 0.15, 0.1))),
        ("Rank weights by magnitude", scores(row("hessian", -0.5, 0.1)), scores(row("hessian", -0.15, 0.1))),
        (
            "cut the same share of every layer",
            scores(row("magnitude", 0.5, 0.1, scope="layer")),
            scores(row("magnitude", 0.1, 0.1, scope="layer")),
        ),
        (
            "rank all layers together rather than",
            scores(row("magnitude", -0.5, 0.1, scope="layer")),
            scores(row("magnitude", -0.1, 0.1, scope="layer")),
        ),
        ("Give a a share of its own", weights(0.001), weights(0.02)),
        (
            "Give a a share of its own",
            weights(0.001) | scores(row("magnitude", 0.5, 0.1, scope="layer")),
            weights(0.001) | scores(row("magnitude", -0.5, 0.1, scope="layer")),
        ),
        ("Retraining pays from 30% on", quadratic(0.3, 0.7), quadratic(0.3, 0.39)),
        ("Retraining pays from 30% on", quadratic(0.3, 0.7, method="orthogonal"), quadratic(0.3, 0.7, error=0.2)),
        ("Spare 1", layers(0.8, 0.1, 0.9), layers(0.8, 0.5, 0.9)),
        ("Spare 1", layers(0.8, 0.1, 0.9), layers(0.8, 0.1, 0.9, error=0.3)),
    ],
)
def test_sentence_appears_with_its_evidence_only(words: str, there: dict[str, Any], absent: dict[str, Any]) -> None:
    assert words in texts(there)
    assert words not in texts(absent)
    assert words not in texts({})


def test_balancing_is_advised_where_a_layer_moved() -> None:
    assert "Balance scales before you compare" in texts({}, moved(0.5))
    assert "Balance scales before you compare" not in texts({}, moved(1.2))


def test_scores_that_win_in_turn_give_no_advice() -> None:
    found = scores(row("hessian", 0.5, 0.1), row("hessian", -0.5, 0.1, keep=0.5))
    assert "Rank weights by" not in texts(found)


def test_an_error_without_end_gives_no_advice() -> None:
    assert "Retraining" not in texts(quadratic(0.1, 0.9, error=float("inf")))


def test_at_most_five_sentences_and_each_has_evidence_and_rule() -> None:
    found = (
        measured(0.4)
        | scores(row("hessian", 0.5, 0.1), row("magnitude", 0.5, 0.1, scope="layer"))
        | weights(0.001)
        | quadratic(0.3, 0.7)
        | layers(0.8, 0.1, 0.9)
    )
    given = advice(found, moved(0.5))
    assert len(given) == MOST
    assert all(each.evidence and each.rule for each in given)
    assert sum(rule(found, moved(0.5)) is not None for rule in rules.RULES) > MOST  # or the limit was not tried


def test_nothing_else_is_said_of_a_network_that_does_no_better_than_an_empty_one() -> None:
    assert len(advice(measured(0.99) | weights(0.001), moved(0.5))) == 1
