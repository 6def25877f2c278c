"""A right call of every public function on arrays and numbers, or why there is none."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator
from typing import Any

import numpy as np

from prunekit import cones, curvature, linear, sensing, spectrum, statistics
from prunekit.book import recordings
from prunekit.book.points import at_every
from prunekit.book.settings import PaperSetting
from prunekit.linear import rivals, strategies
from prunekit.linear.asymptotic import AsymptoticLaw
from prunekit.linear.penalties import Penalties
from prunekit.stable.bound import Terms
from tests.nonsense.judge import Example
from tests.nonsense.values import WRONG

X = np.random.default_rng(0).standard_normal((5, 4))
Y = np.random.default_rng(1).standard_normal(5)
W = np.array([0.5, -2.0, 0.1, 1.5])
H = X.T @ X / 5
COUNTS = ("Magnitude", "Hessian", "Natural", "Oracle", "OptimalBrainSurgeon")
OPEN = "an interval may have no end"
WORDS = {"it is a text": ("text",)}

ROOT = "an effective radius is infinite where the spectrum has nothing but zeros"
RECORD = "a record that functions hand out: nothing is computed from what it is given"
PROTOCOL = "a protocol: it says what an object must have, and is not called"


@functools.cache
def problem() -> linear.LinearGaussian:
    return linear.LinearGaussian(np.array([1.0, 0.5, 2.0, 0.25]), W, 0.3)


@functools.cache
def law() -> linear.MinNormLaw:
    return problem().characterize(2)


@functools.cache
def pairs() -> AsymptoticLaw:
    return AsymptoticLaw(np.array([2.0, 0.5]), np.array([1.0, -1.0]), 2.0, 0.3)


@functools.cache
def straight() -> linear.LinearGaussian:
    return linear.LinearGaussian(np.array([2.0, 1.0, 0.5, 0.25]), W, 0.3)


def penalties() -> Penalties:
    return Penalties(straight(), 2, np.array([0.1, 1.0, 10.0]))


@functools.cache
def straighter() -> linear.LinearGaussian:
    return linear.LinearGaussian(np.array([8.0, 4.0, 2.0, 1.0, 1.0, 0.5, 0.5, 0.25]), np.full(8, 0.5), 0.3)


@functools.cache
def match() -> rivals.Contest:
    return rivals.contest(straighter(), 5, 2)


@functools.cache
def sensed() -> sensing.MatrixSensing:
    return sensing.MatrixSensing.measure(X[:3, :2], 8, sigma=0.1, seed=0)


@functools.cache
def objective() -> sensing.Penalized:
    return sensing.Penalized(sensed(), 0.1, 0.5)


@functools.cache
def counted() -> spectrum.Spectrum:
    return spectrum.Spectrum.of_eigenvalues(np.array([0.5, 1.0, 2.0, 4.0]))


@functools.cache
def direction() -> spectrum.Measure:
    return spectrum.Measure.of_vector(np.array([0.5, 1.0, 2.0, 4.0]), W)


@functools.cache
def matrix() -> curvature.Matrix:
    return curvature.Matrix(H)


@functools.cache
def norms() -> cones.Norms:
    return cones.projected_norms(cones.Orthant(5), 50, seed=0)


def sums(values: Any) -> Any:
    return np.asarray(values) ** 2


def terms() -> Terms:
    return Terms(norm=1.5, layers=3, radius=1.0, d=10, n=1000)


def ellipsoid() -> cones.EllipsoidCone:
    return cones.EllipsoidCone(np.array([0.5, 1.0, 2.0, 4.0]), W, 0.1)


def rules() -> dict[str, Any]:
    return {"magnitude": strategies.Magnitude}


def checked() -> dict[str, Any]:
    return {
        "claim": "chang/theorem-1", "what": "a number", "measured": 1.0, "expected": 1.0, "margin": 0.1,
        "because": "a tenth", "error": 0.01, "repetitions": 9, "of": "seeds", "corrected": 2.0, "unstated": "nothing",
        "within": (0.0, 9.0), "relation": "equal", "scale": "smoke", "data": "synthetic",
    }  # fmt: skip


R3 = np.random.default_rng(2).standard_normal((3, 4))
WIDE = np.random.default_rng(3).standard_cauchy((40, 6))
NARROW = np.random.default_rng(5).standard_normal((40, 6))
POINTS = np.random.default_rng(4).standard_normal((3, 4))
BASIS = np.eye(4)[:, :2]


def _anything() -> Iterator[str]:
    """Yield the names of what is put in place of a number."""
    for name, make in WRONG.items():
        with contextlib.suppress(Exception):
            make(1)
            yield name


NUMBERS: dict[str, Example] = {
    # linear
    "linear.problem.LinearGaussian": Example(lambda: {"covariance": H.copy(), "beta": W, "sigma": 0.3}),
    "linear.problem.LinearGaussian.sample": Example(lambda: {"self": problem(), "n": 3, "seed": 0}),
    "linear.problem.LinearGaussian.risk": Example(lambda: {"self": problem(), "coefficients": X}),
    "linear.problem.LinearGaussian.restrict": Example(lambda: {"self": problem(), "index": np.array([0, 2])}),
    "linear.problem.LinearGaussian.characterize": Example(lambda: {"self": problem(), "n": 2, "ridge": 0.5}),
    "linear.least_squares.min_norm": Example(lambda: {"X": X, "y": Y}),
    "linear.least_squares.ridge": Example(lambda: {"X": X, "y": Y, "penalty": 0.5}),
    "linear.least_squares.retrain": Example(lambda: {"X": X, "y": Y, "support": np.array([0, 2])}),
    "linear.least_squares.width_sweep": Example(lambda: {"X": X, "y": Y, "widths": np.array([1, 4])}),
    # linear.law
    "linear.law.characterize": Example(lambda: {"problem": problem(), "n": 2, "ridge": 0.5}),
    "linear.asymptotic.AsymptoticLaw": Example(
        lambda: {"variances": np.array([2.0, 0.5]), "coefficients": np.array([1.0, -1.0]), "kappa": 2.0, "sigma": 0.3},
    ),
    "linear.asymptotic.AsymptoticLaw.draw": Example(lambda: {"self": pairs(), "p": 5, "seed": 0}),
    "linear.asymptotic.AsymptoticLaw.draw_fit": Example(lambda: {"self": pairs(), "p": 6, "seed": 0}),
    "linear.asymptotic.AsymptoticLaw.energy_distance": Example(lambda: {"self": pairs(), "rows": X[:, :3].copy()}),
    "linear.asymptotic.AsymptoticLaw.moment_gaps": Example(lambda: {"self": pairs(), "rows": X[:, :3].copy()}),
    "linear.asymptotic.AsymptoticLaw.pruned_risk": Example(lambda: {"self": pairs(), "share": 0.5}),
    "linear.penalties.Penalties": Example(lambda: {"problem": straight(), "n": 2, "grid": np.array([0.1, 1.0, 10.0])}),
    "linear.penalties.Penalties.law": Example(lambda: {"self": penalties(), "penalty": 0.5}),
    "linear.penalties.Penalties.risk": Example(
        lambda: {"self": penalties(), "penalty": 0.5, "strategy": strategies.Magnitude(2)}
    ),
    "linear.penalties.Penalties.best": Example(lambda: {"self": penalties(), "strategy": strategies.Magnitude(2)}),
    "linear.penalties.Penalties.loss": Example(lambda: {"self": penalties(), "strategy": strategies.Magnitude(2)}),
    "linear.penalties.Penalties.measure": Example(
        lambda: {
            "self": penalties(),
            "wanted": [(0.5, None), (1.0, strategies.Magnitude(2))],
            "repetitions": 2,
            "seed": 0,
        }
    ),
    "linear.penalties.reweighted": Example(lambda: {"problem": straight(), "power": 0.5}),
    "linear.rivals.dense_risks": Example(lambda: {"problem": straight(), "n": 5}),
    "linear.rivals.contest": Example(lambda: {"problem": straighter(), "n": 5, "s": 2}),
    "linear.rivals.Contest.best": Example(lambda: {"self": match(), "budget": "all rivals"}),
    "linear.rivals.Contest.quotient": Example(lambda: {"self": match(), "budget": "all rivals", "rule": "oracle"}),
    "linear.rivals.Contest.measure": Example(lambda: {"self": match(), "repetitions": 2, "seed": 0}),
    "linear.rivals.probes": Example(lambda: {"quotient": np.array([0.5, 0.9, 2.0])}),
    "linear.bits.entropy": Example(lambda: {"shares": np.array([0.25, 0.75])}),
    "linear.bits.choices": Example(
        lambda: {
            "law": straight().characterize(2),
            "kept": np.array([1, 2]),
            "depths": np.array([1]),
            "float_bits": 32.0,
        }
    ),
    "linear.interval_moments.interval_moments": Example(
        lambda: {
            "mean": W,
            "sd": np.ones(4),
            "low": np.array([-1.0, 0.0, 0.0, 1.0]),
            "high": np.full(4, 2.0),
            "about": 0.5,
        },
        allows={"low": {OPEN: ("-inf",)}, "high": {OPEN: ("inf", "array with inf")}},
    ),
    "linear.law.MinNormLaw.sample": Example(lambda: {"self": law(), "size": 3, "seed": 0}),
    "linear.law.MinNormLaw.threshold": Example(lambda: {"self": law(), "strategy": strategies.Magnitude(2)}),
    "linear.law.MinNormLaw.inclusion": Example(lambda: {"self": law(), "strategy": strategies.Magnitude(2)}),
    "linear.law.MinNormLaw.risk": Example(
        lambda: {"self": law(), "strategy": strategies.Magnitude(2), "draws": 20, "seed": 0}
    ),
    "linear.law.MinNormLaw.retrained_risk": Example(
        lambda: {"self": problem().characterize(6), "strategy": strategies.Magnitude(2), "draws": 20, "seed": 0}
    ),
    # linear.strategies
    **{f"linear.strategies.{name}": Example(lambda: {"s": 2}) for name in COUNTS},
    "linear.strategies.HardThreshold": Example(lambda: {"t": 0.5}),
    "linear.strategies.SoftThreshold": Example(lambda: {"t": 0.5}),
    "linear.strategies.UniformQuantizer": Example(lambda: {"bits": 3, "limit": 2.0}),
    "linear.strategies.prune": Example(
        lambda: {"coefficients": X, "strategy": strategies.Hessian(2), "variances": np.ones(4), "problem": problem()}
    ),
    "linear.strategies.support": Example(
        lambda: {"coefficients": W, "strategy": strategies.OptimalBrainSurgeon(2), "covariance": H + np.eye(4)},
    ),
    "linear.strategies.check_fit": Example(
        lambda: {"strategy": strategies.Magnitude(2), "p": 4},
        says={
            "p": {"it is how many coefficients there are": ("coefficients",)},
        },
    ),
    "linear.strategies.largest": Example(lambda: {"saliency": X, "s": 2}),
    "linear.min_max.auxiliary_norm": Example(
        lambda: {
            "theta_square": np.ones(3),
            "overlap": np.array([0.1, -0.5, 0.7]),
            "h_square": np.array([2.0, 1.0, 3.0]),
            "g_square": np.array([0.5, 0.2, 1.0]),
            "noise": 0.1,
            "offset": np.array([0.1, 0.0, -0.2]),
        },
        infinite="where no vector fits, the minimum is infinite",
    ),
    "linear.min_max.penalized_norm": Example(lambda: {"X": X.T, "y": W, "penalty": 0.7}),
    # random features
    "linear.random_features.equivalent_problem": Example(lambda: {"R": R3, "beta1": W, "beta2": W[::-1].copy()}),
    "linear.random_features.draw_layer": Example(lambda: {"p": 3, "d": 4, "seed": 0, "cosine": 0.5}),
    "linear.random_features.sample": Example(lambda: {"R": R3, "beta1": W, "beta2": W[::-1].copy(), "n": 4, "seed": 0}),
    "linear.random_features.equivalent_problem_by_moments": Example(
        lambda: {
            "feature_map": lambda a: np.maximum(a, 0),
            "target": lambda a: a.sum(axis=1),
            "d": 3,
            "draws": 100,
            "seed": 0,
        },
    ),
    # statistics, linear.risk_curves
    "statistics.deviations.mean_and_error": Example(lambda: {"samples": X}),
    "statistics.deviations.median_and_error": Example(lambda: {"samples": X}),
    "stable.rates.log_log_slope": Example(
        lambda: {"x": np.array([1.0, 2.0, 5.0]), "samples": [np.abs(W) + 1, np.abs(W) + 2, np.abs(W) + 3]}
    ),
    "stable.rates.growth_of_median": Example(
        lambda: {"x": np.array([1.0, 2.0, 5.0]), "samples": [W + 1, W + 2, W + 3]}
    ),
    "statistics.deviations.largest_deviation": Example(lambda: {"samples": X, "expected": np.zeros(4)}),
    "statistics.deviations.leads": Example(lambda: {"differences": X, "least_error": 0.01}),
    "statistics.deviations.deviation_bound": Example(lambda: {"points": 3, "repetitions": 10, "level": 0.05}),
    "statistics.deviations.binomial_interval": Example(lambda: {"hits": 3, "trials": 10, "level": 0.05}),
    "statistics.deviations.rank_correlation": Example(
        lambda: {"x": Y, "y": Y**2 + Y, "seed": 0, "level": 0.1, "resamples": 100}
    ),
    "statistics.deviations.rank_correlation_and_error": Example(lambda: {"x": Y, "y": Y**2 + Y}),
    "statistics.estimates.chance_of_two": Example(lambda: {"draws": 4}),
    "statistics.estimates.student": Example(lambda: {"freedom": 3.5}),
    "statistics.estimates.mean": Example(lambda: {"draws": Y}),
    "statistics.estimates.few": Example(lambda: {"draws": Y}),
    "statistics.estimates.Estimate.linear": Example(
        lambda: {"self": statistics.Estimate(1.0, 0.1), "slope": 2.0, "offset": 1.0}
    ),
    "statistics.estimates.ProbedEstimate.linear": Example(
        lambda: {"self": statistics.ProbedEstimate(1.0, 0.1, 0.1), "slope": 2.0, "offset": 1.0}
    ),
    "linear.risk_curves.predicted_risks": Example(
        lambda: {"problem": problem(), "n": 6, "s": 2, "widths": [1, 3], "rules": rules()}
    ),
    "linear.risk_curves.measured_risks": Example(
        lambda: {"problem": problem(), "n": 6, "s": 2, "widths": [1, 3], "rules": rules(), "repetitions": 2, "seed": 0}
    ),
    "linear.refits.predicted_refits": Example(
        lambda: {"problem": problem(), "n": 6, "kept": {"s": 1, "2s": 2}, "draws": 4, "seed": 0}
    ),
    "linear.refits.measured_refits": Example(
        lambda: {"problem": problem(), "fit": W, "kept": {"s": 1, "2s": 2}, "first": (X, Y), "second": (X, Y)},
        says={"fit": {"a risk is one of coefficients": ("coefficients",)}},
    ),
    # generalization
    "stable.bound.output_change": Example(lambda: {"norm": 1.5, "layers": 3, "radius": 1.0, "error": 0.1}),
    "stable.bound.needed_margin": Example(
        lambda: {"threshold": 0.1, "norm": 1.5, "layers": 3, "radius": 1.0, "error": 0.1, "printed": True}
    ),
    "stable.bound.complexity": Example(
        lambda: {"threshold": 0.1, "norm": 1.5, "layers": 3, "radius": 1.0, "d": 10, "kept": 0.2, "n": 1000}
    ),
    "stable.bound.Terms": Example(lambda: {"norm": 1.5, "layers": 3, "radius": 1.0, "d": 10, "n": 1000}),
    "stable.bound.Terms.change": Example(lambda: {"self": terms(), "error": 0.1}),
    "stable.bound.Terms.complexity": Example(lambda: {"self": terms(), "threshold": 0.1, "kept": 0.2}),
    "stable.bound.Terms.examples_needed": Example(lambda: {"self": terms(), "threshold": 0.1, "kept": 0.2}),
    "stable.bound.Terms.least": Example(
        lambda: {"self": terms(), "margins": X, "kept": 0.2, "error": 0.1, "thresholds": np.array([0.1, 1.0])}
    ),
    "stable.bound.Terms.margin": Example(lambda: {"self": terms(), "threshold": 0.1, "error": 0.1, "printed": True}),
    "stable.bound.radius": Example(lambda: {"weights": [X, Y]}),
    "stable.bound.stable_layers": Example(lambda: {"weights": [NARROW, 2 * NARROW.T], "seed": 0, "largest": 1.9}),
    "stable.bound.levy_scale": Example(lambda: {"alpha": 1.5}),
    "stable.bound.StableWeights": Example(
        lambda: {"layers": 2, "d": 50, "alpha": 1.5, "scale": 0.1, "radius": 1.0, "failure": 0.1}
    ),
    "stable.bound.stable_weights": Example(
        lambda: {"sizes": np.array([4, 5]), "indices": np.array([1.5, 1.7]), "scales": np.array([0.1, 0.2])}
    ),
    "stable.bound.margins": Example(lambda: {"scores": X, "labels": np.array([0, 1, 2, 3, 0])}),
    # spectrum
    "spectrum.Measure": Example(lambda: {"nodes": np.array([1.0, 2.0]), "weights": np.array([0.5, 1.5])}),
    "spectrum.Measure.dispersion": Example(lambda: {"self": direction(), "f": sums}),
    "spectrum.Measure.integrate": Example(lambda: {"self": direction(), "f": sums}),
    "spectrum.Measure.mapped": Example(lambda: {"self": direction(), "f": sums}),
    "spectrum.Measure.of_eigenvalues": Example(lambda: {"eigenvalues": W}),
    "spectrum.Measure.of_vector": Example(lambda: {"eigenvalues": np.abs(W), "coordinates": W}),
    "spectrum.Measure.spread": Example(lambda: {"self": direction(), "of": lambda m: m.total}),
    "spectrum.Gap": Example(lambda: {"points": np.array([0.0, 0.5, 1.0]), "mass": 0.5, "zeros": (0,)}),
    "spectrum.Gap.hidden": Example(
        lambda: {"self": spectrum.Gap(np.array([0.0, 0.5, 1.0]), 0.5, (0,)), "f": sums},
        allows={"f": {"what may hide is unknown then, which is infinite": ("answers nan",)}},
        infinite="what hides in a gap whose end is 0 may be anything",
    ),
    "spectrum.Gap.of": Example(lambda: {"measure": direction(), "reach": 1.0}),
    "spectrum.Spectrum": Example(lambda: {"probes": (direction(), direction())}),
    "spectrum.Spectrum.integrate": Example(lambda: {"self": counted(), "f": sums}),
    "spectrum.Spectrum.mapped": Example(lambda: {"self": counted(), "f": sums}),
    "spectrum.Spectrum.log_determinant": Example(lambda: {"self": counted(), "shift": 0.5}),
    "spectrum.Spectrum.of_eigenvalues": Example(lambda: {"eigenvalues": W}),
    "spectrum.Spectrum.with_zeros": Example(lambda: {"self": counted(), "count": 3}),
    # cones
    "cones.ellipsoid.EllipsoidCone": Example(
        lambda: {"eigenvalues": np.array([0.5, 1.0, 2.0, 4.0]), "coordinates": W, "epsilon": 0.1}
    ),
    **{
        f"cones.{name}.{method}": Example(
            lambda make=make, argument=argument, value=value: {"self": make(), argument: value}
        )
        for name, make in (
            ("ellipsoid.EllipsoidCone", ellipsoid),
            ("families.CircularCone", lambda: cones.CircularCone(4, 0.5)),
            ("families.DescentCone", lambda: cones.DescentCone(np.array([1.0, -2.0, 0.0, 0.0]))),
            ("families.Orthant", lambda: cones.Orthant(4)),
            ("families.Subspace", lambda: cones.Subspace(BASIS)),
        )
        for method, argument, value in (("meets", "basis", BASIS), ("project", "points", POINTS))
    },
    "cones.families.CircularCone": Example(lambda: {"ambient": 4, "angle": 0.5}),
    "cones.families.DescentCone": Example(lambda: {"point": W}),
    "cones.families.DescentCone.of_sparsity": Example(lambda: {"ambient": 4, "s": 2}),
    "cones.families.Orthant": Example(lambda: {"ambient": 4}),
    "cones.families.Subspace": Example(lambda: {"basis": BASIS}),
    "cones.ellipsoid.ellipsoid_width": Example(lambda: {"radii": np.abs(W)}),
    "cones.ellipsoid.ellipsoid_width_as_published": Example(lambda: {"radii": np.abs(W)}),
    "cones.ellipsoid.radii": Example(lambda: {"eigenvalues": np.abs(W), "epsilon": 0.1}),
    "cones.ellipsoid.sampled_ellipsoid_width": Example(lambda: {"radii": np.abs(W), "draws": 20, "seed": 0}),
    "cones.equivalents.cone_dimension": Example(
        lambda: {"spectrum": counted(), "direction": direction(), "epsilon": 0.1}
    ),
    "cones.equivalents.cone_root": Example(lambda: {"direction": direction(), "epsilon": 0.1}),
    "cones.equivalents.dimension_as_published": Example(
        lambda: {"spectrum": counted(), "epsilon": 0.1, "distance": 1.0}
    ),
    "cones.equivalents.width_as_published": Example(lambda: {"spectrum": counted(), "epsilon": 0.1, "distance": 1.0}),
    "cones.equivalents.orthogonal_limit": Example(
        lambda: {"spectrum": counted(), "direction": direction(), "epsilon": 0.1}
    ),
    "cones.equivalents.orthogonal_root": Example(lambda: {"direction": direction(), "epsilon": 0.1}, infinite=ROOT),
    "cones.kinematic.error_bounds": Example(lambda: {"dimension": 2.0, "k": 1.0, "ambient": 5}),
    "cones.kinematic.smooth_step": Example(lambda: {"dimension": 2.0, "variance": 1.0, "k": 1.0, "ambient": 5}),
    "cones.kinematic.step": Example(lambda: {"dimension": 2.0, "k": 1.0, "ambient": 5}),
    "cones.kinematic.first_meetings": Example(lambda: {"cone": cones.Orthant(4), "draws": 5, "seed": 0}),
    "cones.kinematic.simulate": Example(lambda: {"cone": cones.Orthant(4), "k": 2, "draws": 5, "seed": 0}),
    "cones.quadratic.kept_order": Example(lambda: {"weights": W}),
    "cones.quadratic.one_shot_losses": Example(lambda: {"hessian": H, "weights": W}),
    "cones.quadratic.removed": Example(lambda: {"weights": W, "k": 2}),
    "cones.quadratic.reoptimized_losses": Example(lambda: {"hessian": H, "weights": W}),
    "cones.quadratic.self_consistent": Example(lambda: {"share": lambda k: 0.5, "ambient": 10}),
    "cones.quadratic.fewest_kept": Example(lambda: {"losses": np.array([3.0, 2.0, 1.0, 0.0]), "epsilon": 1.5}),
    "cones.sampling.dimension_of": Example(lambda: {"norms": norms(), "ambient": 5}),
    "cones.sampling.excess": Example(lambda: {"norms": norms()}),
    "cones.sampling.intrinsic_variance": Example(lambda: {"norms": norms()}),
    "cones.sampling.gaussian_width": Example(lambda: {"cone": cones.Orthant(4), "draws": 5, "seed": 0}),
    "cones.sampling.projected_norms": Example(lambda: {"cone": cones.Orthant(4), "draws": 5, "seed": 0}),
    "cones.sampling.statistical_dimension": Example(lambda: {"cone": cones.Orthant(4), "draws": 5, "seed": 0}),
    "cones.sampling.random_subspace": Example(lambda: {"ambient": 5, "k": 2, "seed": 0}),
    "cones.volumes.circular": Example(lambda: {"ambient": 4, "angle": 0.5}),
    "cones.volumes.orthant": Example(lambda: {"ambient": 4}),
    "cones.volumes.dimension": Example(lambda: {"volumes": np.array([0.25, 0.5, 0.25])}),
    "cones.volumes.variance": Example(lambda: {"volumes": np.array([0.25, 0.5, 0.25])}),
    "cones.volumes.width": Example(lambda: {"volumes": np.array([0.25, 0.5, 0.25])}),
    "cones.volumes.meeting_probability": Example(lambda: {"volumes": np.array([0.25, 0.5, 0.25]), "k": 1}),
    # curvature, for matrices
    "curvature.matrix.Matrix": Example(lambda: {"entries": H}),
    "curvature.matrix.Matrix.product": Example(lambda: {"self": matrix(), "v": W}),
    "curvature.zeros.Restricted": Example(lambda: {"operator": matrix(), "kept": np.array([True, False, True, True])}),
    "curvature.zeros.Restricted.product": Example(
        lambda: {"self": curvature.Restricted(matrix(), [True, False, True, True]), "v": W[:3]}
    ),
    "curvature.zeros.counting": Example(lambda: {"measure": direction(), "x": 1.5}),
    "curvature.zeros.row_norms": Example(lambda: {"operator": matrix(), "rows": np.array([0, 2])}),
    "curvature.zeros.zero_mass": Example(lambda: {"operator": matrix(), "threshold": 0.1, "seed": 0}),
    "curvature.zeros.zero_rows": Example(lambda: {"operator": matrix(), "seed": 0}),
    "curvature.spectra.spectrum": Example(
        lambda: {
            "operator": matrix(),
            "steps": 3,
            "probes": 2,
            "integrand": sums,
            "accuracy": 0.5,
            "budget": 20,
            "shared": True,
            "seed": 0,
            "max_memory": 1e6,
            "progress": False,
        },
        allows={"resume": {"a path may be a text": ("text",)}},
        says={"integrand": {"the spectrum integrates it under the name f": ("f",)}},
    ),
    "curvature.spectra.vector_measure": Example(
        lambda: {"operator": matrix(), "c": W, "steps": 3, "max_memory": 1e6, "progress": False}
    ),
    "limit.authors.pruned_share": Example(
        lambda: {
            "spectrum": counted(),
            "epsilon": 0.1,
            "distance": lambda share: 1.0 - share,
            "zero_share": 0.1,
            "rounded": True,
            "steps": 20,
        },
    ),
    "limit.authors.sampled_zero_rows": Example(
        lambda: {"operator": matrix(), "weights": W, "rows": 2, "threshold": 1e-7}
    ),
    "limit.authors.smoothed": Example(lambda: {"spectrum": counted(), "bins": 100, "variance": 1e-4, "margin": 0.01}),
    # sensing
    "sensing.penalty.Penalized": Example(lambda: {"problem": sensed(), "strength": 0.1, "smoothing": 0.5}),
    "sensing.penalty.Penalized.hessian": Example(lambda: {"self": objective(), "U": X[:3, :2]}),
    "sensing.penalty.Penalized.hessian_product": Example(
        lambda: {"self": objective(), "U": X[:3, :2], "Z": X[1:4, :2], "E": np.eye(3)}
    ),
    "sensing.penalty.Penalized.value_and_gradient": Example(lambda: {"self": objective(), "U": X[:3, :2]}),
    "sensing.penalty.cut_off": Example(lambda: {"smoothing": 0.5}),
    "sensing.penalty.greedy_prune": Example(lambda: {"U": X, "threshold": 1.0}),
    "sensing.penalty.group_penalty": Example(lambda: {"U": X, "smoothing": 0.5}),
    "sensing.penalty.share_above": Example(lambda: {"U": X, "x": np.array([0.1, 0.5])}),
    "sensing.penalty.shrinkage": Example(lambda: {"s": np.array([0.1, 0.5]), "smoothing": 0.5}),
    "sensing.problem.MatrixSensing": Example(
        lambda: {
            "truth": X[:3, :2],
            "sigma": 0.1,
            "n": 4,
            "design": np.eye(6)[:4],
            "values": Y[:4],
            "remainder": 0.0,
        },
    ),
    "sensing.problem.MatrixSensing.apply": Example(lambda: {"self": sensed(), "X": H[:3, :3]}),
    "sensing.problem.MatrixSensing.error": Example(lambda: {"self": sensed(), "U": X[:3, :2]}),
    "sensing.problem.MatrixSensing.loss": Example(lambda: {"self": sensed(), "U": X[:3, :2]}),
    "sensing.problem.MatrixSensing.residual": Example(lambda: {"self": sensed(), "U": X[:3, :2]}),
    "sensing.problem.MatrixSensing.measure": Example(
        lambda: {"truth": X[:3, :2], "n": 8, "sigma": 0.1, "seed": 0, "max_memory": 1e6}
    ),
    "sensing.problem.MatrixSensing.population": Example(lambda: {"truth": X[:3, :2], "sigma": 0.1}),
    "sensing.problem.ground_truth": Example(lambda: {"d": 4, "r": 2, "spectrum": np.array([2.0, 1.0]), "seed": 0}),
    "sensing.solver.approximate_minimum": Example(
        lambda: {
            "objective": objective(),
            "start": X[:3, :2],
            "gradient_tolerance": 1e-3,
            "curvature_tolerance": 1e-2,
            "max_iterations": 50,
            "max_escapes": 2,
            "seed": 0,
        },
    ),
    "sensing.solver.descent_limit": Example(
        lambda: {"objective": objective(), "start": X[:3, :2], "step": 0.01, "steps": 5}
    ),
    "sensing.solver.gradient_descent": Example(
        lambda: {
            "objective": objective(),
            "start": X[:3, :2],
            "step": 0.01,
            "steps": 5,
            "every": 2,
            "stop_at": 1e-9,
            "measure": lambda U: float(np.sum(U)),
        },
    ),
    "sensing.solver.least_curvature": Example(
        lambda: {"product": lambda Z: 2 * Z, "shape": (3, 2), "tolerance": 1e-4, "max_steps": 5, "seed": 0}
    ),
    "sensing.solver.random_start": Example(lambda: {"d": 4, "k": 2, "size": 1.0, "seed": 0}),
    "sensing.theory.binding_strength": Example(lambda: {"level": 0.5, "smoothing": 0.5}),
    "sensing.theory.contraction": Example(lambda: {"objective": objective(), "limit": X[:3, :2], "step": 0.01}),
    "sensing.theory.growth_level": Example(lambda: {"strength": 0.5, "smoothing": 0.5}),
    "sensing.theory.largest_strength": Example(lambda: {"mu": 1.0, "smoothing": 0.5, "above": 0.1}),
    "sensing.theory.least_column": Example(
        lambda: {"spectrum": np.array([2.0, 1.0]), "strength": 0.1, "smoothing": 0.5}
    ),
    "sensing.theory.linearized_distance": Example(
        lambda: {
            "objective": objective(),
            "limit": X[:3, :2],
            "start": X[:3, 1:3],
            "step": 0.01,
            "times": np.array([0.0, 3.0]),
        },
    ),
    "sensing.theory.noise_level": Example(lambda: {"d": 4, "n": 10, "sigma": 0.1}),
    "sensing.theory.strength_range": Example(lambda: {"mu": 1.0, "smoothing": 0.5, "above": 0.1}),
    "sensing.theory.suggested_penalty": Example(lambda: {"least": 1.0}),
    "sensing.theory.surviving_mass": Example(lambda: {"mu": 1.0, "strength": 0.1, "smoothing": 0.5}),
    # stable
    "stable.compression.column_error": Example(lambda: {"matrix": X, "kept": 2, "p": 1.5}),
    "stable.compression.column_norms": Example(lambda: {"matrix": X, "p": 1.5}),
    "stable.compression.compression_error": Example(lambda: {"values": Y, "kept": np.array([1, 2]), "p": 1.5}),
    "stable.compression.singular_value_error": Example(lambda: {"matrix": X, "kept": 2, "p": 1.0}),
    "stable.compression.singular_values": Example(lambda: {"matrix": X}),
    "stable.compression.smallest_kept": Example(lambda: {"values": Y, "error": 0.3, "p": 1.5}),
    "stable.distribution.magnitude_quantile": Example(lambda: {"alpha": 1.5, "above": 0.2}),
    "stable.distribution.tail_constant": Example(lambda: {"alpha": 1.5}),
    "stable.distribution.tail_probability": Example(
        lambda: {"alpha": 1.5, "x": np.array([0.5, 2.0])},
        allows={"x": {"beyond infinity lies nothing": ("inf", "array with inf")}},
    ),
    "stable.distribution.truncated_moment": Example(lambda: {"alpha": 1.5, "p": 1.0, "bound": 2.0}),
    "stable.expected.expected_index": Example(
        lambda: {"characteristic": lambda w: 1 / (1 + w**2), "block": 10},
    ),
    "stable.expected.normal_mixture": Example(
        lambda: {"scales": np.array([1.0, 3.0]), "weights": np.array([0.4, 0.6])}
    ),
    "stable.expected.spread_of_inverse": Example(lambda: {"alpha": 1.5, "rows": 1000, "block": 10}),
    "stable.expected.student": Example(lambda: {"freedom": 3.0}),
    "stable.regression.critical_step": Example(lambda: {"alpha": 1.5, "batch": 2, "features": 5}),
    "stable.regression.growth": Example(lambda: {"order": 1.5, "step": 0.3, "batch": 2, "features": 5}),
    "stable.regression.stationary_index": Example(lambda: {"step": 0.3, "batch": 2, "features": 5}),
    "stable.layers.as_matrix": Example(lambda: {"weight": X}),
    "stable.layers.vectors": Example(lambda: {"weight": X}),
    "stable.limits.borderline_growth": Example(lambda: {"alpha": 1.5, "kept": 0.1}),
    "stable.limits.dimension_needed": Example(
        lambda: {"alpha": 1.5, "kept": 0.1, "error": 0.5, "p": 2.0, "probability": 0.5},
        infinite="where no dimension is enough",
    ),
    "stable.limits.limit_column_error": Example(
        lambda: {"alpha": 1.5, "columns": 100.0, "kept": 0.1, "p": 2.0, "quantile": 0.5}
    ),
    "stable.limits.limit_error": Example(lambda: {"alpha": 1.5, "d": 100.0, "kept": 0.1, "p": 2.0, "quantile": 0.5}),
    "stable.limits.positive_cdf": Example(lambda: {"a": 0.7, "x": 1.5}),
    "stable.limits.positive_quantile": Example(lambda: {"a": 0.7, "probability": 0.5}),
    "stable.limits.share_needed": Example(lambda: {"alpha": 1.5, "d": 100.0, "error": 0.5, "p": 2.0}),
    "stable.sampling.sample": Example(lambda: {"alpha": 1.5, "size": (3, 2), "scale": 0.5, "seed": 0}),
    "stable.sampling.sample_elliptical": Example(lambda: {"alpha": 1.5, "n": 3, "dispersion": np.eye(2), "seed": 0}),
    "stable.sampling.sample_positive": Example(lambda: {"a": 0.7, "n": 3, "seed": 0}),
    "stable.tails.authors_blocks": Example(lambda: {"n": 12}),
    "stable.tails.layer_tail_index": Example(
        lambda: {"matrix": WIDE, "blocks": 4, "shuffles": 2, "center": "median", "clip": 2.0, "seed": 0},
        allows={"clip": {"no largest value": ("None",)}},
        says={"matrix": {"its rows may be fewer than the blocks call for": ("blocks",)}},
    ),
    "stable.tails.tail_index": Example(
        lambda: {"values": WIDE.ravel(), "blocks": 10, "shuffles": 2, "center": "median", "clip": 2.0, "seed": 0}
    ),
    # the book's words and files
    "book.ledger.check": Example(
        checked, allows={n: WORDS for n in ("what", "data", "because", "of", "unstated", "explain")}
    ),
    "book.points.at_every": Example(
        lambda: {"samples": R3, "margin": 0.1, "expected": 0.5, "relation": "equal", "least_error": 0.1}
    ),
    "book.points.at_some": Example(
        lambda: {"samples": R3, "margin": 0.1, "expected": 0.5, "relation": "equal", "least_error": 0.1}
    ),
    "book.points.weakest": Example(lambda: {"rows": [at_every(R3, margin=0.1)]}),
    "book.settings.PaperSetting": Example(lambda: {"images": 1.0}),
    "book.settings.PaperSetting.here": Example(lambda: {"self": PaperSetting(images=2.0), "images": 1.0}),
    "book.ledger.report": Example(lambda: {"a": 1.0}),
    "book.recordings.has": Example(
        lambda: {"page": "initialization/a", "label": "b"}, allows={"page": WORDS, "label": WORDS}
    ),
    "book.recordings.find": Example(
        lambda: {"page": "initialization/a", "label": "b"}, allows={"page": WORDS, "label": WORDS}
    ),
    "book.recordings.recording": Example(
        lambda: {"page": recordings.available()[0][0], "label": recordings.available()[0][1]}
    ),
    "book.recordings.together": Example(
        lambda: {"page": recordings.available()[0][0], "label": recordings.available()[0][1]}
    ),
    "book.recordings.several": Example(
        lambda: {"page": "initialization/a", "label": "b"}, allows={"page": WORDS, "label": WORDS}
    ),
    "book.recordings.Recording.numbers": Example(
        lambda: {"self": recordings.recording(*recordings.available()[0]), "figure": _figure()}
    ),
    "book.scales.pick": Example(
        lambda: {"scale": "smoke", "smoke": 1, "laptop": 2, "paper": 3},
        allows={
            name: {"a setting may be of any kind": tuple(w for w in _anything() if (name, w) != ("given", "None"))}
            for name in ("smoke", "laptop", "paper", "given")
        },
        hands_back="a setting is the reader's own",
    ),
}


def _figure() -> str:
    return next(iter(recordings.recording(*recordings.available()[0]).figures))


EXEMPT = {
    "linear.law.MinNormLaw": RECORD,
    "linear.rivals.Contest": RECORD,
    "book.ledger.ledger": "takes no argument",
    "cones.sampling.Cone": PROTOCOL,
    "cones.sampling.Cone.meets": PROTOCOL,
    "cones.sampling.Norms": RECORD,
    "cones.sampling.Projector": PROTOCOL,
    "cones.sampling.Projector.project": PROTOCOL,
    "curvature.matrix.Operator": PROTOCOL,
    "curvature.matrix.Operator.product": PROTOCOL,
    "limit.authors.ZeroRows": RECORD,
    "curvature.zeros.ZeroMass": RECORD,
    "statistics.estimates.Estimate": RECORD,
    "statistics.estimates.ProbedEstimate": RECORD,
    "book.plotting.Palette": RECORD,
    "book.settings.Setting": RECORD,
    "linear.strategies.TwoOfFour": "takes no argument",
    "linear.random_features.MomentEstimate": RECORD,
    "book.recordings.Recording": RECORD,
    "book.recordings.available": "takes no argument",
    "sensing.solver.Descent": RECORD,
    "sensing.solver.Stationary": RECORD,
    "stable.layers.TailReport": RECORD,
    "stable.tails.TailIndex": RECORD,
}
