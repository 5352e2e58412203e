from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from hepflows.errors import DataError, ShapeError
from hepflows.metrics import fpd, kpd, prdc, with_floor
from hepflows.metrics.floors import metric_of_equal_counts
from hepflows.metrics.samples import drawn
from hepflows.training.seeding import derive


def samples(*sizes: int, d: int = 3) -> list[np.ndarray]:
    return [np.random.default_rng([7, place]).normal(size=(size, d)) for place, size in enumerate(sizes)]


@pytest.mark.parametrize("metric", [fpd, kpd, prdc])
def test_the_floor_is_the_metric_of_true_samples(metric: Any) -> None:
    generated, reference, others = samples(400, 500, 600)
    found = with_floor(metric, 0.7 * generated, reference, floor_reference=others, seed=3)
    assert found.test == metric(0.7 * generated, reference, seed=3)
    rows = drawn(600, 400, derive(3, "floor"), "others")  # as many events as were generated
    assert found.floor == metric(others[rows], reference, seed=derive(3, "floor"))
    assert str(found) == f"{found.test}, floor {found.floor}"
    whole = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert whole.pop("floor") == json.loads(json.dumps(found.floor.to_dict()))
    assert whole == json.loads(json.dumps(found.test.to_dict()))


def test_without_another_sample_the_floor_takes_halves_and_says_so() -> None:
    generated, reference = samples(400, 500)
    found = with_floor(prdc, generated, reference, seed=3, k=3)
    assert (found.floor.n_generated, found.floor.n_reference, found.floor.k) == (250, 250, 3)
    assert "250 against 250 events" in str(found)
    assert found == with_floor(prdc, generated, reference, seed=3, k=3)


def test_a_good_generator_stays_at_the_floor_and_a_bad_one_does_not() -> None:
    generated, reference, others = samples(500, 500, 500)
    good, bad = (
        with_floor(fpd, one, reference, floor_reference=others, seed=1) for one in (generated, generated + 0.6)
    )
    for one, low, high in ((good, -3.0, 3.0), (bad, 5.0, np.inf)):
        excess = one.test.unbiased - one.floor.unbiased
        assert low < excess / np.hypot(one.test.unbiased_error, one.floor.unbiased_error) < high


@pytest.mark.parametrize(("n", "m"), [(800, 2000), (800, 800), (2000, 700)])
def test_a_perfect_generator_stays_at_the_floor_at_any_counts(n: int, m: int) -> None:
    """Distances without bias removed and coverage, whose values depend on the counts."""
    generated, reference = samples(n, m, d=6)
    for found in (with_floor(fpd, generated, reference, seed=2), with_floor(kpd, generated, reference, seed=2)):
        for name, error in (("value", "error"), ("unbiased", "unbiased_error")):
            spread = np.hypot(getattr(found.test, error), getattr(found.floor, error))
            assert abs(getattr(found.test, name) - getattr(found.floor, name)) < 3.5 * spread, (found, name)
    assert found.floor.count_factor == pytest.approx(found.floor.batch_size / found.test.batch_size)
    balls = with_floor(prdc, generated, reference, most=10_000, seed=2)
    assert balls.test.n_generated == balls.test.n_reference == min(n, m)
    assert balls.floor.n_generated == balls.floor.n_reference == min(n, m // 2)
    for name in ("precision", "recall", "density", "coverage"):
        spread = np.hypot(getattr(balls.test, f"{name}_error"), getattr(balls.floor, f"{name}_error"))
        assert abs(getattr(balls.test, name) - getattr(balls.floor, name)) < 3.5 * spread, name


def test_a_shift_that_the_bias_of_halves_would_hide_lies_above_the_floor() -> None:
    rng = np.random.default_rng(11)
    generated, reference = rng.normal(size=(2, 2000, 20))
    generated[:, 0] += 0.3
    found = with_floor(fpd, generated, reference, seed=1)
    assert found.test.value > found.floor.value + 5 * np.hypot(found.test.error, found.floor.error)
    assert found.floor.count_factor == pytest.approx(0.5)
    assert found.floor.n_reference == 1000


def test_the_scale_of_a_floor_is_that_of_the_whole_reference() -> None:
    """A single far event is in one half only, and may not decide in which units the halves are compared."""
    reference = np.random.default_rng(12).normal(size=(600, 2))
    reference[0] = 40.0
    found = with_floor(fpd, reference[:300], reference, seed=1)
    for seed in range(4):
        one = with_floor(fpd, reference[:300], reference, seed=seed).floor
        assert one.value < 4 * found.floor.value


def test_the_order_of_a_longer_sample_does_not_matter() -> None:
    generated, reference, others = samples(300, 900, 900, d=2)
    by_size = [one[np.argsort(one[:, 0])] for one in (reference, others)]
    for metric in (fpd, kpd, prdc):
        found = with_floor(metric, generated, by_size[0], floor_reference=by_size[1], most=1000, seed=5)  # type: ignore[arg-type, var-annotated]
        one = json.loads(json.dumps(found.to_dict()))
        if metric is prdc:
            assert min(one["recall"], one["coverage"], one["floor"]["recall"], one["floor"]["coverage"]) > 0.9
        else:
            assert abs(one["unbiased"]) < 4 * one["unbiased_error"]
            assert abs(one["floor"]["unbiased"]) < 4 * one["floor"]["unbiased_error"]
    again = [metric_of_equal_counts(prdc, generated, by_size[0], most=200, seed=seed) for seed in (1, 1, 2)]
    assert again[0] == again[1] != again[2]


def test_wrong_floors_are_refused() -> None:
    generated, reference, others = samples(60, 60, 60)
    with pytest.raises(ShapeError, match="the floor sample has 2 features, but the reference has 3"):
        with_floor(prdc, generated, reference, floor_reference=others[:, :2], seed=0)
    with pytest.raises(DataError, match="there are 30 generated and 30 reference events"):
        with_floor(prdc, generated, reference, seed=0)
