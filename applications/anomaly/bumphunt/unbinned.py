r"""The unbinned likelihood of a spectrum: every event beside the window, and the count of the window.

.. math:: \ln L(\mu, p) = \sum_{i\, \mathrm{beside}} \ln f(m_i) - \int_\mathrm{beside} f\, dm
          + n_\mathrm{window} \ln \nu - \nu, \qquad \nu = \mu + \int_\mathrm{window} f\, dm,

the limit of the binned one for narrow bins. Since :math:`\ln f = \sum_j p_j g_j`, the events enter by the sums
:math:`\sum_i g_j(m_i)` alone: a fit takes as long for a million events as for ten.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hepflows.applications.anomaly.bumphunt.fits import Fit
from hepflows.applications.anomaly.bumphunt.functions import FAMILIES, Shape
from hepflows.applications.anomaly.bumphunt.likelihood import State, climbed, deviance, exponential
from hepflows.applications.anomaly.bumphunt.spectrum import Spectrum
from hepflows.applications.anomaly.events import Array
from hepflows.applications.anomaly.regions import Regions
from hepflows.errors import DataError

_PARTS = 20
"""Integrals are sums over so many parts of each bin."""


@dataclass(frozen=True)
class Points(Spectrum):
    """Events without bins; those of the histogram serve pictures and the test of the fit.

    Args:
        edges: (B + 1,) increasing; events beyond are not used.
        counts: (B,) the histogram.
        family: of the functions that are fitted.
        scale: of ``dijet``.
        sums: (P,) sums of the columns g of the largest function over the events beside the window.
    """

    family: str
    scale: float
    sums: Array

    @classmethod
    def at(cls, m: Array, regions: Regions, family: str, *, bins: int = 40, scale: float = 13.0) -> Points:
        """From (n,) values of the resonant variable.

        Raises:
            DataError: no event, or none in the window.
        """
        first = Spectrum.of(m, regions, bins=bins)
        largest = Shape(family, FAMILIES[family][-1] if family in FAMILIES else 1, scale)
        low, high = first.edges[0], first.edges[-1]
        beside = m[(m >= low) & (m <= high) & ~regions.signal(m)]
        counts = first.counts.copy()
        counts[first.inside(regions)] = np.histogram(m[regions.signal(m)], first.edges)[0][first.inside(regions)]
        return cls(first.edges, counts, family, scale, largest.columns(beside, low, high).sum(axis=0))

    def fitted(self, regions: Regions, shape: Shape, signal: float | None = None) -> Fit:
        """Maximum likelihood; see `hepflows.applications.anomaly.bumphunt.likelihood.fit`."""
        inside = self.inside(regions)
        filled = int((self.counts[~inside] > 0).sum())
        if filled <= shape.parameters:
            message = (
                f"the events beside the window fill only {filled} bins, too few for the {shape.parameters} parameters of the function "
                f"{shape.family}: loosen the cut"
            )
            raise DataError(message)
        grid, window = self._grid(shape), np.repeat(inside, _PARTS)
        # an orthogonal basis on the sidebands: high powers are nearly parallel
        turn = np.linalg.qr(grid[~window])[1]
        basis, sums = np.linalg.solve(turn.T, grid.T).T, np.linalg.solve(turn.T, self.sums[: shape.parameters])
        n, fixed = self.observed(regions), signal is not None

        def at(p: Array) -> State:
            b = exponential(basis @ p)
            slope = b[:, None] * basis
            gradient = sums - slope[~window].sum(axis=0)
            information = slope[~window].T @ basis[~window]
            height = 2.0 * float(b[~window].sum() - p @ sums)
            if fixed:
                mean, inner = float(signal or 0.0) + b[window].sum(), slope[window].sum(axis=0)
                gradient = gradient + (n / mean - 1.0) * inner
                information = information + np.outer(inner, inner) / mean
                height += deviance(np.array([n]), np.array([mean]))
            return height, gradient, information

        middle = np.linalg.solve(turn.T, shape.design(self.edges).T).T
        start = np.linalg.lstsq(middle[~inside], np.log((self.counts[~inside] + 0.5) / _PARTS), rcond=None)[0]
        p, information = climbed(at, start)
        parts = exponential(basis @ p)
        background = parts.reshape(-1, _PARTS).sum(axis=1)
        gradient = parts[window] @ basis[window]
        counts, means = self.counts[~inside], background[~inside]
        if fixed:
            counts, means = np.append(counts, n), np.append(means, float(signal or 0.0) + background[inside].sum())
        return Fit(
            shape,
            signal,
            np.linalg.solve(turn, p),
            background,
            float(background[inside].sum()),
            float(np.sqrt(gradient @ np.linalg.solve(information, gradient))),
            at(p)[0],
            len(counts) - shape.parameters,
            deviance(counts, means),
        )

    def asimov(self, fit: Fit, regions: Regions) -> Points:
        """What a fit expects on average, without a signal."""
        return self._of(exponential(self._grid(fit.shape) @ fit.parameters), regions)

    def drawn(self, fit: Fit, regions: Regions, rng: np.random.Generator) -> Points:
        """A pseudo-experiment of a fit, without a signal."""
        return self._of(rng.poisson(exponential(self._grid(fit.shape) @ fit.parameters)).astype(np.float64), regions)

    def _of(self, parts: Array, regions: Regions) -> Points:
        """Of (B * parts,) events in each part of the bins, as if in its middle."""
        beside = ~np.repeat(self.inside(regions), _PARTS)
        columns = self._grid(Shape(self.family, len(self.sums), self.scale))
        counts = parts.reshape(-1, _PARTS).sum(axis=1)
        return Points(self.edges, counts, self.family, self.scale, parts[beside] @ columns[beside])

    def needless(self, fewer: Fit, more: Fit) -> float:
        """The chance to gain as much from parameters without need, by the likelihood ratio (Wilks)."""
        from scipy.stats import chi2

        return float(chi2.sf(max(fewer.deviance - more.deviance, 0.0), more.shape.parameters - fewer.shape.parameters))

    def _grid(self, shape: Shape) -> Array:
        """(B * parts, P) columns g at the middles of the parts of the bins."""
        fine = np.interp(np.arange(len(self.counts) * _PARTS + 1) / _PARTS, np.arange(len(self.edges)), self.edges)
        return shape.columns(0.5 * (fine[1:] + fine[:-1]), self.edges[0], self.edges[-1])
