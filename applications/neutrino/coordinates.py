r"""Coordinates in which the mass peak of the W is flat: what the flow learns in the place of the pseudorapidity.

With the lepton's :math:`p_{T\ell}, \eta_\ell` and the neutrino's transverse momentum given, the mass of both depends on
:math:`d = \eta_\nu - \eta_\ell` alone, :math:`m^2(d) = m_T^2 + 2 p_{T\ell}\, p_{T\nu} (\cosh d - 1)`: two narrow peaks at
:math:`\pm d`, or one where :math:`m_T` is near :math:`m_W`. Apart from them the momenta are spread evenly in :math:`d`. The coordinate is
the normal quantile of the distribution that this gives,

.. math:: t = \sqrt2\, \mathrm{erf}^{-1} c(d), \qquad
          c(d) = (1 - \epsilon) \frac{I(d)}{I(\infty)} + \epsilon\, \mathrm{erf} \frac{d}{\sqrt2\, \sigma}, \qquad
          I(d) = \int_0^d \frac{\mathrm{d}x}{(m^2(x) - m_W^2)^2 + m_W^2 \Gamma^2},

with a share :math:`\epsilon` of a broad distribution, so that no place is lost and ``d`` grows no faster than ``t``. If nature did as these
formulas do, ``t`` would be a standard normal number whatever the event; what is left to learn is smooth. With
:math:`m^2(x) - m_W^2 = a + b \cosh x`, :math:`\alpha = a - i\, m_W \Gamma` and :math:`r^2 = (b - \alpha) / (b + \alpha)`,

.. math:: m_W \Gamma\, I(d) = \operatorname{Im} \frac{2 r}{b - \alpha} \arctan\!\Big(r \tanh\frac d2\Big).

:math:`p_x, p_y` stay, so that :math:`\log|\det J| = \log c'(d) + \tfrac12 t^2 + \tfrac12 \log\tfrac\pi2`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.special import erf, erfinv

from hepflows.applications.neutrino.events import Array, Events
from hepflows.applications.neutrino.kinematics import W_MASS

WIDTH = 2.5
"""Of the peak in GeV: that of the W, and what the lepton is smeared by."""
BROAD, SPREAD = 0.03, 1.5
"""The share of the broad distribution and its standard deviation."""
_SOFT = 1.0
_LARGEST = 12.0  # of d: the share beyond is lost in rounding
_STEPS, _CLOSE = 60, 1e-11


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
        self._mass = w_mass

    def forward(self, neutrinos: Array) -> tuple[Array, Array]:
        """Neutrinos (..., n, L, 3) of px, py, pseudorapidity to px, py, t, and log |det J| (..., n)."""
        px, py, eta = np.moveaxis(neutrinos, -1, 0)
        d = np.clip(eta - self._eta, -_LARGEST, _LARGEST)
        share, density = self._peak(px, py)(d)
        t = np.sqrt(2) * erfinv(share)
        ladj = np.log(density) + 0.5 * t**2 + 0.5 * np.log(np.pi / 2)
        return np.stack([px, py, t], axis=-1), ladj.sum(axis=-1)

    def inverse(self, y: Array) -> Array:
        """Undo `forward`."""
        px, py, t = np.moveaxis(y, -1, 0)
        return np.stack([px, py, self._eta + self._peak(px, py).quantile(erf(t / np.sqrt(2)))], axis=-1)

    def _peak(self, px: Array, py: Array) -> _Peak:
        pt = np.hypot(px, py)
        b = 2 * self._pt * np.hypot(pt, _SOFT)
        a = -2 * (self._px * px + self._py * py) - self._mass**2
        return _Peak.of(a, b, self._mass * WIDTH)


@dataclass(frozen=True)
class _Peak:
    """The distribution ``c`` of d, odd in it.

    Attributes:
        a, b: numbers of each neutrino.
        width: that of the peak times its mass, in GeV^2.
        root, factor: ``r`` and what stands before the arctangent.
        whole: the integral up to infinity.
    """

    a: Array
    b: Array
    width: float
    root: Array
    factor: Array
    whole: Array

    @classmethod
    def of(cls, a: Array, b: Array, width: float) -> _Peak:
        alpha = a - 1j * width
        root = np.sqrt((b - alpha) / (b + alpha))
        factor = 2 * root / (b - alpha) / width
        return cls(a, b, width, root, factor, (factor * np.arctan(root)).imag)

    def __call__(self, d: Array) -> tuple[Array, Array]:
        """``c`` and its derivative."""
        peak = (self.factor * np.arctan(self.root * np.tanh(0.5 * d))).imag / self.whole
        slope = 1 / ((self.a + self.b * np.cosh(d)) ** 2 + self.width**2) / self.whole
        broad = d / (np.sqrt(2) * SPREAD)
        bell = np.sqrt(2 / np.pi) / SPREAD * np.exp(-(broad**2))
        return (1 - BROAD) * peak + BROAD * erf(broad), (1 - BROAD) * slope + BROAD * bell

    def quantile(self, share: Array) -> Array:
        """``d`` of ``c``: Newton's steps within a bracket that shrinks, until nothing moves."""
        found, peak, n = np.empty(share.size), self._flat(share.shape), share.size
        rows: Array = np.arange(n)
        d, low, high, wanted = np.ones(n), np.zeros(n), np.full(n, _LARGEST), np.abs(share).ravel()
        for _ in range(_STEPS):
            value, slope = peak(d)
            low, high = np.where(value < wanted, d, low), np.where(value < wanted, high, d)
            step = d + (wanted - value) / slope
            new = np.where((step > low) & (step < high), step, 0.5 * (low + high))
            moving = np.abs(new - d) > _CLOSE
            found[rows] = new
            if not moving.any():
                break
            rows, d, low, high, wanted = (np.asarray(part[moving]) for part in (rows, new, low, high, wanted))
            peak = peak._where(moving)
        return np.asarray(np.copysign(found.reshape(share.shape), share))

    def _flat(self, shape: tuple[int, ...]) -> _Peak:
        """One row for each number of an array of that shape, which theirs is broadcast to."""
        return self._each(lambda part: np.broadcast_to(part, shape).ravel())

    def _where(self, chosen: Array) -> _Peak:
        return self._each(lambda part: part[chosen])

    def _each(self, change: Callable[[Array], Array]) -> _Peak:
        a, b, root, factor, whole = (change(part) for part in (self.a, self.b, self.root, self.factor, self.whole))
        return _Peak(a, b, self.width, root, factor, whole)
