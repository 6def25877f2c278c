"""What the cut leaves, fine-tuning, and the phase diagrams, from small results."""

from __future__ import annotations

import dataclasses

import matplotlib.pyplot as plt
import numpy as np
import pytest

from prunekit import sensing
from prunekit.book.figures import new_samples
from prunekit.book.figures import pruning as figures
from prunekit.book.figures.pruning import Cell, Run
from prunekit.book.plotting import LIGHT
from prunekit.sensing import Descent
from tests.book.figures.looks import look


def run(*, noise: float, seed: int) -> Run:
    """Return a truth of one column, a model with a spare one, and limits that are nearer to it."""
    truth = sensing.ground_truth(3, 1, seed=seed)
    problem = sensing.MatrixSensing.population(truth, sigma=noise)
    found = sensing.Stationary(np.hstack([0.9 * truth, 1e-9 * truth]), 0.0, 0.0, 0.0, 0.0, 1, 0, True)
    limit = truth * (1 + noise)
    return Run(problem, found, 0.9 * truth, limit, limit, 0.05)


def path(distances: np.ndarray) -> Descent:
    """Return a descent of which the distance from the limit is given for each step."""
    return Descent(np.zeros((3, 1)), np.arange(distances.size), distances, distances, distances)


@pytest.fixture
def results() -> dict[tuple[str, float], list[Run]]:
    return {("1", noise): [run(noise=noise, seed=seed) for seed in (0, 1)] for noise in (0.0, 0.1)}


GEOMETRIC = 0.5 ** np.arange(60.0)
HARMONIC = 1 / np.arange(1.0, 10**6) ** 2.5


def test_distances_are_those_of_each_stage(results: dict[tuple[str, float], list[Run]]) -> None:
    drawing = figures.distances(results)
    look(drawing)
    assert drawing.numbers["eigenvalues"] == ["1"] * 4 and drawing.numbers["sigma"] == [0.0, 0.0, 0.1, 0.1]
    np.testing.assert_allclose(drawing.numbers["after"], 0.19)
    np.testing.assert_allclose(drawing.numbers["fine-tuned"], [0, 0, 0.21, 0.21], atol=1e-15)
    drawn = np.concatenate([line.get_ydata() for line in drawing.draw(LIGHT).axes[0].lines])
    np.testing.assert_allclose(drawn[4:8], 0.19)
    assert "from 0.19 to 0e+00 without noise, and from 0.19 to 0.21 with it" in drawing.caption


def test_a_run_knows_its_losses() -> None:
    one = run(noise=0.1, seed=3)
    assert one.excess == pytest.approx(0.19**2)
    assert one.loss_gap == 0
    worse = dataclasses.replace(one, limit=1.2 * one.problem.truth)
    assert worse.loss_gap == pytest.approx((0.44**2 + 0.01) / (0.21**2 + 0.01) - 1)


def test_the_findings_follow_from_the_numbers(results: dict[tuple[str, float], list[Run]]) -> None:
    first, second, third = figures.findings(results, [path(GEOMETRIC)])
    assert "exactly the 1 columns that the truth has are left in all 4 runs" in first and "at most 3.61%" in first
    assert "at a linear rate" in second and "in at most 9 steps" in second and "at most 0.89 times" in second
    assert "it ends at 0.21, where descent from the truth itself ends too" in third
    other = dict(results)
    other["1", 0.1] = [
        dataclasses.replace(one, pruned=one.found.U, best=one.problem.truth * 1.01) for one in results["1", 0.1]
    ]
    first, second, third = figures.findings(other, [path(GEOMETRIC), path(HARMONIC)])
    assert "are left in only 2 of 4 runs" in first
    assert "slows down on its way" in second
    assert "descent from the truth elsewhere" in third
    assert (
        "does not come near its limit in 1 of 2 runs"
        in figures.findings(other, [path(GEOMETRIC)] * 1 + [path(HARMONIC[:9])])[1]
    )


def test_fine_tuning_is_drawn_up_to_where_the_pruned_model_ends() -> None:
    falling = np.array([0.5 ** np.arange(200.0), 0.5 ** np.arange(200.0)])
    slow = np.array([1 / np.arange(1.0, 201), 1 / np.arange(1.0, 201)])
    starts = {"pruned": falling, "all columns": falling * 1.1, "never penalized": slow}
    traces = {(start, noise): y + noise for noise in (0.0, 0.1) for start, y in starts.items()}
    drawing = figures.fine_tuning(traces)
    look(drawing)
    assert set(drawing.numbers["start"]) == set(starts)
    figure = drawing.draw(LIGHT)
    assert figure.axes[0].get_xlim()[1] == 3 * 47  # 2^-47 is the first below 1e-14
    assert figure.axes[1].get_xscale() == "log"
    plt.close(figure)
    assert "never penalized 0.005; right, pruned 0.1," in drawing.caption


def cells() -> dict[str, list[Cell]]:
    outcomes = [(-1, (-1, -2)), (0, (0, 0)), (1, (0, 0)), (None, (0, 3))]
    return {
        axis: [
            Cell(
                0.01 * 10**i,
                0.01 if axis == "n" else 0.01 * 2**i,
                30 * 2**i if axis == "n" else 240,
                *made,
                (True,) * 2,
            )
            for i, made in enumerate(outcomes)
        ]
        for axis in ("n", "beta")
    }


