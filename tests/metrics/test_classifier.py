from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from scipy.integrate import quad
from scipy.stats import norm

from hepflows.errors import ConfigError, DataError, ShapeError
from hepflows.metrics import ClassifierProtocol, ClassifierResult, classifier_test

FAST = ClassifierProtocol(
    "fast",
    hidden=(16,),
    inputs="standard",
    epochs=6,
    batch_size=64,
    learning_rate=1e-2,
    select="auc",
    calibration_clip=None,
)


def gaussian(n: int, seed: int, shift: float = 0.0, d: int = 3, rho: float = 0.9) -> np.ndarray:
    """Correlated features, so that permuting them is seen; the shift is along the first."""
    rng = np.random.default_rng(seed)
    values = np.sqrt(rho) * rng.normal(size=(n, 1)) + np.sqrt(1 - rho) * rng.normal(size=(n, d))
    values[:, 0] += shift
    return values


def test_areas_and_divergence_of_shifted_gaussians() -> None:
    rng, shift, n = np.random.default_rng(0), 1.5, 2500
    generated, reference = rng.normal([shift, 0.0], 1.0, size=(n, 2)), rng.normal(size=(n, 2))
    found = classifier_test(generated, reference, protocol=FAST, seed=1, floor=False)
    assert abs(found.auc - norm.cdf(shift / np.sqrt(2))) < 4 * found.auc_std
    assert found.auc_std < 0.012

    def integrand(t: float) -> float:
        p, q = norm.pdf(t), norm.pdf(t, shift)
        return float(0.5 * (p * np.log2(2 * p / (p + q)) + q * np.log2(2 * q / (p + q))))

    assert abs(found.jsd - quad(integrand, -8, 10)[0]) < 4 * found.test.jsd_std + 0.01  # calibration costs a little
    area = np.trapezoid(found.test.tpr, found.test.fpr)
    assert area == pytest.approx(found.auc, abs=0.003)


@pytest.mark.parametrize("protocol", ["calochallenge-512", pytest.param("calochallenge", marks=pytest.mark.slow)])
def test_the_calochallenge_networks_reach_the_area_of_shifted_gaussians(protocol: str) -> None:
    rng, shift, n = np.random.default_rng(1), 1.2, 1000
    generated, reference = rng.normal(shift / 2, 1.0, size=(n, 4)), rng.normal(size=(n, 4))  # |shift| = 1.2
    pair = generated[:60], reference[:60]
    found = classifier_test(generated, reference, protocol=protocol, repeats=1, seed=1, floor=False, power_pair=pair)
    right = norm.cdf(shift / np.sqrt(2))
    assert right - 4 * found.auc_std - 0.01 < found.auc < right + 4 * found.auc_std  # it learns from 600 events a class
    assert found.protocol.name == protocol


def test_nothing_to_find_and_the_power_to_find_it() -> None:
    found = classifier_test(gaussian(1500, 0), gaussian(1500, 1), protocol=replace(FAST, epochs=20), seed=2)
    assert abs(found.auc - 0.5) < 3 * found.auc_std
    assert found.floor is not None
    assert abs(found.floor.auc - 0.5) < 3 * found.floor.auc_std
    assert found.test.counts == (900, 300, 300)
    assert found.floor.counts == (450, 150, 150)  # halves of the reference
    assert found.power is not None
    assert found.power.auc > 0.8
    assert found.power_ok is True
    assert "too weak" not in str(found)


def test_a_floor_reference_of_its_own_gives_full_counts() -> None:
    found = classifier_test(
        gaussian(300, 0), gaussian(400, 1), floor_reference=gaussian(350, 2, shift=3.0), protocol=FAST, seed=2
    )
    assert found.floor is not None
    assert found.floor.counts == found.test.counts == (180, 60, 60)
    assert found.floor.auc > 0.95  # it is not the reference's distribution, and the floor says so


def test_a_weak_classifier_is_called_weak() -> None:
    # independent features: there are no relations that a permutation could destroy
    found = classifier_test(gaussian(300, 0, rho=0.0), gaussian(300, 1, rho=0.0), protocol=FAST, seed=2)
    assert found.power_ok is False
    assert "the classifier is too weak to judge" in str(found)
    assert "\n" not in str(found)


def test_features_are_permuted_only_within_their_groups() -> None:
    samples = [gaussian(400, seed) for seed in range(3)]
    arguments: dict[str, Any] = {"protocol": FAST, "seed": 2, "floor": False, "floor_reference": samples[2]}
    alone = classifier_test(*samples[:2], power_bins=np.arange(400), **arguments)  # groups of one: nothing moves
    free = classifier_test(*samples[:2], power_bins=np.zeros(400), **arguments)
    assert alone.power is not None
    assert free.power is not None
    assert abs(alone.power.auc - 0.5) < 3 * alone.power.auc_std
    assert free.power.auc > 0.7


