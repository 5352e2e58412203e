from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from hepflows.applications.neutrino.config import NeutrinoConfig, load_config
from hepflows.applications.neutrino.events import Events
from hepflows.applications.neutrino.features import event_features, rows
from hepflows.applications.neutrino.methods.feedforward import FeedForward
from hepflows.applications.neutrino.methods.flow import NeutrinoFlow
from hepflows.applications.neutrino.methods.quadratic import nearest, quadratic
from hepflows.applications.neutrino.network import event_network
from hepflows.applications.neutrino.simulate.fast import Selection, top_pairs
from hepflows.applications.neutrino.verdict import quietly
from hepflows.errors import CheckpointError, ConfigError, DataError

SMALL = ["posterior.training.epochs=3", "regression.epochs=3"]


@pytest.fixture(autouse=True)
def single_precision() -> None:
    torch.set_default_dtype(torch.float32)


@pytest.fixture(scope="module")
def events() -> Events:
    return top_pairs(2500, selection=Selection(), seed=1)


@pytest.fixture(scope="module")
def flow(events: Events) -> NeutrinoFlow:
    torch.set_default_dtype(torch.float32)
    made = NeutrinoFlow(load_config("quick", SMALL), seed=1)
    made.fit(events)
    return made


def shuffled(events: Events, seed: int) -> Events:
    """The same events, the jets in another order, gaps among them."""
    order = np.random.default_rng(seed).permuted(np.tile(np.arange(10), (len(events), 1)), axis=1)
    jets = np.take_along_axis(events.jets, order[..., None], axis=1)
    return replace(events, jets=jets, tags=np.take_along_axis(events.tags, order, axis=1))


def test_the_order_of_the_jets_changes_nothing(flow: NeutrinoFlow, events: Events) -> None:
    some = events[:50]
    other = shuffled(some, 2)
    assert not np.array_equal(some.jets, other.jets)
    np.testing.assert_array_equal(flow.sample(other, 5, seed=3), flow.sample(some, 5, seed=3))
    # nor does the network itself look at it
    x = rows(some)
    order = torch.randperm(10, generator=torch.Generator().manual_seed(1))
    jets = x[:, 9:59].reshape(-1, 10, 5)[:, order].reshape(-1, 50)
    with torch.no_grad():
        moved = flow.network(torch.cat([x[:, :9], jets, x[:, 59:][:, order]], dim=1))
        assert torch.allclose(moved, flow.network(x), rtol=1e-4, atol=1e-5)
    # and a jet that is not there is not looked at
    jets = np.array(some.jets)
    assert (jets[:, 9, 0] == 0).any()
    taken = replace(some, jets=np.where(np.arange(10)[:, None] < 3, jets, 0.0))
    assert np.abs(flow.log_prob(some.neutrinos, taken) - flow.log_prob(some.neutrinos, some)).max() > 1e-3


def test_many_events_at_once_are_those_events_one_by_one(flow: NeutrinoFlow, events: Events) -> None:
    some = events[:5]
    together = flow.sample(some, 2000, seed=4)
    alone = np.concatenate([flow.sample(some[i : i + 1], 2000, seed=5 + i) for i in range(5)], axis=1)
    for axis in range(3):
        a, b = together[..., 0, axis], alone[..., 0, axis]
        spread = np.sqrt(a.var(0) + b.var(0)) / np.sqrt(2000)
        assert (np.abs(a.mean(0) - b.mean(0)) < 5 * spread).all()


def test_densities_of_draws_are_those_of_log_prob_and_integrate_to_one(flow: NeutrinoFlow, events: Events) -> None:
    draws, density = flow.sample_and_log_prob(events[:6], 4000, seed=6)
    np.testing.assert_allclose(flow.log_prob(draws.astype(np.float64), events[:6]), density, rtol=1e-3, atol=2e-3)
    # E[g / q] = 1 for any normalised g: a Gaussian within the posterior
    centre, spread = draws.mean(0), 0.5 * draws.std(0)
    log_g = (-0.5 * ((draws - centre) / spread) ** 2 - np.log(spread * np.sqrt(2 * np.pi))).sum(axis=(-1, -2))
    ratio = np.exp(log_g - density)
    assert (np.abs(ratio.mean(0) - 1) < 6 * ratio.std(0) / np.sqrt(4000)).all()


def test_what_is_saved_comes_back(flow: NeutrinoFlow, events: Events, tmp_path: Path) -> None:
    flow.save(tmp_path / "model.safetensors", {"remark": "here"})
    back, notes = NeutrinoFlow.load(tmp_path / "model.safetensors")
    assert notes["remark"] == "here"
    np.testing.assert_array_equal(back.sample(events[:9], 3, seed=1), flow.sample(events[:9], 3, seed=1))
    with pytest.raises(CheckpointError, match="no regression"):
        FeedForward.load(tmp_path / "model.safetensors")


def test_events_of_another_kind_are_flagged(flow: NeutrinoFlow, events: Events) -> None:
    assert (flow.out_of_range(top_pairs(500, selection=Selection(), seed=7)) > 1).mean() < 0.03
    wrong = events[:20]
    jets = np.array(wrong.jets)
    jets[..., [0, 3]] *= 1000
    for changed in ({"missing": 100 * wrong.missing}, {"jets": jets}, {"n_jets": wrong.n_jets + 30}):
        assert (flow.out_of_range(replace(wrong, **changed)) > 1).all()


