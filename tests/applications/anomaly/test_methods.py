from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.ensemble import HistGradientBoostingClassifier

from hepflows.applications.anomaly import (
    Anode,
    Cathode,
    CWoLa,
    Ensemble,
    FastModel,
    Idealised,
    LaCathode,
    RAnode,
    Regions,
    Supervised,
    cross_fit,
    load_config,
)
from hepflows.applications.anomaly.classifiers import balanced, build, trees
from hepflows.applications.anomaly.config import ClassifierConfig, DensityConfig
from hepflows.applications.anomaly.density import Density, smoothed
from hepflows.applications.anomaly.kfold import folds_of
from hepflows.applications.anomaly.methods import METHODS
from hepflows.applications.anomaly.preprocess import Preprocess
from hepflows.errors import ConfigError, DataError
from hepflows.metrics import auc

REGIONS = Regions(3.3, 3.7)
QUICK = ["density.training.epochs=3", "density.blocks=2", "inner.training.epochs=3", "classifier.iterations=30"]


def config(method: str, *more: str) -> Any:
    return load_config("quick", [*QUICK, f"method={method}", *more])


@pytest.fixture(scope="module")
def events() -> Any:
    return FastModel().generate(6000, signal=300, seed=1)


@pytest.fixture(scope="module")
def test_events() -> Any:
    return FastModel().generate(1500, signal=500, seed=2, window=(3.3, 3.7))


@pytest.mark.parametrize(
    ("method", "least"),
    [
        (Supervised, 0.95),
        (Idealised, 0.85),
        (Cathode, 0.85),
        (CWoLa, 0.85),
        (LaCathode, 0.75),
        (Anode, 0.75),
        (RAnode, 0.8),
    ],
)
def test_every_method_finds_a_strong_signal_and_comes_back_from_its_state(
    method: Any, least: float, events: Any, test_events: Any
) -> None:
    fitted = method(config(method.name)).fit(events, REGIONS, seed=1)
    scores = fitted.score(test_events)
    assert auc(scores, test_events.label) > least
    hidden = replace(test_events, label=None)
    np.testing.assert_array_equal(fitted.score(hidden), scores)
    tensors, header = fitted.state()
    again = method(config(method.name))
    again.restore(tensors, header)
    np.testing.assert_array_equal(again.score(test_events), scores)
    np.testing.assert_array_equal(again.scale(scores), fitted.scale(scores))
    if method.samples:
        drawn, same = fitted.sample_background(50, seed=3), again.sample_background(50, seed=3)
        np.testing.assert_array_equal(drawn.features, same.features)
        assert REGIONS.signal(drawn.resonance).all()
    else:
        with pytest.raises(ConfigError, match="cannot draw background"):
            fitted.sample_background(5, seed=1)


def test_weak_methods_never_look_at_labels(events: Any, test_events: Any) -> None:
    one = CWoLa(config("cwola")).fit(events, REGIONS, seed=1)
    other = CWoLa(config("cwola")).fit(replace(events, label=None), REGIONS, seed=1)
    np.testing.assert_array_equal(one.score(test_events), other.score(test_events))
    with pytest.raises(DataError, match="supervised needs labelled events"):
        Supervised(config("supervised")).fit(replace(events, label=None), REGIONS, seed=1)


def test_sampled_background_follows_features_that_depend_on_the_resonance() -> None:
    model = FastModel("correlated")
    events = model.generate(30_000, seed=3)
    fitted = Cathode(config("cathode", "density.training.epochs=6")).fit(events, REGIONS, seed=1)
    drawn = np.log(fitted.sample_background(20_000, seed=2).features[:, :2])
    truth = np.log(model.generate(20_000, seed=4, window=(3.3, 3.7)).features[:, :2])
    sidebands = np.log(events.features[REGIONS.sidebands(events.resonance), :2])
    width = truth.std(axis=0)
    np.testing.assert_array_less(np.abs(drawn.mean(axis=0) - truth.mean(axis=0)) / width, 0.08)
    np.testing.assert_array_less(np.abs(drawn.std(axis=0) / width - 1), 0.08)
    # what a flow without the condition would give
    assert (truth.mean(axis=0) - sidebands.mean(axis=0) > 0.2 * width).all()


