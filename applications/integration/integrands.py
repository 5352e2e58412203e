"""Test integrands of known integral: what the benchmarks, the tests and ``--builtin`` use.

Gaussians, camels and circles are those of i-flow (arXiv:2001.05486) and the literature before it; the annulus of arXiv:2309.12369 stands
here about the centre of the square. The true values are closed forms or converged Gauss-Legendre quadratures.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from scipy.integrate import quad
from scipy.special import erf

from hepflows.applications.integration.integrand import Array, Integrand


def _unit(dimension: int) -> tuple[tuple[float, float], ...]:
    return ((0.0, 1.0),) * dimension


def gauss(dimension: int, width: float = 0.2) -> Integrand:
    r"""A Gaussian in the middle: :math:`\prod_i (s\sqrt\pi)^{-1} e^{-(x_i-1/2)^2/s^2}`, of integral :math:`\mathrm{erf}(1/2s)^d`."""

    def function(x: Array) -> Array:
        return np.asarray(np.exp(-(((x - 0.5) / width) ** 2).sum(1) - dimension * math.log(width * math.sqrt(math.pi))))

    return Integrand(
        f"gauss{dimension}", function, _unit(dimension), math.erf(0.5 / width) ** dimension, "one Gaussian"
    )


def camel(dimension: int, width: float = 0.2) -> Integrand:
    """Two Gaussians on the diagonal, at 1/3 and 2/3: a sampler that treats the axes one by one sees 2^d humps."""
    log_norm = dimension * math.log(width * math.sqrt(math.pi))

    def function(x: Array) -> Array:
        humps = [np.exp(-(((x - centre) / width) ** 2).sum(1) - log_norm) for centre in (1 / 3, 2 / 3)]
        return np.asarray(0.5 * (humps[0] + humps[1]))

    truth = (0.5 * (math.erf(2 / (3 * width)) + math.erf(1 / (3 * width)))) ** dimension
    return Integrand(f"camel{dimension}", function, _unit(dimension), truth, "two Gaussians on the diagonal")


def circles() -> Integrand:
    """Two thin overlapping rings whose height varies along them (i-flow, arXiv:2001.05486)."""

    def ring(x: Array, x1: float, x2: float) -> Array:
        return np.asarray(np.exp(-250 * np.abs((x[:, 1] - x2) ** 2 + (x[:, 0] - x1) ** 2 - 0.25**2)))

    def function(x: Array) -> Array:
        return np.asarray(x[:, 1] ** 3 * ring(x, 0.4, 0.6) + (1 - x[:, 1]) ** 3 * ring(x, 0.6, 0.4))

    return Integrand("circles", function, _unit(2), 0.013684776725, "two thin rings")


def annulus() -> Integrand:
    """One between the radii 0.2 and 0.45 about the centre, else zero."""

    def function(x: Array) -> Array:
        square = ((x - 0.5) ** 2).sum(1)
        return np.asarray((square > 0.04) & (square < 0.2025), dtype=np.float64)

    return Integrand("annulus", function, _unit(2), math.pi * (0.2025 - 0.04), "a ring with sharp edges")


def ball(dimension: int = 4, radius: float = 0.45) -> Integrand:
    """One inside a ball about the centre, else zero."""

    def function(x: Array) -> Array:
        return np.asarray(((x - 0.5) ** 2).sum(1) < radius**2, dtype=np.float64)

    truth = math.pi ** (dimension / 2) / math.gamma(dimension / 2 + 1) * radius**dimension
    return Integrand(f"ball{dimension}", function, _unit(dimension), truth, "a ball with a sharp edge")


def ridge(dimension: int, steepness: float, name: str) -> Integrand:
    r"""A ridge along the diagonal: :math:`\int_0^1 dt \prod_i \sqrt{a/\pi}\, e^{-a(x_i-t)^2}`, of width :math:`1/\sqrt{2a}`."""
    k, b = math.sqrt(dimension * steepness), math.sqrt(steepness)
    norm = (steepness / math.pi) ** (dimension / 2) * math.sqrt(math.pi) / (2 * k)

    def function(x: Array) -> Array:
        mean = x.mean(1)
        spread = ((x - mean[:, None]) ** 2).sum(1)
        return np.asarray(norm * np.exp(-steepness * spread) * (erf(k * (1 - mean)) + erf(k * mean)))

    def along(t: float) -> float:
        return float((0.5 * (math.erf(b * (1 - t)) + math.erf(b * t))) ** dimension)

    truth = 2 * quad(along, 0, 0.5, points=[1 / b], epsabs=1e-13, limit=200)[0]
    return Integrand(name, function, _unit(dimension), truth, "a thin ridge along the diagonal")


def polynomial(dimension: int) -> Integrand:
    r"""A sum of parabolas, :math:`\sum_i (x_i - x_i^2)`, of integral ``d / 6``."""
    return Integrand(
        f"poly{dimension}", lambda x: (x - x * x).sum(1), _unit(dimension), dimension / 6, "a sum of parabolas"
    )


def oscillation() -> Integrand:
    """A plane wave through five dimensions above a floor (Genz, with 1 added)."""
    frequency = np.array([7.0, 9.0, 5.0, 11.0, 6.0])

    def function(x: Array) -> Array:
        return np.asarray(1 + np.cos(0.6 * math.pi + x @ frequency))

    wave = np.exp(0.6j * math.pi) * np.prod((np.exp(1j * frequency) - 1) / (1j * frequency))
    return Integrand("osc5", function, _unit(5), 1 + float(wave.real), "a plane wave")


def top_loop(s23: float = -(130.0**2) / 2, mass: float = 175.0) -> Integrand:
    """The scalar one-loop box with a top quark, Feynman parameters, four rotations of its arguments (arXiv:2309.12369); masses in GeV."""
    s12, s4 = 130.0**2, 125.0**2
    rotations = ((s12, s23, 0, 0, 0, s4), (s23, s12, 0, 0, s4, 0), (s12, s23, 0, s4, 0, 0), (s23, s12, s4, 0, 0, 0))

    def function(x: Array) -> Array:
        t1, t2, t3 = x.T
        total = np.zeros(len(x))
        for a, b, m1, m2, m3, m4 in rotations:
            form = -a * t2 - b * t1 * t3 - m1 * t1 - m2 * t1 * t2 - m3 * t2 * t3 - m4 * t3
            form += (1 + t1 + t2 + t3) * mass**2 * (1 + t1 + t2 + t3)
            total += form**-2
        return total

    known = {(-(130.0**2) / 2, 175.0): 1.93696402387e-10, (-(130.0**2), 173.9): 1.9375636151e-10}
    return Integrand("toploop", function, _unit(3), known.get((s23, mass)), "a one-loop box")


INTEGRANDS: dict[str, Callable[[], Integrand]] = {
    **{f"gauss{d}": lambda d=d: gauss(d) for d in (2, 4, 8, 16)},  # type: ignore[misc]
    **{f"camel{d}": lambda d=d: camel(d) for d in (2, 4, 8, 16)},  # type: ignore[misc]
    "circles": circles,
    "annulus": annulus,
    "ball4": ball,
    "ridge4": lambda: ridge(4, 100.0, "ridge4"),
    "ridge4s": lambda: ridge(4, 2500.0, "ridge4s"),
    "ridge8": lambda: ridge(8, 100.0, "ridge8"),
    "poly18": lambda: polynomial(18),
    "osc5": oscillation,
    "toploop": top_loop,
}
"""The built-in integrands by name; processes stand in `hepflows.applications.integration.processes`."""
