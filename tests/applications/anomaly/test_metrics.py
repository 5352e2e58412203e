from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import kstest, norm, poisson

from hepflows.applications.anomaly import Regions
from hepflows.applications.anomaly.metrics import FEWEST_BACKGROUND, band, curve, figures_of_merit
from hepflows.applications.anomaly.scale import Scale
from hepflows.applications.anomaly.significance import counting
from hepflows.applications.anomaly.verdict import sculpting
from hepflows.errors import DataError

RNG = np.random.default_rng(11)


def sample(n: int = 40_000, shift: float = 2.0) -> tuple[np.ndarray, np.ndarray]:
    return np.r_[RNG.normal(size=n), RNG.normal(shift, 1, n)], np.repeat([0, 1], n)


def test_sic_of_two_normal_distributions_is_exact() -> None:
    scores, labels = sample()
    found = curve(scores, labels)
    for cut in (1e-1, 1e-2):
        exact = norm.sf(norm.isf(cut) - 2.0) / np.sqrt(cut)
        assert found.sic_at(cut) == pytest.approx(exact, rel=0.08)
    assert found.rejection_at(0.5) == pytest.approx(1 / norm.sf(2.0), rel=0.1)
    values = figures_of_merit(scores, labels, seed=1, replicas=20)
    assert values["auc"] == pytest.approx(norm.cdf(np.sqrt(2)), abs=5 * (values["auc_std"] or 0))
    assert values["max_sic_std"] > 0


def test_points_with_few_background_events_do_not_count() -> None:
    scores, labels = np.r_[np.linspace(0, 1, 1000), np.full(10, 2.0)], np.repeat([0, 1], [1000, 10])
    found = curve(scores, labels)
    assert found.background[0] == FEWEST_BACKGROUND / 1000
    assert found.max_sic == (pytest.approx(1 / np.sqrt(0.025)), 1.0)
    assert found.sic_at(0.01) is None
    tied = curve(np.zeros(100), np.repeat([0, 1], 50))  # equal scores pass together
    assert tied.sic.tolist() == [1.0]


def test_curves_that_cannot_be_drawn() -> None:
    with pytest.raises(DataError, match="at least 25 background"):
        curve(np.zeros(30), np.repeat([0, 1], [20, 10]))
    with pytest.raises(DataError, match="1 scores that are not finite"):
        curve(np.r_[np.nan, np.zeros(99)], np.repeat([0, 1], 50))


def test_the_band_covers_the_seeds() -> None:
    curves = [curve(*sample(4000)) for _ in range(9)]
    found = band(curves)
    assert (found["low"] <= found["median"]).all()
    assert (found["median"] <= found["high"]).all()
    at = np.searchsorted(found["signal"], 0.5)
    one = [0.5 / np.sqrt(np.interp(0.5, c.signal, c.background)) for c in curves]
    assert found["median"][at] == pytest.approx(np.median(one), rel=0.05)


def test_the_scale_gives_background_shares_and_keeps_the_order() -> None:
    scale, fresh = Scale.fit(RNG.normal(size=100_000)), RNG.normal(size=100_000)
    for share in (0.5, 1e-1, 1e-2, 1e-3):
        assert (scale(fresh) >= -np.log10(share)).mean() == pytest.approx(share, abs=5 * np.sqrt(2 * share / 1e5))
    grid = np.linspace(-20, 20, 2001)
    assert (np.diff(scale(grid)) > 0).all()
    steps = Scale.fit(RNG.integers(0, 5, 10_000).astype(float))  # trees give few different scores
    assert (np.diff(steps(np.arange(5.0))) > 0).all()
    assert np.isfinite(Scale.fit(np.zeros(100))(np.array([-1.0, 0.0, 1.0]))).all()


def test_significance_without_error_is_that_of_the_poisson_law() -> None:
    for n, b in ((150, 100.0), (80, 100.0), (1010, 1000.0)):
        found = counting(n, b)
        exact = norm.isf(poisson.sf(n - 1, b) - 0.5 * poisson.pmf(n, b))  # mid-p
        assert found["significance"] == pytest.approx(exact, abs=0.05)
    assert counting(0, 3.0)["p_value"] > 0.9


def test_significance_with_an_error_is_normal_in_background_only_counts() -> None:
    b, s = 400.0, 25.0
    expected = RNG.normal(b, s, 3000)
    z = [counting(int(n), e, s)["significance"] for n, e in zip(RNG.poisson(b, 3000), expected, strict=True)]
    assert kstest(z, "norm").pvalue > 0.01


def test_sculpting_sees_a_bump_and_nothing_in_a_flat_share() -> None:
    m, regions = RNG.uniform(2, 5, 60_000), Regions(3.3, 3.7)
    share = np.where(regions.signal(m), 0.02, 0.01)
    bump = sculpting(m, RNG.random(len(m)) < share, regions)
    assert (bump["sculpting_p_value"] or 0) < 1e-4
    assert (bump["sculpting_bump"] or 0) > 4
    falls = sculpting(m, RNG.random(len(m)) < 0.03 - 0.005 * m, regions)
    assert (falls["sculpting_p_value"] or 0) < 1e-4  # a slope is a shape, but no bump
    assert abs(falls["sculpting_bump"] or 0) < 3
    bends = [
        sculpting(m, RNG.random(len(m)) < 0.01 + 0.005 * (m - 3.5) ** 2, regions)["sculpting_bump"] for _ in range(100)
    ]
    assert kstest(bends, "norm").pvalue > 0.01  # nor is a bend
    pulls = [sculpting(m, RNG.random(len(m)) < 0.01, regions) for _ in range(100)]
    assert kstest([one["sculpting_p_value"] for one in pulls], "uniform").pvalue > 0.01
    assert kstest([one["sculpting_bump"] for one in pulls], "norm").pvalue > 0.01
    assert sculpting(m, m > 4.9999, regions)["sculpting_p_value"] is None
