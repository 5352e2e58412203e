from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import kstest, multivariate_normal

from hepflows.applications.anomaly.metrics import curve
from hepflows.applications.anomaly.simulate import fast
from hepflows.applications.anomaly.simulate.fast import FastModel, signal_events
from hepflows.errors import ConfigError


@pytest.mark.parametrize("variant", ["plain", "correlated"])
def test_the_ratio_is_that_of_two_densities_written_out(variant: str) -> None:
    model = FastModel(variant)
    events = model.generate(40, signal=40, seed=1)
    u = np.empty((80, 4))
    u[:, 0] = np.log(events.column("mJ1") / 0.11) / 0.6
    u[:, 1] = np.log(events.column("dmJ") / 0.12) / 0.9
    u[:, 2] = (np.log(events.column("tau21_1") / (1 - events.column("tau21_1"))) - 0.4) / 0.6
    u[:, 3] = np.log(events.column("tau21_2") / (1 - events.column("tau21_2"))) / 0.6
    signal = multivariate_normal(fast._SIGNAL_MEAN, np.diag(fast._SIGNAL_WIDTHS**2)).logpdf(u)
    background = np.empty(80)
    for i, m in enumerate(events.resonance):
        shift = (m - 3.1) / 0.7 * fast._SHIFTS[variant]
        density = sum(
            f * multivariate_normal(mean + shift, np.outer(w, w) * fast._CORRELATION).pdf(u[i])
            for f, mean, w in zip((0.6, 0.4), fast._MEANS, fast._WIDTHS, strict=True)
        )
        background[i] = np.log(density)
    np.testing.assert_allclose(model.log_likelihood_ratio(events), signal - background, atol=1e-9)


def test_the_density_of_the_background_is_normalised() -> None:
    model, rng = FastModel(), np.random.default_rng(2)
    # by importance sampling from broad latents, whose density in the features is known as well
    n, m = 200_000, 3.3
    u = 1.6 * rng.standard_normal((n, 4))
    x = fast._features(u)
    events = fast.Events(np.full(n, m), x, fast.FEATURES)
    slopes = np.log(
        np.column_stack([0.6 * x[:, 0], 0.9 * x[:, 1], 0.6 * x[:, 2] * (1 - x[:, 2]), 0.6 * x[:, 3] * (1 - x[:, 3])])
    )
    proposal = multivariate_normal(np.zeros(4), 1.6**2 * np.eye(4)).logpdf(u) - slopes.sum(axis=1)
    weights = np.exp(model.log_background(events) - proposal)
    assert weights.mean() == pytest.approx(1.0, abs=5 * weights.std() / np.sqrt(n))
    assert weights.std() / np.sqrt(n) < 0.02


@pytest.mark.parametrize("variant", ["plain", "correlated"])
def test_the_difficulty_is_fixed(variant: str) -> None:
    model = FastModel(variant)
    events = model.generate(120_000, signal=20_000, seed=3, window=fast.SIGNAL_REGION)
    assert events.label is not None
    found, where = curve(model.log_likelihood_ratio(events), events.label).max_sic
    assert 15 < found < 20
    assert 0.2 < where < 0.8


def test_correlations_with_the_resonance() -> None:
    for variant, low, high in (("plain", 0.0, 0.08), ("correlated", 0.3, 0.7)):
        events = FastModel(variant).generate(50_000, seed=4)
        for name in ("mJ1", "dmJ"):
            assert low < np.corrcoef(events.resonance, events.column(name))[0, 1] < high


def test_spectrum_window_and_counts() -> None:
    background, signal = 100_000, signal_events(100_000, 0.006)
    events = FastModel().generate(background, signal=signal, seed=5)
    assert events.label is not None
    fall = events.resonance[events.label == 0]
    norm = 1 - np.exp(-4.0 / 0.7)
    assert kstest(fall, lambda m: (1 - np.exp(-(m - 2.4) / 0.7)) / norm).pvalue > 0.01
    inside = (events.resonance > 3.3) & (events.resonance < 3.7)
    ratio = events.label[inside].sum() / (events.label[inside] == 0).sum()
    assert ratio == pytest.approx(0.006, abs=4 * 0.006 / np.sqrt(signal))
    window = FastModel().generate(1000, signal=1000, seed=6, window=(3.3, 3.7)).resonance
    assert window.min() > 3.3
    assert window.max() < 3.7


def test_seeds_repeat_and_differ() -> None:
    one, same, other = (FastModel().generate(100, signal=5, seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one.features, same.features)
    assert not np.array_equal(one.features, other.features)


def test_what_cannot_be_simulated() -> None:
    with pytest.raises(ConfigError, match="no variant 'shifted'"):
        FastModel("shifted")
    with pytest.raises(ConfigError, match="counted from one"):
        FastModel().generate(0, seed=1)
    with pytest.raises(ConfigError, match="must lie within"):
        FastModel().generate(10, seed=1, window=(1.0, 3.0))
