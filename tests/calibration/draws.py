"""Cases of errors that come from independent draws: means, jackknife, bootstrap, Monte Carlo."""

from __future__ import annotations

import math

import numpy as np
from scipy import integrate, stats

from prunekit import LinearGaussian, Magnitude, UniformQuantizer, cones, stable, statistics
from prunekit.cones import CircularCone, Norms, Orthant, kinematic, volumes
from prunekit.linear.law import MinNormLaw
from prunekit.linear.random_features import equivalent_problem, equivalent_problem_by_moments
from prunekit.linear.risk_curves import measured_risks
from prunekit.linear.strategies import HardThreshold
from prunekit.stable.rates import growth_of_median, log_log_slope
from prunekit.statistics import (
    binomial_interval,
    chance_of_two,
    mean_and_error,
    rank_correlation,
    rank_correlation_and_error,
)
from tests.calibration.table import Trial, case

Made = tuple[float, Trial]
CLOSED = "closed form"


def rng(seed: int) -> np.random.Generator:
    """Return the generator of a seed, apart from those that the library makes of the same number."""
    return np.random.default_rng([2718, seed])


@case("statistics.mean", "100 exponential draws", known=CLOSED, seeds=2000, quick=200)
def _mean() -> Made:
    return 1.0, lambda seed: statistics.mean(rng(seed).exponential(size=100))


@case("statistics.mean", "5 normal draws", known=CLOSED, seeds=2000, quick=200, nominal=chance_of_two(5))
def _mean_of_five() -> Made:
    return 3.0, lambda seed: statistics.mean(rng(seed).normal(3, 2, size=5))


@case("statistics.few", "4 normal draws", known=CLOSED, seeds=2000, quick=400)
def _few() -> Made:
    return 3.0, lambda seed: statistics.few(rng(seed).normal(3, 2, size=4))


@case("statistics.few", "4 exponential draws", known=CLOSED, seeds=2000, quick=200,
      note="four draws of a skew law seldom hold a large one; Student's quantile is for normal draws")  # fmt: skip
def _few_skew() -> Made:
    return 1.0, lambda seed: statistics.few(rng(seed).exponential(size=4))


@case(
    "statistics.mean_and_error", "20 normal repetitions", known=CLOSED, seeds=2000, quick=200, nominal=chance_of_two(20)
)
def _mean_and_error() -> Made:
    def trial(seed: int) -> tuple[float, float]:
        mean, error = mean_and_error(rng(seed).normal(3, 2, size=(20, 1)))
        return float(mean[0]), float(error[0])

    return 3.0, trial


def _least_squares(n: int, p: int) -> Made:
    """Risks of minimum-norm least squares with isotropic features, whose expectation is exact for every n and p."""
    beta = np.ones(p) / math.sqrt(p)
    problem = LinearGaussian(np.ones(p), beta, 0.5)
    noise = 0.25 * (1 + p / (n - p - 1)) if p < n else 0.25 * (1 + n / (p - n - 1))
    truth = noise + (0.0 if p < n else 1 - n / p)

    def trial(seed: int) -> tuple[float, float]:
        risks = measured_risks(problem, n, p, [p], {}, repetitions=20, seed=[31, seed])["dense"]
        mean, error = mean_and_error(risks)
        return float(mean[0]), float(error[0])

    return truth, trial


WISHART = "moments of the inverse Wishart law"


@case("statistics.mean_and_error", "20 risks of least squares, n = 40, p = 20", known=WISHART, seeds=500, quick=80,
      nominal=chance_of_two(20))  # fmt: skip
def _risk_under() -> Made:
    return _least_squares(40, 20)


@case("statistics.mean_and_error", "20 risks of least squares, n = 20, p = 60", known=WISHART, seeds=500, quick=80,
      nominal=chance_of_two(20))  # fmt: skip
def _risk_over() -> Made:
    return _least_squares(20, 60)


def _ranks(n: int) -> Made:
    rho = 0.6

    def trial(seed: int) -> tuple[float, float, float]:
        x, y = rng(seed).standard_normal((2, n))
        return rank_correlation(x, rho * x + math.sqrt(1 - rho**2) * y, seed=seed, resamples=1000)

    return 6 / math.pi * math.asin(rho / 2), trial


NORMAL_RANKS = "closed form for normal pairs"


@case("statistics.rank_correlation", "60 pairs, interval", known=NORMAL_RANKS, seeds=500, quick=80, nominal=0.95)
def _ranks_of_sixty() -> Made:
    return _ranks(60)


