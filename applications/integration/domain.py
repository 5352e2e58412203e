"""Where an integrand lives: intervals, finite or not, and discrete numbers, each a coordinate of the unit cube."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from hepflows.applications.integration.integrand import Array
from hepflows.errors import DomainError

Bounds = Sequence[tuple[float, float] | int]
BELOW_ONE = 1 - 2.0**-53
"""The largest number below one: the cube has no upper edge."""


class Domain:
    r"""The box of an integral, reached from the unit cube ``u``.

    ============================  =====================================================  ================================
    bound                         :math:`x(u)`                                           :math:`dx/du`
    ============================  =====================================================  ================================
    ``(a, b)``                    :math:`a + (b - a) u`                                  :math:`b - a`
    ``(a, inf)``                  :math:`a + u / (1 - u)`                                :math:`(1 - u)^{-2}`
    ``(-inf, b)``                 :math:`b - (1 - u) / u`                                :math:`u^{-2}`
    ``(-inf, inf)``               :math:`\tan \pi (u - \tfrac12)`                        :math:`\pi (1 + x^2)`
    ``K``, a whole number         one of :math:`0, 1, \dots, K - 1`                      :math:`K`: the integral is a sum
    ============================  =====================================================  ================================

    Args:
        bounds: one for every coordinate.

    Raises:
        DomainError: a lower bound is not below the upper one, or is no number.

    >>> x, ladj = Domain([(0, 2), (0, math.inf), 3]).inverse(np.array([[0.5, 0.5, 0.5]]))
    >>> x.tolist(), round(math.exp(ladj[0]), 6)
    ([[1.0, 1.0, 1.0]], 24.0)
    """

    def __init__(self, bounds: Bounds) -> None:
        if not len(bounds):
            message = "an integral needs at least one pair of bounds, for example [(0, 1)]"
            raise DomainError(message)
        self.bounds: tuple[tuple[float, float] | int, ...] = tuple(_checked(bound) for bound in bounds)
        self.features = len(self.bounds)

    def inverse(self, u: Array) -> tuple[Array, Array]:
        """Cube ``u`` (n, d) to the user's coordinates (n, d) and the logarithm of dx/du (n,)."""
        x, ladj = np.empty(u.shape[::-1]), np.zeros(len(u))
        for axis, bound in enumerate(self.bounds):
            x[axis], slope = _inverse(u[:, axis], bound)
            ladj += slope
        return x.T, ladj

    def forward(self, x: Array) -> tuple[Array, Array]:
        """The user's coordinates (n, d) to the cube (n, d) and the logarithm of du/dx (n,), minus infinity outside the box."""
        u, ladj = np.empty(x.shape[::-1]), np.zeros(len(x))
        for axis, bound in enumerate(self.bounds):
            u[axis], slope = _forward(x[:, axis], bound)
            ladj += slope
        inside = ((u >= 0) & (u <= 1)).all(0)
        return np.clip(np.nan_to_num(u.T), 0.0, BELOW_ONE), np.where(inside, ladj, -np.inf)


def _checked(bound: tuple[float, float] | int) -> tuple[float, float] | int:
    if isinstance(bound, (int, np.integer)):
        if bound < 1:
            message = f"a discrete coordinate needs at least one value, got {bound}"
            raise DomainError(message)
        return int(bound)
    try:
        low, high = (float(edge) for edge in bound)
    except (TypeError, ValueError) as error:
        message = f"a bound is a pair (low, high) or the number of values of a discrete coordinate, got {bound!r}"
        raise DomainError(message) from error
    if not low < high:
        message = f"a lower bound must lie below the upper one, got {low:g} and {high:g}"
        raise DomainError(message)
    return low, high


def _inverse(u: Array, bound: tuple[float, float] | int) -> tuple[Array, Array | float]:
    if isinstance(bound, int):
        return np.minimum(np.floor(u * bound), bound - 1), math.log(bound)
    low, high = bound
    if math.isfinite(low) and math.isfinite(high):
        return low + (high - low) * u, math.log(high - low)
    if math.isfinite(low):
        return low + u / (1 - u), -2 * np.log1p(-u)
    if math.isfinite(high):
        u = np.maximum(u, 2.0**-60)
        return high - (1 - u) / u, -2 * np.log(u)
    x = np.tan(math.pi * (u - 0.5))
    return x, math.log(math.pi) + np.log1p(x * x)


def _forward(x: Array, bound: tuple[float, float] | int) -> tuple[Array, Array | float]:
    if isinstance(bound, int):
        return (x + 0.5) / bound, -math.log(bound)
    low, high = bound
    with np.errstate(divide="ignore", invalid="ignore"):
        if math.isfinite(low) and math.isfinite(high):
            return (x - low) / (high - low), -math.log(high - low)
        if math.isfinite(low):
            t = x - low
            return np.where(t < 0, -1.0, t / (1 + t)), -2 * np.log1p(np.abs(t))
        if math.isfinite(high):
            t = high - x
            return np.where(t < 0, -1.0, 1 / (1 + t)), -2 * np.log1p(np.abs(t))
        return np.arctan(x) / math.pi + 0.5, -math.log(math.pi) - np.log1p(x * x)
