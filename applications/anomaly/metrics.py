r"""How well scores find a known signal: ROC, significance improvement, rejection, each with what statistics allows.

.. math:: \mathrm{SIC} = \frac{\varepsilon_S}{\sqrt{\varepsilon_B}}
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hepflows.applications.anomaly.events import Array
from hepflows.errors import DataError
from hepflows.metrics import auc
from hepflows.training.seeding import numpy_generator

FEWEST_BACKGROUND = 25
"""Background events that must pass for a point of a SIC curve to count: its statistical error is then at most 20 % of its FPR."""

GRID = np.linspace(0.01, 1.0, 100)
"""Signal efficiencies at which curves of several seeds are compared."""


@dataclass(frozen=True)
class Curve:
    """Efficiencies of all cuts that leave at least `FEWEST_BACKGROUND` background events, from the tightest to none.

    Args:
        signal: (K,) share of the signal that passes.
        background: (K,) share of the background.
        n_signal, n_background: events of each.
    """

    signal: Array
    background: Array
    n_signal: int
    n_background: int

    @property
    def sic(self) -> Array:
        """(K,) significance improvement."""
        return np.asarray(self.signal / np.sqrt(self.background), dtype=np.float64)

    @property
    def max_sic(self) -> tuple[float, float]:
        """The largest significance improvement, and the signal efficiency where it is."""
        best = int(np.argmax(self.sic))
        return float(self.sic[best]), float(self.signal[best])

    def sic_at(self, background: float) -> float | None:
        """SIC at a background efficiency; None where fewer than `FEWEST_BACKGROUND` events would pass."""
        if background < self.background[0]:
            return None
        return float(np.interp(background, self.background, self.signal) / np.sqrt(background))

    def rejection_at(self, signal: float) -> float | None:
        """1 / background efficiency at a signal efficiency; None where fewer than `FEWEST_BACKGROUND` events would pass."""
        if signal < self.signal[0]:
            return None
        return float(1.0 / np.interp(signal, self.signal, self.background))


def curve(scores: Array, labels: NDArray[Any]) -> Curve:
    """Efficiencies of all cuts on a score.

    Args:
        scores: (n,) higher means more like a signal.
        labels: (n,) 1 for signal, 0 for background.

    Raises:
        DataError: a score is not finite, or there is no signal, or fewer than `FEWEST_BACKGROUND` background events.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> found = curve(np.r_[rng.uniform(0, 1, 10_000), rng.uniform(0.9, 1, 1000)], np.repeat([0, 1], [10_000, 1000]))
        >>> float(found.background[0]), round(found.sic_at(0.1), 1)  # the exact value is 1 / sqrt(0.1) = 3.16
        (0.0025, 3.2)
    """
    values, truth = np.asarray(scores, dtype=np.float64), np.asarray(labels)
    signal, background = int((truth == 1).sum()), int((truth == 0).sum())
    if not np.isfinite(values).all() or signal == 0 or background < FEWEST_BACKGROUND:
        message = (
            f"a SIC curve needs finite scores of signal and of at least {FEWEST_BACKGROUND} background events, got {signal} and "
            f"{background} and {int((~np.isfinite(values)).sum())} scores that are not finite"
        )
        raise DataError(message)
    order = np.argsort(-values, kind="stable")
    ranked = values[order]
    last = np.flatnonzero(np.r_[ranked[1:] != ranked[:-1], True])  # equal scores pass together
    passed = np.cumsum(truth[order] == 1)[last], np.cumsum(truth[order] == 0)[last]
    kept = passed[1] >= FEWEST_BACKGROUND
    return Curve(passed[0][kept] / signal, passed[1][kept] / background, signal, background)


def figures_of_merit(
    scores: Array, labels: NDArray[Any], *, seed: int, replicas: int = 50
) -> dict[str, float | int | None]:
    """AUC, SIC and rejections, with errors from a bootstrap of the events.

    Args:
        scores: (n,) higher means more like a signal.
        labels: (n,) 1 for signal, 0 for background.
        seed: of the bootstrap.
        replicas: of the bootstrap.
    """
    found = curve(scores, labels)
    rng = numpy_generator(seed, "bootstrap")
    rows = {label: np.flatnonzero(labels == label) for label in (0, 1)}
    areas, heights = [], []
    for _ in range(replicas):
        drawn = np.concatenate([rng.choice(one, len(one)) for one in rows.values()])
        areas.append(auc(scores[drawn], labels[drawn]))
        heights.append(curve(scores[drawn], labels[drawn]).max_sic[0])
    height, where = found.max_sic
    return {
        "auc": auc(scores, labels),
        "auc_std": float(np.std(areas, ddof=1)),
        "max_sic": height,
        "max_sic_std": float(np.std(heights, ddof=1)),
        "max_sic_at_signal_efficiency": where,
        "sic_at_background_1e-2": found.sic_at(1e-2),
        "sic_at_background_1e-3": found.sic_at(1e-3),
        "rejection_at_signal_0.2": found.rejection_at(0.2),
        "rejection_at_signal_0.5": found.rejection_at(0.5),
        "n_signal_scored": found.n_signal,
        "n_background_scored": found.n_background,
    }


def band(curves: Sequence[Curve]) -> dict[str, Array]:
    """Median and central 68 % of the SIC curves of several seeds, on a common grid of signal efficiencies.

    Where a curve has no point with enough background events it does not count; where fewer than half have one, the band ends.

    >>> one = curve(np.arange(100.0), np.repeat([0, 1], 50))
    >>> sorted(band([one, one]))
    ['high', 'low', 'median', 'signal']
    """
    values = np.stack(
        [
            np.where(one.signal[0] <= GRID, GRID / np.sqrt(np.interp(GRID, one.signal, one.background)), np.nan)
            for one in curves
        ]
    )
    kept = np.isfinite(values).sum(axis=0) * 2 >= len(curves)
    kept &= np.isfinite(values).any(axis=0)
    low, median, high = np.nanquantile(values[:, kept], (0.16, 0.5, 0.84), axis=0)
    return {"signal": GRID[kept], "median": median, "low": low, "high": high}
