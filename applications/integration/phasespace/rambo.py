"""Flat phase space with as many numbers as it has dimensions: RAMBO on diet (arXiv:1308.2922)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import betainc, betaincinv

from hepflows.applications.integration.phasespace.base import PhaseSpace
from hepflows.applications.integration.phasespace.kinematics import (
    angles,
    boost,
    direction,
    mass_squared,
    rest_frame,
)
from hepflows.errors import DomainError

__all__ = ["Rambo", "massless_volume"]

Array = NDArray[np.float64]

_EDGE = 1e-15
"""Ratios of invariants stay so far from 0 and 1, where a system has no mass or its particle no energy."""


def massless_volume(n: int, energy: float) -> float:
    r"""Phase space of n massless particles.

    .. math:: V_n = (2\pi)^{4-3n} \Big(\frac{\pi}{2}\Big)^{n-1} \frac{s^{n-2}}{(n-1)!\,(n-2)!}

    Args:
        n: number of particles.
        energy: total energy in GeV.

    Returns:
        The volume in GeV^(2n - 4).

    >>> f"{massless_volume(2, 91.2) * 8 * math.pi:.12f}"
    '1.000000000000'
    """
    if n < 2:
        message = f"a phase space needs at least two particles, but got {n}: give more"
        raise DomainError(message)
    constant = (2 * math.pi) ** (4 - 3 * n) * (math.pi / 2) ** (n - 1)
    return float(constant * energy ** (2 * n - 4) / (math.factorial(n - 1) * math.factorial(n - 2)))


class Rambo(PhaseSpace):
    r"""Flat phase space of n massless or massive particles from 3n - 4 numbers, invertible (arXiv:1308.2922).

    Particles leave one after the other; :math:`M_i` is the mass of what is left. For massless particles the ratios
    :math:`v_k = M_{i+1}^2 / M_i^2`, with :math:`k = n - 1 - i` particles fewer than n, follow Beta(k, 2)
    distributions, whose quantile functions turn the first n - 2 numbers into masses; the others are cosines and
    azimuths of the decays. The weight is constant, :math:`V_n`. For massive ones the same is done with the kinetic
    part :math:`K_i = M_i - \sum_{j \ge i} m_j`, and the weight is

    .. math:: w = V_n(K_1) \prod_{i=2}^{n-1} \frac{M_i}{K_i}
        \prod_{i=1}^{n-1} \frac{\rho(M_i, m_i, M_{i+1})}{\rho(K_i, 0, K_{i+1})} ,
        \qquad \rho(M, a, b) = |\vec p|(M, a, b) / M .

    Args:
        energy: total energy in GeV.
        masses: of the particles in GeV.

    Raises:
        DomainError: as `PhaseSpace`.

    >>> space = Rambo(91.2, [0.0] * 4)
    >>> u = np.random.default_rng(0).uniform(size=(3, space.dimension))
    >>> p, weight = space.forward(u)
    >>> p.shape, bool(np.allclose(weight, massless_volume(4, 91.2))), bool(np.allclose(space.inverse(p)[0], u))
    ((3, 4, 4), True, True)
    """

    def __init__(self, energy: float, masses: Sequence[float]) -> None:
        super().__init__(energy, masses)
        self._count = len(self.masses)
        # sums of the masses from each particle on: what each K_i lacks to M_i
        self._tails = np.cumsum(np.array(self.masses)[::-1])[::-1].copy()
        self._powers = np.arange(self._count - 2, 0, -1, dtype=np.float64)

    def _forward(self, u: Array) -> tuple[Array, Array]:
        ratios = np.clip(betaincinv(self._powers, 2.0, u[:, : self._count - 2]), _EDGE, 1 - _EDGE)
        kinetic = self._kinetic(ratios)
        momentum, weight = self._decays(kinetic, ratios)
        masses = kinetic + self._tails
        momenta = np.empty((len(u), self._count, 4))
        parent = np.zeros((len(u), 4))
        parent[:, 0] = self.energy
        turns = u[:, self._count - 2 :].reshape(len(u), self._count - 1, 2)
        for i in range(self._count - 1):
            ray = momentum[:, i, None] * direction(2 * turns[:, i, 0] - 1, 2 * np.pi * turns[:, i, 1])
            here, rest = (
                _on_shell(m, p) for m, p in ((self._tails[i] - self._tails[i + 1], ray), (masses[:, i + 1], -ray))
            )
            momenta[:, i] = boost(here, parent, masses[:, i])
            parent = boost(rest, parent, masses[:, i])
        momenta[:, -1] = parent
        return momenta, weight

    def _inverse(self, momenta: Array) -> tuple[Array, Array]:
        systems = np.cumsum(momenta[:, ::-1], axis=1)[:, ::-1]
        masses = np.sqrt(np.maximum(mass_squared(systems), 0.0))
        masses[:, 0], masses[:, -1] = self.energy, self.masses[-1]
        inner = np.maximum(masses[:, :-1] - self._tails[:-1], _EDGE * self.energy)
        ratios = np.clip((inner[:, 1:] / inner[:, :-1]) ** 2, _EDGE, 1 - _EDGE)
        turns = np.empty((len(momenta), self._count - 1, 2))
        for i in range(self._count - 1):
            rest = rest_frame(momenta[:, i], systems[:, i], np.maximum(masses[:, i], _EDGE * self.energy))
            cosine, azimuth = angles(rest[:, 1:])
            turns[:, i, 0], turns[:, i, 1] = (1 + cosine) / 2, azimuth / (2 * np.pi)
        u = np.concatenate([betainc(self._powers, 2.0, ratios), turns.reshape(len(momenta), -1)], axis=1)
        return u, self._decays(self._kinetic(ratios), ratios)[1]

    def _kinetic(self, ratios: Array) -> Array:
        """K_1 to K_n (n_points, n); the last is zero."""
        first = np.full((len(ratios), 1), self.energy - self._tails[0])
        return np.concatenate([first, first * np.sqrt(np.cumprod(ratios, axis=1)), 0 * first], axis=1)

    def _decays(self, kinetic: Array, ratios: Array) -> tuple[Array, Array]:
        """Momenta of the decays (n_points, n - 1) and the weight (n_points,)."""
        masses = kinetic + self._tails
        # M_i - m_i - M_{i+1} without cancellation, since the particle masses drop out
        ratio = np.concatenate([ratios, np.zeros((len(ratios), 1))], axis=1)
        above = kinetic[:, :-1] * (1 - ratio) / (1 + np.sqrt(ratio))
        here, rest, total = self._tails[:-1] - self._tails[1:], masses[:, 1:], masses[:, :-1]
        outer = (total + here + rest) * (total - here + rest) * (total + here - rest)
        momentum = np.sqrt(above * np.maximum(outer, 0.0)) / (2 * total)
        volume = massless_volume(self._count, self.energy - float(self._tails[0]))
        if self._tails[0] == 0:
            return momentum, np.full(len(kinetic), volume)
        massless = (1 - ratio) / 2
        weight = volume * np.prod(momentum / total / massless, axis=1)
        return momentum, weight * np.prod(masses[:, 1:-1] / kinetic[:, 1:-1], axis=1)


def _on_shell(mass: Array | float, momentum: Array) -> Array:
    energy = np.sqrt(mass**2 + np.einsum("ni,ni->n", momentum, momentum))
    return np.concatenate([energy[:, None], momentum], axis=1)
