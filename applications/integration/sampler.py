"""A sampler: a density of latents, the map that makes points of them, and what its weights were like."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from hepflows.applications.integration.domain import BELOW_ONE
from hepflows.applications.integration.integrand import Array
from hepflows.applications.integration.maps import CubeMap
from hepflows.applications.integration.mixture import Mixture
from hepflows.metrics.weights import WeightTally

Boxes = NDArray[np.int64]


@dataclass(frozen=True)
class Grid:
    """A density of the cube that is constant in each of ``k^d`` boxes.

    Attributes:
        k: boxes along each axis.
        features: dimension.
        share: ``(k^d,)`` the density in each box, of mean one.
    """

    k: int
    features: int
    share: Array

    def box_of(self, z: Array) -> Boxes:
        """The number of the box that each of ``z`` (n, d) lies in."""
        corner = np.minimum((z * self.k).astype(np.int64), self.k - 1)
        return np.asarray(np.ravel_multi_index(tuple(corner.T), (self.k,) * self.features))

    def inside(self, box: Boxes, rng: np.random.Generator) -> Array:
        """A random point of each box, (n, d)."""
        corner = np.stack(np.unravel_index(box, (self.k,) * self.features))
        return np.minimum((corner + rng.random(corner.shape)).T / self.k, BELOW_ONE)


@dataclass(frozen=True)
class Sampler:
    r"""Points :math:`x = M(z)` of the cube with latents ``z`` that are uniform or follow a grid.

    Attributes:
        map: ``M``.
        grid: density of the latents; uniform where None.
        tally: weights of points that were drawn so.
    """

    map: CubeMap | Mixture
    grid: Grid | None = None
    tally: WeightTally = field(default_factory=WeightTally)

    def latents(self, n: int, rng: np.random.Generator) -> Array:
        """Independent latents (n, d)."""
        if self.grid is None:
            return np.asarray(rng.random((self.map.features, n)).T)
        share = self.grid.share
        return self.grid.inside(rng.choice(len(share), n, p=share / share.sum()), rng)

    def log_density(self, z: Array) -> Array:
        """Log density (n,) of the latents ``z`` (n, d)."""
        if self.grid is None:
            return np.zeros(len(z))
        return np.asarray(np.log(self.grid.share[self.grid.box_of(z)]))

    def log_prob(self, x: Array) -> Array:
        """Log density (n,) of the points ``x`` (n, d) of the cube."""
        if isinstance(self.map, Mixture):
            return self.map.log_prob(x)
        z, ladj = self.map.forward(x)
        return self.log_density(z) + ladj
