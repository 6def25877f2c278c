"""The tail index of SGD on linear regression: a stationary law with a power tail (Kesten), its index exact.

Let y = ⟨x*, a⟩ + z with standard Gaussian features and noise. The error of SGD with fresh batches A of b rows follows
e ← (I - η/b AᵀA) e + η/b Aᵀz, a random linear map with a random input. Its stationary law has a power tail whose index
solves h(α) = 1 with h(s) = E‖(I - η/b AᵀA)u‖^s, for any unit vector u: the Gaussian law knows no direction.
Gürbüzbalaban, Şimşekli and Zhu (2021) showed that it falls with η and rises with b; barsbey recalls it in Section 3.1.
"""

from __future__ import annotations

import functools
import math
from typing import Any

from prunekit import _checks
from prunekit._checks import Floats

MOST = 12.0  # larger indices are called infinite
_LEAST = 0.02  # smaller indices are called 0
_LARGEST_STEP, _LARGEST_ORDER = 4.0, 50.0
_MOST_FREEDOM = 300  # a chi-square has at most so many; above, the weights of the rule leave double precision


def growth(order: float, step: float, batch: int, features: int) -> float:
    """Return h(s) = E‖(I - η/b AᵀA)u‖^s, what a step of SGD does to the s-th moment of the error.

    Parameters
    ----------
    order : float
        Order s of the moment, above 0 and at most 50.
    step : float
        Length η of a step, above 0 and at most 100.
    batch : int
        Rows b of a batch, from 1 to 300.
    features : int
        Dimension of the regression, from 2 to 300.

    Raises
    ------
    TypeError, ValueError
        If an argument is out of its range.

    Notes
    -----
    With independent chi-squares Q of b and R of features - 1 degrees of freedom the norm's square is
    (1 - ηQ/b)² + (η/b)² QR. Both are integrated by Gauss and Laguerre's rule.

    Examples
    --------
    >>> round(growth(2.0, 0.1, 2, 5), 12)  # 1 - 2η + η² (1 + (features + 1) / b)
    0.84
    """
    order, step = _upto("order", order, _LARGEST_ORDER), _upto("step", step, 100.0)
    return _growth(order, step, *_sizes(batch, features))


def _upto(name: str, value: float, most: float) -> float:
    """Return a number above 0 of which powers stay in double precision."""
    number = _checks.scalar(name, value, positive=True)
    if number > most:
        raise ValueError(f"{name} is {number:g}: give at most {most:g}")
    return number


def _sizes(batch: int, features: int) -> tuple[int, int]:
    """Return a batch and a dimension whose chi-squares the rule holds."""
    return _checks.count("batch", batch, 1, _MOST_FREEDOM), _checks.count("features", features, 2, _MOST_FREEDOM)


def _growth(s: float, eta: float, b: int, features: int) -> float:
    """Return h(s)."""
    (q, v), (r, w) = _rule(b), _rule(features - 1)
    Q, R = 2 * q[:, None], 2 * r[None, :]
    square = (1 - eta / b * Q) ** 2 + (eta / b) ** 2 * Q * R
    return float((v / v.sum()) @ square ** (s / 2) @ (w / w.sum()))


@functools.cache
def _rule(freedom: int) -> tuple[Floats, Floats]:
    """Return nodes and weights for half a chi-square variable."""
    from scipy.special import roots_genlaguerre

    rule: Any = roots_genlaguerre(60, freedom / 2 - 1)
    return rule


def critical_step(alpha: float, batch: int, features: int) -> float:
    """Return the step η at which the stationary law has the tail index α.

    Parameters
    ----------
    alpha : float
        Tail index, above 0 and at most 50. At 2, the step is 2/(1 + (features + 1)/batch).
    batch, features : int
        As for `growth`.

    Raises
    ------
    TypeError, ValueError
        If an argument is out of its range, or the step is not between 0.1/features and 4.
    """
    from scipy.optimize import brentq

    alpha = _upto("alpha", alpha, _LARGEST_ORDER)
    batch, features = _sizes(batch, features)
    low, high = 0.1 / features, _LARGEST_STEP
    if _growth(alpha, low, batch, features) >= 1 or _growth(alpha, high, batch, features) <= 1:
        raise ValueError(f"alpha is {alpha}: no step between {low:g} and {high:g} has this index; give one nearer 2")
    return float(brentq(lambda eta: _growth(alpha, eta, batch, features) - 1, low, high))


def stationary_index(step: float, batch: int, features: int) -> float:
    """Return the tail index of the stationary law of SGD on linear regression.

    Parameters
    ----------
    step, batch, features
        As for `growth`.

    Returns
    -------
    float
        The index: infinite where it is above 12, 0 where it is below 0.02 or where the error grows without a stationary
        law.

    Raises
    ------
    TypeError, ValueError
        If an argument is out of its range.
    """
    from scipy.optimize import brentq

    step, (batch, features) = _upto("step", step, 100.0), _sizes(batch, features)
    if _growth(MOST, step, batch, features) < 1:
        return math.inf
    if _growth(_LEAST, step, batch, features) >= 1:
        return 0.0
    return float(brentq(lambda s: _growth(s, step, batch, features) - 1, _LEAST, MOST))
