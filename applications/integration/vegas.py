"""The map of VEGAS: every axis stretched where the integrand is, one axis at a time."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter1d

from hepflows.applications.integration.domain import BELOW_ONE
from hepflows.applications.integration.integrand import Array

ROW = 16384
"""Points that are mapped at once: their bins and edges stay in the cache."""


class VegasMap:
    r"""A piecewise linear map of each axis: ``K`` bins of equal probability whose edges move to where the integrand is.

    With bin edges :math:`e_0 = 0 < \dots < e_K = 1` of one axis and :math:`k = \lfloor K z \rfloor`,

    .. math:: x = e_k + (K z - k)\,(e_{k+1} - e_k), \qquad \frac{dx}{dz} = K (e_{k+1} - e_k).

    The density of the points is a product over the axes. Written from Lepage (J. Comput. Phys. 27 (1978) 192) and arXiv:2009.05112.

    Args:
        edges: ``(d, K + 1)`` edges, ascending from 0 to 1.

    >>> flat = VegasMap.flat(dimension=2, bins=4)
    >>> z = np.array([[0.3, 0.9]])
    >>> x, ladj = flat.inverse(z)
    >>> bool(np.allclose(x, z)), ladj.tolist()
    (True, [0.0])
    """

    def __init__(self, edges: Array) -> None:
        self.edges = np.ascontiguousarray(edges, dtype=np.float64)
        self.features, self.bins = len(self.edges), self.edges.shape[1] - 1

    @classmethod
    def flat(cls, dimension: int, bins: int) -> VegasMap:
        """The identity."""
        return cls(np.tile(np.linspace(0, 1, bins + 1), (dimension, 1)))

    @classmethod
    def fitted(cls, x: Array, bins: int, floor: float) -> VegasMap:
        """The map under which points ``x`` (n, d) of equal weight are uniform on each axis, but for a share ``floor`` that is flat."""
        grid = np.linspace(0, 1, 4 * bins + 1)
        tail = np.array([0.0, 0.0005, 0.002, 0.006, 0.015])
        probabilities = np.concatenate([tail, np.linspace(1 / 32, 31 / 32, 31), 1 - tail[::-1]])
        edges = np.empty((x.shape[1], bins + 1))
        for axis, values in enumerate(x.T):
            knots = np.quantile(values, probabilities)
            knots[0], knots[-1] = 0.0, 1.0
            cumulative = (1 - floor) * np.interp(grid, knots, probabilities) + floor * grid
            edges[axis] = np.interp(np.linspace(0, 1, bins + 1), cumulative, grid)
        edges[:, 0], edges[:, -1] = 0.0, 1.0
        return cls(edges)

    def inverse(self, z: Array) -> tuple[Array, Array]:
        n, d = z.shape
        x, slope = np.empty((d, n)), np.ones(n)
        widths = np.diff(self.edges) * self.bins
        for start in range(0, n, ROW):
            part = slice(start, start + ROW)
            for axis in range(d):
                position = z[part, axis] * self.bins
                k = position.astype(np.int64)
                width = widths[axis].take(k, mode="clip")
                position -= k
                position *= width
                position *= 1 / self.bins
                position += self.edges[axis].take(k, mode="clip")
                x[axis, part] = position
                slope[part] *= width
        with np.errstate(divide="ignore"):
            return x.T, np.log(slope)

    def forward(self, x: Array) -> tuple[Array, Array]:
        z, ladj = np.empty(x.shape[::-1]), np.zeros(len(x))
        for axis in range(self.features):
            edges = self.edges[axis]
            k = np.clip(np.searchsorted(edges, x[:, axis], side="right") - 1, 0, self.bins - 1)
            width = edges[k + 1] - edges[k]
            z[axis] = (k + (x[:, axis] - edges[k]) / width) / self.bins
            ladj -= np.log(width * self.bins)
        return np.clip(z.T, 0.0, BELOW_ONE), ladj

    def adapted(self, z: Array, weights: Array) -> VegasMap:
        r"""The map after one round: bins shrink where the weights are large.

        The density of one axis that makes the variance least, others as they are, is :math:`\propto \sqrt{\langle w^2 \rangle_k}`. Where
        a few points make all of :math:`\sum w^2`, that is noise, and the cautious step of VEGAS is taken instead.

        Args:
            z: ``(n, d)`` the latents of the round.
            weights: ``(n,)`` their weights ``f dx/dz``.
        """
        largest = float(np.abs(weights).max(initial=0.0))
        if not largest > 0:
            return VegasMap(self.edges.copy())
        squares = np.square(weights / largest)
        total = float(squares.sum())
        effective = total**2 / float(np.square(squares).sum())
        edges = self.edges.copy()
        for axis in range(self.features):
            k = np.minimum((z[:, axis] * self.bins).astype(np.int64), self.bins - 1)
            counts: Array = np.asarray(np.bincount(k, minlength=self.bins), dtype=np.float64)
            sums: Array = np.asarray(np.bincount(k, squares, self.bins), dtype=np.float64)
            step = _cautious(counts, sums) if effective < ENOUGH else _optimal(counts, sums, effective)
            cumulative = np.concatenate([[0.0], np.cumsum(step)])
            edges[axis] = np.interp(np.linspace(0, 1, self.bins + 1), cumulative / cumulative[-1], self.edges[axis])
        edges[:, 0], edges[:, -1] = 0.0, 1.0
        return VegasMap(edges)


ENOUGH = 32.0
"""Effective number of squared weights below which the optimal step is noise."""


def _optimal(counts: Array, sums: Array, effective: float, damping: float = 0.8, floor: float = 0.02) -> Array:
    r""":math:`\langle w^2 \rangle^{\alpha / 2}`, smoothed over hundreds of points and 16 effective ones: noise shall not show."""
    bins = len(counts)
    width = float(np.clip(bins * max(100 / counts.sum(), 16 / effective), 1, bins / 20))
    mean = gaussian_filter1d(sums, width, mode="nearest") / gaussian_filter1d(counts, width, mode="nearest")
    step = (mean / mean.sum()) ** (damping / 2)
    return np.asarray((1 - floor) * step / step.sum() + floor / bins)


def _cautious(counts: Array, sums: Array, damping: float = 0.5) -> Array:
    r"""The step of VEGAS, :math:`((1 - d_k) / \ln d_k^{-1})^\alpha` with the share :math:`d_k` of :math:`\langle w^2 \rangle`."""
    mean = sums / np.maximum(counts, 1)
    share = np.empty_like(mean)
    share[1:-1] = (mean[:-2] + 6 * mean[1:-1] + mean[2:]) / 8
    share[0], share[-1] = (7 * mean[0] + mean[1]) / 8, (7 * mean[-1] + mean[-2]) / 8
    share = np.clip(share / share.sum(), 1e-30, 1 - 1e-9)
    return np.asarray(((1 - share) / -np.log(share)) ** damping)