def test_a_sample_known_to_be_wrong_replaces_the_permuted_one() -> None:
    pair = gaussian(300, 5), gaussian(300, 6, shift=3.0)
    found = classifier_test(gaussian(300, 0), gaussian(300, 1), power_pair=pair, protocol=FAST, seed=2, floor=False)
    assert found.power is not None
    assert found.power.auc > 0.95


def test_one_feature_has_no_power_check() -> None:
    found = classifier_test(gaussian(200, 0, d=1), gaussian(200, 1, d=1), protocol=FAST, seed=0, floor=False)
    assert found.power is None
    assert found.power_ok is None
    assert found.to_dict()["power_auc"] is None
    assert "not possible with one feature" in str(found)


def test_event_weights_turn_one_distribution_into_another() -> None:
    shift = 1.0
    generated, reference = gaussian(3000, 0, shift, rho=0.0), gaussian(3000, 1, rho=0.0)
    ratio = norm.pdf(generated[:, 0]) / norm.pdf(generated[:, 0], shift)
    arguments: dict[str, Any] = {"protocol": FAST, "seed": 3, "floor": False}
    plain = classifier_test(generated, reference, **arguments)
    weighted = classifier_test(generated, reference, generated_weights=7.0 * ratio, **arguments)
    turned = classifier_test(reference, generated, reference_weights=ratio, **arguments)
    assert plain.auc > 0.7
    for one in (weighted, turned):
        assert abs(one.auc - 0.5) < 3 * one.auc_std
        assert one.auc_std > plain.auc_std  # weights cost statistics


def test_a_seed_repeats_every_bit_and_touches_no_global_state() -> None:
    samples = gaussian(200, 0), gaussian(200, 1)
    protocol = replace(FAST, dropout=0.3)
    torch_state, numpy_state = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    one, two, other = (classifier_test(*samples, protocol=protocol, seed=seed) for seed in (5, 5, 6))
    assert torch.equal(torch_state, torch.get_rng_state())
    np.testing.assert_array_equal(numpy_state, np.random.get_state()[1])  # noqa: NPY002
    assert one.to_dict() == two.to_dict()
    assert one.test.histories == two.test.histories
    assert one.to_dict()["aucs"] != other.to_dict()["aucs"]


def test_parts_do_not_disturb_each_other() -> None:
    samples = gaussian(200, 0), gaussian(200, 1)
    whole = classifier_test(*samples, protocol=FAST, seed=5)
    part = classifier_test(*samples, protocol=FAST, seed=5, floor=False, repeats=2)
    np.testing.assert_array_equal(part.test.aucs, whole.test.aucs[:2])


@pytest.fixture(scope="module")
def small() -> ClassifierResult:
    return classifier_test(gaussian(100, 0), gaussian(120, 1), protocol=FAST, seed=5, repeats=2)


def test_everything_is_ready_for_json(small: ClassifierResult) -> None:
    found = json.loads(json.dumps(small.to_dict(), allow_nan=False))
    wanted = {"auc", "auc_std", "aucs", "jsd", "jsd_std", "auc_floor", "auc_floor_std", "power_auc", "power_ok"}
    assert wanted <= set(found)
    assert found["auc"] == pytest.approx(np.mean(found["aucs"]))
    assert [found[f"n_classifier_{part}"] for part in ("train", "select", "score")] == [60, 20, 20]
    assert found["n_classifier_floor"] == [36, 12, 12]
    assert found["protocol"]["name"] == "fast"
    assert found["protocol"]["hidden"] == [16]


def test_an_area_is_written_with_all_that_belongs_to_it(small: ClassifierResult) -> None:
    text = str(small)
    for piece in (
        f"AUC {small.auc:.3f} ± {small.auc_std:.3f}",
        "60 train + 20 select + 20 score",
        "2 trainings",
        "protocol fast",
        "floor",
        "(with 36 train + 12 select + 12 score)",
        "power check",
    ):
        assert piece in text


def test_progress_counts_the_epochs_of_all_trainings() -> None:
    steps: list[tuple[int, int, str]] = []
    classifier_test(
        gaussian(120, 0), gaussian(120, 1), protocol=FAST, seed=5, repeats=2, progress=lambda *one: steps.append(one)
    )
    total = FAST.epochs * (2 + 2 + 1)
    assert [(done, whole) for done, whole, _ in steps] == [(done, total) for done in range(1, total + 1)]
    assert steps[0][2] == "test, training 1 of 2"
    assert steps[-1][2] == "power check, training 1 of 1"