def test_the_density_of_the_analytic_background_is_learnt() -> None:
    model = FastModel("correlated")
    training, fresh = model.generate(20_000, seed=5), model.generate(4000, seed=6)
    density = Density(4, DensityConfig(blocks=4, hidden=[32, 32], training={"epochs": 6, "batch_size": 512}), seed=0)
    density.fit(training.features, training.resonance, seed=1)
    learnt = density.log_prob(fresh.features, fresh.resonance)
    difference = model.log_background(fresh) - learnt
    assert 0 < difference.mean() < 0.1  # the Kullback-Leibler divergence in nats
    shuffled = density.log_prob(fresh.features, np.random.default_rng(0).permutation(fresh.resonance))
    assert shuffled.mean() < learnt.mean() - 0.1  # the condition is used
    z = density.to_latent(fresh.features, fresh.resonance)
    assert np.abs(np.corrcoef(z.T) - np.eye(4)).max() < 0.1


def test_preprocessing_is_inverted_and_its_jacobian_is_that_of_differences() -> None:
    x = np.random.default_rng(1).lognormal(size=(500, 3))
    for kind in ("logit", "standardise"):
        fitted = Preprocess.fit(x, kind)
        z = fitted.forward(x)[0]
        np.testing.assert_allclose(fitted.inverse(z), x, rtol=1e-9)
        inner = x[(x > fitted.low).all(axis=1) & (x < fitted.high).all(axis=1)]
        step = 1e-6 * inner
        slope = (fitted.forward(inner + step)[0] - fitted.forward(inner - step)[0]) / (2 * step)
        np.testing.assert_allclose(np.log(slope).sum(axis=1), fitted.forward(inner)[1], atol=1e-4)
        far = np.array([[1e9, 1.0, -1e9]])
        assert np.isfinite(fitted.forward(far)[0]).all()
        assert fitted.outside(far).all()
        assert Preprocess.restored(fitted.state()) is not None
        np.testing.assert_array_equal(Preprocess.restored(fitted.state()).forward(x)[0], z)


def test_resonant_variables_are_drawn_within_the_window() -> None:
    values = np.random.default_rng(2).uniform(3.3, 3.7, 5000) ** 0.5 * 3.5**0.5
    values = values[(values > 3.3) & (values < 3.7)]
    drawn = smoothed(values, 20_000, 3.3, 3.7, seed=1)
    assert drawn.mean() == pytest.approx(values.mean(), abs=5 * 0.12 / np.sqrt(5000))
    assert 3.3 < drawn.min() < drawn.max() < 3.7


@pytest.mark.parametrize("kind", ["trees", "network"])
def test_log_odds_are_those_of_the_densities(kind: str) -> None:
    rng = np.random.default_rng(2)
    x, y = np.r_[rng.normal(0, 1, (6000, 1)), rng.normal(1, 1, (2000, 1))], np.repeat([0, 1], [6000, 2000])
    order = rng.permutation(len(y))
    found = build(ClassifierConfig(kind=kind, members=4, epochs=8, averaged=3, batch_size=128))
    found.fit(x[order], y[order], balanced(y)[order], seed=1)
    grid = np.linspace(-1, 2, 13)[:, None]
    error = np.abs(found.log_odds(grid) - (grid[:, 0] - 0.5))  # log odds from -1.5 to 1.5
    assert error.mean() < 0.25
    assert error.max() < 0.6
    again = build(ClassifierConfig(kind=kind, members=4, epochs=8, averaged=3, batch_size=128))
    again.restore(*found.state())
    np.testing.assert_array_equal(again.log_odds(grid), found.log_odds(grid))


def test_trees_kept_as_arrays_are_those_of_scikit_learn() -> None:
    rng = np.random.default_rng(4)
    x = rng.normal(size=(3000, 3))
    y = (x[:, 0] * x[:, 1] > 0).astype(np.int64)
    x[:, 2] = rng.integers(0, 5, 3000)  # fewer values than bins
    edges = [trees._edges(column) for column in x.T]
    assert [len(one) for one in edges] == [254, 254, 4]

    def codes(values: np.ndarray) -> np.ndarray:
        return np.stack(
            [(column[:, None] > one).sum(axis=1) for one, column in zip(edges, values.T, strict=True)], axis=1
        )

    model = HistGradientBoostingClassifier(max_iter=20, random_state=0).fit(codes(x), y)
    fresh = np.concatenate([rng.normal(size=(1000, 3)), x[:200], [[1e9, -1e9, 7.0]]])
    found = trees._Forest.of(model, edges).log_odds(fresh)
    np.testing.assert_allclose(found, model.decision_function(codes(fresh)), rtol=1e-10, atol=1e-12)


def test_folds_are_equal_parts_that_follow_the_seed() -> None:
    fold = folds_of(103, 5, seed=1)
    assert sorted(np.bincount(fold).tolist()) == [20, 20, 21, 21, 21]
    np.testing.assert_array_equal(fold, folds_of(103, 5, seed=1))
    assert not np.array_equal(fold, folds_of(103, 5, seed=2))


