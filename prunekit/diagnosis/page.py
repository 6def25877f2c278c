"""A report as one page that needs nothing else: figures in SVG, tables, light and dark by the reader's setting."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

from prunekit.diagnosis.words import percent, pm

if TYPE_CHECKING:
    from prunekit.diagnosis.report import Report

_STYLE = """
.prunekit{--ink:#1b1b1b;--soft:#5b5b5b;--line:#d5d5d5;--paper:#fff;--one:#0072b2;--two:#b04a00;
color:var(--ink);background:var(--paper);font:15px/1.5 system-ui,sans-serif;max-width:60rem}
@media(prefers-color-scheme:dark){.prunekit{--ink:#ececec;--soft:#b0b0b0;--line:#454545;--paper:#16181b;--one:#56b4e9;--two:#e69f00}}
html[data-theme=light] .prunekit,[data-jp-theme-light=true] .prunekit{
--ink:#1b1b1b;--soft:#5b5b5b;--line:#d5d5d5;--paper:#fff;--one:#0072b2;--two:#b04a00}
html[data-theme=dark] .prunekit,[data-jp-theme-light=false] .prunekit{
--ink:#ececec;--soft:#b0b0b0;--line:#454545;--paper:#16181b;--one:#56b4e9;--two:#e69f00}
.prunekit h2{font-size:1.15rem;margin:1.6rem 0 .4rem}.prunekit h3{font-size:1rem;margin:1rem 0 .2rem}
.prunekit h2,.prunekit h3{color:var(--ink)}.prunekit table{border-collapse:collapse;font-size:.86rem}
.prunekit th,.prunekit td{border-bottom:1px solid var(--line);padding:.2rem .6rem;text-align:left;vertical-align:top}
.prunekit td.n,.prunekit th.n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
.prunekit .soft{color:var(--soft)}.prunekit .wide{overflow-x:auto}.prunekit li{margin:.3rem 0}
.prunekit svg{max-width:100%;height:auto}.prunekit svg text{fill:var(--ink);font-size:11px}
"""
_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">
<meta name="color-scheme" content="light dark"><title>Diagnosis of a network</title>
<style>body{{margin:0 auto;padding:1rem;max-width:62rem}}
@media(prefers-color-scheme:dark){{body{{background:#16181b}}}}</style>
</head><body>{body}</body></html>
"""


def page(report: Report) -> str:
    """Return a whole page of HTML."""
    return _PAGE.format(body=f"<main><h1>Diagnosis of a network</h1>{body(report)}</main>")


def body(report: Report) -> str:
    """Return a report as a piece of HTML with its own style."""
    network = report.network
    covered = sum(part["weights"] for part in network["coverage"] if not part["reason"])
    total = sum(part["weights"] for part in network["coverage"])
    parts = [
        f"<style>{_STYLE}</style><div class='prunekit'>",
        f"<p>{covered:,} of {total:,} parameters are covered. The loss may rise by "
        f"ε = {network['epsilon']['value']:.4g} <span class='soft'>({escape(network['epsilon']['rule'])})</span>.</p>",
        _advice(report),
        _figure(report),
        _limit(report),
        _layers(report),
        _theories(report),
        _left_out(report),
        "</div>",
    ]
    return "\n".join(parts)


def _advice(report: Report) -> str:
    items = "".join(
        f"<li>{escape(a.text)}<br><span class='soft'>{escape(a.evidence)}. Rule: {escape(a.rule)}.</span></li>"
        for a in report.advice
    )
    return f"<h2>Advice</h2><ul>{items or '<li>No rule has evidence enough.</li>'}</ul>"


def _table(head: Sequence[tuple[str, bool]], rows: Sequence[Sequence[str]]) -> str:
    """Return a table whose columns of numbers are to the right; cells are escaped."""
    kinds = ["n" if number else "" for _, number in head]
    top = "".join(f"<th scope='col' class='{k}'>{escape(name)}</th>" for (name, _), k in zip(head, kinds, strict=True))
    lines = "".join(
        "<tr>" + "".join(f"<td class='{k}'>{escape(cell)}</td>" for cell, k in zip(row, kinds, strict=True)) + "</tr>"
        for row in rows
    )
    return f"<div class='wide' tabindex='0'><table><thead><tr>{top}</tr></thead><tbody>{lines}</tbody></table></div>"


def _limit(report: Report) -> str:
    head = [("limit", False), ("weights that can go, %", True), ("question it answers", False), ("how", False)]
    rows = [[r["limit"], _share(r["removable"], r["error"]), r["answers"], r["note"]] for r in report.limit]
    return "<h2>How many weights can go</h2>" + _table(head, rows)


def _layers(report: Report) -> str:
    head = [
        ("layer", False),
        ("shape", False),
        ("weights", True),
        ("tail index α", True),
        ("90% of norm", True),
        ("scale", True),
        ("left at 10% kept", True),
        ("can go: one-shot, %", True),
        ("linearized, %", True),
        ("re-optimized, %", True),
        ("measured, %", True),
        ("", False),
    ]
    rows = []
    for r in report.layers:
        alpha = "–" if r["alpha"] is None else pm(r["alpha"], r["alpha_error"])
        note = f"left alone: {r['left_alone']}" if r["left_alone"] else r["tail_note"]
        if r["stable"] is False:
            note = (note + "; " if note else "") + "no stable law"
        rows.append(
            [
                r["layer"],
                r["shape"],
                f"{r['weights']:,}",
                alpha,
                _number(r["norm_90"], percent),
                _number(r["scale"], lambda x: f"{x:.2g}"),
                _number(r["left_of_10%"], percent),
                _share(r["one_shot"], r["one_shot_error"]),
                _share(r["linearized"], r["linearized_error"]),
                _share(r["re_optimized"], 0.0),
                _share(r["measured"], r["measured_error"]),
                note,
            ]
        )
    return "<h2>Layer by layer</h2>" + _table(head, rows)


def _number(value: float | None, say: Callable[[float], str]) -> str:
    return "–" if value is None else say(value)


def _share(share: float | None, error: float | None) -> str:
    return "–" if share is None else pm(share, error, scale=100)


def _theories(report: Report) -> str:
    items = []
    for t in report.theories:
        checks = "".join(
            f"<li>{'holds' if c.held else 'does not hold'}: {escape(c.assumption)} "
            f"<span class='soft'>({escape(c.seen)})</span></li>"
            for c in t.checks
        )
        measured = f"<p>Measured: {escape(t.measured)}</p>" if t.measured else ""
        items.append(
            f"<h3>{escape(t.name)} <span class='soft'>in the book: {escape(t.in_book)}</span></h3>"
            f"<p>{escape(t.prediction)}</p>{measured}{f'<ul>{checks}</ul>' if checks else ''}"
        )
    return "<h2>What the five theories say</h2>" + "".join(items)


def _left_out(report: Report) -> str:
    items = "".join(f"<li>{escape(name)}: {escape(why)}</li>" for name, why in report.left_out.items())
    spent = ", ".join(f"{name} {seconds:.1f}" for name, seconds in report.spent.items())
    told = f"<h2>What it took</h2><p>Seconds: {escape(spent)}.</p>"
    return told + (f"<p>Left out:</p><ul>{items}</ul>" if items else "")


# ---------------------------------------------------------------- the figure

_W, _H, _LEFT, _BOTTOM = 640, 300, 62, 44


def _figure(report: Report) -> str:
    """Return the rise of the loss against the share removed: prediction as a line, measurement as markers."""
    measured, predicted = report.found.get("measured"), report.found.get("one-shot")
    if measured is None and predicted is None:
        return ""
    epsilon = report.network["epsilon"]["value"]
    top = max([epsilon, *(_largest(each) for each in (measured, predicted) if each)])
    scale = _Scale(epsilon, top)
    marks = [_axes(scale, epsilon)]
    if predicted:
        points = " ".join(
            f"{_x(a):.1f},{scale.y(b):.1f}" for a, b in zip(predicted["removed"], predicted["rises"], strict=True)
        )
        marks.append(f"<polyline points='{points}' fill='none' stroke='var(--one)' stroke-width='2'/>")
        marks.append(f"<text x='{_LEFT + 12}' y='28' style='fill:var(--one)'>— predicted (one-shot)</text>")
    if measured:
        marks += [
            _marker(each, scale)
            for each in zip(measured["removed"], measured["rises"], measured["errors"], strict=True)
        ]
        marks.append(f"<text x='{_LEFT + 12}' y='44' style='fill:var(--two)'>● measured, with error</text>")
    told = "measured" if measured else "predicted"
    share = (measured or predicted)["share"]  # type: ignore[index]
    caption = f"The loss rises by ε where {percent(share)} of the weights are removed by global magnitude ({told})."
    label = escape(f"Rise of the loss against the share of weights removed. {caption}")
    return (
        f"<figure><svg viewBox='0 0 {_W} {_H}' role='img' aria-label=\"{label}\">{''.join(marks)}</svg>"
        f"<figcaption>{escape(caption)}</figcaption></figure>"
    )


def _largest(curve: Mapping[str, Any]) -> float:
    return max((abs(r) for r in curve["rises"]), default=0.0)


class _Scale:
    """Heights: linear up to ε, logarithmic above."""

    def __init__(self, epsilon: float, top: float) -> None:
        self._epsilon = epsilon
        self._top = self.at(top)

    def at(self, rise: float) -> float:
        """Return a rise on the scale."""
        size = abs(rise) / self._epsilon
        return math.copysign(size if size <= 1 else 1 + math.log10(size), rise)

    def y(self, rise: float) -> float:
        """Return a rise's height in the picture."""
        value = min(max(self.at(rise), -0.5), self._top)
        return _H - _BOTTOM - (value + 0.5) / (self._top + 0.5) * (_H - _BOTTOM - 16)


def _x(removed: float) -> float:
    return _LEFT + removed * (_W - _LEFT - 16)


def _marker(point: tuple[float, float, float], scale: _Scale) -> str:
    removed, rise, error = point
    x = _x(removed)
    return (
        f"<line x1='{x:.1f}' x2='{x:.1f}' y1='{scale.y(rise - error):.1f}' y2='{scale.y(rise + error):.1f}' "
        f"stroke='var(--two)'/><circle cx='{x:.1f}' cy='{scale.y(rise):.1f}' r='3.5' fill='var(--two)'/>"
    )


def _axes(scale: _Scale, epsilon: float) -> str:
    """Return both axes with their labels, and the line at ε."""
    bottom = _H - _BOTTOM
    ticks = "".join(
        f"<text x='{_x(k / 5):.1f}' y='{bottom + 16}' text-anchor='middle'>{20 * k}</text>" for k in range(6)
    )
    y = scale.y(epsilon)
    rises = "".join(
        f"<text x='{_LEFT - 6}' y='{scale.y(k * epsilon) + 4:.1f}' text-anchor='end'>{k * epsilon:.2g}</text>"
        for k in (0, 1, 10, 100)
        if scale.at(k * epsilon) <= scale._top
    )
    return (
        f"<path d='M{_LEFT},16V{bottom}H{_W - 16}' fill='none' stroke='var(--soft)'/>{ticks}{rises}"
        f"<line x1='{_LEFT}' x2='{_W - 16}' y1='{y:.1f}' y2='{y:.1f}' stroke='var(--soft)' stroke-dasharray='3 3'/>"
        f"<text x='{_W - 20}' y='{y - 5:.1f}' text-anchor='end'>ε</text>"
        f"<text x='{(_W + _LEFT) / 2:.0f}' y='{_H - 8}' text-anchor='middle'>weights removed (%)</text>"
        f"<text transform='translate(14,{bottom / 2:.0f}) rotate(-90)' text-anchor='middle'>rise of the loss</text>"
    )
