"""A binned spectrum with a window whose edges are edges of bins."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hepflows.applications.anomaly.bumphunt.fits import Fit
from hepflows.applications.anomaly.bumphunt.functions import Shape
from hepflows.applications.anomaly.events import Array
from hepflows.applications.anomaly.regions import Regions
from hepflows.errors import DataError


@dataclass(frozen=True)
class Spectrum:
    """Counts in bins of the resonant variable.

    Args:
        edges: (B + 1,) increasing.
        counts: (B,) events in each bin.

    Example:
        >>> spectrum = Spectrum.of(np.linspace(2.0, 5.0, 301), Regions(3.0, 4.0), bins=6)
        >>> spectrum.edges.tolist(), int(spectrum.counts.sum()), spectrum.inside(Regions(3.0, 4.0)).tolist()
        ([2.0, 2.5, 3.0, 3.5, 4.0, 4.5, 5.0], 301, [False, False, True, True, False, False])
    """

    edges: Array
    counts: Array

    @classmethod
    def of(cls, m: Array, regions: Regions, *, bins: int = 40) -> Spectrum:
        """Fill a histogram of about so many equal bins, of which some edges are those of the window; what is left at the ends is not used.

        Raises:
            DataError: no event, or none in the window.
        """
        kept = m[(m >= regions.start) & (m <= regions.stop)]
        if not len(kept) or not regions.signal(kept).any():
            message = (
                f"the window {regions.low:g} to {regions.high:g} holds no event that passes the cut: loosen the cut"
            )
            raise DataError(message)
        edges = aligned(float(kept.min()), float(kept.max()), regions, bins)
        return cls(edges, np.histogram(kept, edges)[0].astype(np.float64))

    @property
    def centres(self) -> Array:
        """(B,) middles of the bins."""
        return 0.5 * (self.edges[1:] + self.edges[:-1])

    def inside(self, regions: Regions) -> NDArray[np.bool_]:
        """(B,) which bins lie in the window."""
        return (self.centres > regions.low) & (self.centres < regions.high)

    def with_counts(self, counts: Array) -> Spectrum:
        """The same bins with other counts."""
        return Spectrum(self.edges, counts)

    def observed(self, regions: Regions) -> float:
        """Events in the window."""
        return float(self.counts[self.inside(regions)].sum())

    def fitted(self, regions: Regions, shape: Shape, signal: float | None = None) -> Fit:
        """The fit of a function, see `hepflows.applications.anomaly.bumphunt.likelihood.fit`."""
        from hepflows.applications.anomaly.bumphunt.likelihood import fit

        return fit(self, regions, shape, signal)

    def asimov(self, fit: Fit, regions: Regions) -> Spectrum:
        """What a fit expects on average, without a signal."""
        return self.with_counts(fit.background)

    def drawn(self, fit: Fit, regions: Regions, rng: np.random.Generator) -> Spectrum:
        """A pseudo-experiment of a fit, without a signal."""
        return self.with_counts(rng.poisson(fit.background).astype(np.float64))

    def needless(self, fewer: Fit, more: Fit) -> float:
        r"""The chance to gain as much from parameters without need, by an F-test.

        .. math:: F = \frac{(D_1 - D_2) / (p_2 - p_1)}{D_2 / (n - p_2)}

        with deviances D and p parameters in n bins.
        """
        from scipy.stats import f

        extra = more.shape.parameters - fewer.shape.parameters
        gain = (fewer.deviance - more.deviance) / extra
        return float(f.sf(gain / (more.deviance / more.free), extra, more.free))


def aligned(low: float, high: float, regions: Regions, bins: int) -> Array:
    """Edges of equal bins within a range, as many as fit in whole, and among them the edges of the window.

    >>> aligned(2.0, 5.0, Regions(3.0, 4.0), 6)
    array([2. , 2.5, 3. , 3.5, 4. , 4.5, 5. ])
    """
    width = regions.high - regions.low
    step = width / max(1, round(width / ((high - low) / bins)))
    below, above = (max(0, int(np.floor(gap / step + 1e-9))) for gap in (regions.low - low, high - regions.high))
    return np.asarray(regions.low + step * np.arange(-below, above + round(width / step) + 1), dtype=np.float64)
