"""Where the events with the highest scores lie: their profile along a coordinate, against that of the sidebands."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hepflows.applications.anomaly.bumphunt.hunt import sidak
from hepflows.applications.anomaly.events import Array
from hepflows.applications.anomaly.regions import Regions
from hepflows.applications.anomaly.significance import counting, deviation
from hepflows.errors import DataError
from hepflows.io.columns import open_columns

TOP = 0.1
"""Share of the signal region that is shown."""
_BINS = 20


@dataclass(frozen=True)
class Profile:
    """A histogram of one coordinate, and where it crowds most.

    Args:
        edges: (B + 1,) of bins of equal counts in the sidebands.
        counts: (B,) of the events with the highest scores.
        expected: (B,) as many events, distributed like those of the sidebands.
        low, high: the run of bins with the largest excess.
        observed, background: the counts in it, and what the sidebands let expect.
        significance: of that excess, for this place alone.
        p_value: that any run of bins is as significant, by 1 - (1 - p)^n, which is on the safe side.
    """

    edges: Array
    counts: Array
    expected: Array
    low: float
    high: float
    observed: int
    background: float
    significance: float
    p_value: float

    def to_dict(self) -> dict[str, Any]:
        """What stands in ``metrics.json``."""
        names = ("low", "high", "observed", "background", "significance", "p_value")
        return {name: getattr(self, name) for name in names}


def profile(chosen: Array, beside: Array) -> Profile:
    """Compare a coordinate of chosen events with that of the sidebands.

    Args:
        chosen: (n,) of the events with the highest scores.
        beside: (k,) of the sidebands.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> found = profile(np.r_[rng.normal(0, 0.05, 60), rng.uniform(-1, 1, 60)], rng.uniform(-1, 1, 3000))
        >>> found.significance > 5, -0.3 < found.low < 0 < found.high < 0.3
        (True, True)
    """
    edges = np.quantile(beside, np.linspace(0, 1, _BINS + 1))
    counts = np.histogram(np.clip(chosen, edges[0], edges[-1]), edges)[0]
    control = np.histogram(beside, edges)[0]
    expected = control * (len(chosen) / len(beside))
    best, where, tried = -np.inf, (0, 1), 0
    for first in range(_BINS):
        for last in range(first + 1, min(first + _BINS // 2, _BINS) + 1):
            tried += 1
            z = _excess(counts, control, expected, first, last)
            if z > best:
                best, where = z, (first, last)
    within = slice(*where)
    observed, background = int(counts[within].sum()), float(expected[within].sum())
    local = counting(observed, background, background / np.sqrt(control[within].sum()))
    return Profile(
        edges, counts.astype(np.float64), expected, float(edges[where[0]]), float(edges[where[1]]), observed, background,
        local["significance"], sidak(local["p_value"], tried),
    )  # fmt: skip


def _excess(counts: NDArray[Any], control: NDArray[Any], expected: Array, first: int, last: int) -> float:
    within = slice(first, last)
    background, n = float(expected[within].sum()), int(control[within].sum())
    if n == 0:
        return -np.inf
    return deviation(int(counts[within].sum()), background, background / n**0.5)


@dataclass(frozen=True)
class Sky:
    """Places of all events.

    Args:
        names: of the two coordinates.
        places: (n, 2).
    """

    names: tuple[str, str]
    places: Array

    @classmethod
    def read(cls, path: Path, names: tuple[str, str], key: str | None) -> Sky | None:
        """Two columns of the file of the events; None where it does not have them.

        Raises:
            DataError: a place is not finite.
        """
        with open_columns(path, key=key) as table:
            if not set(names) <= set(table.names):
                return None
            parts = [np.stack([part[name] for name in names], axis=1) for part in table.iterate(names, chunk=200_000)]
        places = np.concatenate(parts).astype(np.float64)
        if not np.isfinite(places).all():
            message = f"{path}: {names[0]} or {names[1]} is not a finite number in row {int(np.argmin(np.isfinite(places).all(axis=1)))}"
            raise DataError(message)
        return cls(names, places)

    def top(self, scores: Array, inside: NDArray[np.bool_]) -> NDArray[np.int64]:
        """Rows of the events of the signal region with the highest scores."""
        rows = np.flatnonzero(inside)
        return rows[np.argsort(-scores[rows], kind="stable")[: max(10, round(len(rows) * TOP))]]

    def profile(self, scores: Array, resonance: Array, regions: Regions) -> Profile:
        """Of the second coordinate."""
        y = self.places[:, 1]
        return profile(y[self.top(scores, regions.signal(resonance))], y[regions.sidebands(resonance)])
