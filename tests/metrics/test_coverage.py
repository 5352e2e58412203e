from __future__ import annotations

import json

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from hepflows.errors import ConfigError, DataError, ShapeError
from hepflows.metrics import PrdcResult, prdc
from hepflows.metrics.coverage import NAMES


def by_hand(generated: np.ndarray, reference: np.ndarray, k: int) -> tuple[float, float, float, float]:
    """From the definitions, one event after the other."""

    def radius(sample: np.ndarray, row: int) -> float:
        return sorted(float(np.linalg.norm(sample[row] - other)) for i, other in enumerate(sample) if i != row)[k - 1]

    balls = [[radius(sample, row) for row in range(len(sample))] for sample in (reference, generated)]
    distance = [[float(np.linalg.norm(x - y)) for y in generated] for x in reference]
    in_truth = [[distance[i][j] <= balls[0][i] for j in range(len(generated))] for i in range(len(reference))]
    in_fake = [[distance[i][j] <= balls[1][j] for j in range(len(generated))] for i in range(len(reference))]
    return (
        float(np.mean([any(row[j] for row in in_truth) for j in range(len(generated))])),
        float(np.mean([any(row) for row in in_fake])),
        float(np.mean([sum(row[j] for row in in_truth) / k for j in range(len(generated))])),
        float(np.mean([any(row) for row in in_truth])),
    )


def numbers(found: PrdcResult) -> list[float]:
    return [getattr(found, name) for name in NAMES]


@pytest.mark.parametrize(("n", "m", "d", "k"), [(60, 90, 2, 5), (95, 60, 7, 3), (40, 40, 1, 1)])
def test_the_numbers_are_those_of_the_definitions(n: int, m: int, d: int, k: int) -> None:
    rng = np.random.default_rng(n)
    generated, reference = rng.normal(0.4, 0.8, size=(m, d)), rng.normal(size=(n, d))
    assert numbers(prdc(generated, reference, k=k, seed=0)) == pytest.approx(by_hand(generated, reference, k))


def test_copies_and_ties_are_counted_as_in_the_definitions() -> None:
    """On a grid most distances are equal to others, and many events are copies."""
    rng = np.random.default_rng(0)
    generated, reference = (rng.integers(0, 6, size=(size, 2)).astype(float) for size in (70, 80))
    assert numbers(prdc(generated, reference, seed=0)) == pytest.approx(by_hand(generated, reference, 5))


def test_a_sample_against_itself() -> None:
    """Each ball holds its own event and k others, and the last of these lies exactly on its edge."""
    values = np.random.default_rng(1).normal(size=(200, 4)) * 1e3 + 1e7
    assert numbers(prdc(values, values, seed=0)) == pytest.approx([1.0, 1.0, 6 / 5, 1.0], abs=1e-12)


def test_two_equal_distributions_have_density_one_and_the_expected_coverage() -> None:
    rng, n, m, number = np.random.default_rng(2), 120, 240, 40
    found = [prdc(rng.normal(size=(m, 6)), rng.normal(size=(n, 6)), seed=0) for _ in range(number)]
    values = np.array([numbers(one) for one in found])
    errors = values.std(axis=0) / np.sqrt(number)
    assert values[:, 2].mean() == pytest.approx(1.0, abs=4 * errors[2])
    assert values[:, 3].mean() == pytest.approx(found[0].expected_coverage, abs=4 * errors[3])
    assert found[0].expected_coverage == pytest.approx(1 - np.prod([(n - i) / (n + m - i) for i in range(1, 6)]))


@pytest.mark.parametrize(("shift", "width"), [(0.0, 1.0), (1.0, 1.0), (0.0, 0.7)])
def test_the_quoted_errors_are_those_of_repeated_experiments(shift: float, width: float) -> None:
    rng, number = np.random.default_rng(3), 40
    found = [prdc(rng.normal(shift, width, (200, 5)), rng.normal(size=(200, 5)), seed=0) for _ in range(number)]
    true = np.std([numbers(one) for one in found], axis=0, ddof=1)
    quoted = np.mean([[getattr(one, f"{name}_error") for name in NAMES] for one in found], axis=0)
    assert (quoted > 0.75 * true).all()
    assert (quoted < 2.2 * true + 1e-3).all()


