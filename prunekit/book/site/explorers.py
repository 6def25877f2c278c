"""The pages to explore: where each stands in its page, and the still figure that stands there without scripts.

An explorer is plain JavaScript under ``book/_static/explorers``: the mathematics of its theory in a file of its own, on
top of what all share. A page says ``<!-- explorer: NAME -->`` where it belongs.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np

from prunekit.book import paths, plotting
from prunekit.book.figures import explorers as figures
from prunekit.book.figures.explorers import Panel, still
from prunekit.book.plotting import Drawing, markup
from prunekit.book.site.kept import kept

FOLDER = "explorers"  # below book/ for the pages, below book/_static/ for the scripts
BEFORE, AFTER = ("numerics.js",), ("plot.js", "explorer.js")
ROOMS = ("linear", "stable", "sensing", "cones")  # of the library: what the still figures are computed by
_MARK = re.compile(r"^<!-- explorer: ([a-z-]+) -->$", re.MULTILINE)


def kept_page(text: str, keep: Path) -> str:
    """Return a page with its explorer, the still figure drawn anew only where the prose or the library has changed.

    Parameters
    ----------
    text
        MyST-Markdown of a page in ``book/explorers``.
    keep
        Where the page is kept.
    """
    code = [Path(f).read_text(encoding="utf-8") for f in (__file__, plotting.__file__, str(figures.__file__))]
    rooms = [f.read_text(encoding="utf-8") for room in ROOMS for f in sorted((paths.PACKAGE / room).glob("*.py"))]
    return kept(keep, [text, *code, *rooms], lambda: page(text))


def page(text: str) -> str:
    """Return a page with its explorer.

    Raises
    ------
    ValueError
        If it names no explorer, or one that is not there.
    """
    named = _MARK.findall(text)
    if len(named) != 1 or named[0] not in STILLS:
        raise ValueError(f"the page names the explorers {named}: give one of {', '.join(STILLS)}")
    return _MARK.sub(lambda match: fragment(match[1]), text)


def scripts(name: str) -> list[str]:
    """Return the names of the scripts of an explorer, in the order in which they are loaded."""
    return [*BEFORE, *SHARED.get(name, ()), f"{name}.js", *AFTER]


def fragment(name: str) -> str:
    """Return the HTML of an explorer, in one line: its place with the still figure, then its style and scripts."""
    drawing = STILLS[name]()
    figure = markup(drawing.draw, drawing.numbers, name=drawing.name, alt=drawing.alt, caption=drawing.caption)
    base = f"../../_static/{FOLDER}"
    words = "<noscript><p>Scripts are off, so this is the first preset as a still figure.</p></noscript>"
    return (
        f'<div class="pk-explorer" data-explorer="{name}"><div class="pkx-static">{words}{figure}</div></div>'
        f'<link rel="stylesheet" href="{base}/explorers.css">'
        + "".join(f'<script src="{base}/{script}"></script>' for script in scripts(name))
    )


def _pruning_law() -> Drawing:
    """Return the risk against the width in the setting of Figure 3b."""
    from prunekit.linear import Hessian, LinearGaussian, Magnitude, Oracle, predicted_risks
    from prunekit.linear.penalties import Penalties
    from prunekit.linear.risk_curves import Rules
    from prunekit.linear.rivals import contest

    p, n, s = 400, 120, 40
    problem = LinearGaussian(np.where(np.arange(p) < s, 25.0, 1.0), np.full(p, p**-0.5), 0.5)
    widths = np.array([k for k in range(5, p + 1, 5) if k != n])
    rules: Rules = {"magnitude": Magnitude, "Hessian": Hessian, "oracle": Oracle}
    risks = predicted_risks(problem, n, s, widths, rules)
    gap = int(np.searchsorted(widths, n))
    lines = {label: (np.insert(widths / p, gap, n / p), np.insert(risk, gap, np.nan)) for label, risk in risks.items()}
    grid = np.geomspace(1e-3, 1e3, 25)
    fits = Penalties(problem, n, grid)
    chosen = {"dense": None, "magnitude": Magnitude(s), "Hessian": Hessian(s)}
    ridges = {label: (grid, [fits.risk(x, rule) for x in grid]) for label, rule in chosen.items()}
    won = contest(problem, n, s)
    caption = (
        f"With p = {p} features, n = {n} samples and s = {s} weights kept, in the setting of Figure 3b: the pruned "
        f"large model has risk {won.risks['Hessian']:.3f}, its best rival ({won.best().kind}) {won.quotient():.3f} "
        f"times that. The ridge that is best for the dense model is μ/n = {fits.best().penalty:.2g}, after magnitude "
        f"pruning {fits.best(Magnitude(s)).penalty:.2g}."
    )
    alt = (
        "Two panels. Left, risk against the width: all curves rise to a pole at k = n and fall beyond it; Hessian and "
        "oracle pruning end lowest among the pruned. Right, risk of all features against the ridge penalty: magnitude "
        "pruning has its least risk at a larger penalty than the dense fit and Hessian pruning."
    )
    panels = [
        Panel("features used, k/p", "expected risk (units of y²)", lines, "y", 12.0),
        Panel("penalty μ/n (units of a variance)", "expected risk (units of y²)", ridges, "xy"),
    ]
    return still("explore-pruning-law", panels, alt, caption)


def _scaled_features() -> Drawing:
    """Return what the rules keep of a scaled block of features, and what that costs, as in Figure 1 of li."""
    from prunekit.linear import Hessian, LinearGaussian, Magnitude, Oracle
    from prunekit.linear.risk_curves import Rules
    from prunekit.linear.strategies import Strategy

    p, n, s, first, scale = 200, 121, 20, 20, 5.0
    theta = (1 + 4 * np.arange(1, p + 1) / p) ** -2.0
    theta /= np.linalg.norm(theta)

    def problem(scale: float) -> LinearGaussian:
        stretch = np.where(np.arange(p) < first, scale, 1.0)
        return LinearGaussian(stretch**2, theta / stretch, 0.1)

    scales, law = np.geomspace(1 / 16, 16, 33), problem(scale).characterize(n)
    shares, pruned = {}, dict[str, Strategy]({"magnitude": Magnitude(s), "Hessian": Hessian(s)})
    for name, rule in pruned.items():
        kept = np.array([problem(each).characterize(n).inclusion(rule) for each in scales])
        shares[f"{name}: scaled block"] = (scales, kept[:, :first].mean(axis=1))
        shares[f"{name}: other features"] = (scales, kept[:, first:].mean(axis=1))
    numbers = np.unique(np.geomspace(1, p, 25).round().astype(int))
    rules: Rules = {"magnitude": Magnitude, "Hessian": Hessian, "oracle": Oracle}
    risks = {name: (numbers / p, [law.risk(rule(int(k))) for k in numbers]) for name, rule in rules.items()}
    caption = (
        f"With the first tenth of p = {p} features multiplied by λ and n = {n} samples. At λ = {scale:g}, with {s} "
        f"weights kept, the risk is {law.risk(Magnitude(s)):.3f} after magnitude and {law.risk(Hessian(s)):.3f} after "
        f"Hessian pruning; the dense fit has {law.gamma:.3f}."
    )
    alt = (
        "Two panels. Left, the share of the scaled block and of the other features that each rule keeps, against the "
        "scale: magnitude pruning keeps most of the block near λ = 1 and next to nothing of it at either end, Hessian "
        "pruning more of it the larger the scale. Right, the risk against the share of weights kept: magnitude pruning "
        "lies far above Hessian pruning."
    )
    panels = [
        Panel("scale λ", "share of a block kept", shares, "x"),
        Panel("share of weights kept", "expected risk (units of y²)", risks, "x"),
    ]
    return still("explore-scaled-features", panels, alt, caption)


def _tails() -> Drawing:
    """Return the relative error of pruning stable and Gaussian weights, against the share kept and the number."""
    from prunekit.stable import compression_error, sample

    alpha, d, draws = 1.2, 2000, 16
    kept = np.unique(np.geomspace(1, d, 25).round().astype(int))
    sizes = [d // 2**k for k in range(7, -1, -1)]
    drawn = {"stable, α = 1.2": sample(alpha, (draws, d), seed=0), "Gaussian": sample(2.0, (draws, d), seed=1)}
    shares, grown = {}, {}
    for name, networks in drawn.items():
        shares[name] = (kept / d, np.median([compression_error(x, kept) for x in networks], axis=0))
        rows = [[compression_error(x[:size], 0.1) for size in sizes] for x in networks]
        grown[name] = (sizes, np.median(rows, axis=0))
    errors = {name: float(grown[name][1][-1]) for name in drawn}
    caption = (
        f"Keeping a tenth of d = {d} weights of tail index {alpha:g} leaves a relative error of "
        f"{errors['stable, α = 1.2']:.2f} in the median of {draws} draws, of Gaussian weights "
        f"{errors['Gaussian']:.2f}. With more weights the first falls towards 0, the second stays."
    )
    alt = (
        "Two panels. Left, the relative error against the share of weights kept: the line of heavy-tailed weights lies "
        "far below that of Gaussian ones. Right, the error of keeping a tenth against the number of weights: it falls "
        "for heavy-tailed weights and stays for Gaussian ones."
    )
    panels = [
        Panel("share of weights kept", "relative error", shares, "x"),
        Panel("number of weights", "relative error", grown, "x"),
    ]
    return still("explore-tails", panels, alt, caption)


def _cone() -> Drawing:
    """Return the shares to keep, as published and corrected, against the distance of the pruned point."""
    from prunekit import cones
    from prunekit.spectrum import Measure

    D, epsilon = 400, 0.2
    h = np.geomspace(100, 1e-4, D)
    spectrum, distances = Measure.of_eigenvalues(h), np.geomspace(1 / 30, 30, 41)
    sides = [Measure.of_vector(h, np.full(D, R / D**0.5)) for R in distances]
    published = [1 - cones.dimension_as_published(spectrum, epsilon, R).value / D for R in distances]
    cone = [1 - cones.cone_dimension(spectrum, c, epsilon).value / D for c in sides]
    orthogonal = [cones.orthogonal_limit(spectrum, c, epsilon).value for c in sides]
    shares = {"T as published": (distances, published), "T⊥": (distances, orthogonal), "cone": (distances, cone)}
    k, middle = np.linspace(0, D, 121).round(), 20
    steps = {
        name: (k / D, cones.kinematic.step(D * (1 - share), k, D))
        for name, share in {"as published": published[middle], "cone": cone[middle]}.items()
    }
    caption = (
        f"For D = {D} weights, a log-uniform Hessian, a random direction and ε = {epsilon:g}. At the distance R = 1 "
        f"the published threshold asks to keep {published[middle]:.3f} of the weights, the cone of the ellipsoid "
        f"{cone[middle]:.3f}, and T⊥ {orthogonal[middle]:.3f}."
    )
    alt = (
        "Two panels. Left, the share of weights to keep against the distance of the pruned point: all rise from 0 to "
        "1, the published threshold first; the cone and the limit for orthogonal subspaces are 0 up to the distance at "
        "which the pruned point leaves the ellipsoid. Right, the chance that a random subspace meets the cone: a step "
        "from 0 to 1, at a larger dimension as published."
    )
    panels = [
        Panel("distance R of the pruned point", "share of weights to keep", shares, "x"),
        Panel("share of dimensions, k/D", "chance to reach the ellipsoid", steps),
    ]
    return still("explore-cone", panels, alt, caption)


def _sensing() -> Drawing:
    """Return where exactly r columns survive, and their norm against the strength of the penalty."""
    from prunekit import sensing

    mu, smoothing = 1.0, 0.01
    strength, _ = sensing.suggested_penalty(mu)
    smoothings, strengths = np.geomspace(1e-4, 0.375, 41), np.geomspace(1e-3, 5, 61)
    ranges = np.array([sensing.strength_range(mu, b, 4 * b) for b in smoothings])
    ranges[ranges == 0] = np.nan
    borders = {"sure below": (smoothings, ranges[:, 0]), "impossible above": (smoothings, ranges[:, 1])}
    norms = {
        "norm at the minimum": (strengths, [sensing.least_column([mu], x, smoothing) for x in strengths]),
        "cut 2√β": (strengths, [sensing.cut_off(smoothing)] * len(strengths)),
    }
    always, most = sensing.strength_range(mu, smoothing, 4 * smoothing)
    caption = (
        f"For a truth whose eigenvalues are all {mu:g}. At β = {smoothing:g} exactly r columns survive at every "
        f"local minimum for λ below {always:.3g}, and no column can represent an eigenvalue above λ = {most:.3g}; "
        f"between, it depends on the start. The page's choice is λ = {strength:.3g}."
    )
    alt = (
        "Two panels. Left, the strength of the penalty against its smoothing: below a rising line exactly r columns "
        "always survive, above a second line none can. Right, the norm of a column at the minimum against the "
        "strength: it stays near 1, falls, and jumps to 0 where there is no such minimum."
    )
    panels = [
        Panel("smoothing β (units of U²)", "strength λ (units of U³)", borders, "xy"),
        Panel("strength λ (units of U³)", "norm of a column", norms, "x"),
    ]
    return still("explore-sensing", panels, alt, caption)


STILLS: dict[str, Callable[[], Drawing]] = {
    "pruning-law": _pruning_law,
    "scaled-features": _scaled_features,
    "tails": _tails,
    "cone": _cone,
    "sensing": _sensing,
}
SHARED = {"pruning-law": ("law.js",), "scaled-features": ("law.js",)}  # scripts between those that all have
