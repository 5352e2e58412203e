r"""e+e- -> V V -> four massless fermions, with spin correlations, and an integral known to quadrature in two masses.

.. math:: |\mathcal M|^2 = 2048\, \pi^3 \prod_{V} \frac{M_V \Gamma_V}{(s_V - M_V^2)^2 + M_V^2 \Gamma_V^2}\; P\, D ,
    \qquad P = \tfrac34 (1 + \cos^2\Theta) ,

.. math:: D = \tfrac{9}{16} \big[(1 + \cos^2\theta_1)(1 + \cos^2\theta_2)
    + \kappa \sin^2\theta_1 \sin^2\theta_2 \cos 2(\varphi_1 - \varphi_2)\big] .

:math:`\Theta` lies between the first pair and the beam, :math:`\theta_{1,2}` between a fermion in the rest frame of its
pair and the pair's direction of flight, :math:`\varphi_{1,2}` are the azimuths of the decays about it. The angular
factors have the mean one, so that

.. math:: \int d\Phi_4\, |\mathcal M|^2 = \frac{1}{\pi^2} \int ds_1\, ds_2\,
    \prod_V \frac{M_V \Gamma_V}{(s_V - M_V^2)^2 + M_V^2 \Gamma_V^2}\, \frac{\lambda^{1/2}(s, s_1, s_2)}{s} :

for narrow resonances it is :math:`\lambda^{1/2}(s, M_1^2, M_2^2) / s`, the velocity of two equal ones.
"""

from __future__ import annotations

import functools
import math

import numpy as np
from numpy.typing import NDArray

from hepflows.applications.integration.integrand import Integrand
from hepflows.applications.integration.phasespace import Branch, BreitWigner, PhaseSpace, Rambo, Sequential
from hepflows.applications.integration.phasespace.kinematics import mass_squared
from hepflows.applications.integration.processes.quadrature import panels, resonance_edges
from hepflows.errors import DomainError

__all__ = ["matrix_element", "vector_pair", "vector_pair_flat"]

Array = NDArray[np.float64]

Pole = tuple[float, float]

Z: Pole = (91.1876, 2.4952)
_ORDER = 16
"""Of the quadrature: against 24 and 40 it keeps eight digits off resonance and ten on it."""

PARTICLES = (11, -11, 13, -13)


def vector_pair(energy: float = 200.0, first: Pole = Z, second: Pole = Z, correlation: float = 1.0) -> Integrand:
    """Both pairs from the maps of their resonances, by `Sequential`: the easy one of the two.

    Coordinates in the unit hypercube: the masses of the pairs, cosine and azimuth of the first pair, of its first
    fermion and of that of the second pair. See the module for the formula; the units are such that the integral is of order one.

    Args:
        energy: total energy in GeV.
        first: mass and width of the first resonance in GeV.
        second: those of the second.
        correlation: kappa, from -1 to 1.

    Raises:
        DomainError: a number is outside its range.

    >>> f = vector_pair()
    >>> f.dimension, 0 < f.truth < 1
    (8, True)
    """
    tree = Branch(Branch(0.0, 0.0, BreitWigner(*first)), Branch(0.0, 0.0, BreitWigner(*second)))
    return _on("vector_pair", Sequential(energy, tree), first, second, correlation, "both resonances mapped")


def vector_pair_flat(energy: float = 200.0, first: Pole = Z, second: Pole = Z, correlation: float = 1.0) -> Integrand:
    """The same on flat phase space, by `Rambo`: two thin ridges, of which none lies along a coordinate.

    Arguments, errors and integral are those of `vector_pair`.

    >>> vector_pair_flat().truth == vector_pair().truth
    True
    """
    BreitWigner(*first), BreitWigner(*second)
    return _on("vector_pair_flat", Rambo(energy, [0.0] * 4), first, second, correlation, "flat phase space")


