"""What every map of the unit hypercube to four-momenta offers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hepflows.errors import DomainError, ShapeError

__all__ = ["PhaseSpace"]

Array = NDArray[np.float64]

_CONSERVED = 1e-6


class PhaseSpace(ABC):
    """A map of the unit hypercube onto the phase space of n particles, in the frame where their sum rests.

    Args:
        energy: total energy in GeV.
        masses: of the particles in GeV, in the order of the momenta; two or more.

    Raises:
        DomainError: the energy is not above the sum of the masses, or a mass is negative.
    """

    def __init__(self, energy: float, masses: Sequence[float]) -> None:
        self.energy = float(energy)
        self.masses = tuple(float(mass) for mass in masses)
        if len(self.masses) < 2 or not all(0 <= mass < np.inf for mass in self.masses):
            message = (
                f"the masses must be two or more numbers that are not negative, but are {self.masses}: correct them"
            )
            raise DomainError(message)
        if not sum(self.masses) < self.energy < np.inf:
            message = (
                f"the energy must be above the sum of the masses, {sum(self.masses):g} GeV, but is {energy:g}: raise it"
            )
            raise DomainError(message)

    @property
    def dimension(self) -> int:
        """Numbers that one point takes: 3n - 4."""
        return 3 * len(self.masses) - 4

    def forward(self, u: Array) -> tuple[Array, Array]:
        """Momenta (n_points, n, 4) in GeV and weights (n_points,) at points (n_points, 3n - 4) of the unit hypercube.

        Raises:
            ShapeError: ``u`` has another width.
            DomainError: ``u`` leaves the unit hypercube.
        """
        u = np.asarray(u, dtype=np.float64)
        if u.ndim != 2 or u.shape[1] != self.dimension:
            message = f"the points must have the shape (n, {self.dimension}), but have {u.shape}: give one row a point"
            raise ShapeError(message)
        if not np.all((u >= 0) & (u <= 1)):
            message = "the points must lie in the unit hypercube, but some do not: give numbers from 0 to 1"
            raise DomainError(message)
        return self._forward(u)

    def inverse(self, momenta: Array) -> tuple[Array, Array]:
        """The points that :meth:`forward` turns into ``momenta`` (n_points, n, 4), and the weights there.

        Raises:
            ShapeError: ``momenta`` has another shape.
            DomainError: the momenta do not add up to (energy, 0, 0, 0).
        """
        momenta = np.asarray(momenta, dtype=np.float64)
        if momenta.ndim != 3 or momenta.shape[1:] != (len(self.masses), 4):
            message = (
                f"the momenta must have the shape (n, {len(self.masses)}, 4), but have {momenta.shape}: correct it"
            )
            raise ShapeError(message)
        excess = np.abs(momenta.sum(axis=1) - np.array([self.energy, 0.0, 0.0, 0.0]))
        if not np.all(excess < _CONSERVED * self.energy):
            message = f"the momenta of a point must add up to {self.energy:g} GeV at rest: boost them into that frame"
            raise DomainError(message)
        return self._inverse(momenta)

    def density(self, momenta: Array) -> Array:
        r"""Density :math:`g(p) = 1 / w` with respect to :math:`d\Phi_n` with which uniform points arrive at ``momenta``.

        A sum of channels draws from :math:`\sum_k \alpha_k g_k` and weighs with its inverse.
        """
        weight = self.inverse(momenta)[1]
        return np.divide(1.0, weight, out=np.zeros_like(weight), where=weight > 0)

    @abstractmethod
    def _forward(self, u: Array) -> tuple[Array, Array]:
        """As :meth:`forward`, of checked points."""

    @abstractmethod
    def _inverse(self, momenta: Array) -> tuple[Array, Array]:
        """As :meth:`inverse`, of checked momenta."""
