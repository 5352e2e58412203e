from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from hepflows.errors import DataError, ShapeError
from hepflows.metrics import fpd, kpd, prdc, with_floor
from hepflows.training.seeding import derive


def samples(*sizes: int, d: int = 3) -> list[np.ndarray]:
    return [np.random.default_rng([7, place]).normal(size=(size, d)) for place, size in enumerate(sizes)]


@pytest.mark.parametrize("metric", [fpd, kpd, prdc])
def test_the_floor_is_the_metric_of_true_samples(metric: Any) -> None:
    generated, reference, others = samples(400, 500, 600)
    found = with_floor(metric, 0.7 * generated, reference, floor_reference=others, seed=3)
    assert found.test == metric(0.7 * generated, reference, seed=3)
    assert found.floor == metric(others[:400], reference, seed=derive(3, "floor"))  # as many events as were generated
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


def test_wrong_floors_are_refused() -> None:
    generated, reference, others = samples(60, 60, 60)
    with pytest.raises(ShapeError, match="the floor sample has 2 features, but the reference has 3"):
        with_floor(prdc, generated, reference, floor_reference=others[:, :2], seed=0)
    with pytest.raises(DataError, match="there are 30 generated and 30 reference events"):
        with_floor(prdc, generated, reference, seed=0)