def test_samples_of_one_reference_share_its_floor() -> None:
    """Nothing is trained twice, every number is that of a call by itself, and another reference, seed or size has a floor of its own."""
    truth, one, two = gaussian(300, 1), gaussian(300, 2, 1.0), gaussian(300, 3, 0.5)
    measured: dict[Any, Any] = {}
    totals: list[int] = []

    def judge(generated: np.ndarray, reference: np.ndarray, seed: int, **more: Any) -> ClassifierResult:
        steps: list[int] = []
        options = {"protocol": FAST, "repeats": 2, "seed": seed, **more}
        found = classifier_test(
            generated, reference, progress=lambda _done, total, _text: steps.append(total), **options
        )
        totals.append(steps[0] // FAST.epochs)
        assert len(steps) == steps[0]
        return found

    first, second = (judge(sample, truth, 1, measured=measured) for sample in (one, two))
    assert totals == [5, 2]  # test, floor, power check: 2 + 2 + 1
    assert second.floor is first.floor
    assert second.to_dict() == judge(two, truth, 1).to_dict()
    for generated, reference, seed in ((two, one, 1), (two, truth, 2), (two[:120], truth, 1)):
        totals.clear()
        assert judge(generated, reference, seed, measured=measured).floor is not first.floor
        assert totals == [5]


def test_wrong_arguments_are_refused_in_one_sentence() -> None:
    good = gaussian(100, 0)
    cases: list[tuple[type[Exception], str, dict[str, Any]]] = [
        (DataError, "the classifier's test has only 30 events per class, but needs 50", {"generated": good[:30]}),
        (DataError, "the classifier's floor has only 40 events per class", {"reference": good[:80]}),
        (DataError, "not finite", {"generated": good * np.nan}),
        (ShapeError, "has 2 features, but the reference has 3", {"generated": good[:, :2]}),
        (ShapeError, "one label each", {"power_bins": np.zeros(5)}),
        (ShapeError, "one finite factor for each of 3", {"scale": np.ones(2)}),
        (ConfigError, "cannot scale them", {"scale": np.ones(3), "protocol": "caloflow"}),
        (ConfigError, "at least one training", {"repeats": 0}),
        (ConfigError, "there is no classifier protocol", {"protocol": "best"}),
    ]
    for error, words, changed in cases:
        arguments = {"generated": good, "reference": good, "protocol": FAST, "seed": 0, **changed}
        with pytest.raises(error, match=words) as caught:
            classifier_test(**arguments)
        assert "\n" not in str(caught.value)


def pulls(n: int, experiments: int, protocol: ClassifierProtocol, repeats: int, shift: float = 0.0) -> np.ndarray:
    found = []
    for experiment in range(experiments):
        rng = np.random.default_rng([experiment, n])
        generated, reference = rng.normal([shift, 0, 0, 0], 1.0, size=(n, 4)), rng.normal(size=(n, 4))
        pair = generated[:50], reference[:50]
        one = classifier_test(
            generated, reference, protocol=protocol, repeats=repeats, seed=experiment, floor=False, power_pair=pair
        )
        found.append((one.auc, one.auc_std))
    areas, errors = np.array(found).T
    return (areas - (areas.mean() if shift else 0.5)) / errors


def test_the_quoted_error_covers() -> None:
    found = pulls(150, 40, replace(FAST, epochs=3), repeats=3)
    assert 0.5 < found.std() < 1.3  # 1 expected at most, 0.11 the error of a deviation from 40
    assert abs(found.mean()) < 4 / np.sqrt(40)
    assert np.mean(np.abs(found) < 2) > 0.85


@pytest.mark.slow
@pytest.mark.parametrize("repeats", [3, 10])
@pytest.mark.parametrize("shift", [0.0, 0.5])
@pytest.mark.parametrize(
    "protocol",
    [FAST, replace(FAST, name="overtrained", hidden=(64, 64), epochs=30, batch_size=32, select="last")],
    ids=["fast", "overtrained"],
)
def test_the_quoted_error_covers_many_times(repeats: int, shift: float, protocol: ClassifierProtocol) -> None:
    found = pulls(200, 100, protocol, repeats, shift)
    assert 0.6 < found.std() < 1.0 + 3 / np.sqrt(200)  # 1 / sqrt(2 * 100) is the error of a deviation from 100
    assert abs(found.mean()) < 4 / np.sqrt(100)


def test_the_order_of_a_longer_sample_does_not_matter() -> None:
    """A reference sorted by its first feature: its first rows are another distribution."""
    generated, reference, others = gaussian(400, 0), gaussian(1200, 1), gaussian(1200, 2)
    order = [np.argsort(one[:, 0]) for one in (reference, others)]
    weights = np.random.default_rng(3).uniform(0.5, 1.5, 1200)
    for arguments in ({}, {"floor_reference": others[order[1]]}):
        found = classifier_test(
            generated,
            reference[order[0]],
            reference_weights=weights,
            power_pair=(others[order[1]], 3.0 + reference[order[0]]),
            protocol=FAST,
            seed=4,
            **arguments,
        )
        assert found.floor is not None
        assert found.power is not None
        assert found.test.counts == found.floor.counts == found.power.counts == (240, 80, 80)
        assert abs(found.auc - 0.5) < 3 * found.auc_std
        assert abs(found.floor.auc - 0.5) < 3 * found.floor.auc_std
        assert found.power.auc > 0.95