def test_an_approach_is_straight_or_bent_or_does_not_come_through() -> None:
    straight, bent = figures.Approach.of(path(GEOMETRIC)), figures.Approach.of(path(HARMONIC))
    assert straight.slope == pytest.approx(np.log(0.5)) == straight.late and straight.bend < 1e-9
    assert np.flatnonzero(straight.inside).tolist() == list(range(20, 37))  # 2^-20 to 2^-36
    assert bent.bend > 0.2 and bent.late > bent.slope  # a decay as a power of t is far from a line, and slows down
    assert figures.Approach.of(path(GEOMETRIC[:30])).bend == 1 and figures.Approach.of(path(GEOMETRIC[:30])).slope == 0


def test_a_descent_near_its_limit_is_that_of_the_least_curvature() -> None:
    truth = sensing.ground_truth(4, 2, np.array([2.0, 1.0]), seed=0)
    problem, step = sensing.MatrixSensing.population(truth), 0.02
    start = truth + 1e-4 * np.random.default_rng(1).standard_normal(truth.shape)
    one = Run(problem, run(noise=0.0, seed=0).found, start, truth, truth, step)
    size = np.linalg.norm(problem.target)
    walk = sensing.gradient_descent(
        sensing.Penalized(problem),
        start,
        step=step,
        steps=400,
        measure=lambda U: np.linalg.norm(U @ U.T - problem.target) / size,
    )
    at = figures.Approach.of(walk)
    assert one.asymptotic_slope == pytest.approx(np.log(1 - 4 * step * 1.0))  # h = 4 μ_r
    assert at.late == pytest.approx(one.asymptotic_slope, rel=0.02)
    assert one.linearized_gap(walk, at) < 1e-3


def test_the_worst_setting_is_told_with_the_error_of_its_mean() -> None:
    values = [0.0, 0.0, 1.0, 3.0, -5.0, -4.0]
    assert figures.worst(values, 3) == pytest.approx((2.0, 1.0))
    assert figures.worst(values, 3, -1) == pytest.approx((-4.5, 0.5))


def test_losses_beyond_the_truth_are_drawn_by_model() -> None:
    truth = sensing.ground_truth(4, 1, seed=0)
    new = sensing.MatrixSensing.measure(truth, 20000, sigma=0.1, seed=1)
    both = new_samples.excesses([truth, 1.1 * truth], new)
    assert both[:, 0] == pytest.approx(0.0, abs=1e-12)
    assert both[0, 1] == pytest.approx(0.21**2) and both[1, 1] == pytest.approx(0.21**2, rel=0.1)
    losses = {
        (model, noise, kind): np.array([0.1, 0.2]) * (1 + j)
        for noise in (0.0, 0.1)
        for j, model in enumerate(("not pruned", "pruned, tuned"))
        for kind in ("population", "new measurements")
    }
    drawing = new_samples.generalization(losses)
    look(drawing)
    assert "does best on new measurements is “not pruned”" in drawing.caption and "tuned 0.3" in drawing.caption
    assert len(drawing.numbers["excess"]) == 16


def test_boundaries_run_along_both_axes() -> None:
    along, strengths = figures.boundaries(cells(), 16, 0.2)
    assert set(along) == {"n", "beta"} and strengths["n"].shape == strengths["beta"].shape == (4, 40)
    low, high = sensing.strength_range(1.0, cells()["n"][0].smoothing, 4 * cells()["n"][0].smoothing)
    assert strengths["n"][0, 0] == pytest.approx(low) and strengths["n"][1, -1] == pytest.approx(high)
    assert strengths["n"][3, 0] > strengths["n"][3, -1]  # the noise level falls with the measurements


def test_a_cell_is_named_by_what_came_out() -> None:
    assert [cell.outcome for cell in cells()["n"]] == ["too few", "exactly r", "exactly r", "mixed"]


@pytest.mark.parametrize(("axis", "x"), [("n", "n"), ("beta", "smoothing")])
def test_phases_are_where_they_were_measured(axis: str, x: str) -> None:
    along = {"n": np.array([30.0, 240.0]), "beta": np.array([0.01, 0.08])}
    boundaries = {name: np.array([[0.1, 0.2], [1.0, 2.0], [0.0, 0.0], [0.02, 0.01]]) for name in along}
    drawing = figures.phase(cells(), along, boundaries, 2, 0.2)
    look(drawing)
    own = [i for i, name in enumerate(drawing.numbers["diagram"]) if name == axis]
    points = {(drawing.numbers[x][i], drawing.numbers["strength"][i]) for i in own}
    figure = drawing.draw(LIGHT)
    panel = figure.axes[("n", "beta").index(axis)]
    assert points == {tuple(p) for line in panel.lines[:4] for p in line.get_xydata().tolist()}
    plt.close(figure)
    assert drawing.numbers["most_columns"][:4] == [1, 2, 2, 5]
    assert "in 6 of 8 cells, and is right in 4 of them" in drawing.caption and "50% of the cells" in drawing.caption
