from __future__ import annotations

import json
from itertools import pairwise

import numpy as np
import pytest
from scipy.linalg import sqrtm

from hepflows.errors import ConfigError, DataError, ShapeError
from hepflows.metrics import FrechetResult, fpd, frechet_distance
from hepflows.metrics.frechet import gaussian_distance, moments
from hepflows.metrics.frechet_error import influence_variance
from hepflows.metrics.pairs import scaled_pair


def bias_of_normal_samples(variances: np.ndarray) -> float:
    """c of E[d(N)] = c / N + O(1 / N^2) for two samples of one Gaussian with independent features.

    The means differ by 2 v_i / N in the square; the rest is sum_ij E[dC_ij^2] / (2 (v_i + v_j)), the Bures metric, with
    covariances that differ by E[dC_ij^2] = 2 v_i v_j (1 + delta_ij) / N.
    """
    v, w = variances[:, None], variances[None, :]
    return float(2 * variances.sum() + (v * w / (v + w) * (1 + np.eye(len(variances)))).sum())


def test_gaussians_with_common_axes() -> None:
    rng = np.random.default_rng(0)
    axes = np.linalg.qr(rng.normal(size=(6, 6)))[0]
    first, second = rng.exponential(size=(2, 6))
    shift = rng.normal(size=6)
    found = gaussian_distance((shift, axes * first @ axes.T), (np.zeros(6), axes * second @ axes.T))
    assert found == pytest.approx(shift @ shift + np.sum((np.sqrt(first) - np.sqrt(second)) ** 2), rel=1e-12)


def test_gaussians_without_common_axes() -> None:
    rng = np.random.default_rng(1)
    factors = rng.normal(size=(2, 5, 5))
    one, two = (factor @ factor.T for factor in factors)
    zero = np.zeros(5)
    right = np.trace(one + two - 2 * sqrtm(one @ two).real)
    assert gaussian_distance((zero, one), (zero, two)) == pytest.approx(right, rel=1e-9)
    assert gaussian_distance((zero, two), (zero, one)) == pytest.approx(right, rel=1e-12)
    assert gaussian_distance((zero, one), (zero, one)) == pytest.approx(0.0, abs=1e-12 * np.trace(one))


def test_features_that_depend_on_each_other_are_no_trouble() -> None:
    """A total beside its parts, and a constant: the covariance is singular, and no warning may come of it."""
    rng = np.random.default_rng(2)
    parts = rng.normal(size=(500, 4))
    values = np.concatenate([parts, parts.sum(axis=1, keepdims=True), np.ones((500, 1))], axis=1)
    centred = values - values.mean(axis=0)
    right = 0.25 * np.trace(np.cov(centred, rowvar=False))
    assert frechet_distance(1.5 * centred, centred) == pytest.approx(right, rel=1e-10)
    assert abs(frechet_distance(values, values)) < 1e-12
    assert fpd(values + 0.1, values, seed=0).unbiased > 0


def test_moments_are_those_of_numpy() -> None:
    rng = np.random.default_rng(3)
    values = rng.normal(size=(40_000, 3)) @ rng.normal(size=(3, 3)) + 1e6  # three chunks, far from the origin
    rows = rng.integers(len(values), size=30_000)
    for found, events in ((moments(values), values), (moments(values, rows), values[rows])):
        np.testing.assert_allclose(found[0], events.mean(axis=0), rtol=1e-12)
        np.testing.assert_allclose(found[1], np.cov(events, rowvar=False), rtol=1e-8)


def test_two_samples_are_further_apart_than_their_distributions() -> None:
    rng, n = np.random.default_rng(4), 400
    variances = np.array([1.0, 0.5, 2.0])
    found = [frechet_distance(*rng.normal(0.0, np.sqrt(variances), size=(2, n, 3))) for _ in range(300)]
    error = np.std(found) / np.sqrt(len(found))
    assert np.mean(found) == pytest.approx(bias_of_normal_samples(variances) / n, abs=4 * error, rel=0.03)


