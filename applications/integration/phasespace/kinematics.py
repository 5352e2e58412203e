"""Relativistic kinematics of arrays of four-momenta (..., 4) as (E, px, py, pz)."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["angles", "boost", "direction", "dot", "mass_squared", "rest_frame", "two_body_momentum"]

Array = NDArray[np.float64]


def dot(p: Array, q: Array) -> Array:
    r"""Minkowski product :math:`p \cdot q = E_p E_q - \vec p \cdot \vec q` over the last axis.

    >>> float(dot(np.array([5.0, 0, 0, 3]), np.array([2.0, 0, 0, 1])))
    7.0
    """
    return np.asarray(p[..., 0] * q[..., 0] - np.einsum("...i,...i->...", p[..., 1:], q[..., 1:]))


def mass_squared(p: Array) -> Array:
    r"""Invariant mass squared :math:`p \cdot p` in GeV^2, as (E - p)(E + p); rounding may leave it below zero.

    >>> float(mass_squared(np.array([5.0, 0, 0, 3])))
    16.0
    """
    momentum = np.linalg.norm(p[..., 1:], axis=-1)
    return np.asarray((p[..., 0] - momentum) * (p[..., 0] + momentum))


def two_body_momentum(mass: ArrayLike, first: ArrayLike, second: ArrayLike) -> Array:
    r"""Momentum of two particles in the rest frame of their sum.

    .. math:: |\vec p| = \frac{\lambda^{1/2}(M^2, m_1^2, m_2^2)}{2M}
        = \frac{\sqrt{(M-m_1-m_2)(M+m_1+m_2)(M-m_1+m_2)(M+m_1-m_2)}}{2M}

    The two-body phase space is :math:`\Phi_2 = |\vec p| / (4 \pi M)`. Zero below threshold.

    Args:
        mass: of the sum, GeV.
        first: mass of the first particle, GeV.
        second: mass of the second particle, GeV.

    >>> float(two_body_momentum(91.0, 0.0, 0.0))
    45.5
    """
    total, m1, m2 = (np.asarray(m, dtype=np.float64) for m in (mass, first, second))
    above = np.maximum(total - m1 - m2, 0.0)  # the factor that cancels near threshold
    squared = above * (total + m1 + m2) * (total - m1 + m2) * (total + m1 - m2)
    return np.asarray(np.sqrt(np.maximum(squared, 0.0)) / (2 * total))


def direction(cosine: Array, azimuth: Array, axis: Array | None = None) -> Array:
    """Unit vectors (n, 3) at a polar angle and an azimuth about ``axis`` (n, 3), of any length, or about z."""
    sine = np.sqrt(np.maximum((1 - cosine) * (1 + cosine), 0.0))
    local = np.stack([sine * np.cos(azimuth), sine * np.sin(azimuth), cosine], axis=-1)
    return local if axis is None else np.einsum("nij,nj->ni", _rotation(axis), local)


def angles(vectors: Array, axis: Array | None = None) -> tuple[Array, Array]:
    """Cosine of the polar angle and azimuth in [0, 2 pi) of vectors (n, 3); the inverse of :func:`direction`."""
    local = vectors if axis is None else np.einsum("nji,nj->ni", _rotation(axis), vectors)
    length = np.linalg.norm(local, axis=-1)
    cosine = np.divide(local[:, 2], length, out=np.ones_like(length), where=length > 0)
    azimuth = np.arctan2(local[:, 1], local[:, 0]) % (2 * np.pi)
    return np.clip(cosine, -1.0, 1.0), azimuth


def _rotation(axis: Array) -> Array:
    """Rotations (n, 3, 3) that turn z into ``axis``, first about y, then about z; no turn for an axis of length zero."""
    cosine, azimuth = angles(axis)
    sine = np.sqrt((1 - cosine) * (1 + cosine))
    c, s, zero = np.cos(azimuth), np.sin(azimuth), np.zeros_like(cosine)
    rows = [[cosine * c, -s, sine * c], [cosine * s, c, sine * s], [-sine, zero, cosine]]
    return np.stack([np.stack(row, axis=-1) for row in rows], axis=-2)


def boost(p: Array, parent: Array, mass: Array) -> Array:
    """``p`` (n, 4), given in the rest frame of ``parent`` (n, 4) of that mass (n,), in the frame of ``parent``."""
    energy = (parent[:, 0] * p[:, 0] + np.einsum("ni,ni->n", parent[:, 1:], p[:, 1:])) / mass
    along = (p[:, 0] + energy) / (parent[:, 0] + mass)
    return np.concatenate([energy[:, None], p[:, 1:] + along[:, None] * parent[:, 1:]], axis=1)


def rest_frame(p: Array, parent: Array, mass: Array) -> Array:
    """``p`` (n, 4) as seen in the rest frame of ``parent``; the inverse of :func:`boost`."""
    return boost(p, parent * np.array([1.0, -1.0, -1.0, -1.0]), mass)
