from __future__ import annotations

import numpy as np
import pytest

from hepflows.errors import DataError, ShapeError
from hepflows.metrics.samples import deal, join, permute_within, sample, two_halves


def test_a_deal_is_disjoint_and_of_the_asked_sizes() -> None:
    one = deal(150, 100, (0.6, 0.2, 0.2), repeat=1, seed=3, name="a")
    assert [len(part) for part in (one.train, one.select, one.score)] == [60, 20, 20]
    rows = np.concatenate([one.train, one.select, one.score])
    assert len(np.unique(rows)) == 100
    assert rows.max() < 150


def test_score_sets_take_turns_until_every_event_was_scored() -> None:
    deals = [deal(100, 100, (0.6, 0.2, 0.2), repeat, 3, "a") for repeat in range(6)]
    scored = np.concatenate([one.score for one in deals[:5]])
    np.testing.assert_array_equal(np.sort(scored), np.arange(100))
    np.testing.assert_array_equal(deals[5].score, deals[0].score)
    assert not np.array_equal(np.sort(deals[5].train), np.sort(deals[0].train))


def test_deals_differ_between_samples_and_seeds() -> None:
    def scored(seed: int, name: str) -> set[int]:
        return set(deal(100, 100, (0.6, 0.2, 0.2), 0, seed, name).score.tolist())

    assert scored(3, "a") == scored(3, "a")
    assert scored(3, "a") != scored(3, "b")
    assert scored(3, "a") != scored(4, "a")


def test_halves_are_disjoint_and_complete() -> None:
    first, second = two_halves(11, seed=0)
    np.testing.assert_array_equal(np.sort(np.r_[first, second]), np.arange(11))
    assert abs(len(first) - len(second)) == 1


def test_permutations_keep_each_feature_of_each_group_and_lose_relations() -> None:
    rng = np.random.default_rng(0)
    common = rng.normal(size=4000)
    values, groups = np.stack([common, common, common], axis=1), rng.integers(0, 4, 4000)
    found = permute_within(values, groups, rng)
    for group in range(4):
        np.testing.assert_array_equal(np.sort(found[groups == group], axis=0), np.sort(values[groups == group], axis=0))
    correlation = np.corrcoef(found.T)[np.triu_indices(3, 1)]
    assert np.abs(correlation).max() < 0.06
    np.testing.assert_array_equal(values[:, 0], common)  # the input is left alone


def test_joined_weights_average_to_one_in_each_class() -> None:
    rng = np.random.default_rng(0)
    fake = sample("fake", rng.normal(size=(50, 2)), rng.gamma(1.0, size=50))
    truth = sample("truth", rng.normal(size=(60, 2)), None)
    both = join(fake, truth, np.arange(20), np.arange(30))
    assert both.weights[:20].mean() == pytest.approx(1.0)
    assert both.weights[20:].mean() == pytest.approx(1.0)
    assert both.labels.tolist() == [0.0] * 20 + [1.0] * 30
    np.testing.assert_array_equal(both.features[:20], fake.features[:20])


def test_wrong_samples_are_refused_in_one_sentence() -> None:
    good = sample("reference", np.zeros((5, 2)), None)
    broken = np.zeros((5, 2))
    broken[[2, 4], 1] = np.inf
    for words, error, arguments in (
        ("2 events with values that are not finite, the first is event 2", DataError, (broken, None)),
        ("has 3 features, but the reference has 2", ShapeError, (np.zeros((5, 3)), None)),
        (r"has \(5,\)", ShapeError, (np.zeros(5), None)),
        (r"weights have the shape \(4,\)", ShapeError, (np.zeros((5, 2)), np.ones(4))),
        ("not negative", DataError, (np.zeros((5, 2)), -np.ones(5))),
        ("not all zero", DataError, (np.zeros((5, 2)), np.zeros(5))),
    ):
        with pytest.raises(error, match=words):
            sample("generated", *arguments, like=good)
    with pytest.raises(ShapeError, match="one group label each"):
        permute_within(np.zeros((5, 2)), np.zeros(4), np.random.default_rng(0))
