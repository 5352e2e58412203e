"""The particles of many events, one event after the other."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hepflows.applications.anomaly.events import Array
from hepflows.errors import ShapeError


@dataclass(frozen=True, eq=False)
class Particles:
    """Four-momenta of particles.

    Args:
        momenta: (N, 4) px, py, pz and E in GeV.
        lengths: (n,) how many of them belong to each event; they add up to N.

    Raises:
        ShapeError: they do not, or the momenta are not four numbers each.

    >>> event = Particles.massless(np.array([3.0, 4.0]), np.zeros(2), np.array([0.0, np.pi / 2]), np.array([2]))
    >>> event.momenta.round(6).tolist(), len(event)
    ([[3.0, 0.0, 0.0, 3.0], [0.0, 4.0, 0.0, 4.0]], 1)
    """

    momenta: Array
    lengths: NDArray[np.int64]

    def __post_init__(self) -> None:
        if self.momenta.shape != (int(self.lengths.sum()), 4):
            message = (
                f"{int(self.lengths.sum())} particles need momenta of the shape ({int(self.lengths.sum())}, 4), "
                f"but they have {self.momenta.shape}"
            )
            raise ShapeError(message)

    @classmethod
    def massless(cls, pt: Array, eta: Array, phi: Array, lengths: NDArray[np.int64]) -> Particles:
        """From (N,) transverse momenta in GeV, pseudorapidities and azimuths in radian."""
        parts = [pt * np.cos(phi), pt * np.sin(phi), pt * np.sinh(eta), pt * np.cosh(eta)]
        return cls(np.stack(parts, axis=1), lengths)

    def __len__(self) -> int:
        return len(self.lengths)


def transverse(momenta: Array) -> tuple[Array, Array, Array]:
    """(n,) transverse momentum, pseudorapidity and azimuth of (n, 4) momenta."""
    px, py, pz = momenta[:, 0], momenta[:, 1], momenta[:, 2]
    pt = np.hypot(px, py)
    return pt, np.arcsinh(pz / np.maximum(pt, 1e-300)), np.arctan2(py, px)
