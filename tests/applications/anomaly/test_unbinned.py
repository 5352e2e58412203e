from __future__ import annotations

import json

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.optimize import minimize
from scipy.stats import kstest, norm

from hepflows.applications.anomaly import BumpHunt, FastModel, Regions
from hepflows.applications.anomaly.bumphunt import Shape
from hepflows.applications.anomaly.bumphunt.hunt import signed
from hepflows.applications.anomaly.bumphunt.likelihood import fit
from hepflows.applications.anomaly.bumphunt.limits import Exclusion, upper_limit
from hepflows.applications.anomaly.bumphunt.order import choose
from hepflows.applications.anomaly.bumphunt.spectrum import Spectrum
from hepflows.applications.anomaly.bumphunt.unbinned import Points
from hepflows.applications.anomaly.bumphunt.workspace import workspace
from hepflows.applications.anomaly.significance import counting
from hepflows.errors import ConfigError, DataError

REGIONS = Regions(3.3, 3.7)


def events(seed: int, n: int = 3000, signal: int = 0) -> np.ndarray:
    return np.r_[FastModel().generate(n, seed=seed).resonance, np.random.default_rng(seed).normal(3.5, 0.05, signal)]


@pytest.mark.parametrize(("family", "parameters"), [("exponential", 3), ("dijet", 4)])
@pytest.mark.parametrize("signal", [None, 40.0])
def test_fits_are_those_of_a_general_minimiser_with_quadrature(
    family: str, parameters: int, signal: float | None
) -> None:
    m, shape = events(1), Shape(family, parameters)
    points = Points.at(m, REGIONS, family)
    low, high = points.edges[0], points.edges[-1]
    beside = m[(m >= low) & (m <= high) & ~REGIONS.signal(m)]
    columns = shape.columns(beside, low, high)
    turn = np.linalg.inv(np.linalg.qr(columns)[1]) * len(beside) ** 0.5

    def integral(p: np.ndarray, start: float, stop: float) -> float:
        return quad(lambda x: np.exp(shape.columns(np.array([x]), low, high)[0] @ turn @ p), start, stop, epsrel=1e-9)[
            0
        ]

    def height(p: np.ndarray) -> float:
        total = integral(p, low, 3.3) + integral(p, 3.7, high) - (columns @ turn @ p).sum()
        if signal is not None:
            nu = signal + integral(p, 3.3, 3.7)
            total += nu - points.observed(REGIONS) * np.log(nu)
        return total

    found = points.fitted(REGIONS, shape, signal)
    step = np.diff(points.edges)[0] / 20
    ours = np.linalg.solve(turn, found.parameters)
    ours -= np.linalg.solve(turn, np.eye(parameters)[0]) * np.log(step)  # per unit instead of per part of a bin
    other = minimize(height, ours + 0.01, method="BFGS", options={"gtol": 1e-4})
    assert height(ours) <= other.fun + 2e-3
    assert found.window == pytest.approx(integral(other.x, 3.3, 3.7), rel=2e-3)


def test_it_is_the_limit_of_narrow_bins() -> None:
    m, shape = events(2, signal=80), Shape("exponential", 3)
    edges = Points.at(m, REGIONS, "exponential").edges
    fine = np.interp(np.arange(40 * (len(edges) - 1) + 1) / 40, np.arange(len(edges)), edges)
    binned = Spectrum(fine, np.histogram(m, fine)[0].astype(float))
    points = Points.at(m, REGIONS, "exponential")
    one, other = fit(binned, REGIONS, shape), points.fitted(REGIONS, shape)
    assert other.window == pytest.approx(one.window, rel=2e-3)
    assert other.window_std == pytest.approx(one.window_std, rel=5e-3)
    assert signed(points, REGIONS, other)[0] == pytest.approx(signed(binned, REGIONS, one)[0], abs=0.01)
    assert upper_limit(points, REGIONS, other) == pytest.approx(upper_limit(binned, REGIONS, one), rel=5e-3)


def test_background_alone_gives_normal_significances() -> None:
    found, sizes = [], []
    for seed in range(150):
        points = Points.at(events(seed), REGIONS, "exponential")
        free, _ = choose(points, REGIONS, "exponential")
        found.append(signed(points, REGIONS, free)[0])
        sizes.append(free.shape.parameters)
    assert kstest(found, "norm").pvalue > 0.01
    assert sizes.count(2) > 120


def test_limits_of_large_samples_are_normal() -> None:
    points = Points.at(events(3, n=1_000_000), REGIONS, "exponential")
    free = points.fitted(REGIONS, Shape("exponential", 2))
    sigma, excess = np.hypot(free.window**0.5, free.window_std), points.observed(REGIONS) - free.window
    exact = excess + sigma * norm.isf(0.05 * norm.cdf(excess / sigma))
    limit = upper_limit(points, REGIONS, free)
    assert limit == pytest.approx(exact, rel=0.02)
    assert Exclusion.of(points, REGIONS, free).cls(limit) == pytest.approx(0.05, abs=1e-3)


def test_hunts_of_both_likelihoods_agree() -> None:
    m = events(2, n=5000, signal=40)
    one, other = (BumpHunt(toys=100, likelihood=kind).test(m, REGIONS, seed=1) for kind in ("binned", "unbinned"))
    assert other.significance == pytest.approx(one.significance, abs=0.15)
    assert other.limit == pytest.approx(one.limit, rel=0.05)
    assert other.p_toys == pytest.approx(other.p_value, abs=4 * (other.p_value / 100) ** 0.5 + 2 / 101)
    assert other.sideband_p_value > 1e-3
    found, everywhere = BumpHunt(toys=20, likelihood="unbinned").scan(m, [REGIONS, Regions(3.7, 4.1)], seed=1)
    assert len(found) == 2
    assert everywhere is not None
    with pytest.raises(ConfigError, match="no likelihood 'x'"):
        BumpHunt(likelihood="x")
    with pytest.raises(DataError, match="loosen the cut"):
        BumpHunt(likelihood="unbinned").test(np.array([3.5, 3.6, 2.5]), REGIONS)
    with pytest.raises(ConfigError, match="no function 'gauss'"):
        BumpHunt(family="gauss", likelihood="unbinned").test(m, REGIONS)


@pytest.mark.parametrize(("n", "signal"), [(5000, 100), (5000, 0), (300, 12), (80, 9)])
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_pyhf_finds_the_significance_of_a_workspace(n: int, signal: int) -> None:
    pyhf = pytest.importorskip("pyhf")
    window = BumpHunt().test(np.r_[FastModel().generate(n, seed=1).resonance, np.full(signal, 3.5)], REGIONS)
    spec = pyhf.Workspace(json.loads(json.dumps(workspace(window))))
    model = spec.model()
    data = spec.data(model)
    z = norm.isf(float(pyhf.infer.hypotest(0.0, data, model, test_stat="q0")))
    # the same likelihood to the last digits; that of the sidebands themselves to their shape
    assert z == pytest.approx(counting(window.observed, window.expected, window.expected_std)["significance"], abs=2e-3)
    assert z == pytest.approx(window.significance, abs=0.03)
    if n == 5000:
        limit = pyhf.infer.intervals.upper_limits.upper_limit(data, model, np.linspace(0.5, 1.5, 9) * window.limit)[0]
        assert float(limit) == pytest.approx(window.limit, rel=0.01)
