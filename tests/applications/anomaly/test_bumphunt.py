from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.stats import kstest, norm

from hepflows.applications.anomaly import BumpHunt, FastModel, Regions
from hepflows.applications.anomaly.bumphunt import Shape, Spectrum
from hepflows.applications.anomaly.bumphunt.hunt import sidak, signed
from hepflows.applications.anomaly.bumphunt.likelihood import fit
from hepflows.applications.anomaly.bumphunt.limits import Exclusion, upper_limit
from hepflows.applications.anomaly.bumphunt.order import choose
from hepflows.errors import ConfigError, DataError

REGIONS = Regions(3.3, 3.7)
EDGES = np.linspace(2.4, 6.4, 41)


def spectrum(seed: int, events: int = 5000, shape: Shape | None = None) -> Spectrum:
    """Counts of a falling spectrum that ``exponential`` describes exactly."""
    t = (EDGES[1:] + EDGES[:-1]) / 2
    mean = np.exp(-(t - 2.4) / 0.7)
    return Spectrum(EDGES, np.random.default_rng(seed).poisson(events * mean / mean.sum()).astype(float))


@pytest.mark.parametrize(("family", "parameters"), [("exponential", 2), ("exponential", 4), ("dijet", 3), ("dijet", 5)])
@pytest.mark.parametrize("signal", [None, 0.0, 25.0])
def test_fits_are_those_of_a_general_minimiser(family: str, parameters: int, signal: float | None) -> None:
    data, shape = spectrum(1), Shape(family, parameters)
    found = fit(data, REGIONS, shape, signal)
    design, inside = shape.design(EDGES), data.inside(REGIONS)
    basis = np.linalg.qr(design)[0]

    def deviance(p: np.ndarray) -> float:
        b = np.exp(np.clip(basis @ p, -50, 50))
        total = 2 * np.sum((b - data.counts * np.log(b))[~inside])
        if signal is not None:
            window = b[inside].sum() + signal
            total += 2 * (window - data.counts[inside].sum() * np.log(window))
        return float(total)

    start = np.linalg.lstsq(basis, np.log(data.counts + 0.5), rcond=None)[0]
    other = minimize(deviance, start, method="BFGS", options={"gtol": 1e-6})
    ours = np.linalg.lstsq(basis, np.log(found.background), rcond=None)[0]
    assert deviance(ours) <= other.fun + 1e-5
    assert found.window == pytest.approx(np.exp(basis @ other.x)[inside].sum(), rel=1e-3)


def test_the_error_of_the_background_is_its_spread() -> None:
    shape = Shape("exponential", 2)
    fits = [fit(spectrum(seed), REGIONS, shape) for seed in range(300)]
    spread = np.std([one.window for one in fits])
    assert np.mean([one.window_std for one in fits]) == pytest.approx(spread, rel=0.15)
    assert kstest([one.p_value for one in fits], "uniform").pvalue > 0.001


def test_background_alone_gives_normal_significances() -> None:
    found, parameters = [], []
    for seed in range(200):
        data = Spectrum.of(FastModel().generate(3000, seed=seed).resonance, REGIONS)
        free, _ = choose(data, REGIONS, "exponential")
        found.append(signed(data, REGIONS, free)[0])
        parameters.append(free.shape.parameters)
    assert kstest(found, "norm").pvalue > 0.01
    assert parameters.count(2) > 160  # an exponential needs no more


def test_an_injected_signal_is_counted_and_limits_cover_it() -> None:
    shape, signal, covered, estimates = Shape("exponential", 2), 120, 0, []
    for seed in range(200):
        data = spectrum(1000 + seed)
        inside = np.flatnonzero(data.inside(REGIONS))
        counts = data.counts.copy()
        counts[inside[1]] += np.random.default_rng(77_000 + seed).poisson(signal)
        data = data.with_counts(counts)
        free = fit(data, REGIONS, shape)
        estimates.append(counts[inside].sum() - free.window)
        covered += Exclusion.of(data, REGIONS, free).cls(signal) > 0.05
    assert np.mean(estimates) == pytest.approx(signal, abs=4 * np.std(estimates) / 200**0.5)
    assert covered / 200 > 0.95 - 3 * (0.95 * 0.05 / 200) ** 0.5


