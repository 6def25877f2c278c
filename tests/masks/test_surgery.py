"""The surgeon against dense algebra, another program and a trained network."""

import copy
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from prunekit.importance import hessian_matrix
from prunekit.linear import strategies
from prunekit.masks import Mask, optimal_brain_surgeon, scores
from tests.masks.helpers import kept_positions, network, sample


def positive(p, seed=0):
    rng = torch.Generator().manual_seed(seed)
    A = torch.randn(p, 2 * p, generator=rng, dtype=torch.float64)
    return A @ A.T / p


def constrained(H, w, removed):
    """Minimize (v - w)ᵀ H (v - w) / 2 subject to v = 0 on `removed`, by the dense system of its multipliers."""
    p, k = len(w), len(removed)
    E = torch.eye(p, dtype=w.dtype)[removed]
    system = torch.cat([torch.cat([H, E.T], 1), torch.cat([E, torch.zeros(k, k, dtype=w.dtype)], 1)])
    v = torch.linalg.solve(system, torch.cat([H @ w, torch.zeros(k, dtype=w.dtype)]))[:p]
    return v, float((v - w) @ H @ (v - w) / 2)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 9), st.sampled_from([0.0, 0.3]))
def test_surgeon_is_greedy_and_solves_the_constrained_quadratic(seed, s, damping):
    torch.manual_seed(seed)
    model = nn.Linear(3, 3, bias=False).double()
    H, w = positive(9, seed), model.weight.detach().flatten()
    found = optimal_brain_surgeon(model, H, s, damping=damping)
    damped, removed = H + damping * torch.eye(9, dtype=H.dtype), []
    for _ in range(9 - s):  # try every one, solve afresh, take the cheapest
        rest = [q for q in range(9) if q not in removed]
        removed.append(min(rest, key=lambda q: constrained(damped, w, [*removed, q])[1]))
    v, cost = constrained(damped, w, removed)
    assert sorted(removed) == [i for i in range(9) if i not in kept_positions(found.mask)] and found.mask.kept == s
    torch.testing.assert_close(found.weights["weight"].flatten(), v, rtol=1e-9, atol=1e-11)
    assert not found.weights["weight"][~found.mask["weight"]].any()
    assert found.cost == pytest.approx(cost, rel=1e-9, abs=1e-12)
    assert torch.equal(model.weight.detach().flatten(), w)
    theory = strategies.prune(
        w.numpy(), strategies.OptimalBrainSurgeon(s), covariance=damped.numpy()
    )  # another program
    torch.testing.assert_close(v, torch.from_numpy(theory), rtol=1e-9, atol=1e-11)


def test_surgeon_with_a_diagonal_hessian_is_hessian_pruning_with_its_ties():
    model = nn.Linear(4, 2, bias=False).double()
    with torch.no_grad():
        model.weight.copy_(torch.tensor([[1.0, -2.0, 1.0, 3.0], [1.0, 1.0, -1.0, 1.0]]))
    variances = torch.tensor([[1.0, 1.0, 4.0, 1.0], [1.0, 1.0, 1.0, 9.0]], dtype=torch.float64)
    for s in range(1, 9):
        found = optimal_brain_surgeon(model, variances.flatten().diag(), s)
        assert found.mask == Mask.from_scores(scores.hessian(model, {"weight": variances}), s)
        assert torch.equal(found.weights["weight"], model.weight.detach() * found.mask["weight"])
    assert optimal_brain_surgeon(model, variances.flatten().diag(), 0.25).mask.kept == 2


def test_surgeon_on_a_trained_network_beats_magnitude():
    model, (X, y) = network(), sample(60)
    optimizer = torch.optim.LBFGS(model.parameters(), lr=0.5, max_iter=200, line_search_fn="strong_wolfe")

    def objective(net):
        return F.cross_entropy(net(X), y) + 0.01 * sum(p.square().sum() for p in net.parameters())

    def closure():
        optimizer.zero_grad()
        loss = objective(model)
        loss.backward()
        return loss

    optimizer.step(closure)
    H = hessian_matrix(model, F.cross_entropy, (X, y), parameters=["0.weight", "2.weight"])
    H = H + 0.02 * torch.eye(len(H), dtype=H.dtype)  # the penalty's part
    found = optimal_brain_surgeon(model, H, 20)
    twin, third = copy.deepcopy(model), copy.deepcopy(model)
    found.apply_(twin)
    Mask.from_scores(scores.magnitude(third), 20).apply_(third)
    assert torch.equal(twin[0].weight, found.weights["0.weight"])
    assert objective(twin) < objective(third)
    small = optimal_brain_surgeon(model, H, 41)  # one weight gone: the quadratic model is good
    small.apply_(twin)
    assert small.cost == pytest.approx((objective(twin) - objective(model)).item(), rel=0.2)


def at_nan():
    model = nn.Linear(2, 2, bias=False).double()
    model.weight.data[0, 0] = math.nan
    return model


LIN = nn.Linear(2, 2, bias=False).double()
EYE = torch.eye(4, dtype=torch.float64)
REFUSED = [
    (
        lambda: optimal_brain_surgeon(LIN, EYE[:3], 1),
        ValueError,
        r"hessian is \(3, 4\): give a tensor of shape \(4, 4\)",
    ),
    (lambda: optimal_brain_surgeon(LIN, [[1.0]], 1), ValueError, "hessian is list"),
    (lambda: optimal_brain_surgeon(LIN, EYE + EYE.roll(1, 0), 1), ValueError, "asymmetric"),
    (lambda: optimal_brain_surgeon(LIN, EYE * math.nan, 1), ValueError, "not finite"),
    (lambda: optimal_brain_surgeon(LIN, EYE - 3, 1), ValueError, "give a damping of more than 11"),
    (lambda: optimal_brain_surgeon(LIN, EYE * 0, 1, damping=-1.0), ValueError, "damping is -1.0"),
    (lambda: optimal_brain_surgeon(LIN, EYE, 5), ValueError, "keep is 5"),
    (lambda: optimal_brain_surgeon(at_nan(), EYE, 1), ValueError, "model has a weight that is not finite"),
]


@pytest.mark.parametrize("call, kind, message", REFUSED, ids=[message for *_, message in REFUSED])
def test_bad_inputs_are_refused(call, kind, message):
    with pytest.raises(kind, match=message):
        call()