class Memory(CWoLa):
    """Remembers what it has seen: the worst that a classifier can do."""

    def _learn(self, signal: Any, sidebands: Any, task: Any) -> Any:
        self.seen = {row.tobytes() for row in signal.features}
        return sidebands

    def score(self, events: Any) -> Any:
        return np.array([float(row.tobytes() in self.seen) for row in events.features])


def test_no_event_is_scored_by_a_model_that_saw_it(events: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(METHODS, "cwola", Memory)
    ensemble = cross_fit(events, REGIONS, config("cwola", "folds=3"), seed=1)
    inside = REGIONS.signal(events.resonance)
    assert np.unique(ensemble.score_held_out(events)).size == 1
    assert (ensemble.score(events)[inside] > ensemble.score_held_out(events)[inside]).all()  # the control


def test_folds_resume_and_repeat(events: Any, tmp_path: Path) -> None:
    settings = config("cathode", "density.training.epochs=1")
    whole = cross_fit(events, REGIONS, settings, seed=1, folder=tmp_path).score_held_out(events)
    (tmp_path / "checkpoint_fold1.safetensors").unlink()
    resumed = cross_fit(events, REGIONS, settings, seed=1, folder=tmp_path)
    np.testing.assert_array_equal(resumed.score_held_out(events), whole)
    assert set(resumed.histories) == {"density 1", "density 2"}
    resumed.save(tmp_path / "model.safetensors", {"about": 1})
    loaded, about = Ensemble.load(tmp_path / "model.safetensors")
    assert about == {"about": 1}
    np.testing.assert_array_equal(loaded.score_held_out(events), whole)
    with pytest.raises(DataError, match="learnt 6300 events and these are 10"):
        loaded.score_held_out(events[:10])
    with pytest.raises(DataError, match="made for the features"):
        loaded.score(replace(events, names=("a", "b", "c", "d")))


def test_folds_in_processes_are_those_of_one(events: Any, tmp_path: Path) -> None:
    torch.set_default_dtype(torch.float32)  # as in a new process: first weights depend on it
    settings = config("cwola", "classifier.iterations=5")
    one = cross_fit(events, REGIONS, settings, seed=1)
    two = cross_fit(events, REGIONS, settings, seed=1, folder=tmp_path, jobs=2)
    np.testing.assert_array_equal(one.score_held_out(events), two.score_held_out(events))
    with pytest.raises(ConfigError, match="give a folder"):
        cross_fit(events, REGIONS, settings, seed=1, jobs=2)


@pytest.mark.slow
def test_an_error_of_a_fold_comes_back_from_its_process(events: Any, tmp_path: Path) -> None:
    hidden = replace(events, label=None)
    with pytest.raises(DataError, match="supervised needs labelled events"):
        cross_fit(hidden, REGIONS, config("supervised"), seed=1, folder=tmp_path, jobs=2)


def test_what_cannot_be_configured() -> None:
    with pytest.raises(ConfigError, match="no method 'cathod'"):
        load_config("default", ["method=cathod"])
    with pytest.raises(ConfigError, match="no preset 'fast'"):
        load_config("fast")
    with pytest.raises(ConfigError, match=r"density\.blocks"):
        load_config("default", ["density.blocks=0"])
    with pytest.raises(ConfigError, match=r"section\.name=value"):
        load_config("default", ["density"])
    with pytest.raises(ConfigError, match="between 0 and 1"):
        load_config("default", ["verdict.efficiencies=[2]"])


def test_the_inner_flow_of_anode_starts_as_the_outer_one(events: Any, test_events: Any) -> None:
    fitted = Density(4, DensityConfig(blocks=2, hidden=[32, 32], training={"epochs": 2}), seed=0)
    fitted.fit(events.features, events.resonance, seed=1)
    other = Density(4, DensityConfig(blocks=2, hidden=[32, 32], training={"epochs": 1, "learning_rate": 1e-12}), seed=5)
    other.fit(events.features[:500], events.resonance[:500], seed=2, start=fitted)
    x, m = test_events.features[:50], test_events.resonance[:50]
    np.testing.assert_allclose(other.log_prob(x, m), fitted.log_prob(x, m), atol=1e-4)
    found = {}
    for start in ("density", "fresh"):
        method = Anode(config("anode", f"inner_start={start}")).fit(events, REGIONS, seed=1)
        found[start] = auc(method.score(test_events), test_events.label)
        again = Anode(config("anode", f"inner_start={start}"))
        again.restore(*method.state())
        np.testing.assert_array_equal(again.score(test_events), method.score(test_events))
    assert found["density"] > 0.8
    assert found["density"] > found["fresh"]  # after as few epochs