def test_limits_are_those_of_the_normal_approximation_for_large_counts() -> None:
    data, shape = spectrum(3, events=2_000_000), Shape("exponential", 2)
    free = fit(data, REGIONS, shape)
    observed = data.counts[data.inside(REGIONS)].sum()
    sigma, estimate = np.sqrt(free.window + free.window_std**2), observed - free.window
    exact = estimate + sigma * norm.isf(0.05 * norm.cdf(estimate / sigma))
    limit = upper_limit(data, REGIONS, free)
    assert limit == pytest.approx(exact, rel=0.02)
    assert Exclusion.of(data, REGIONS, free).cls(limit) == pytest.approx(0.05, abs=1e-4)


def test_toys_agree_with_the_asymptotic_law() -> None:
    m = np.r_[FastModel().generate(5000, seed=1).resonance, np.full(30, 3.5)]
    found = BumpHunt(toys=400).test(m, REGIONS, seed=1)
    assert found.p_toys == pytest.approx(found.p_value, abs=4 * np.sqrt(found.p_value / 400) + 2 / 401)
    assert found.p_toys == BumpHunt(toys=400).test(m, REGIONS, seed=1).p_toys


def test_the_order_grows_with_the_structure_of_the_spectrum() -> None:
    t = np.linspace(-1, 1, 40)
    rng = np.random.default_rng(5)
    bent = Spectrum(EDGES, rng.poisson(np.exp(7 - 3 * t - 1.5 * t**2)).astype(float))
    kept, rows = choose(bent, REGIONS, "exponential")
    assert kept.shape.parameters == 3
    assert rows[0]["p_value"] < 1e-6
    assert kept.p_value > 1e-3
    dijet = np.exp(Shape("dijet", 3).design(EDGES) @ np.array([5.0, 12.0, -4.0]))
    kept, _ = choose(Spectrum(EDGES, rng.poisson(1e5 * dijet / dijet.sum()).astype(float)), REGIONS, "dijet")
    assert kept.shape.parameters == 3


def test_the_look_elsewhere_effect_weakens_a_local_p_value() -> None:
    m = np.r_[FastModel().generate(4000, seed=2).resonance, np.random.default_rng(0).normal(3.5, 0.08, 90)]
    windows = [Regions(low, low + 0.4) for low in (2.9, 3.3, 3.7, 4.1)]
    found, everywhere = BumpHunt(toys=100).scan(m, windows, seed=1)
    local = min(one.p_value for one in found)
    assert found[1].p_value == local
    assert everywhere is not None
    assert local < everywhere < 20 * local + 0.02
    assert BumpHunt().scan(m, windows)[1] is None
    assert sidak(local, 4) == pytest.approx(4 * local, rel=0.05)


def test_bins_match_the_window_and_stay_within_the_data() -> None:
    m = np.random.default_rng(1).uniform(2.4567, 6.1234, 1000)
    found = Spectrum.of(m, REGIONS)
    assert np.isclose(found.edges, 3.3).any()
    assert np.isclose(found.edges, 3.7).any()
    assert m.min() <= found.edges[0]
    assert found.edges[-1] <= m.max()
    bounded = Spectrum.of(m, Regions(3.3, 3.7, 3.0, 5.0))
    assert bounded.edges[0] >= 3.0
    assert bounded.edges[-1] <= 5.0


def test_what_cannot_be_hunted() -> None:
    m = FastModel().generate(3000, seed=1).resonance
    with pytest.raises(DataError, match="no event that passes"):
        BumpHunt().test(m[(m < 3.3) | (m > 3.7)], REGIONS)
    with pytest.raises(DataError, match="loosen the cut"):
        BumpHunt().test(np.array([3.5, 3.6, 2.5]), REGIONS)
    with pytest.raises(ConfigError, match="no function 'gauss'"):
        BumpHunt(family="gauss").test(m, REGIONS)
    with pytest.raises(DataError, match="collision energy"):
        BumpHunt(family="dijet", scale=5.0).test(m, REGIONS)
    with pytest.raises(ConfigError, match="no function 'x' of 2 parameters"):
        Shape("x", 2)


def test_a_deficit_is_negative() -> None:
    data = spectrum(4)
    counts = data.counts.copy()
    counts[data.inside(REGIONS)] *= 0.7
    low = data.with_counts(counts)
    z, none = signed(low, REGIONS, fit(low, REGIONS, Shape("exponential", 2)))
    assert z < -3
    assert none.signal == 0.0
