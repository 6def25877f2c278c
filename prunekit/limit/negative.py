"""What becomes of negative eigenvalues, with which a sublevel set is no ellipsoid."""

from __future__ import annotations

from functools import lru_cache
from typing import Literal, get_args

import numpy as np

from prunekit import _checks
from prunekit.spectrum import Measure, Spectrum

Negative = Literal["absolute", "zero", "refuse"]
NEGATIVE: tuple[Negative, ...] = get_args(Negative)
ROUNDING = 1e-12  # negative eigenvalues of this size, relative to the largest, are zeros of a dense solver


def treated(measure: Measure, negative: Negative) -> Measure:
    """Return a measure without negative eigenvalues: by absolute values, zeros, or a refusal.

    Raises
    ------
    ValueError
        If negative eigenvalues beyond rounding are refused, or `negative` is none of the three.
    """
    _checks.instance("measure", measure, Measure, "a Measure")
    _checks.choice("negative", negative, NEGATIVE)
    if negative == "absolute":
        return measure.mapped(np.abs)
    if negative == "zero":
        return measure.mapped(lambda h: np.maximum(h, 0.0))
    least, most = float(measure.nodes[0]), float(np.abs(measure.nodes).max())
    if least < -ROUNDING * most:
        raise ValueError(
            f"the Hessian has the eigenvalue {least:.3g}, and its sublevel set is no ellipsoid: give "
            "negative='absolute' (what the authors' program does) or negative='zero'"
        )
    return measure.mapped(lambda h: np.maximum(h, 0.0))


def treated_spectrum(spectrum: Spectrum, negative: Negative) -> Spectrum:
    """Return a spectrum without negative eigenvalues, as `treated` does a measure; it is kept for the next share."""
    _checks.choice("negative", negative, NEGATIVE)
    return _treated_spectrum(spectrum, negative)


@lru_cache(maxsize=4)
def _treated_spectrum(spectrum: Spectrum, negative: Negative) -> Spectrum:
    """Do what `treated_spectrum` does; spectra do not change, and are told apart by identity."""
    if negative == "absolute":
        return spectrum.mapped(np.abs)
    for probe in spectrum.probes:
        treated(probe, negative)  # refuses what is to be refused
    return spectrum.mapped(lambda h: np.maximum(h, 0.0))
