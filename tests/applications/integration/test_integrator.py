"""Integrals against their known values, with errors that hold over many seeds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from hepflows.applications.integration import FlowIntegrator, FlowTraining
from hepflows.applications.integration.estimators import Round, combine
from hepflows.applications.integration.exploration import explore
from hepflows.applications.integration.integrands import INTEGRANDS, ridge
from hepflows.applications.integration.result import with_error
from hepflows.errors import CheckpointError, ConfigError, DomainError, ShapeError
from hepflows.metrics.weights import WeightTally, pareto_shape

FAST = {"gauss4": 20_000, "camel2": 20_000, "annulus": 20_000, "ridge4": 100_000}


@pytest.mark.parametrize("name", FAST)
def test_errors_are_honest(name: str) -> None:
    """Pulls over 25 seeds: RMS within [0.7, 1.35], mean compatible with zero, rarely flagged."""
    case = INTEGRANDS[name]()
    assert case.truth is not None
    results = [FlowIntegrator(case.bounds, seed=seed)(case, FAST[name], method="vegas") for seed in range(25)]
    pulls = np.array([(result.mean - case.truth) / result.sdev for result in results])
    assert 0.7 < np.sqrt(np.square(pulls).mean()) < 1.35
    assert abs(pulls.mean()) < 0.6
    assert sum(result.reliable for result in results) >= 23
    assert all(result.neval <= FAST[name] for result in results)
    assert stats.kstest([result.Q for result in results], "uniform").pvalue > 1e-3


@pytest.mark.parametrize("name", INTEGRANDS)
def test_every_builtin(name: str) -> None:
    """100k evaluations: within five errors of the truth, or flagged."""
    case = INTEGRANDS[name]()
    result = FlowIntegrator(case.bounds, seed=3)(case, 100_000, method="vegas")
    assert case.truth is not None
    assert abs(result.mean - case.truth) < 5 * result.sdev or not result.reliable


def test_a_flow_learns_circles() -> None:
    """What no map of one axis at a time can follow: an effective share of 0.17 becomes more than 0.6 with 100k evaluations."""
    case = INTEGRANDS["circles"]()
    integ = FlowIntegrator(case.bounds, seed=1)
    result = integ(case, 100_000, method="flow")
    assert case.truth is not None
    assert abs(result.mean - case.truth) < 5 * result.sdev
    assert result.method.startswith("flow")
    assert result.ess > 0.6
    assert result.reliable


def test_a_rotation_finds_a_ridge_across_the_axes() -> None:
    """A ridge of width 0.01 along another diagonal, which the built-ins do not have."""
    base = ridge(3, 5000.0, "turned")
    assert base.truth is not None

    def f(x: np.ndarray) -> np.ndarray:
        return base.function(np.stack([x[:, 0], 1 - x[:, 1], x[:, 2]], 1))

    result = FlowIntegrator(base.bounds, seed=2)(f, 200_000, method="vegas")
    assert abs(result.mean - base.truth) < 5 * result.sdev
    assert result.method.startswith("rotated")
    assert result.sdev < 2e-3 * base.truth


def test_signed_integrand_and_cancellation() -> None:
    result = FlowIntegrator([(0, 1)], seed=1)(lambda x: np.sin(2 * np.pi * x[:, 0]) + 0.01, 20_000)
    assert abs(result.mean - 0.01) < 5 * result.sdev
    assert result.cancellation == pytest.approx(2 / np.pi / 0.01, rel=0.05)
    assert any("cancel" in warning for warning in result.warnings)


def test_zero_everywhere_is_flagged() -> None:
    result = FlowIntegrator([(0, 1)] * 2, seed=1)(lambda x: np.zeros(len(x)), 5_000)
    assert result.mean == 0
    assert not result.reliable


def test_a_sum_over_a_discrete_coordinate() -> None:
    """Sum over k of the integral of (k + 1) x^k: one for each k."""
    result = FlowIntegrator([3, (0, 1)], seed=1)(lambda x: (x[:, 0] + 1) * x[:, 1] ** x[:, 0], 20_000)
    assert abs(result.mean - 3) < 5 * result.sdev + 1e-6


def test_unweighted_events_follow_the_integrand() -> None:
    case = INTEGRANDS["camel2"]()
    integ = FlowIntegrator(case.bounds, seed=1)
    integ(case, 50_000)
    sample = integ.sample(20_000, overweight=0.0)
    assert len(sample) == 20_000
    assert (sample.weight == 1).mean() > 0.999

    def cumulative(t: np.ndarray) -> np.ndarray:
        grid = np.linspace(0, 1, 2001)
        centres = np.array([[1 / 3], [2 / 3]])
        rest = stats.norm.cdf(1, centres, 0.2 / 2**0.5) - stats.norm.cdf(0, centres, 0.2 / 2**0.5)
        density = (np.exp(-(((grid - centres) / 0.2) ** 2)) * rest).sum(0)
        total = np.concatenate([[0], np.cumsum(0.5 * (density[1:] + density[:-1]))])
        return np.asarray(np.interp(t, grid, total / total[-1]))

    for axis in range(2):
        assert stats.kstest(sample.x[:, axis], cumulative).pvalue > 1e-3
    # in random order: no memory from one event to the next
    assert abs(np.corrcoef(sample.x[:-1, 0], sample.x[1:, 0])[0, 1]) < 0.03


def test_a_cap_keeps_more_events_and_every_mean() -> None:
    case = INTEGRANDS["camel2"]()
    integ = FlowIntegrator(case.bounds, seed=1)
    integ(case, 50_000)
    exact, capped = (integ.sample(40_000, overweight=share) for share in (0.0, 1e-2))
    assert capped.overweight == pytest.approx(1e-2, rel=0.2)
    assert capped.efficiency > 1.02 * exact.efficiency
    means = [np.average(sample.x[:, 0] ** 2, weights=sample.weight) for sample in (exact, capped)]
    assert abs(means[0] - means[1]) < 5 * exact.x[:, 0].std() * 2 / len(exact) ** 0.5


def test_weighted_events_give_the_integral() -> None:
    case = INTEGRANDS["gauss2"]()
    integ = FlowIntegrator(case.bounds, seed=1)
    integ(case, 20_000)
    sample = integ.sample(20_000, unweighted=False)
    assert case.truth is not None
    assert abs(sample.weight.mean() - case.truth) < 5 * sample.weight.std() / len(sample) ** 0.5


@pytest.mark.parametrize("method", ["vegas", "flow"])
def test_a_saved_sampler_is_the_same(tmp_path: Path, method: str) -> None:
    case = INTEGRANDS["camel2"]()
    integ = FlowIntegrator(case.bounds, seed=1)
    integ(case, 20_000, method=method)
    integ.save(tmp_path / "sampler.safetensors")
    again = FlowIntegrator.load(tmp_path / "sampler.safetensors")
    x = np.random.default_rng(0).random((100, 2))
    assert np.array_equal(integ.log_prob(x), again.log_prob(x))
    assert np.array_equal(integ.sample(100).x, again.sample(100, function=case).x)
    with pytest.raises(ConfigError, match="function"):
        again.sample(10)
    (tmp_path / "broken.safetensors").write_bytes(b"no")
    with pytest.raises(CheckpointError):
        FlowIntegrator.load(tmp_path / "broken.safetensors")


def test_a_seed_repeats() -> None:
    case = INTEGRANDS["camel2"]()
    a, b = (FlowIntegrator(case.bounds, seed=5)(case, 10_000, method="vegas") for _ in range(2))
    assert a.mean == b.mean
    assert a.mean != FlowIntegrator(case.bounds, seed=6)(case, 10_000, method="vegas").mean


def test_a_relative_error_stops_early() -> None:
    case = INTEGRANDS["camel2"]()
    result = FlowIntegrator(case.bounds, seed=1)(case, 200_000, rtol=1e-3)
    assert result.sdev < 1e-3 * result.mean
    assert result.neval < 150_000


def test_arguments_that_make_no_sense() -> None:
    integ = FlowIntegrator([(0, 1)])
    with pytest.raises(ConfigError, match="method"):
        integ(lambda x: x[:, 0], method="magic")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="2000"):
        integ(lambda x: x[:, 0], 10)
    with pytest.raises(ConfigError, match="integrate a function first"):
        integ.sample(10)


def test_rounds_combine_by_their_size() -> None:
    rounds = [Round(np.array([1.0]), np.array([0.04]), 3, 100), Round(np.array([2.0]), np.array([0.01]), 3, 300)]
    mean, variance, chi2, dof = combine(rounds)
    assert mean[0] == 1.75
    assert variance[0] == pytest.approx(0.04 / 16 + 0.01 * 9 / 16)
    assert chi2 == pytest.approx((100 * 0.75**2 + 300 * 0.25**2) / (400 * variance[0]))
    assert dof == 1


def test_exploration_weighs_two_far_peaks() -> None:
    """Two narrow peaks in six dimensions, masses three to one."""

    def target(z: np.ndarray) -> np.ndarray:
        peaks = [np.exp(-(((z - c) / 0.03) ** 2).sum(1)) for c in (0.2, 0.8)]
        return 3 * peaks[0] + peaks[1]

    found = explore(target, 6, seed=1, walkers=1000)
    assert found is not None
    assert (found.points[:, 0] < 0.5).mean() == pytest.approx(0.75, abs=0.2)
    assert explore(lambda z: np.zeros(len(z)), 2, seed=1, walkers=50) is None


@pytest.mark.parametrize("shape", [0.3, 0.7, 1.2])
def test_pareto_shape(shape: float) -> None:
    draws = stats.genpareto(shape).rvs(4000, random_state=np.random.default_rng(1))
    assert pareto_shape(draws) == pytest.approx(shape, abs=0.1)


def test_tally_equals_the_whole_sample() -> None:
    weights = np.random.default_rng(0).lognormal(0, 1, 100_000)
    tally = WeightTally(keep=5000)
    for part in np.array_split(weights, 7):
        tally.add(part)
    assert tally.effective_share == pytest.approx(weights.sum() ** 2 / np.square(weights).sum() / len(weights))
    assert tally.quantile(0.999) == pytest.approx(np.quantile(weights, 0.999), rel=0.01)
    cap = tally.quantile(0.999)
    assert tally.efficiency(0.999) == pytest.approx(np.minimum(weights, cap).mean() / cap)
    q = tally.cap(1e-3)
    assert np.maximum(weights - q, 0).sum() / weights.sum() == pytest.approx(1e-3, rel=1e-6)
    assert tally.largest_share == pytest.approx(weights.max() / weights.sum())


def test_numbers_with_errors() -> None:
    assert with_error(1.23456, 0.0123) == "1.235(12)"
    assert with_error(-0.5, 0.25) == "-0.50(25)"
    assert with_error(0.0, 0.0) == "0(0)"


def _peaks(x: np.ndarray) -> np.ndarray:
    """Three narrow Gaussians of mass one each, in no row, in five dimensions."""
    centres = np.array([[0.2, 0.7, 0.3, 0.6, 0.5], [0.7, 0.2, 0.6, 0.4, 0.3], [0.6, 0.6, 0.8, 0.2, 0.7]])
    squares = ((x[None] - centres[:, None]) ** 2).sum(2)
    return np.asarray((np.exp(-squares / 0.05**2) / (0.05 * np.pi**0.5) ** 5).sum(0))


def test_clumps_get_channels_of_their_own(tmp_path: Path) -> None:
    integ = FlowIntegrator([(0, 1)] * 5, seed=1)
    result = integ(_peaks, 300_000, method="vegas")
    assert result.method.startswith("channels")
    assert abs(result.mean - 3) < 5 * result.sdev
    assert result.sdev < 1e-2
    assert result.ess > 0.4  # a map of one axis at a time: 0.02
    sample = integ.sample(3000)
    assert (sample.x[:, 0] < 0.4).mean() == pytest.approx(1 / 3, abs=0.05)
    integ.save(tmp_path / "sampler.safetensors")
    again = FlowIntegrator.load(tmp_path / "sampler.safetensors")
    assert np.allclose(integ.log_prob(sample.x), again.log_prob(sample.x))


def test_channels_of_the_user(tmp_path: Path) -> None:
    """Two Breit-Wigner resonances on one axis, a channel for each, beside what is known in closed form."""
    peaks = ((0.3, 1e-3), (0.7, 1e-4))

    class Resonance:
        features = 2

        def __init__(self, mass: float, width: float) -> None:
            self.mass, self.width = mass, width
            self.low, self.high = (np.arctan((edge - mass) / width) for edge in (0, 1))

        def inverse(self, z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            angle = self.low + (self.high - self.low) * z[:, 0]
            x = np.stack([np.clip(self.mass + self.width * np.tan(angle), 0, 1), z[:, 1]], 1)
            return x, -self._log(x)

        def forward(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            angle = np.arctan((x[:, 0] - self.mass) / self.width)
            return np.stack([(angle - self.low) / (self.high - self.low), x[:, 1]], 1), self._log(x)

        def _log(self, x: np.ndarray) -> np.ndarray:
            norm = self.width / (self.high - self.low)
            return np.asarray(np.log(norm / ((x[:, 0] - self.mass) ** 2 + self.width**2)))

    def f(x: np.ndarray) -> np.ndarray:
        return np.asarray(sum(2 * x[:, 1] * w / ((x[:, 0] - m) ** 2 + w**2) for m, w in peaks))

    truth = sum(np.arctan((1 - m) / w) + np.arctan(m / w) for m, w in peaks)
    integ = FlowIntegrator([(0, 1)] * 2, channels=[Resonance(*peak) for peak in peaks], seed=1)
    result = integ(f, 20_000, method="vegas")
    assert result.method.startswith("channels")
    assert abs(result.mean - truth) < 5 * result.sdev
    assert result.sdev < 1e-3 * truth
    assert result.ess > 0.9
    with pytest.raises(ConfigError, match="your own"):
        integ.save(tmp_path / "sampler.safetensors")
    with pytest.raises(ShapeError, match="dimensions"):
        FlowIntegrator([(0, 1)] * 3, channels=[Resonance(0.5, 0.1)])


@pytest.mark.parametrize("name", ["gauss2", "annulus"])  # nets, strata
def test_covariance_of_the_outputs(name: str) -> None:
    """The third output is the sum of the others: so are their correlated numbers."""
    case = INTEGRANDS[name]()

    def f(x: np.ndarray) -> np.ndarray:
        a, b = case(x), case(x) * x[:, 0]
        return np.stack([a, b, a + b], 1)

    result = FlowIntegrator(case.bounds, seed=1)(f, 20_000, method="vegas", covariance=True)
    assert result.covariance is not None
    assert np.allclose(np.diag(result.covariance), result.variances)
    a, b, both = result.gvar()
    assert (both - a - b).sdev < 1e-6 * both.sdev
    assert FlowIntegrator(case.bounds, seed=1)(f, 20_000, method="vegas").covariance is None


def test_a_loss_of_choice() -> None:
    case = INTEGRANDS["circles"]()
    result = FlowIntegrator(case.bounds, seed=1)(case, 60_000, method="flow", training=FlowTraining(loss="hellinger"))
    assert case.truth is not None
    assert abs(result.mean - case.truth) < 5 * result.sdev
    assert result.ess > 0.3  # of the maps alone: 0.17
    with pytest.raises(DomainError, match="kl"):
        FlowIntegrator(case.bounds)(case, 30_000, training=FlowTraining(loss="magic"))


def test_a_map_is_used_again(tmp_path: Path) -> None:
    """For a neighbour of the integrand it was made for, also after saving: all evaluations go to the estimate."""
    case = INTEGRANDS["gauss4"]()
    integ = FlowIntegrator(case.bounds, seed=1)
    with pytest.raises(ConfigError, match="first"):
        integ(case, 20_000, reuse=True)
    integ(case, 100_000, method="vegas")
    integ.save(tmp_path / "map.safetensors")

    def neighbour(x: np.ndarray) -> np.ndarray:
        return case.function(x) * (1 + x[:, 0])

    assert case.truth is not None
    for used in (integ, FlowIntegrator.load(tmp_path / "map.safetensors")):
        result = used(neighbour, 20_000, reuse=True)
        assert result.method.startswith("map as it was")
        assert sum(part.n for part in result.rounds) > 0.85 * result.neval
        assert abs(result.mean - 1.5 * case.truth) < 5 * result.sdev
        assert result.ess > 0.8


@pytest.mark.slow
def test_nets_of_a_flow_in_many_dimensions_do_not_alias() -> None:
    """No worse than independent points; large nets were, by a factor of two."""
    case = INTEGRANDS["gauss8"]()
    result = FlowIntegrator(case.bounds, seed=3)(case, 300_000, method="flow")
    assert result.method.startswith("flow")
    independent = result.mean * np.sqrt((1 / result.ess - 1) / (0.6 * 300_000))
    assert result.sdev < 1.1 * independent
    assert abs(result.mean - case.truth) < 4 * result.sdev
