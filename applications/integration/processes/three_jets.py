r"""e+e- -> q qbar g at leading order.

.. math:: \frac{1}{\sigma_0} \frac{d^2\sigma}{dx_1 dx_2}
    = \frac{2\alpha_s}{3\pi} \frac{x_1^2 + x_2^2}{(1 - x_1)(1 - x_2)} ,
    \qquad x_i = 2 E_i / \sqrt s , \quad s_{ij} / s = 1 - x_k .

The integrands leave out :math:`2\alpha_s / (3\pi)`.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import spence

from hepflows.applications.integration.integrand import Integrand
from hepflows.applications.integration.phasespace.kinematics import direction
from hepflows.applications.integration.processes.quadrature import integrate
from hepflows.errors import DomainError

__all__ = ["durham_truth", "ee3j_2d", "ee3j_5d", "jade_truth"]

Array = NDArray[np.float64]

Z_MASS = 91.1876
PARTICLES = (1, -1, 21)


def ee3j_2d(y: float = 0.01, energy: float = Z_MASS) -> Integrand:
    r"""The two energy fractions of quark and antiquark, with :math:`s_{ij} / s > y` for all pairs.

    .. math:: f(x_1, x_2) = \frac{x_1^2 + x_2^2}{(1-x_1)(1-x_2)}\; \theta\big(\min_k (1 - x_k) > y\big)

    Momenta lie in the x-z plane with the gluon along z. Where f is zero because :math:`x_1 + x_2 < 1` no momenta
    exist, and those in return do not add up.

    Args:
        y: the cut, in (0, 1/3).
        energy: :math:`\sqrt s` in GeV.

    Raises:
        DomainError: ``y`` is outside its range.

    >>> f = ee3j_2d()
    >>> round(f.truth, 9), round(float(f(np.array([[0.9, 0.8]]))[0]), 9)
    (27.940636885, 72.5)
    """
    _check_cut(y)

    def function(x: Array) -> Array:
        a, b = 1 - x[:, 0], 1 - x[:, 1]
        keep = np.minimum(np.minimum(a, b), 1 - a - b) > y
        return np.divide(x[:, 0] ** 2 + x[:, 1] ** 2, a * b, out=np.zeros_like(a), where=keep)

    def momenta(x: Array) -> Array:
        one = np.ones(len(x))
        return _momenta(x[:, 0], x[:, 1], one, 0 * one, 0 * one, energy)

    summary = (
        f"e+e- -> q qbar g at {energy:g} GeV, energy fractions, s_ij/s > {y:g}; in units of 2 alpha_s sigma_0 / (3 pi)"
    )
    unit = ((0.0, 1.0),) * 2
    return Integrand("ee3j_2d", function, unit, jade_truth(y), summary, momenta, PARTICLES)


def ee3j_5d(y: float = 0.005, energy: float = Z_MASS) -> Integrand:
    r"""All five dimensions, with the angles :math:`c_i` of the quarks to the beam and a Durham cut.

    .. math:: f = \frac34\, \frac{x_1^2 (1 + c_1^2) + x_2^2 (1 + c_2^2)}{(1-x_1)(1-x_2)}\, (1 - r)\;
        \theta(\min_{ij} y_{ij} > y) , \qquad y_{ij} = \frac{\min(x_i, x_j)}{\max(x_i, x_j)} (1 - x_k) .

    Coordinates :math:`(r, v, u_3, u_4, u_5)` in the unit hypercube: :math:`1 - x_1 = (1-r) v`,
    :math:`1 - x_2 = (1-r)(1-v)`, so that :math:`x_3 = 1 - r`; the gluon's cosine to the beam is :math:`2u_3 - 1`, its
    azimuth :math:`2\pi u_4`, and the event is turned about the gluon by :math:`2\pi u_5`.

    Args:
        y: the Durham cut, in (0, 1/3).
        energy: :math:`\sqrt s` in GeV.

    Raises:
        DomainError: ``y`` is outside its range.

    >>> f = ee3j_5d()
    >>> round(f.truth, 10), f.momenta(np.full((1, 5), 0.5)).shape
    (16.7153423658, (1, 3, 4))
    """
    _check_cut(y)

    def function(u: Array) -> Array:
        (x1, x2, x3), a, b = _fractions(u)
        polar = 2 * u[:, 2] - 1
        across = np.sqrt((1 - polar) * (1 + polar)) * np.cos(2 * np.pi * u[:, 4])
        to_quark, to_antiquark = _opening(x1, x3, b), _opening(x2, x3, a)
        c1 = polar * to_quark + across * np.sqrt((1 - to_quark) * (1 + to_quark))
        c2 = polar * to_antiquark - across * np.sqrt((1 - to_antiquark) * (1 + to_antiquark))
        resolved = np.minimum(np.minimum(_durham(x1, x2, 1 - x3), _durham(x1, x3, b)), _durham(x2, x3, a))
        rates = x1**2 * (1 + c1**2) + x2**2 * (1 + c2**2)
        return np.asarray(0.75 * np.divide(rates * (1 - u[:, 0]), a * b, out=np.zeros_like(a), where=resolved > y))

    def momenta(u: Array) -> Array:
        (x1, x2, _), _, _ = _fractions(u)
        return _momenta(x1, x2, 2 * u[:, 2] - 1, 2 * np.pi * u[:, 3], 2 * np.pi * u[:, 4], energy)

    summary = (
        f"e+e- -> q qbar g at {energy:g} GeV with angles, Durham y > {y:g}; in units of 2 alpha_s sigma_0 / (3 pi)"
    )
    unit = ((0.0, 1.0),) * 5
    return Integrand("ee3j_5d", function, unit, durham_truth(y), summary, momenta, PARTICLES)


def jade_truth(y: float) -> float:
    r"""Integral of `ee3j_2d`.

    .. math:: I(y) = (3-6y) \ln\frac{y}{1-2y} + 2 \ln^2\frac{y}{1-y} + \frac52 - 6y - \frac92 y^2
        + 4\, \mathrm{Li}_2\frac{y}{1-y} - \frac{\pi^2}{3}

    >>> round(jade_truth(0.05), 9)
    8.647683106
    """
    ratio = y / (1 - y)
    logs = (3 - 6 * y) * math.log(y / (1 - 2 * y)) + 2 * math.log(ratio) ** 2
    return logs + 2.5 - 6 * y - 4.5 * y**2 + 4 * float(spence(1 - ratio)) - math.pi**2 / 3


def durham_truth(y: float) -> float:
    r"""Integral of `ee3j_5d`, with one integration left to quadrature.

    The angles average to :math:`x_1^2 + x_2^2`. At fixed :math:`r = 1 - x_3`, with :math:`T = 1 - r`, the cut leaves
    :math:`a = 1 - x_1` between :math:`a_0(r)` and :math:`T - a_0(r)`, over which the integral is

    .. math:: G(r) = \frac{2 (1 + r^2)}{T} \ln\frac{T - a_0}{a_0} - 2 (T - 2 a_0) .
    """
    turn = (1 - y) / 2  # where the softest of quark and gluon changes at the limit
    kink = brentq(lambda r: (y - r * r) / (r + y) - float(_quark_gluon(np.array([r]), y)[0]), y, turn)
    last = ((2 + y) - math.sqrt((2 + y) ** 2 - 4 * (1 - y))) / 2

    def inner(r: Array) -> Array:
        rest = 1 - r
        start = np.maximum((y - r**2) / (r + y), _quark_gluon(r, y))
        start = np.minimum(start, rest / 2)
        return np.asarray(2 * (1 + r**2) / rest * np.log((rest - start) / start) - 2 * (rest - 2 * start))

    soft, hard = np.geomspace(y, kink, 4), 1 - np.geomspace(1 - turn, 1 - last, 4)
    return integrate(inner, [*soft, *np.geomspace(kink, turn, 3), *hard], 32)


def _quark_gluon(r: Array, y: float) -> Array:
    """The smallest 1 - x_1 that the cut between antiquark and gluon allows, for x_1 > x_2."""
    softer_quark = 2 * y * (1 - r) / (r + np.sqrt(r**2 + 4 * y * (1 - r)))
    softer_gluon = y * r / (1 - r - y)
    return np.where(r < (1 - y) / 2, softer_quark, softer_gluon)


def _check_cut(y: float) -> None:
    if not 0 < y < 1 / 3:
        message = f"the cut y must lie between 0 and 1/3, but is {y}: beyond, no event of three partons is left"
        raise DomainError(message)


def _durham(x: Array, y: Array, invariant: Array) -> Array:
    """2 min(E^2) (1 - cos) / s of two massless partons with energy fractions x, y and s_ij / s."""
    larger = np.maximum(x, y)
    return np.asarray(invariant * np.divide(np.minimum(x, y), larger, out=np.ones_like(x), where=larger > 0))


def _fractions(u: Array) -> tuple[tuple[Array, Array, Array], Array, Array]:
    """The energy fractions, and 1 - x_1, 1 - x_2."""
    rest = 1 - u[:, 0]
    a, b = rest * u[:, 1], rest * (1 - u[:, 1])
    return (1 - a, 1 - b, rest), a, b


def _opening(x: Array, y: Array, invariant: Array) -> Array:
    """Cosine of the angle between two partons with energy fractions x, y and s_ij / s."""
    product = x * y
    cosine = 1 - 2 * np.divide(invariant, product, out=np.zeros_like(x), where=product > 0)
    return np.asarray(np.clip(cosine, -1.0, 1.0))


def _directions(x1: Array, x2: Array, cosine: Array, azimuth: Array, turn: Array) -> tuple[Array, Array, Array]:
    """Unit vectors of quark, antiquark and gluon, the gluon at given angles."""
    x3 = 2 - x1 - x2
    gluon = direction(cosine, azimuth)
    cosines = _opening(x1, x3, 1 - x2), _opening(x2, x3, 1 - x1)
    # towards positive z at turn = 0 for the quark; the antiquark on the other side of the gluon
    quark, antiquark = (direction(c, shift - turn, gluon) for c, shift in zip(cosines, (np.pi, 0.0), strict=True))
    return quark, antiquark, gluon


def _momenta(x1: Array, x2: Array, cosine: Array, azimuth: Array, turn: Array, energy: float) -> Array:
    rays = _directions(x1, x2, cosine, azimuth, turn)
    energies = [x * energy / 2 for x in (x1, x2, 2 - x1 - x2)]
    return np.stack(
        [np.concatenate([e[:, None], e[:, None] * ray], axis=1) for e, ray in zip(energies, rays, strict=True)], axis=1
    )