def test_the_regression_is_the_mean(events: Events, tmp_path: Path) -> None:
    regression = FeedForward(load_config("quick", ["regression.epochs=12"]), seed=1)
    history = regression.fit(events)
    assert history.validation[-1] < 0.6  # in units of the variance of the truth
    test = top_pairs(1500, selection=Selection(), seed=8)
    found = regression.predict(test)
    error = ((found - test.neutrinos) ** 2).mean(axis=(0, 1)) / test.neutrinos.var(axis=(0, 1))
    assert (error < [0.35, 0.35, 0.75]).all()
    regression.save(tmp_path / "regression.safetensors")
    np.testing.assert_array_equal(FeedForward.load(tmp_path / "regression.safetensors").predict(test), found)


def test_the_flow_knows_more_than_the_missing_momentum(flow: NeutrinoFlow) -> None:
    test = top_pairs(1000, selection=Selection(), seed=9)
    draws = quietly(flow, test, 100, 1)[0][..., 0, :]
    mean, truth = draws.mean(axis=0), test.neutrinos[:, 0]
    assert (((mean - truth) ** 2).mean(0) < 0.8 * truth.var(0)).all()


def weighted(n: int, seed: int) -> tuple[Events, Events]:
    """Events of weight 1 and -1, whose negative part takes away what the positive one has too much, and the sample that is left."""
    every = top_pairs(n, selection=Selection(), seed=seed)
    rng = np.random.default_rng(seed)
    much = every.missing[:, 0] > 0
    copies = np.flatnonzero(much & (rng.random(n) < 0.6))
    order = rng.permutation(n + len(copies) * 2)
    values = np.concatenate([np.arange(n), copies, copies])[order]
    weights = np.concatenate([np.ones(n + len(copies)), -np.ones(len(copies))])[order]
    return replace(every[values], weights=weights), every


def test_negative_weights_take_away(events: Events) -> None:
    """The same events twice, once with and once without pairs of opposite weight: the same loss, step by step."""
    config = load_config("quick", ["posterior.training.epochs=1", "posterior.training.batch_size=4096"])
    signed, plain = weighted(1500, 10)
    assert (signed.weights < 0).any()
    flow = NeutrinoFlow(config, seed=3)
    history = flow.fit(signed)
    assert np.isfinite(history.train).all()
    from hepflows.posterior.objective import PosteriorLoss

    network = flow.estimator.network
    loss = PosteriorLoss(network.flow, network.observables, floor=-np.inf)
    numbers = []
    for some in (signed, plain):
        y = torch.as_tensor(some.neutrinos.reshape(len(some), -1)).float()
        weights = (
            None if some.weights is None else torch.as_tensor(some.weights / some.weights.sum() * len(some)).float()
        )
        with torch.no_grad():
            numbers.append(float(loss(y, flow.rows(some), weights)))
    assert abs(numbers[0] - numbers[1]) < 1e-3


def test_two_neutrinos_have_six_targets() -> None:
    config = load_config("quick", ["channel=dilepton", "posterior.training.epochs=2", "regression.epochs=2"])
    events = top_pairs(600, channel="dilepton", selection=Selection(20.0, 2.5, 2), seed=11)
    flow = NeutrinoFlow(config, seed=1)
    flow.fit(events)
    assert flow.estimator.names == ["px1", "py1", "t1", "px2", "py2", "t2"]
    draws, density = flow.sample_and_log_prob(events[:20], 50, seed=1)
    assert draws.shape == (50, 20, 2, 3)
    np.testing.assert_allclose(flow.log_prob(draws.astype(np.float64), events[:20]), density, rtol=1e-3, atol=2e-3)
    regression = FeedForward(config, seed=1)
    regression.fit(events)
    assert regression.predict(events).shape == (600, 2, 3)
    with pytest.raises(DataError, match="needs one lepton an event"):
        quadratic(events)


def test_rows_have_what_the_layout_says(events: Events) -> None:
    config = load_config("default", ["roots=true"])
    x = rows(events, roots=True)
    assert x.shape == (len(events), event_features(1, roots=True) + 60)
    network = event_network(config, 0)
    network.standardise(x)
    event, jets, mask = network._split(x)
    assert torch.allclose(event[:, :2].double(), torch.as_tensor(events.missing), atol=1e-3)
    assert torch.equal(mask.sum(1).double(), torch.as_tensor(np.minimum(events.n_jets, 10)))
    there = ((jets - network.jet_mean) / network.jet_scale)[mask]
    assert there.mean(0).abs().max() < 1e-4
    assert (there.std(0) - 1).abs().max() < 1e-3
    near = nearest(quadratic(events))
    assert (np.abs(near[:, 0, 2]) <= np.abs(quadratic(events).pz[:, 1]) + 1e-9).all()


def test_configurations_are_checked() -> None:
    assert load_config("glow").posterior.kind == "affine"
    assert load_config("nuflows").posterior.bins == 10
    with pytest.raises(ConfigError, match="no preset 'best'"):
        load_config("best")
    with pytest.raises(ConfigError, match="channel"):
        load_config("default", ["channel=hadronic"])
    with pytest.raises(ConfigError, match="roots=true needs one lepton"):
        load_config("default", ["channel=dilepton", "roots=true"])
    assert NeutrinoConfig().leptons == 1