@case("statistics.rank_correlation", "8 pairs, interval", known=NORMAL_RANKS, seeds=500, quick=80, nominal=0.95)
def _ranks_of_eight() -> Made:
    return _ranks(8)


@case("statistics.rank_correlation_and_error", "30 pairs", known=NORMAL_RANKS, seeds=1000, quick=100)
def _ranks_and_error() -> Made:
    rho = 0.3

    def trial(seed: int) -> tuple[float, float]:
        x, y = rng(seed).standard_normal((2, 30))
        return rank_correlation_and_error(x, rho * x + math.sqrt(1 - rho**2) * y)

    return 6 / math.pi * math.asin(rho / 2), trial


@case("stable.rates.log_log_slope", "20 lognormal draws at each of 5 x, of unlike spread", known="chosen", seeds=1000,
      quick=100)  # fmt: skip
def _slope() -> Made:
    x = 2.0 ** np.arange(5)

    def trial(seed: int) -> tuple[float, float]:
        drawn = rng(seed)
        return log_log_slope(x, [drawn.lognormal(-np.log(each), 0.2 * k, size=20) for k, each in enumerate(x, 1)])

    return -1.0, trial


@case("stable.rates.growth_of_median", "40 lognormal draws at each of 5 x", known="chosen", seeds=1000, quick=100)
def _growth() -> Made:
    x = 2.0 ** np.arange(5)

    def trial(seed: int) -> tuple[float, float]:
        drawn = rng(seed)
        return growth_of_median(x, [2 * np.log(each) + drawn.lognormal(0, 0.5, size=40) for each in x])

    return 2.0, trial


@case("statistics.binomial_interval", "40 draws of chance 0.3", known="chosen", seeds=2000, quick=200, nominal=0.95)
def _binomial() -> Made:
    def trial(seed: int) -> tuple[float, float, float]:
        hits = int(rng(seed).binomial(40, 0.3))
        return (hits / 40, *binomial_interval(hits, 40))

    return 0.3, trial


def _law(p: int = 60, n: int = 30) -> MinNormLaw:
    return LinearGaussian(np.geomspace(0.1, 2, p), np.ones(p) / 4, 0.5).characterize(n)


@case("linear.law.MinNormLaw.risk", "hard threshold, 500 draws", known=CLOSED, seeds=1000, quick=100)
def _law_risk() -> Made:
    law = _law()
    return law.risk(HardThreshold(0.2)), lambda seed: law.risk(HardThreshold(0.2), draws=500, seed=seed)


@case("linear.law.MinNormLaw.risk", "uniform quantizer, 20 draws", known=CLOSED, seeds=1000, quick=100,
      nominal=chance_of_two(20))  # fmt: skip
def _law_risk_few() -> Made:
    law, rule = _law(), UniformQuantizer(3, 1.0)
    return law.risk(rule), lambda seed: law.risk(rule, draws=20, seed=seed)


@case("linear.law.MinNormLaw.retrained_risk", "largest 1 of 3, 500 draws", known="integration over which is largest",
      seeds=1000, quick=100)  # fmt: skip
def _law_retrained() -> Made:
    n, problem = 10, LinearGaussian(np.array([0.5, 1.0, 2.0]), np.array([0.6, 0.4, 0.3]), 0.5)
    law = problem.characterize(n)
    mean, sd = law.mean, np.sqrt(law.variance)

    def largest(i: int, x: float) -> float:
        density = sum(stats.norm.pdf(s * x, mean[i], sd[i]) for s in (1, -1))
        below = [stats.norm.cdf(x, mean[j], sd[j]) - stats.norm.cdf(-x, mean[j], sd[j]) for j in range(3) if j != i]
        return float(density * np.prod(below))

    chances = [integrate.quad(lambda x, i=i: largest(i, x), 0, 20, limit=200)[0] for i in range(3)]
    everything = problem.sigma**2 + np.sum(problem.variances * problem.beta**2)
    risks = [(everything - problem.variances[i] * problem.beta[i] ** 2) * (1 + 1 / (n - 2)) for i in range(3)]
    rule = Magnitude(1)
    return float(np.dot(chances, risks)), lambda seed: law.retrained_risk(rule, draws=500, seed=seed)


def _moments(p: int, draws: int, of: str) -> Made:
    d = 4
    R, beta = np.random.default_rng(5).standard_normal((p, d)), np.ones(d) / 2
    exact = equivalent_problem(R, beta, beta / 2)

    def trial(seed: int) -> tuple[float, float]:
        found = equivalent_problem_by_moments(
            lambda a: np.maximum(a @ R.T, 0.0), lambda a: a @ beta + (a @ beta / 2) ** 2, d, draws, seed
        )
        if of == "noise":
            return found.problem.sigma**2, found.noise_error
        return float(found.problem.beta[0]), float(found.beta_error[0])

    return float(exact.sigma**2 if of == "noise" else exact.beta[0]), trial


