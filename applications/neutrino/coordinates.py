r"""Coordinates in which the mass of the W stands still: what the flow learns in the place of the pseudorapidity.

With the lepton's :math:`p_{T\ell}, \eta_\ell` and the neutrino's transverse momentum given, the mass of both depends on
:math:`d = \eta_\nu - \eta_\ell` alone, :math:`m^2 = m_T^2 + 4 p_{T\ell}\, p_{T\nu} \sinh^2(d/2)`, so that the two solutions of the W-mass
constraint lie at :math:`\pm d`. The coordinate is

.. math:: t = \frac{2 g}{s} \sinh\frac{\eta_\nu - \eta_\ell}{2}, \qquad g^2 = p_{T\ell} \sqrt{p_{T\nu}^2 + (1\,\mathrm{GeV})^2}, \qquad
          s^4 = (m_W^2 - m_T^2)^2 + (15\,\mathrm{GeV})^4,

which is smooth and invertible everywhere. For a W of mass :math:`m_W` it is :math:`\pm 1` well below the edge :math:`m_T = m_W`,
whatever the event. :math:`p_x, p_y` stay, so that :math:`\log|\det J| = \log(g/s) + \log\cosh(d/2)`.
"""

from __future__ import annotations

import numpy as np

from hepflows.applications.neutrino.events import Array, Events
from hepflows.applications.neutrino.kinematics import W_MASS

_SOFT, _EDGE = 1.0, 15.0
_LARGEST = 30.0


class WCoordinates:
    """The coordinates of the neutrinos of given events, each with its own lepton.

    Args:
        events: (n,) the events.
        w_mass: in GeV.

    Example:
        >>> from hepflows.applications.neutrino import top_pairs
        >>> events = top_pairs(100, seed=1)
        >>> coordinates = WCoordinates(events)
        >>> y, ladj = coordinates.forward(events.neutrinos)
        >>> y.shape, ladj.shape, bool(np.allclose(coordinates.inverse(y), events.neutrinos))
        ((100, 1, 3), (100,), True)
    """

    def __init__(self, events: Events, *, w_mass: float = W_MASS) -> None:
        self._pt, self._eta, phi = (events.leptons[..., i] for i in range(3))
        self._px, self._py = self._pt * np.cos(phi), self._pt * np.sin(phi)
        self._w2 = w_mass**2

    def forward(self, neutrinos: Array) -> tuple[Array, Array]:
        """Neutrinos (..., n, L, 3) of px, py, pseudorapidity to px, py, t, and log |det J| (..., n)."""
        px, py, eta = np.moveaxis(neutrinos, -1, 0)
        size = self._size(px, py)
        half = 0.5 * np.clip(eta - self._eta, -_LARGEST, _LARGEST)
        t = 2 * size * np.sinh(half)
        return np.stack([px, py, t], axis=-1), (np.log(size) + np.log(np.cosh(half))).sum(axis=-1)

    def inverse(self, y: Array) -> Array:
        """Undo `forward`."""
        px, py, t = np.moveaxis(y, -1, 0)
        return np.stack([px, py, self._eta + 2 * np.arcsinh(0.5 * t / self._size(px, py))], axis=-1)

    def _size(self, px: Array, py: Array) -> Array:
        """The factor g / s."""
        pt = np.hypot(px, py)
        transverse = 2 * (self._pt * pt - self._px * px - self._py * py)
        return np.asarray(np.sqrt(self._pt * np.hypot(pt, _SOFT)) / ((self._w2 - transverse) ** 2 + _EDGE**4) ** 0.25)
