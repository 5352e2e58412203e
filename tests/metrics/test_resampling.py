from __future__ import annotations

import numpy as np
import pytest

from hepflows.metrics.resampling import Scored, bootstrap, exchange, joint_error
from hepflows.metrics.roc import auc


def scored(rng: np.random.Generator, n: int = 200, shift: float = 0.5, first: int = 0) -> Scored:
    labels = np.repeat([0.0, 1.0], n)
    events = np.tile(np.arange(first, first + n), 2)
    logits = rng.normal(shift * labels, 1.0)
    return Scored(events, labels, np.ones(2 * n), logits, np.full(2 * n, np.log(2.0)))


def delong(one: Scored) -> float:
    """Variance of an AUC by structural components: an independent formula."""
    up, down = one.logits[one.labels > 0.5], one.logits[one.labels < 0.5]
    wins = (up[:, None] > down) + 0.5 * (up[:, None] == down)
    return float(np.var(wins.mean(axis=1), ddof=1) / len(up) + np.var(wins.mean(axis=0), ddof=1) / len(down))


@pytest.mark.parametrize("shift", [0.0, 1.0, 3.0])
def test_the_bootstrap_agrees_with_delong(shift: float) -> None:
    one = scored(np.random.default_rng(0), shift=shift)
    areas, _ = bootstrap([one], np.random.default_rng(1), replicas=2000)
    assert areas.std() == pytest.approx(np.sqrt(delong(one)), rel=0.08)


def test_two_looks_at_the_same_events_are_not_two_samples() -> None:
    rng = np.random.default_rng(2)
    one, other = scored(rng), scored(rng, first=200)
    value = auc(one.logits, one.labels)
    single = joint_error(np.array([value]), bootstrap([one], rng)[0])
    twice = joint_error(np.array([value, value]), bootstrap([one, one], rng)[0])
    apart = joint_error(np.array([value, value]), bootstrap([one, other], rng)[0])
    assert twice == pytest.approx(single, rel=0.15)
    assert apart == pytest.approx(single / np.sqrt(2), rel=0.15)


def test_the_spread_between_seeds_enters() -> None:
    rng = np.random.default_rng(3)
    values = np.array([0.5, 0.6, 0.7, 0.8])
    tiny = 1e-5 * rng.standard_normal((400, 4))
    assert joint_error(values, tiny) == pytest.approx(values.std(ddof=1) / 2, rel=1e-3)
    # a spread no larger than that of the score sets says nothing about seeds
    wide = 0.2 * rng.standard_normal((4000, 4))
    assert joint_error(values, wide) == pytest.approx(0.1, rel=0.05)


def test_exchanged_events_correlate_trainings() -> None:
    rng = np.random.default_rng(4)
    sets = [scored(rng, first=0), scored(rng, first=200), scored(rng, first=100)]
    rho = 200 * 600 / 800**2
    expected = rho * np.array([[0, 1, 0.5], [1, 0, 0.5], [0.5, 0.5, 0]])
    np.testing.assert_allclose(exchange(sets, train=600, select=200), expected, rtol=1e-12)
    noise = 0.01 * rng.standard_normal((20_000, 2))
    assert joint_error(np.array([0.5, 0.5]), noise, expected[:2, :2]) == pytest.approx(
        0.01 * np.sqrt((1 + rho) / 2), rel=0.02
    )


def test_entropies_have_an_error_too() -> None:
    rng = np.random.default_rng(5)
    one = scored(rng)
    entropies = rng.exponential(0.5, 400)
    one = Scored(one.events, one.labels, one.weights, one.logits, entropies)
    expected = np.sqrt(entropies[:200].var() + entropies[200:].var()) / np.sqrt(200) / (2 * np.log(2))
    assert bootstrap([one], rng, replicas=2000)[1].std() == pytest.approx(expected, rel=0.1)