MOMENTS, RELU = "linear.random_features.equivalent_problem_by_moments", "closed form for ReLU features"
for _of in ("coefficient", "noise"):
    for _p, _draws in ((4, 4000), (12, 600)):
        case(
            MOMENTS,
            f"{_of}, {_p} features, {_draws:,} draws",
            known=RELU,
            seeds=1000,
            quick=100,
            nominal=chance_of_two(20),
        )(lambda p=_p, draws=_draws, of=_of: _moments(p, draws, of))


@case("cones.statistical_dimension", "orthant, D = 20, 500 draws", known=CLOSED, seeds=1000, quick=100)
def _orthant_dimension() -> Made:
    return 10.0, lambda seed: cones.statistical_dimension(Orthant(20), 500, seed=seed)


@case("cones.statistical_dimension", "circular cone of 0.3, D = 50, 500 draws", known="intrinsic volumes", seeds=1000,
      quick=100)  # fmt: skip
def _circular_dimension() -> Made:
    truth = volumes.dimension(volumes.circular(50, 0.3))
    return truth, lambda seed: cones.statistical_dimension(CircularCone(50, 0.3), 500, seed=seed)


@case("cones.gaussian_width", "orthant, D = 20, 500 draws", known="intrinsic volumes", seeds=1000, quick=100)
def _orthant_width() -> Made:
    truth = volumes.width(volumes.orthant(20))
    return truth, lambda seed: cones.gaussian_width(Orthant(20), 500, seed=seed)


def _norms(seed: int) -> Norms:
    return cones.projected_norms(Orthant(20), 500, seed=seed)


@case("cones.dimension_of", "orthant, D = 20, 500 draws", known=CLOSED, seeds=1000, quick=100)
def _dimension_of() -> Made:
    return 10.0, lambda seed: cones.dimension_of(_norms(seed), 20)


@case("cones.excess", "orthant, D = 20, 500 draws", known="intrinsic volumes", seeds=1000, quick=100)
def _excess() -> Made:
    return 10.0 - volumes.width(volumes.orthant(20)) ** 2, lambda seed: cones.excess(_norms(seed))


@case("cones.intrinsic_variance", "orthant, D = 20, 500 draws", known=CLOSED, seeds=1000, quick=100)
def _intrinsic_variance() -> Made:
    return 5.0, lambda seed: cones.intrinsic_variance(_norms(seed))


for _k in (6, 10):
    case(
        "cones.kinematic.simulate",
        f"orthant, D = 16, k = {_k}, 100 subspaces",
        known="intrinsic volumes",
        seeds=400,
        quick=60,
    )(
        lambda k=_k: (
            volumes.meeting_probability(volumes.orthant(16), k),
            lambda seed: kinematic.simulate(Orthant(16), k, 100, seed=seed),
        )
    )


@case("cones.sampled_ellipsoid_width", "30 radii from 0.1 to 10, 500 draws", known="one-dimensional integral",
      seeds=1000, quick=100)  # fmt: skip
def _ellipsoid() -> Made:
    radii = np.geomspace(0.1, 10, 30)
    return cones.ellipsoid_width(radii), lambda seed: cones.sampled_ellipsoid_width(radii, 500, seed=seed)


STABLE = "the law that was drawn"
for _alpha in (0.8, 1.5, 2.0):
    case(
        "stable.tail_index",
        f"10,000 draws, α = {_alpha}",
        known=STABLE,
        seeds=1000,
        quick=80,
        nominal=chance_of_two(100),
    )(lambda alpha=_alpha: (alpha, lambda seed: _index(stable.tail_index(stable.sample(alpha, 10_000, seed=seed)))))


def _index(found: stable.TailIndex) -> tuple[float, float]:
    return found.alpha, found.error


@case("stable.tail_index", "400 draws, α = 1.5", known=STABLE, seeds=1000, quick=100, nominal=chance_of_two(20))
def _few_values() -> Made:
    return 1.5, lambda seed: _index(stable.tail_index(stable.sample(1.5, 400, seed=seed)))


for _alpha in (1.2, 1.6, 1.9):
    case("stable.layer_tail_index", f"512 rows of 32, α = {_alpha}", known=STABLE, seeds=500, quick=60)(
        lambda alpha=_alpha: (
            alpha,
            lambda seed: _index(stable.layer_tail_index(stable.sample(alpha, (512, 32), seed=seed), seed=seed)),
        )
    )
