"""Event shapes and masses of arrays of events: momenta (n_events, n, 4) as (E, px, py, pz) in GeV."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hepflows.applications.integration.phasespace.kinematics import mass_squared
from hepflows.errors import DomainError, ShapeError

__all__ = ["durham", "invariant_mass", "thrust"]

Array = NDArray[np.float64]

_MOST = 16


def thrust(momenta: Array) -> Array:
    r"""Thrust, exact.

    .. math:: T = \max_{\vec n} \frac{\sum_i |\vec p_i \cdot \vec n|}{\sum_i |\vec p_i|}
        = \max_{\epsilon_i = \pm 1} \frac{|\sum_i \epsilon_i \vec p_i|}{\sum_i |\vec p_i|}

    All :math:`2^{n-1}` choices of signs are tried, so the time doubles with every particle. From 1/2 for a sphere to 1 for two
    back-to-back jets; :math:`\max_i x_i` for three massless particles.

    Args:
        momenta: (n_events, n, 4), n from 1 to 16.

    Returns:
        T (n_events,); not a number where nothing moves.

    Raises:
        ShapeError: the momenta have another shape.
        DomainError: there are more than 16 particles.

    >>> star = np.array([[[1, 1, 0, 0], [1, -0.5, 0.75**0.5, 0], [1, -0.5, -(0.75**0.5), 0]]])
    >>> thrust(star).round(12).tolist()  # the symmetric event of three
    [0.666666666667]
    """
    vectors = _checked(momenta)[:, :, 1:]
    if vectors.shape[1] > _MOST:
        message = f"thrust is found by trying signs, for up to {_MOST} particles, but there are {vectors.shape[1]}: cluster them"
        raise DomainError(message)
    largest = np.zeros(len(vectors))
    for signs in itertools.product((1.0, -1.0), repeat=vectors.shape[1] - 1):
        summed = np.einsum("i,nij->nj", np.array([1.0, *signs]), vectors)
        np.maximum(largest, np.linalg.norm(summed, axis=1), out=largest)
    total = np.linalg.norm(vectors, axis=2).sum(axis=1)
    return np.asarray(np.divide(largest, total, out=np.full_like(total, np.nan), where=total > 0))


def durham(momenta: Array, jets: int = 3) -> Array:
    r"""Durham resolution at which an event of so many jets becomes one of one fewer; ``jets=3`` is :math:`y_{23}`.

    .. math:: y_{ij} = \frac{2 \min(E_i^2, E_j^2)\, (1 - \cos\theta_{ij})}{E_\text{vis}^2}

    The pair with the smallest :math:`y_{ij}` is joined, its four-momenta added (E scheme), until ``jets`` are left; their
    smallest :math:`y_{ij}` is returned (Phys. Lett. B 269 (1991) 432).

    Args:
        momenta: (n_events, n, 4) of at least ``jets`` particles.
        jets: the larger number of jets, two or more.

    Returns:
        y (n_events,).

    Raises:
        ShapeError: the momenta have another shape.
        DomainError: there are fewer than ``jets`` particles, or ``jets`` is below two.

    >>> star = np.array([[[1, 1, 0, 0], [1, -0.5, 0.75**0.5, 0], [1, -0.5, -(0.75**0.5), 0]]])
    >>> durham(star).round(12).tolist()
    [0.333333333333]
    """
    p = _checked(momenta)
    if not 2 <= jets <= p.shape[1]:
        message = f"the number of jets must lie between 2 and the {p.shape[1]} particles, but is {jets}: correct it"
        raise DomainError(message)
    visible = p[:, :, 0].sum(axis=1) ** 2
    rows = np.arange(len(p))
    while True:
        resolutions, first, second = _resolutions(p)
        chosen = resolutions.argmin(axis=1)
        if p.shape[1] == jets:
            return np.asarray(resolutions[rows, chosen] / visible)
        i, j = first[chosen], second[chosen]
        joined = p[rows, i] + p[rows, j]
        keep = np.ones(p.shape[:2], dtype=bool)
        keep[rows, j] = False
        p = p.copy()
        p[rows, i] = joined
        p = p[keep].reshape(len(p), -1, 4)


def _resolutions(p: Array) -> tuple[Array, NDArray[np.intp], NDArray[np.intp]]:
    """2 min(E^2) (1 - cos) of all pairs (n_events, pairs), and the numbers of their particles."""
    first, second = np.triu_indices(p.shape[1], k=1)
    length = np.linalg.norm(p[..., 1:], axis=2, keepdims=True)
    rays = np.divide(p[..., 1:], length, out=np.zeros_like(p[..., 1:]), where=length > 0)
    # |n - n'|^2 = 2 (1 - cos), exact for small angles too
    apart = ((rays[:, first] - rays[:, second]) ** 2).sum(axis=2)
    return np.minimum(p[:, first, 0], p[:, second, 0]) ** 2 * apart, first, second


def invariant_mass(momenta: Array, particles: Sequence[int]) -> Array:
    r"""Mass of some particles together, :math:`m = \sqrt{(\sum_i p_i)^2}`, in GeV.

    Args:
        momenta: (n_events, n, 4).
        particles: their places, from 0.

    Returns:
        m (n_events,); zero where rounding takes the square below it.

    Raises:
        ShapeError: the momenta have another shape.
        DomainError: there is no such particle, or one is named twice.

    >>> invariant_mass(np.array([[[45.0, 0, 0, 45], [45.0, 0, 0, -45]]]), [0, 1]).tolist()
    [90.0]
    """
    p = _checked(momenta)
    chosen = list(particles)
    if not chosen or len(set(chosen)) < len(chosen) or not all(0 <= place < p.shape[1] for place in chosen):
        message = f"the particles must be different places from 0 to {p.shape[1] - 1}, but are {chosen}: correct them"
        raise DomainError(message)
    return np.asarray(np.sqrt(np.maximum(mass_squared(p[:, chosen].sum(axis=1)), 0.0)))


def _checked(momenta: Array) -> Array:
    p = np.asarray(momenta, dtype=np.float64)
    if p.ndim != 3 or p.shape[2] != 4 or p.shape[1] == 0:
        message = f"the momenta must have the shape (events, particles, 4), but have {p.shape}: correct it"
        raise ShapeError(message)
    return p