def experiments(shift: float, number: int, n: int = 400, m: int = 600, d: int = 3) -> np.ndarray:
    """(unbiased - truth) and its error, (value - distance of the samples) and the error of the fit, bias and chi2."""
    found = []
    for seed in range(number):
        rng = np.random.default_rng([seed, 17])
        generated, reference = rng.normal(size=(n, d)) + shift, rng.normal(size=(m, d))
        one = fpd(generated, reference, seed=seed)
        scale = np.abs(reference).max(axis=0)
        truth, samples = np.sum((shift / scale) ** 2), frechet_distance(*scaled_pair(generated, reference))
        expected = bias_of_normal_samples(1 / scale**2)
        found.append([one.unbiased - truth, one.unbiased_error, one.value - samples, one.fit_error])
        found[-1] += [one.bias / (0.5 * expected * (1 / n + 1 / m)), one.slope / expected, one.chi2]
    return np.array(found).T


def test_the_limit_is_the_distance_of_the_samples_and_without_bias_that_of_the_distributions() -> None:
    number = 40
    difference, error, miss, fit_error, bias, slope, chi2 = experiments(0.5, number)
    for pulls in (difference / error, miss / fit_error):
        assert abs(pulls.mean()) < 4 / np.sqrt(number)
        assert 0.6 < pulls.std() < 1.4  # 1 expected, 0.11 the error of a deviation from 40
    assert 0.7 < chi2.mean() < 1.4
    assert slope.mean() == pytest.approx(1.0, abs=0.1)
    assert bias.mean() == pytest.approx(1.0, abs=0.3)


def test_of_two_equal_distributions_nothing_is_left() -> None:
    number = 40
    difference, error, _, _, bias, slope, _ = experiments(0.0, number)
    assert abs((difference / error).mean()) < 4 / np.sqrt(number)
    assert 0.55 < (difference / error).std() < 1.3
    assert slope.mean() == pytest.approx(1.0, abs=0.05)
    assert bias.mean() == pytest.approx(1.0, abs=0.05)


def test_the_errors_are_the_spread_of_other_samples_whether_equal_or_not() -> None:
    """For equal Gaussians of variance v a quadratic form: 2 d means of 2 v / n and d (d + 1) / 2 covariances of v / n each."""
    n, d, number = 600, 6, 12
    scale = np.full(d, 4.0)
    for shift in (0.0, 0.4):
        v, mean_shift = 1 / 16, shift / 4
        square = 2 * (4 * d + d * (d + 1) / 2) * (v / n) ** 2
        right = np.sqrt(square + 4 * d * mean_shift**2 * 2 * v / n)
        found = []
        for seed in range(number):
            rng = np.random.default_rng([seed, 23])
            one = fpd(rng.normal(size=(n, d)) + shift, rng.normal(size=(n, d)), scale=scale, seed=seed)
            found.append((one.error, one.unbiased_error, np.hypot(right, one.fit_error)))
        quoted, unbiased, wanted = np.mean(found, axis=0)
        assert wanted / 1.25 < quoted < 1.25 * wanted, shift
        assert wanted / 1.3 < unbiased < 1.3 * wanted, shift


def test_an_error_by_first_order_is_that_of_the_distance() -> None:
    """Distances of many samples far from another: of a factor in width, a shift, and covariances without common axes."""
    rng, n, number = np.random.default_rng(8), 2000, 200
    turn = np.array([[1.0, 0.0, 0.0], [0.5, 1.0, 0.0], [0.5, 0.5, 0.0]])  # the last feature depends on the others
    fixed = (np.array([1.0, 0.0, 0.0]), np.diag([0.5, 2.0, 1.0]))
    samples = [rng.normal(size=(n, 3)) @ turn.T for _ in range(number)]
    spread = np.std([gaussian_distance(moments(one), fixed) for one in samples], ddof=1)
    quoted = np.sqrt(influence_variance(samples[0], moments(samples[0]), fixed) / n)
    assert quoted == pytest.approx(spread, rel=0.2)  # four times the error of a deviation from 200


def test_at_other_counts_a_distance_of_equal_distributions_goes_as_their_inverse() -> None:
    rng = np.random.default_rng(9)
    one, other = (fpd(*rng.normal(size=(2, n, 2)), seed=1) for n in (300, 1200))
    carried = one.at_counts_of(other)
    assert carried.count_factor == pytest.approx(1 / 4)
    for name in ("value", "error", "fit_error", "unbiased", "unbiased_error", "bias"):
        assert getattr(carried, name) == pytest.approx(getattr(one, name) / 4)
    assert (carried.n_generated, carried.slope, carried.chi2) == (300, one.slope, one.chi2)


