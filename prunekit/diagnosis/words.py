"""Numbers in words: shares, and values with their errors."""

from __future__ import annotations

import math


def percent(share: float, digits: int = 0) -> str:
    """Return a share as a percentage, with a digit more next to 0 and to 1.

    Examples
    --------
    >>> percent(0.5), percent(0.004), percent(0.98765, 1)
    ('50%', '0.4%', '98.8%')
    """
    if 0 < share < 0.01 or 0.99 < share < 1:
        digits = max(digits, 1)
    return f"{100 * share:.{digits}f}%"


def pm(value: float, error: float | None, *, scale: float = 1.0) -> str:
    """Return a value with its error, both to the error's leading digits.

    Examples
    --------
    >>> pm(0.1234, 0.02), pm(0.8, 0.013, scale=100), pm(2.0, float("inf")), pm(1.0, 0.0)
    ('0.12 ± 0.02', '80.0 ± 1.3', '2 (no error bar)', '1')
    """
    value = scale * value
    if error is None or not math.isfinite(error):
        return f"{value:.3g} (no error bar)"
    error = scale * error
    if error <= 0:
        return f"{value:.3g}"
    lead = error / 10 ** math.floor(math.log10(error))
    digits = max(0, -math.floor(math.log10(error)) + (1 if lead < 2 else 0))
    return f"{value:.{digits}f} ± {error:.{digits}f}"


def share_pm(share: float, error: float | None) -> str:
    """Return a share with its error, both as percentages.

    Examples
    --------
    >>> share_pm(0.5, 0.02), share_pm(0.849, float("inf"))
    ('50 ± 2%', '84.9% (no error bar)')
    """
    if error is None or not math.isfinite(error):
        return f"{100 * share:.3g}% (no error bar)"
    return f"{pm(share, error, scale=100)}%"