def _on(name: str, space: PhaseSpace, first: Pole, second: Pole, correlation: float, words: str) -> Integrand:
    if not -1 <= correlation <= 1:
        message = f"the correlation must lie between -1 and 1, but is {correlation}: beyond, rates become negative"
        raise DomainError(message)

    def function(u: Array) -> Array:
        p, weight = space.forward(u)
        return weight * matrix_element(p, first, second, correlation)

    summary = f"e+e- -> V V -> four fermions at {space.energy:g} GeV, {words}; in units of the coupling"
    truth = _truth(space.energy, tuple(first), tuple(second))
    unit = ((0.0, 1.0),) * space.dimension
    return Integrand(name, function, unit, truth, summary, lambda u: space.forward(u)[0], PARTICLES)


def matrix_element(p: Array, first: Pole = Z, second: Pole = Z, correlation: float = 1.0) -> Array:
    """The squared matrix element (n,) in GeV^-4 of momenta (n, 4, 4) in the frame where they add up to rest."""
    pairs = p[:, 0] + p[:, 1], p[:, 2] + p[:, 3]
    invariants = [np.maximum(mass_squared(pair), 0.0) for pair in pairs]
    flight = np.linalg.norm(pairs[0][:, 1:], axis=1)
    safe = np.where(flight > 0, flight, 1.0)
    axis = pairs[0][:, 1:] / safe[:, None]
    # for massless decay products E - E' = |p| cos in the flight of the pair
    cosines = [np.clip((p[:, i, 0] - p[:, i + 1, 0]) / safe, -1.0, 1.0) for i in (0, 2)]
    across = [p[:, i, 1:] - np.einsum("ni,ni->n", p[:, i, 1:], axis)[:, None] * axis for i in (0, 2)]
    scale = np.sqrt(invariants[0] * invariants[1])
    # sin sin' cos(phi - phi'), from the components across the flight, of length M/2 sin
    plane = np.divide(4 * np.einsum("ni,ni->n", *across), scale, out=np.zeros_like(scale), where=scale > 0)
    sines = (1 - cosines[0] ** 2) * (1 - cosines[1] ** 2)
    planes = np.clip(2 * plane**2 - sines, -sines, sines)
    decay = 9 / 16 * ((1 + cosines[0] ** 2) * (1 + cosines[1] ** 2) + correlation * planes)
    production = 0.75 * (1 + axis[:, 2] ** 2)
    shape = _breit_wigner(invariants[0], first) * _breit_wigner(invariants[1], second)
    return np.asarray(2048 * np.pi**3 * shape * production * decay)


def _breit_wigner(s: Array, pole: Pole) -> Array:
    scale = pole[0] * pole[1]
    return np.asarray(scale / ((s - pole[0] ** 2) ** 2 + scale**2))


@functools.cache
def _truth(energy: float, first: Pole, second: Pole) -> float:
    """The integral over the two masses; the root at the threshold is taken away by a substitution in each."""
    poles = [first]
    if energy > second[0]:
        poles.append(
            (energy - second[0], second[1])
        )  # from here on the first pair leaves no room for the second resonance
    m1, w1 = _masses(energy, poles)
    total = 0.0
    for m, w in zip(m1, w1, strict=True):
        m2, w2 = _masses(energy - m, [second])
        velocity = np.sqrt((energy**2 - (m + m2) ** 2) * (energy**2 - (m - m2) ** 2)) / energy**2
        inner = float(w2 @ (velocity * _breit_wigner(m2**2, second) * 2 * m2))
        total += float(w * _breit_wigner(np.array([m**2]), first)[0] * 2 * m * inner)
    return total / math.pi**2


def _masses(largest: float, poles: list[Pole]) -> tuple[Array, Array]:
    """Nodes and weights in a mass from 0 to ``largest``, for integrands with a root there, by m = largest (1 - t^2)."""
    edges = [math.sqrt(s) for s in resonance_edges(0.0, largest**2, poles)]
    t, w = panels([math.sqrt(max(1 - m / largest, 0.0)) for m in edges], _ORDER)
    return largest * (1 - t**2), 2 * largest * t * w
