"""Gauss-Legendre quadrature on panels: how the processes know their integrals."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
from numpy.typing import NDArray

__all__ = ["integrate", "panels", "resonance_edges"]

Array = NDArray[np.float64]


def panels(edges: Iterable[float], order: int = 24) -> tuple[Array, Array]:
    """Nodes and weights of Gauss-Legendre rules of one order between neighbouring edges, which are sorted.

    >>> x, w = panels([0.0, 1.0, 2.0])
    >>> round(float(w @ x**5), 9)
    10.666666667
    """
    marks = np.unique(np.asarray(list(edges), dtype=np.float64))
    node, weight = np.polynomial.legendre.leggauss(order)
    half = np.diff(marks)[:, None] / 2
    return (marks[:-1, None] + half * (1 + node)).ravel(), (half * weight).ravel()


def resonance_edges(low: float, high: float, poles: Iterable[tuple[float, float]]) -> list[float]:
    """Edges for panels in s from ``low`` to ``high`` (GeV^2), narrow at the poles (M, Gamma) in GeV and ever wider.

    No panel is longer than its distance from the complex pole, so that the rules converge at one rate on all of them.
    """
    edges = [low, high]
    for mass, width in poles:
        doublings = np.arange(max(1, np.ceil(np.log2((high + mass**2) / (mass * width)))))
        steps = mass * width * np.concatenate([[0.0], 2.0**doublings])
        edges += [s for step in steps for s in (mass**2 - step, mass**2 + step) if low < s < high]
    return edges


def integrate(function: Callable[[Array], Array], edges: Iterable[float], order: int = 24) -> float:
    """Integral of a vectorised function over the panels between ``edges``."""
    x, w = panels(edges, order)
    return float(w @ function(x))
