"""Momentum fractions of two partons in colliding hadrons."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from hepflows.applications.integration.phasespace.invariants import InvariantMap, PowerLaw
from hepflows.errors import DomainError

__all__ = ["PartonFractions"]

Array = NDArray[np.float64]


@dataclass(frozen=True)
class PartonFractions:
    r"""Maps two numbers to the momentum fractions :math:`x_1, x_2` of partons with :math:`\hat s` in a window.

    .. math:: \tau = x_1 x_2 = \hat s / S , \quad y = \tfrac12 \ln(x_1 / x_2) , \quad
        |y| \le -\tfrac12 \ln\tau , \quad dx_1\, dx_2 = d\tau\, dy .

    The first number gives :math:`\hat s` by ``invariant``, the second :math:`y` uniformly between its limits.

    Args:
        energy: :math:`\sqrt S` of the hadrons in GeV.
        low: smallest partonic energy :math:`\sqrt{\hat s}` in GeV.
        high: largest one in GeV, at most ``energy``.
        invariant: how :math:`\hat s` is drawn; by default in equal shares of its logarithm.

    Raises:
        DomainError: not 0 < low < high <= energy.

    >>> x1, x2, weight = PartonFractions(13000.0, 60.0, 1500.0).forward(np.array([[0.5, 0.5]]))
    >>> bool(x1 == x2), round(float(np.sqrt(x1 * x2)[0] * 13000))
    (True, 300)
    """

    energy: float
    low: float
    high: float
    invariant: InvariantMap = field(default_factory=lambda: PowerLaw(1.0))

    def __post_init__(self) -> None:
        if not 0 < self.low < self.high <= self.energy < np.inf:
            message = (
                f"the partonic energies must rise from above 0 to at most {self.energy:g} GeV, but are {self.low:g} and "
                f"{self.high:g}: correct them"
            )
            raise DomainError(message)

    def forward(self, u: Array) -> tuple[Array, Array, Array]:
        """x1, x2 and the weight :math:`dx_1 dx_2 / du` at points (n, 2) of the unit square, each (n,)."""
        shat, slope = self.invariant.forward(u[:, 0], np.array(self.low**2), np.array(self.high**2))
        tau = shat / self.energy**2
        largest = -0.5 * np.log(tau)
        rapidity = (2 * u[:, 1] - 1) * largest
        root = np.sqrt(tau)
        weight = slope / self.energy**2 * 2 * largest
        return np.minimum(root * np.exp(rapidity), 1.0), np.minimum(root * np.exp(-rapidity), 1.0), weight

    def inverse(self, x1: Array, x2: Array) -> tuple[Array, Array]:
        """The points (n, 2) of fractions (n,), and the weights there."""
        tau = x1 * x2
        u, slope = self.invariant.inverse(tau * self.energy**2, np.array(self.low**2), np.array(self.high**2))
        largest = -0.5 * np.log(tau)
        place = np.divide(np.log(x1 / x2), 4 * largest, out=np.zeros_like(tau), where=largest > 0)
        return np.stack([u, place + 0.5], axis=1), slope / self.energy**2 * 2 * largest
