"""A report's tables: rows of plain values, and their text."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from prunekit.diagnosis.words import percent, pm

if TYPE_CHECKING:
    from prunekit.diagnosis.report import Report

Rows = list[dict[str, Any]]

ANSWERS = {
    "one-shot": "what can go without retraining, by the quadratic model",
    "linearized": "the same, with outputs that are linear along the cut and the loss as it is",
    "measured": "what can go without retraining, on held-out samples",
    "re-optimized": "what can go if the kept weights are trained again, by the quadratic model",
    "published": "the paper's threshold: a random subspace through the pruned point",
    "cone": "the same, with the ellipsoid's exact cone",
    "orthogonal": "a random subspace of the weights that stay",
}


def layers(found: Mapping[str, Any], network: Mapping[str, Any]) -> Rows:
    """Return one row for every parameter."""
    rows = []
    total = sum(part["weights"] for part in network["coverage"])
    for part in network["coverage"]:
        name = part["name"]
        tail = found.get("weights", {}).get("layers", {}).get(name, {})
        measured = found.get("layers measured", {}).get("layers", {}).get(name, {})
        predicted = found.get("layers predicted", {}).get("layers", {}).get(name, {})
        linear = found.get("layers linearized", {}).get("layers", {}).get(name, {})
        best = found.get("layers re-optimized", {}).get("layers", {}).get(name, {})
        left = found.get("weights", {}).get("left", {}).get("0.1", {})
        rows.append(
            {
                "layer": name,
                "shape": "×".join(map(str, part["shape"])),
                "weights": part["weights"],
                "share": part["weights"] / total if total else 0.0,
                "left_alone": part["reason"],
                "alpha": tail.get("alpha"),
                "alpha_error": tail.get("error"),
                "stable": tail.get("stable"),
                "tail_note": tail.get("reason", ""),
                "norm_90": tail.get("norm_90"),
                "scale": tail.get("relative_scale"),
                "balanced_by": network["factors"].get(name),
                "magnitude": tail.get("squares"),
                "hessian": found.get("saliencies", {}).get("importance", {}).get(name),
                "reset": measured.get("reset"),
                "left_of_10%": left.get(name),
                "one_shot": predicted.get("share"),
                "one_shot_error": predicted.get("error"),
                "linearized": linear.get("share"),
                "linearized_error": linear.get("error"),
                "re_optimized": best.get("share"),
                "measured": measured.get("share"),
                "measured_error": measured.get("error"),
            }
        )
    return rows


def limits(found: Mapping[str, Any], left_out: Mapping[str, str]) -> Rows:
    """Return one row for every way to say how many weights can go; errors by where they come from."""
    rows = []
    for method, answer in ANSWERS.items():
        row: dict[str, Any] = {
            "limit": method,
            "answers": answer,
            "removable": None,
            "error": None,
            "from_samples": None,
            "from_probes": None,
            "from_quadrature": None,
            "note": "",
        }
        each = found.get(method)
        if each is None:
            row["note"] = left_out.get(method, "not done")
        elif method in ("one-shot", "linearized", "measured"):
            row |= {"removable": each["share"], "error": each["error"], "from_samples": each["error"]}
            row["note"] = f"{each['samples']} samples"
        else:
            row |= {"removable": each["share"], "error": each["error"], "from_probes": each["probes"]}
            row |= {"from_quadrature": each["quadrature"]}
            row["note"] = f"{each['samples']} samples, by {each['known_by']}; the error leaves samples out"
            if not each["resolved"]:
                row["note"] += "; not resolved"
        rows.append(row)
    return rows


def units(found: Mapping[str, Any], network: Mapping[str, Any]) -> Rows:
    """Return for each layer its output units, and the share of them that holds 90% of importance and norm."""
    rows = []
    values = found.get("saliencies", {}).get("values", {})
    for name, w in network["weights"].items():
        norms = w.double().reshape(len(w), -1).square().sum(dim=1)
        row = {"layer": name, "units": len(w), "norm_90": _share(norms), "smallest_norm": float(norms.min().sqrt())}
        row["largest_norm"] = float(norms.max().sqrt())
        saliency = values.get(name)
        row["importance_90"] = None if saliency is None else _share(saliency.double().reshape(len(w), -1).sum(dim=1))
        rows.append(row)
    return rows


def _share(values: Any) -> float:
    """Return the share of units, the largest, that holds 90% of the sum; 0 where there is none."""
    ordered = values.clamp(min=0).sort(descending=True).values
    total = float(ordered.sum())
    if total == 0:
        return 0.0
    return float(int((ordered.cumsum(0) < 0.9 * total * (1 - 1e-12)).sum()) + 1) / len(ordered)


def flat(each: Any) -> dict[str, Any]:
    """Return a theory or an advice as a row."""
    row = asdict(each)
    if "checks" in row:
        row["checks"] = "; ".join(
            f"{'holds' if c['held'] else 'does not hold'}: {c['assumption']} ({c['seen']})" for c in row["checks"]
        )
    return row


def plain(value: Any) -> Any:
    """Return what JSON can hold: numbers that are not finite become None."""
    if isinstance(value, Mapping):
        return {str(key): plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def text(report: Report) -> str:
    """Return a report as text: what it covers, advice, limit, layers, theories, what was left out."""
    network = report.network
    covered = sum(part["weights"] for part in network["coverage"] if not part["reason"])
    total = sum(part["weights"] for part in network["coverage"])
    kind = f", converted from {network['kind']}" if network["kind"] else ""
    head = f"Diagnosis: {covered:,} of {total:,} parameters covered{kind}; ε = {network['epsilon']['value']:.4g}"
    lines = [head, f"  ε: {network['epsilon']['rule']}", "", "Advice"]
    lines += [f"  - {each.text} [{each.evidence}]" for each in report.advice] or [
        "  - none: no rule has evidence enough"
    ]
    lines += ["", "What can go, in % of the weights"]
    lines += _aligned([[r["limit"], _share_text(r), r["answers"], f"({r['note']})"] for r in report.limit])
    lines += [
        "",
        "Layers: tail index; what can go alone, one-shot / linearized / re-optimized / measured, in %; left of it at "
        "10% kept",
    ]
    lines += _aligned([_layer(row) for row in report.layers])
    lines += ["", "Theories"]
    for theory in report.theories:
        lines.append(f"  {theory.name} ({theory.in_book}): {theory.prediction}")
        if theory.measured:
            lines.append(f"    measured: {theory.measured}")
        lines += [f"    {'holds' if c.held else 'does not hold'}: {c.assumption} ({c.seen})" for c in theory.checks]
    if report.left_out:
        lines += ["", "Left out", *(f"  {name}: {why}" for name, why in report.left_out.items())]
    return "\n".join(lines)


def _share_text(row: Mapping[str, Any]) -> str:
    return "–" if row["removable"] is None else pm(row["removable"], row["error"], scale=100)


def _layer(row: Mapping[str, Any]) -> list[str]:
    if row["left_alone"]:
        return [row["layer"], row["shape"], f"left alone: {row['left_alone']}"]
    alpha = f"α {pm(row['alpha'], row['alpha_error'])}" if row["alpha"] is not None else (row["tail_note"] or "–")
    shares = [
        _percent(row["one_shot"], row["one_shot_error"]),
        _percent(row["linearized"], row["linearized_error"]),
        _percent(row["re_optimized"], 0.0),
        _percent(row["measured"], row["measured_error"]),
    ]
    left = "–" if row["left_of_10%"] is None else percent(row["left_of_10%"])
    return [row["layer"], row["shape"], alpha, " / ".join(shares), left]


def _percent(share: float | None, error: float | None) -> str:
    return "–" if share is None else pm(share, error, scale=100)


def _aligned(rows: list[list[str]]) -> list[str]:
    """Return rows with their columns under each other; short rows end where they end."""
    full = [row for row in rows if len(row) == max(map(len, rows))] if rows else []
    widths = [max(len(row[k]) for row in rows if len(row) > k) for k in range(len(full[0]) - 1)] if full else []
    return [
        "  " + "  ".join(cell.ljust(widths[k]) if k < len(widths) else cell for k, cell in enumerate(row))
        for row in rows
    ]