def test_a_collapsed_generator_is_recognised() -> None:
    rng, d = np.random.default_rng(4), 40
    reference = rng.normal(size=(400, d))
    collapsed = prdc(0.05 * rng.normal(size=(400, d)), reference, seed=0)
    assert collapsed.precision == 1.0
    assert collapsed.recall == 0.0
    assert collapsed.density > 20
    elsewhere = prdc(rng.normal(size=(400, d)) + 10, reference, seed=0)
    assert numbers(elsewhere) == [0.0, 0.0, 0.0, 0.0]
    one_point = prdc(np.zeros((400, d)), reference, seed=0)
    assert one_point.recall == 0.0
    assert one_point.density > 20


def test_the_missing_mode_is_seen_by_coverage_and_recall_only() -> None:
    rng = np.random.default_rng(5)
    modes = np.repeat([0.0, 20.0], 150)[:, None]
    found = prdc(rng.normal(size=(300, 3)), rng.normal(size=(300, 3)) + modes, seed=0)
    assert found.precision > 0.9
    assert found.recall == pytest.approx(0.5, abs=0.05)
    assert found.coverage == pytest.approx(0.5, abs=0.05)


def test_moving_and_turning_both_samples_changes_nothing() -> None:
    rng = np.random.default_rng(6)
    generated, reference = rng.normal(0.3, 1.0, (150, 4)), rng.normal(size=(150, 4))
    turn = np.linalg.qr(rng.normal(size=(4, 4)))[0]
    moved = prdc(generated @ turn + 1e5, reference @ turn + 1e5, seed=3)
    assert moved == prdc(generated, reference, seed=3)


def test_single_precision_is_welcome_and_the_seed_moves_the_errors_only() -> None:
    rng = np.random.default_rng(7)
    generated, reference = (rng.normal(size=(150, 4)).astype(np.float32) for _ in range(2))
    one, same, other = (prdc(generated, reference, seed=seed) for seed in (1, 1, 2))
    assert one == same
    assert numbers(one) == numbers(other)
    assert one.precision_error != other.precision_error
    assert numbers(one) == pytest.approx(by_hand(generated.astype(float), reference.astype(float), 5))


def test_everything_is_ready_for_json_and_for_a_line() -> None:
    rng = np.random.default_rng(8)
    found = prdc(rng.normal(size=(60, 2)), rng.normal(size=(50, 2)), seed=0)
    assert PrdcResult(**json.loads(json.dumps(found.to_dict()))) == found
    text = str(found)
    assert "\n" not in text
    assert "k = 5, 60 against 50 events" in text
    assert all(f"{name} {getattr(found, name):.3f} ± " in text for name in NAMES)


def test_all_pairs_of_a_block_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(9)
    generated, reference = rng.normal(0.3, 1.0, (80, 4)), rng.normal(size=(90, 4))
    whole = prdc(generated, reference, seed=0)
    monkeypatch.setattr("hepflows.metrics.neighbours._BLOCK", 700)  # seven rows at a time
    assert prdc(generated, reference, seed=0) == whole
    assert cdist(generated, reference).min() > 0  # nothing here is decided by a tie


def test_wrong_arguments_are_refused_in_one_sentence() -> None:
    good = np.random.default_rng(10).normal(size=(60, 2))
    for error, words, call in (
        (DataError, "with k = 5 need 50 events in each sample, but there are 49 generated and 60", lambda: prdc(good[:49], good, seed=0)),
        (DataError, "not finite", lambda: prdc(good * np.nan, good, seed=0)),
        (ShapeError, "has 1 features, but the reference has 2", lambda: prdc(good[:, :1], good, seed=0)),
        (ConfigError, "at least one neighbour, but k is 0", lambda: prdc(good, good, k=0, seed=0)),
    ):  # fmt: skip
        with pytest.raises(error, match=words) as caught:
            call()  # type: ignore[no-untyped-call]
        assert "\n" not in str(caught.value)
