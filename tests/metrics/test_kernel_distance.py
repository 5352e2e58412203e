from __future__ import annotations

import json
from math import comb

import numpy as np
import pytest

from hepflows.errors import ConfigError, DataError, ShapeError
from hepflows.metrics import KernelResult, fpd, kernel_distance, kpd, mmd
from hepflows.metrics.pairs import scaled_pair
from hepflows.training.seeding import numpy_generator


def by_hand(first: np.ndarray, second: np.ndarray, degree: int) -> float:
    """From the definition, one pair after the other."""

    def mean(a: np.ndarray, b: np.ndarray, same: bool) -> float:
        values = [
            (x @ y / len(x) + 1) ** degree for i, x in enumerate(a) for j, y in enumerate(b) if not same or i != j
        ]
        return float(np.mean(values))

    return mean(first, first, True) + mean(second, second, True) - 2 * mean(first, second, False)


@pytest.mark.parametrize("degree", [1, 3, 4])
def test_the_distance_is_the_one_of_the_definition(degree: int) -> None:
    rng = np.random.default_rng(degree)
    first, second = rng.normal(size=(13, 4)), rng.normal(0.5, 1.0, size=(9, 4))
    assert mmd(first, second, degree=degree) == pytest.approx(by_hand(first, second, degree), rel=1e-10)


def test_blocks_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    first, second = rng.normal(size=(37, 3)), rng.normal(size=(29, 3))
    whole = mmd(first, second)
    monkeypatch.setattr(kernel_distance, "_BLOCK", 100)
    assert mmd(first, second) == pytest.approx(whole, rel=1e-10)


def test_shifted_gaussians_have_the_distance_of_their_moments() -> None:
    """In one dimension (x y + 1)^4 is a sum over products of powers: MMD^2 = sum_p C(4, p) (E[x^p] - E[y^p])^2."""
    shift, n = 0.3, 20_000
    moments = [lambda m: m, lambda m: m**2 + 1, lambda m: m**3 + 3 * m, lambda m: m**4 + 6 * m**2 + 3]
    right = sum(comb(4, p) * (moments[p - 1](shift) - moments[p - 1](0.0)) ** 2 for p in range(1, 5))
    rng = np.random.default_rng(1)
    found = np.array([mmd(rng.normal(shift, 1, (n // 10, 1)), rng.normal(size=(n // 10, 1))) for _ in range(20)])
    assert found.mean() == pytest.approx(right, abs=4 * found.std() / np.sqrt(20))
    assert found.std() / np.sqrt(20) < 0.1 * right


def test_of_two_equal_distributions_the_mean_is_zero_within_its_error() -> None:
    number = 60
    found = []
    for seed in range(number):
        rng = np.random.default_rng([seed, 3])
        found.append(kpd(rng.normal(size=(500, 3)), rng.normal(size=(600, 3)), seed=seed))
    pulls = np.array([one.unbiased / one.unbiased_error for one in found])
    assert abs(pulls.mean()) < 4 / np.sqrt(number)
    assert 0.8 < pulls.std() < 1.6  # Student's t with 9 degrees of freedom: 1.13
    # the median of the batches, whose distribution is skewed, lies between a little below zero and zero
    median = np.mean([one.value / one.error for one in found])
    assert -1.0 < median < 0.2
    assert np.mean([abs(one.value) < 2 * one.error for one in found]) > 0.9


def test_the_published_numbers_are_median_and_half_range_of_batches_that_share_no_event() -> None:
    rng = np.random.default_rng(4)
    generated, reference = rng.normal(0.3, 1.0, size=(250, 2)), rng.normal(size=(200, 2))
    found = kpd(generated, reference, seed=5)
    assert (found.batches, found.batch_size, found.scaled_down) == (10, 20, True)
    source = numpy_generator(5, "kernel")
    rows = [source.permutation(size)[:200].reshape(10, 20) for size in (250, 200)]
    assert len(np.unique(rows[0])) == len(np.unique(rows[1])) == 200
    fake, truth = scaled_pair(generated, reference)
    values = [by_hand(fake[i], truth[j], 4) for i, j in zip(*rows, strict=True)]
    assert found.value == pytest.approx(np.median(values), rel=1e-10)
    low, high = np.quantile(values, [0.16275, 0.83725])
    assert found.error == pytest.approx((high - low) / 2, rel=1e-10)
    assert found.unbiased == pytest.approx(np.mean(values), rel=1e-10)
    assert found.unbiased_error == pytest.approx(np.std(values, ddof=1) / np.sqrt(10), rel=1e-10)


def test_it_sees_what_means_and_covariances_do_not() -> None:
    """Equal first and second moments, another third one."""
    rng, n = np.random.default_rng(6), 4000
    skewed, symmetric = rng.exponential(size=(n, 1)) - 1.0, rng.normal(size=(n, 1))
    found, blind = kpd(skewed, symmetric, seed=0), fpd(skewed, symmetric, seed=0)
    assert found.unbiased > 4 * found.unbiased_error
    assert abs(blind.unbiased) < 2 * blind.unbiased_error


def test_enough_events_give_the_batches_that_were_asked_for() -> None:
    values = np.random.default_rng(7).normal(size=(300, 2))
    found = kpd(values[:150], values[150:], batch_size=50, batches=3, seed=1)
    assert (found.batches, found.batch_size, found.scaled_down) == (3, 50, False)
    assert "scaled down" not in str(found)
    assert KernelResult(**json.loads(json.dumps(found.to_dict()))) == found
    assert kpd(values[:150], values[150:], batch_size=50, batches=3, seed=1) == found
    assert kpd(values[:150], values[150:], batch_size=50, batches=3, seed=2) != found
    for piece in ("KPD", "mean", "150 against 150 events", "2 features", "3 batches of 50"):
        assert piece in str(found)
    assert "scaled down for want of events" in str(kpd(values[:150], values[150:], batches=3, seed=1))


def test_wrong_arguments_are_refused_in_one_sentence() -> None:
    good = np.random.default_rng(8).normal(size=(300, 2))
    for error, words, call in (
        (DataError, "needs at least 200 events in each sample, but the smaller one has 150", lambda: kpd(good[:150], good, seed=0)),
        (DataError, "not finite", lambda: kpd(good * np.inf, good, seed=0)),
        (DataError, "of the generated sample reaches", lambda: kpd(good * 1e300, good, seed=0)),
        (DataError, "MMD needs two events", lambda: mmd(good[:1], good)),
        (ShapeError, "has 1 features, but the reference has 2", lambda: kpd(good[:, :1], good, seed=0)),
        (ConfigError, "three batches or more", lambda: kpd(good, good, batches=2, seed=0)),
        (ConfigError, "a degree of at least one", lambda: mmd(good, good, degree=0)),
    ):  # fmt: skip
        with pytest.raises(error, match=words) as caught:
            call()  # type: ignore[no-untyped-call]
        assert "\n" not in str(caught.value)
