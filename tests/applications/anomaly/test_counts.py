from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import kstest

from hepflows.applications.anomaly import Events, Regions
from hepflows.applications.anomaly.closure import Closure
from hepflows.applications.anomaly.verdict import counted

REGIONS = Regions(3.3, 3.7)
RNG = np.random.default_rng(13)


def events(n: int) -> Events:
    m = 2.4 + RNG.exponential(0.7, n)
    return Events(m, np.zeros((n, 1)), ("x",), "m")


def scores(m: np.ndarray, excess: float = 1.0, slope: float = 0.0) -> np.ndarray:
    """-log10 of a share that is uniform up to a factor, so that the factor passes more often."""
    return -np.log10(RNG.random(len(m)) / (excess + slope * (m - 3.5)))


def found(n: int, excess: float, slope: float = 0.0, signal: int = 0) -> dict[str, float]:
    """A count where real background passes ``excess`` times as often as the samples say."""
    sample, beside = events(n), events(n)
    beside = beside[REGIONS.sidebands(beside.resonance)]
    closure = Closure(beside, beside, scores(beside.resonance, excess, slope), scores(beside.resonance))
    score = scores(sample.resonance, excess, slope)
    score[np.flatnonzero(REGIONS.signal(sample.resonance))[:signal]] = 9.0
    (row,) = counted(score, sample, REGIONS, [0.05], closure)
    return row  # type: ignore[return-value]


@pytest.mark.parametrize("excess", [1.0, 1.3])
def test_significances_are_normal_also_where_samples_pass_less_often(excess: float) -> None:
    z = [found(10_000, excess)["significance"] for _ in range(150)]
    assert abs(np.mean(z)) < 4 / np.sqrt(150)
    assert 0.6 < np.std(z) < 1.15  # the difference of the sides counts as an error, on the safe side
    assert kstest(z, "norm").pvalue > 1e-3


def test_a_ratio_that_differs_between_the_sides_is_an_error() -> None:
    flat, tilted = found(200_000, 1.2), found(200_000, 1.2, slope=0.15)
    assert tilted["expected_std"] > 2 * flat["expected_std"]
    assert abs(tilted["significance"]) < 3


def test_an_injected_signal_is_seen() -> None:
    row = found(50_000, 1.0, signal=250)
    assert row["observed"] - row["expected"] == pytest.approx(250, abs=100)
    assert row["significance"] > 4


def test_a_method_without_samples_counts_and_says_no_more() -> None:
    sample = events(5000)
    (row,) = counted(scores(sample.resonance), sample, REGIONS, [0.05], None)
    assert row["observed"] > 0
    assert row["significance"] is None
