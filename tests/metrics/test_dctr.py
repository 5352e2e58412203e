"""Weights against a ratio of densities that is known, and events that no classifier weighted after seeing them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from hepflows.errors import CheckpointError, ConfigError, DataError, DomainError, ShapeError
from hepflows.metrics import ClassifierProtocol, Reweighter, auc, effective_size, reweight, unweight
from hepflows.metrics import dctr as module
from hepflows.metrics.calibrated import Calibration
from hepflows.metrics.network import Scaler, train
from hepflows.training.checkpoint import save_tensors

Array = NDArray[np.float64]
FAST = ClassifierProtocol(
    "fast",
    hidden=(32, 32),
    inputs="standard",
    epochs=12,
    batch_size=200,
    learning_rate=5e-3,
    weight_decay=0.1,
    select="loss",
)
SHIFT, WIDTH = 0.5, 1.2


def gaussians(n: int, m: int, seed: int = 0, features: int = 2) -> tuple[Array, Array]:
    rng = np.random.default_rng(seed)
    return SHIFT + WIDTH * rng.normal(size=(n, features)), rng.normal(size=(m, features))


def exact(x: Array) -> Array:
    """Reference over generated."""
    log = 0.5 * ((x - SHIFT) / WIDTH) ** 2 - 0.5 * x**2 + np.log(WIDTH)
    return np.asarray(np.exp(log.sum(axis=1)))


def test_weights_are_the_ratio_of_the_densities() -> None:
    generated, reference = gaussians(6000, 4000)
    found = reweight(generated, reference, protocol=FAST, folds=3, seed=1)
    truth = exact(generated)
    assert found.weights.mean() == pytest.approx(1.0, abs=1e-12)
    error = np.log(found.weights / truth)
    assert np.sqrt(np.average(error**2, weights=truth)) < 0.2
    assert np.corrcoef(found.weights, truth)[0, 1] > 0.95
    assert found.effective_size / 6000 == pytest.approx(effective_size(truth) / 6000, abs=0.05)
    # moments: those of the standard normal, from a sample whose mean is 0.5 and second moment 1.69
    for column in generated.T:
        assert abs(np.average(column, weights=found.weights)) < 0.06
        assert np.average(column**2, weights=found.weights) == pytest.approx(1.0, abs=0.15)
    # events that are generated later
    later, _ = gaussians(6000, 1, seed=7)
    weights = found.reweighter.weights(later)
    assert weights.mean() == pytest.approx(1.0, abs=0.05)
    assert np.corrcoef(weights, exact(later))[0, 1] > 0.95
    assert found.reweighter.weights(later, normalise=True).mean() == pytest.approx(1.0, abs=1e-12)


def test_a_classifier_finds_nothing_after_reweighting() -> None:
    (generated, reference), (later, fresh) = gaussians(6000, 6000), gaussians(6000, 6000, seed=1)
    weights = reweight(generated, reference, protocol=FAST, folds=2, seed=1).reweighter.weights(later)
    scores, labels = exact(np.concatenate([later, fresh])), np.repeat([0, 1], 6000)  # the best there can be
    assert auc(scores, labels) > 0.65
    assert abs(auc(scores, labels, np.concatenate([weights, np.ones(6000)])) - 0.5) < 0.03


def test_equal_samples_get_equal_weights() -> None:
    rng = np.random.default_rng(0)
    found = reweight(rng.normal(size=(3000, 2)), rng.normal(size=(3000, 2)), protocol=FAST, folds=3, seed=1)
    assert found.effective_size > 2900


def test_no_event_is_weighted_by_a_classifier_that_saw_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every event carries its number; each training says which it was given."""
    generated, reference = gaussians(300, 240, features=1)
    generated = np.concatenate([generated, np.arange(300.0)[:, None]], axis=1)
    reference = np.concatenate([reference, 1000 + np.arange(240.0)[:, None]], axis=1)
    given: list[set[float]] = []
    asked: list[list[set[float]]] = []

    def watched(training: object, selection: object, *arguments: object, **options: object) -> object:
        trained = train(training, selection, *arguments, **options)  # type: ignore[arg-type]
        numbers = set(training.features[:, 1]), set(selection.features[:, 1])  # type: ignore[attr-defined]
        assert not numbers[0] & numbers[1]
        given.append(numbers[0] | numbers[1])
        asked.append([])
        logits = type(trained).logits

        class Watched(type(trained)):  # type: ignore[misc]
            def logits(self, features: Array) -> Array:
                asked[-1].append(set(features[:, 1]))
                return logits(self, features)

        return Watched(trained.network, trained.scaler, trained.history, trained.epoch)

    monkeypatch.setattr(module, "train", watched)
    reweight(generated, reference, protocol=replace(FAST, epochs=1), folds=4, seed=3)
    weighted = [calls[-1] for calls in asked]
    for seen, held in zip(given, weighted, strict=True):
        assert not seen & held
        assert len(seen) == 540 - 75 - 60
    assert sorted(number for held in weighted for number in held) == list(range(300))


