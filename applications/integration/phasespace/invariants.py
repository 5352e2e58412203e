"""Maps of one number to an invariant mass squared, between limits that may differ from event to event."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hepflows.errors import DomainError

__all__ = ["BreitWigner", "InvariantMap", "PowerLaw"]

Array = NDArray[np.float64]


class InvariantMap(ABC):
    r"""A strictly rising map of :math:`u \in [0, 1]` onto :math:`s \in [s_-, s_+]`."""

    def forward(self, u: Array, low: Array, high: Array) -> tuple[Array, Array]:
        """:math:`s` in GeV^2 and :math:`ds/du` at ``u`` (n,), for limits in GeV^2 that are numbers or (n,)."""
        first, last = self._primitive(low), self._primitive(high)
        s = np.clip(self._inverse_primitive(first + u * (last - first)), low, high)
        return s, (last - first) * self._slope(s)

    def inverse(self, s: Array, low: Array, high: Array) -> tuple[Array, Array]:
        """:math:`u` and :math:`ds/du` at ``s`` (n,)."""
        first, last = self._primitive(low), self._primitive(high)
        width = last - first
        u = np.divide(self._primitive(s) - first, width, out=np.zeros_like(s), where=width > 0)
        return np.clip(u, 0.0, 1.0), width * self._slope(s)

    @abstractmethod
    def _primitive(self, s: Array) -> Array:
        """The rising function of s that is uniformly distributed."""

    @abstractmethod
    def _inverse_primitive(self, value: Array) -> Array:
        """The invariant from that function."""

    @abstractmethod
    def _slope(self, s: Array) -> Array:
        """The derivative of the invariant with respect to that function."""


@dataclass(frozen=True)
class BreitWigner(InvariantMap):
    r"""Density of a resonance, :math:`\propto 1 / [(s - M^2)^2 + M^2 \Gamma^2]`, by :math:`s = M^2 + M\Gamma \tan\theta`.

    Args:
        mass: M in GeV.
        width: :math:`\Gamma` in GeV.

    Raises:
        DomainError: one of them is not positive.

    >>> s, slope = BreitWigner(91.19, 2.5).forward(np.array([0.5]), np.array(0.0), np.array(1e9))
    >>> round(float(np.sqrt(s[0])), 1)
    91.2
    """

    mass: float
    width: float

    def __post_init__(self) -> None:
        if not (0 < self.mass < math.inf and 0 < self.width < math.inf):
            message = (
                f"mass and width of a resonance must be positive, but are {self.mass} and {self.width}: correct them"
            )
            raise DomainError(message)

    def _primitive(self, s: Array) -> Array:
        return np.asarray(np.arctan((s - self.mass**2) / (self.mass * self.width)))

    def _inverse_primitive(self, value: Array) -> Array:
        return np.asarray(self.mass**2 + self.mass * self.width * np.tan(value))

    def _slope(self, s: Array) -> Array:
        scale = self.mass * self.width
        return np.asarray(((s - self.mass**2) ** 2 + scale**2) / scale)


@dataclass(frozen=True)
class PowerLaw(InvariantMap):
    r"""Density :math:`\propto (s + c)^{-\nu}`: flat for :math:`\nu = 0`, a massless propagator for :math:`\nu = 1, c = 0`.

    Args:
        exponent: :math:`\nu`; from 1 on, the lower limit of :math:`s + c` must be above zero.
        offset: c in GeV^2, zero or more.

    Raises:
        DomainError: a number is not finite or ``offset`` is negative; on use, the lower limit of s + c is zero.

    >>> s, slope = PowerLaw(1.0).forward(np.array([0.0, 0.5, 1.0]), np.array(1.0), np.array(100.0))
    >>> s.round(12).tolist()
    [1.0, 10.0, 100.0]
    """

    exponent: float = 0.0
    offset: float = 0.0

    def __post_init__(self) -> None:
        if not (math.isfinite(self.exponent) and 0 <= self.offset < math.inf):
            message = (
                f"the exponent must be finite and the offset finite and not negative, but they are {self.exponent} and "
                f"{self.offset}: correct them"
            )
            raise DomainError(message)

    def _primitive(self, s: Array) -> Array:
        shifted = s + self.offset
        if self.exponent >= 1 and not np.all(shifted > 0):
            message = (
                f"a power law of exponent {self.exponent:g} cannot reach down to an invariant of zero: give an offset, "
                "a smaller exponent or a cut"
            )
            raise DomainError(message)
        power = 1 - self.exponent
        return np.asarray(np.log(shifted) if power == 0 else shifted**power / power)

    def _inverse_primitive(self, value: Array) -> Array:
        power = 1 - self.exponent
        return np.asarray(np.exp(value) if power == 0 else (power * value) ** (1 / power)) - self.offset

    def _slope(self, s: Array) -> Array:
        return np.asarray((s + self.offset) ** self.exponent)
