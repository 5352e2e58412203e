"""Scores as the share of background that scores as high, so that those of different models can be compared."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hepflows.applications.anomaly.events import Array
from hepflows.errors import DataError

_TAIL = 20
"""The slope beyond the knots is that of the so many highest background scores."""


@dataclass(frozen=True)
class Scale:
    r"""A monotonic map of a score s to :math:`-\log_{10} P(S_b \geq s)`, with :math:`S_b` the score of a background event.

    Straight lines between knots, and beyond the highest ones, where there is no background left to count, an exponential tail with
    the mean excess of the last events: the order of the scores is kept everywhere.

    Args:
        scores: (K,) increasing knots.
        values: (K,) -log10 of the share of background at or above each.
        slope: of the tail.

    Example:
        >>> scale = Scale.fit(np.random.default_rng(0).normal(size=100_000))
        >>> scale(np.array([1.2816, 2.3263])).round(1).tolist()  # quantiles of a normal distribution
        [1.0, 2.0]
    """

    scores: Array
    values: Array
    slope: float

    @classmethod
    def fit(cls, background: Array) -> Scale:
        """From the scores of n background events.

        Raises:
            DataError: fewer than 2 events, or a score that is not finite.
        """
        if len(background) < 2 or not np.isfinite(background).all():
            message = f"a scale of scores needs at least two background scores, all finite, got {len(background)}: use more events"
            raise DataError(message)
        falling = np.sort(background)[::-1]
        n = len(falling)
        ranks = np.unique(np.geomspace(min(_TAIL, n), n, 400).astype(np.int64))
        scores = np.unique(falling[ranks - 1])
        # of equal scores the share at or above counts all
        shares = np.array([np.searchsorted(-falling, -one, side="right") for one in scores]) / n
        excess = float(np.mean(falling[:_TAIL] - scores[-1])) if n > _TAIL else 0.0
        spread = excess if excess > 0 else float(falling[0] - falling[-1]) or 1.0
        return cls(scores, -np.log10(shares), 1.0 / (spread * np.log(10.0)))

    def __call__(self, score: Array) -> Array:
        """(n,) values of (n,) scores."""
        inner = np.interp(score, self.scores, self.values)
        above = np.maximum(score - self.scores[-1], 0.0)
        # below the lowest knot the order is kept as well, at a slope too small to matter
        below = np.minimum(score - self.scores[0], 0.0)
        return np.asarray(inner + self.slope * above + 1e-3 * self.slope * below, dtype=np.float64)