def test_event_weights() -> None:
    """Of a reference of twice the width, weights make the one of width one; and weights of generated events stay in the result."""
    rng = np.random.default_rng(0)
    generated, wide = rng.normal(0.4, 1.0, (4000, 1)), rng.normal(0.0, 1.5, (6000, 1))
    to_normal = np.exp(-0.5 * wide[:, 0] ** 2 * (1 - 1 / 1.5**2))
    tilt = np.exp(0.3 * generated[:, 0])  # makes the mean 0.7
    for own in (None, tilt):
        found = reweight(
            generated, wide, protocol=FAST, folds=2, seed=1, generated_weights=own, reference_weights=to_normal
        )
        assert found.weights.mean() == pytest.approx(1.0, abs=1e-12)
        assert abs(np.average(generated[:, 0], weights=found.weights)) < 0.08
        assert np.average(generated[:, 0] ** 2, weights=found.weights) == pytest.approx(1.0, abs=0.12)


def test_clipping() -> None:
    generated, reference = gaussians(1500, 1500)
    free, kept = (reweight(generated, reference, protocol=FAST, folds=2, seed=1, clip=clip) for clip in (None, 1.5))
    assert free.weights.max() / free.weights.min() > 9
    for fold in (kept.weights, kept.reweighter.weights(generated)):
        assert fold.max() / fold.min() < 1.5**2 * 1.3  # the two classifiers have a mean of one each
    assert kept.effective_size > free.effective_size


def test_repeats_and_tells_its_progress() -> None:
    generated, reference = gaussians(400, 400)
    calls: list[tuple[int, int, str]] = []
    fast = replace(FAST, epochs=3)
    first = reweight(generated, reference, protocol=fast, folds=2, seed=1, progress=lambda *call: calls.append(call))
    again, other = (reweight(generated, reference, protocol=fast, folds=2, seed=seed) for seed in (1, 2))
    np.testing.assert_array_equal(first.weights, again.weights)
    assert not np.allclose(first.weights, other.weights)
    assert [call[:2] for call in calls] == [(done, 6) for done in range(1, 7)]
    assert calls[3][2] == "reweighting, classifier 2 of 2"


@pytest.mark.parametrize("inputs", ["raw", "standard", "robust"])
def test_saved_and_loaded(tmp_path: Path, inputs: str) -> None:
    generated, reference = gaussians(400, 400)
    found = reweight(generated, reference, protocol=replace(FAST, epochs=2, inputs=inputs), folds=2, seed=1, clip=5.0)
    found.reweighter.save(tmp_path / "weights.safetensors")
    loaded = Reweighter.load(tmp_path / "weights.safetensors")
    np.testing.assert_array_equal(loaded.weights(generated), found.reweighter.weights(generated))
    assert (loaded.features, loaded.clip, loaded.protocol) == (2, 5.0, found.reweighter.protocol)


def test_files_and_events_that_do_not_fit(tmp_path: Path) -> None:
    generated, reference = gaussians(100, 100)
    save_tensors(tmp_path / "other.safetensors", {"x": torch.zeros(1)}, {})
    with pytest.raises(CheckpointError, match="holds no reweighter"):
        Reweighter.load(tmp_path / "other.safetensors")
    found = reweight(generated, reference, protocol=replace(FAST, epochs=1), folds=2, seed=1)
    with pytest.raises(DataError, match="takes 2 features, got 3"):
        found.reweighter.weights(np.zeros((4, 3)))
    with pytest.raises(DataError, match="not finite"):
        found.reweighter.weights(np.full((4, 2), np.nan))
    with pytest.raises(ShapeError, match="has 1 features, but the reference has 2"):
        reweight(generated[:, :1], reference, seed=0)
    with pytest.raises(DataError, match="in 5 folds needs 50 events of each class, got 100 generated and 49"):
        reweight(generated, reference[:49], seed=0)
    with pytest.raises(DataError, match="a fold holds events of weight zero only"):
        reweight(generated, reference, seed=0, folds=2, generated_weights=np.eye(100)[0])
    for options in ({"folds": 1}, {"clip": 1.0}, {"clip": float("nan")}):
        with pytest.raises(ConfigError, match="at least 2 folds, and a clip above 1 or none"):
            reweight(generated, reference, seed=0, **options)  # type: ignore[arg-type]


