"""Phase space as a tree of two-body decays, each invariant mass mapped as its resonance asks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from hepflows.applications.integration.phasespace.base import PhaseSpace
from hepflows.applications.integration.phasespace.invariants import InvariantMap, PowerLaw
from hepflows.applications.integration.phasespace.kinematics import (
    angles,
    boost,
    direction,
    mass_squared,
    rest_frame,
    two_body_momentum,
)

__all__ = ["Branch", "Sequential"]

Array = NDArray[np.float64]

_Invariant = Callable[[int, InvariantMap, Array, Array], tuple[Array, Array]]
"""Mass squared and ds/du of the first or second part (0, 1), from its map and its limits."""

_TINY = 1e-12
"""The smallest mass of a system, in units of the total energy: a boost from its rest frame must exist."""


@dataclass(frozen=True)
class Branch:
    """A system of particles that decays into two.

    Args:
        first: a branch, or the mass of a particle in GeV.
        second: likewise.
        invariant: how the mass squared of this system is drawn; flat by default, without effect at the root of a tree.
    """

    first: Branch | float
    second: Branch | float
    invariant: InvariantMap = field(default_factory=PowerLaw)

    @property
    def masses(self) -> tuple[float, ...]:
        """The masses of the particles, from left to right."""
        return tuple(mass for side in (self.first, self.second) for mass in _masses(side))


def _masses(side: Branch | float) -> tuple[float, ...]:
    return side.masses if isinstance(side, Branch) else (float(side),)


class Sequential(PhaseSpace):
    r"""Phase space that follows a tree of decays.

    .. math:: d\Phi_n = d\Phi_2(s; s_1, s_2)\, \prod_{\text{systems}} \frac{ds_j}{2\pi}\, d\Phi_2(s_j; \dots) ,
        \qquad d\Phi_2(s; s_1, s_2) = \frac{\lambda^{1/2}(s, s_1, s_2)}{8 \pi s}\, \frac{d\cos\theta\, d\varphi}{4\pi} .

    The numbers are taken in the order in which the tree is read: of a system the invariants of its first and of its
    second part (where these are systems), then cosine and azimuth of the first part in the rest frame of the system,
    about the system's direction of flight; then the first part, then the second.

    Args:
        energy: total energy in GeV.
        tree: the root; the particles keep its order from left to right.

    Raises:
        DomainError: as `PhaseSpace`.

    >>> from hepflows.applications.integration.phasespace.invariants import BreitWigner
    >>> z = Branch(0.0, 0.0, BreitWigner(91.19, 2.5))
    >>> space = Sequential(240.0, Branch(z, z))  # e+ e- -> Z Z -> four fermions
    >>> p, weight = space.forward(np.full((1, 8), 0.5))
    >>> p[0].sum(axis=0).round(9).tolist()
    [240.0, 0.0, 0.0, 0.0]
    """

    def __init__(self, energy: float, tree: Branch) -> None:
        super().__init__(energy, tree.masses)
        self.tree = tree

    def _forward(self, u: Array) -> tuple[Array, Array]:
        root = np.zeros((len(u), 4))
        root[:, 0] = self.energy
        particles, weight = self._decay(self.tree, root, np.full(len(u), self.energy), iter(u.T))
        return np.stack(particles, axis=1), weight

    def _decay(self, node: Branch, parent: Array, mass: Array, u: Iterator[Array]) -> tuple[list[Array], Array]:
        """The particles of a system and the weight of its inner structure."""
        masses, weight = self._parts(node, mass, lambda _, shape, low, high: shape.forward(next(u), low, high))
        momentum = two_body_momentum(mass, *masses)
        ray = momentum[:, None] * direction(2 * next(u) - 1, 2 * np.pi * next(u), parent[:, 1:])
        particles: list[Array] = []
        for side, own, vector in zip((node.first, node.second), masses, (ray, -ray), strict=True):
            energy = np.sqrt(own**2 + momentum**2)
            child = boost(np.concatenate([energy[:, None], vector], axis=1), parent, mass)
            if isinstance(side, Branch):
                inner, factor = self._decay(side, child, own, u)
                weight = weight * factor
                particles += inner
            else:
                particles.append(child)
        return particles, weight

    def _inverse(self, momenta: Array) -> tuple[Array, Array]:
        mass = np.full(len(momenta), self.energy)
        columns, weight = self._undo(self.tree, momenta, mass)
        return np.stack(columns, axis=1), weight

    def _undo(self, node: Branch, momenta: Array, mass: Array) -> tuple[list[Array], Array]:
        """The numbers of a system with ``momenta`` (n_points, its particles, 4), and the weight of its structure."""
        split = len(_masses(node.first))
        parts = momenta[:, :split], momenta[:, split:]
        sums = [part.sum(axis=1) for part in parts]
        columns: list[Array] = []

        def found(place: int, shape: InvariantMap, low: Array, high: Array) -> tuple[Array, Array]:
            s = np.clip(mass_squared(sums[place]), low, high)
            u, slope = shape.inverse(s, low, high)
            columns.append(u)
            return s, slope

        masses, weight = self._parts(node, mass, found)
        parent = momenta.sum(axis=1)
        if node is self.tree:
            parent[:, 1:] = 0.0  # the rounding of the sum has a direction, and the root has none
        cosine, azimuth = angles(rest_frame(sums[0], parent, mass)[:, 1:], parent[:, 1:])
        columns += [(1 + cosine) / 2, azimuth / (2 * np.pi)]
        for side, part, own in zip((node.first, node.second), parts, masses, strict=True):
            if isinstance(side, Branch):
                inner, factor = self._undo(side, part, own)
                columns += inner
                weight = weight * factor
        return columns, weight

    def _parts(self, node: Branch, mass: Array, invariant: _Invariant) -> tuple[list[Array], Array]:
        """Masses of the two parts of a system, their squares by ``invariant``, and the weight of this decay alone."""
        masses: list[Array] = []
        weight = np.ones_like(mass)
        for place, side in enumerate((node.first, node.second)):
            if not isinstance(side, Branch):
                masses.append(np.full_like(mass, side))
                continue
            other = masses[0] if masses else sum(_masses(node.second))
            low = np.full_like(mass, sum(side.masses) ** 2)
            s, slope = invariant(place, side.invariant, low, np.maximum(np.maximum(mass - other, 0.0) ** 2, low))
            masses.append(np.maximum(np.sqrt(s), _TINY * self.energy))
            weight = weight * slope / (2 * np.pi)
        return masses, weight * two_body_momentum(mass, *masses) / (4 * np.pi * mass)