@pytest.fixture(scope="module")
def pair() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(5)
    return rng.normal(0.2, 1.0, size=(1200, 3)), rng.normal(size=(1000, 3))


def test_units_do_not_matter(pair: tuple[np.ndarray, np.ndarray]) -> None:
    units = np.array([2.0**-20, 1.0, 2.0**20])
    assert fpd(pair[0] * units, pair[1] * units, seed=1) == fpd(*pair, seed=1)


def test_a_seed_repeats_every_bit_and_touches_no_global_state(pair: tuple[np.ndarray, np.ndarray]) -> None:
    state = np.random.get_state()[1].copy()  # noqa: NPY002
    one, two, other = (fpd(*pair, seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(state, np.random.get_state()[1])  # noqa: NPY002
    assert one == two
    assert one.value != other.value
    assert abs(one.value - other.value) < 5 * np.hypot(one.error, other.error)


def test_sizes_are_equally_spaced_in_their_inverse_and_say_when_they_had_to_shrink() -> None:
    rng = np.random.default_rng(6)
    values = rng.normal(size=(5000, 1))
    whole = fpd(values, values, smallest=1000, largest=5000, replicas=2, seed=1)
    assert (whole.sizes[0], whole.sizes[-1], len(whole.sizes), whole.scaled_down) == (1000, 5000, 10, False)
    np.testing.assert_allclose([1 / b - 1 / a for a, b in pairwise(whole.sizes)], -8e-4 / 9, rtol=0.01)
    less = fpd(values[:2500], values, smallest=1000, largest=5000, replicas=2, seed=1)
    assert (less.sizes[0], less.sizes[-1], less.scaled_down) == (500, 2500, True)
    assert "scaled down for want of events" in str(less)
    assert "scaled down" not in str(whole)


def test_everything_is_ready_for_json_and_for_a_line(pair: tuple[np.ndarray, np.ndarray]) -> None:
    found = fpd(*pair, seed=1)
    assert (
        FrechetResult(**{**(again := json.loads(json.dumps(found.to_dict()))), "sizes": tuple(again["sizes"])}) == found
    )
    assert "\n" not in str(found)
    for piece in ("FPD 0.0", "without bias", "1,200 against 1,000 events", "3 features", "sizes 200 to 1,000"):
        assert piece in str(found)


def test_constants_have_no_distance() -> None:
    found = fpd(np.ones((100, 2)), np.ones((100, 2)), seed=0)
    assert (found.value, found.error, found.unbiased, found.bias) == (0.0, 0.0, 0.0, 0.0)
    assert (found.fit_error, found.unbiased_error) == (0.0, 0.0)


def test_wrong_arguments_are_refused_in_one_sentence(pair: tuple[np.ndarray, np.ndarray]) -> None:
    generated, reference = pair
    huge = generated.copy()
    huge[3, 1] = 1e70
    for error, words, call in (
        (DataError, "FPD of 3 features needs about 100 events", lambda: fpd(generated[:40], reference, seed=0)),
        (DataError, "FPD of 100 features needs about 2,000 events", lambda: fpd(np.ones((1500, 100)), np.ones((1500, 100)), seed=0)),
        (DataError, "not finite", lambda: fpd(generated * np.nan, reference, seed=0)),
        (DataError, "feature 1 of the generated sample reaches", lambda: fpd(huge, reference, seed=0)),
        (DataError, "the generated sample has no events", lambda: fpd(generated[:0], reference, seed=0)),
        (DataError, "needs two events", lambda: frechet_distance(generated[:1], reference)),
        (ShapeError, "3 features need one scale each", lambda: fpd(generated, reference, scale=[1.0], seed=0)),
        (ShapeError, "has 2 features, but the reference has 3", lambda: fpd(generated[:, :2], reference, seed=0)),
        (ConfigError, "three sizes or more", lambda: fpd(generated, reference, points=2, seed=0)),
        (ConfigError, "three sizes or more", lambda: fpd(generated, reference, smallest=500, largest=100, seed=0)),
        (ConfigError, "needs two draws", lambda: fpd(generated, reference, replicas=1, seed=0)),
    ):  # fmt: skip
        with pytest.raises(error, match=words) as caught:
            call()  # type: ignore[no-untyped-call]
        assert "\n" not in str(caught.value)