def test_calibration_undoes_what_distorts_the_odds() -> None:
    rng = np.random.default_rng(0)
    log_odds = 2 * rng.normal(size=40_000)
    labels = (rng.random(40_000) < 1 / (1 + np.exp(-log_odds))).astype(float)
    found = Calibration.fit(3 * log_odds - 1.5, labels, np.ones(40_000))
    assert found.slope == pytest.approx(1 / 3, rel=0.03)
    assert found.offset == pytest.approx(0.5, abs=0.04)
    np.testing.assert_allclose(found(np.array([1e9, -1e9])), np.log(40_001) * np.array([1, -1]))


def test_a_classifier_that_has_it_the_wrong_way_round_is_not_believed() -> None:
    logits = np.linspace(-3, 3, 100)
    found = Calibration.fit(logits, (logits < 0).astype(float), np.ones(100))
    np.testing.assert_array_equal(found(logits), np.zeros(100))


@pytest.mark.parametrize("kind", ["raw", "standard", "robust"])
def test_a_scaler_is_restored_from_its_state(kind: str) -> None:
    values = np.random.default_rng(0).normal(size=(50, 3))
    scaler = Scaler(values, kind, None if kind == "raw" else np.array([1.0, 2.0, 3.0]))
    np.testing.assert_array_equal(Scaler.restored(kind, scaler.state())(values), scaler(values))


def test_unweighted_events_are_distributed_as_the_weighted_ones() -> None:
    generated, _ = gaussians(200_000, 1, features=1)
    weights = exact(generated)
    kept = unweight(weights, seed=0)
    assert (kept.weights == 1).all()
    assert kept.efficiency == pytest.approx(weights.mean() / weights.max(), abs=0.005)
    assert len(kept.rows) == round(kept.efficiency * 200_000)
    assert (np.diff(kept.rows) > 0).all()
    events = generated[kept.rows, 0]
    assert abs(events.mean()) < 4 / np.sqrt(len(events))
    assert abs(np.square(events).mean() - 1) < 4 * np.sqrt(2 / len(events))


def test_a_lower_largest_weight_keeps_more_events_and_no_bias() -> None:
    rng = np.random.default_rng(0)
    x = rng.exponential(size=100_000)
    weights = np.exp(0.4 * x)  # to an exponential of mean 1 / 0.6, with a long tail of weights
    strict, loose = unweight(weights, seed=0), unweight(weights, seed=0, quantile=0.99)
    assert loose.efficiency > 5 * strict.efficiency
    assert 0 < (loose.weights > 1).sum() < 0.1 * len(loose.rows)
    assert np.average(x[loose.rows], weights=loose.weights) == pytest.approx(np.average(x, weights=weights), rel=0.03)
    again, other = (unweight(weights, seed=seed, quantile=0.99) for seed in (0, 1))
    np.testing.assert_array_equal(again.rows, loose.rows)
    assert len(other.rows) != len(loose.rows) or (other.rows != loose.rows).any()


@pytest.mark.parametrize("weights", [[1.0, -1.0], [np.nan, 1.0], [0.0, 0.0], [[1.0, 2.0]], []])
def test_weights_that_are_none(weights: list[float]) -> None:
    for function in (effective_size, lambda w: unweight(w, seed=0)):
        with pytest.raises(DataError, match="event weights must be one row of finite numbers"):
            function(weights)


@pytest.mark.parametrize("quantile", [0.0, 1.5, 0.1, float("nan")])
def test_no_such_quantile(quantile: float) -> None:
    with pytest.raises(DomainError, match="the quantile must lie above 0 and up to 1, at a positive weight"):
        unweight([0.0, 0.0, 0.0, 1.0], seed=0, quantile=quantile)
