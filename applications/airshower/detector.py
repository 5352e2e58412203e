"""The Pierre Auger Observatory as far as it matters here: bins, acceptance, resolution, and the events that it saw."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

SPECTRUM_EDGES = np.round(np.arange(18.7, 20.25, 0.1), 2)
"""(16,) edges of the 15 bins of the spectrum in lg(E/eV)."""

XMAX_EDGES = np.arange(500.0, 1401.0, 20.0)
"""(46,) edges of the 45 bins of Xmax in g/cm2; what lies outside counts in the first and the last bin."""

OBSERVABLES = 15 + 9 * 45


@dataclass(frozen=True)
class Detector:
    """The tables of the detector.

    Args:
        spectrum_counts: (15,) events of the vertical spectrum.
        correction: (15,) unfolding correction: flux = correction x counts / exposure. It stands for the energy resolution.
        lg_energy_edges: (10,) edges of the 9 bins of Xmax in lg(E/eV).
        acceptance: (9, 4) x1, x2, l1, l2 in g/cm2: exp((X - x1)/l1) below x1, 1 between, exp(-(X - x2)/l2) above x2.
        resolution: (9, 3) s1, s2 in g/cm2 and k of k N(0, s1) + (1 - k) N(0, s2).
        scale: (9, 2) uncertainty of the Xmax scale in g/cm2, up and down.
        xmax_counts: (9, 45) events.
    """

    spectrum_counts: Array
    correction: Array
    lg_energy_edges: Array
    acceptance: Array
    resolution: Array
    scale: Array
    xmax_counts: Array


def _table(name: str) -> Array:
    text = (resources.files(__package__) / "tables" / name).read_text()
    rows = list(csv.reader(line for line in text.splitlines() if not line.startswith("#")))
    return np.array(rows[1:], dtype=np.float64)


@lru_cache(maxsize=1)
def load_detector() -> Detector:
    """The tables that come with the package: spectrum of 2020, Xmax of 2014 (arXiv:1409.4809).

    >>> detector = load_detector()
    >>> int(detector.spectrum_counts.sum()), int(detector.xmax_counts.sum())
    (55730, 1446)
    """
    spectrum, xmax = _table("auger_spectrum_2020.csv"), _table("auger_xmax_2014.csv")
    return Detector(
        spectrum_counts=spectrum[:, 1],
        correction=spectrum[:, 2],
        lg_energy_edges=np.append(xmax[:, 0], xmax[-1, 1]),
        acceptance=xmax[:, 2:6],
        resolution=xmax[:, 6:9],
        scale=np.abs(xmax[:, 9:11]),
        xmax_counts=xmax[:, 11:],
    )


def acceptance(x: Array, parameters: Array) -> Array:
    """The share of showers of depth ``x`` g/cm2 that are seen; ``parameters`` are x1, x2, l1, l2."""
    x1, x2, l1, l2 = parameters
    return np.asarray(np.exp(np.minimum(0.0, (x - x1) / l1)) * np.exp(np.minimum(0.0, -(x - x2) / l2)))


def smeared_below(distance: Array, parameters: Array) -> Array:
    """The probability that the measured depth lies less than ``distance`` g/cm2 above the true one; ``parameters`` are s1, s2, k."""
    from scipy.special import ndtr

    s1, s2, k = parameters
    return np.asarray(k * ndtr(distance / s1) + (1 - k) * ndtr(distance / s2))
