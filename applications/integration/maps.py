"""Maps of the unit cube onto itself, in numpy and float64: latents ``z`` of uniform density to points ``x`` where the integrand is.

The names are those of `hepflows.bijections`: ``forward`` goes from the point to the latent and returns ``log |det dz/dx|``, which is the
log density of the points that ``inverse`` makes of uniform latents.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from hepflows.applications.integration.domain import BELOW_ONE, Domain
from hepflows.applications.integration.integrand import Array
from hepflows.errors import ShapeError


class CubeMap(Protocol):
    """An invertible map of the unit cube of ``features`` dimensions.

    ``inverse`` may leave the cube of the next map: the point then has no value, which its log |det| of minus infinity says.
    """

    features: int

    def forward(self, x: Array) -> tuple[Array, Array]:
        """``x`` (n, d) to the latents (n, d) and log |det dz/dx| (n,)."""
        ...

    def inverse(self, z: Array) -> tuple[Array, Array]:
        """``z`` (n, d) to the points (n, d) and log |det dx/dz| (n,)."""
        ...


class Composition:
    """Maps one after another, in the direction from point to latent.

    >>> twice = Composition([Rotation(np.eye(2)), Rotation(np.eye(2))])
    >>> x, ladj = twice.inverse(np.array([[0.25, 0.5]]))
    >>> x.tolist(), ladj.tolist()
    ([[0.25, 0.5]], [0.0])
    """

    def __init__(self, maps: Sequence[CubeMap]) -> None:
        self.maps: list[CubeMap] = [
            inner for part in maps for inner in (part.maps if isinstance(part, Composition) else [part])
        ]
        self.features = self.maps[0].features

    def forward(self, x: Array) -> tuple[Array, Array]:
        total = np.zeros(len(x))
        for part in self.maps:
            x, ladj = part.forward(x)
            total += ladj
        return x, total

    def inverse(self, z: Array) -> tuple[Array, Array]:
        total = np.zeros(len(z))
        for part in reversed(self.maps):
            z, ladj = part.inverse(z)
            total += ladj
        return z, total


class Rotation:
    r"""The unit cube in rotated coordinates: :math:`z = (R^T (x - \tfrac12) - a) / (b - a)` with the smallest box ``[a, b]`` around it.

    A ridge or a row of peaks along no axis lies along one afterwards, where a map of one axis at a time can follow it. What of the box lies
    outside the cube has no value and costs only efficiency.

    Args:
        axes: ``(d, d)`` orthonormal columns, the new axes.

    >>> half = np.sqrt(0.5)
    >>> diagonal = Rotation(np.array([[half, -half], [half, half]]))
    >>> x, ladj = diagonal.inverse(np.array([[0.75, 0.5], [0.99, 0.99]]))
    >>> x[0].round(6).tolist(), ladj.round(4).tolist()  # the box has twice the area of the square; its corners lie outside
    ([0.75, 0.75], [0.6931, -inf])
    """

    def __init__(self, axes: Array) -> None:
        self.axes = np.asarray(axes, dtype=np.float64)
        self.features = len(self.axes)
        half = 0.5 * np.abs(self.axes).sum(0)
        self.low, self.size = -half, 2 * half
        self.log_volume = float(np.log(self.size).sum())

    def forward(self, x: Array) -> tuple[Array, Array]:
        z = ((x - 0.5) @ self.axes - self.low) / self.size
        return np.clip(z, 0.0, BELOW_ONE), np.full(len(x), -self.log_volume)

    def inverse(self, z: Array) -> tuple[Array, Array]:
        x = (self.low + z * self.size) @ self.axes.T + 0.5
        inside = ((x >= 0) & (x < 1)).all(1)
        return np.clip(x, 0.0, BELOW_ONE), np.where(inside, self.log_volume, -np.inf)


class InDomain:
    """A map onto the user's coordinates as one onto the unit cube that these are reached from.

    Args:
        inner: from the unit cube to the user's coordinates.
        domain: from another unit cube to the user's coordinates.

    Raises:
        ShapeError: the map has another dimension.
    """

    def __init__(self, inner: CubeMap, domain: Domain) -> None:
        if inner.features != domain.features:
            message = f"a channel of {inner.features} dimensions does not fit {domain.features} bounds: make them equal"
            raise ShapeError(message)
        self.inner, self.domain, self.features = inner, domain, domain.features

    def forward(self, x: Array) -> tuple[Array, Array]:
        coordinates, outer = self.domain.inverse(x)
        z, ladj = self.inner.forward(coordinates)
        return z, ladj + outer

    def inverse(self, z: Array) -> tuple[Array, Array]:
        coordinates, ladj = self.inner.inverse(z)
        x, outer = self.domain.forward(coordinates)
        return x, ladj + outer


def principal_axes(x: Array) -> Array:
    """The axes ``(d, d)`` along which equally weighted points ``x`` (n, d) are uncorrelated."""
    return np.asarray(np.linalg.eigh(np.cov(x.T))[1])
