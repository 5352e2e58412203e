"""From counts to a report, with networks too small to be good: what has to hold nevertheless."""

from __future__ import annotations

import json
import warnings
from contextlib import contextmanager
from dataclasses import replace

import h5py
import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from hepflows.applications.airshower.cli import app
from hepflows.applications.airshower.config import ChainConfig, load_config
from hepflows.applications.airshower.forward import ForwardModel
from hepflows.applications.airshower.inference import SourcePosterior
from hepflows.applications.airshower.mcmc import markov_chain, moves
from hepflows.applications.airshower.observations import auger
from hepflows.applications.airshower.prior import NAMES, Prior
from hepflows.applications.airshower.report import _short
from hepflows.applications.airshower.verdict import infer
from hepflows.errors import CheckpointError, ConfigError
from hepflows.posterior import OutOfRangeWarning, PosteriorEstimator

TINY = [
    "universes=1500", "posterior.training.epochs=2", "posterior.blocks=2", "verdict.universes=40", "verdict.draws=40",
    "verdict.posterior=500", "verdict.weighted=600", "verdict.predictive=60", "verdict.c2st=60",
]  # fmt: skip


@pytest.fixture(autouse=True)
def single_precision():
    """The command line runs with torch's own default."""
    torch.set_default_dtype(torch.float32)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("run")
    settings = [part for one in TINY for part in ("--set", one)]
    runner = CliRunner()
    made = runner.invoke(app, ["observations", "-o", str(place / "auger.h5")])
    assert made.exit_code == 0, made.output
    arguments = [
        "run",
        "--observations",
        str(place / "auger.h5"),
        "--out",
        str(place / "run"),
        "--preset",
        "quick",
        *settings,
    ]
    with _quiet():
        result = runner.invoke(app, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return place


@contextmanager
def _quiet():
    """The warning about the range of a training of 1500 universes."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", OutOfRangeWarning)
        yield


def test_a_run_leaves_what_it_promises(folder):
    metrics = json.loads((folder / "run" / "metrics.json").read_text())
    assert {"sbc_p_value_min", "coverage_error_max", "information_gain", "predictive_p_value"} <= metrics.keys()
    assert metrics["information_gain"] > 0.5  # 1500 universes teach something
    assert set(metrics["observation"]["parameters"]) == set(NAMES)
    page = (folder / "run" / "report.html").read_text()
    assert "Pierre Auger Observatory" in page
    assert "<svg" in page
    with h5py.File(folder / "run" / "posterior.hdf5") as file:
        fractions = np.stack([file[name][:] for name in NAMES[2:7]])
        np.testing.assert_allclose(fractions.sum(0), 1.0)
        assert file["weight"][:].mean() == pytest.approx(1.0)


def test_resumed_run_is_the_same(folder, monkeypatch):
    monkeypatch.setattr(
        "hepflows.applications.airshower.pipeline.write_report", lambda *_, **__: None
    )  # seconds of pictures
    before = json.loads((folder / "run" / "metrics.json").read_text())
    settings = [part for one in TINY for part in ("--set", one)]
    arguments = ["run", "--observations", str(folder / "auger.h5"), "--out", str(folder / "run"), "--preset", "quick"]
    with _quiet():
        result = CliRunner().invoke(app, [*arguments, *settings, "--resume"], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    after = json.loads((folder / "run" / "metrics.json").read_text())
    assert after["calibration"] == before["calibration"]
    assert after["observation"]["parameters"] == before["observation"]["parameters"]


def test_other_observations_are_inferred(folder):
    with _quiet():
        result = CliRunner().invoke(
            app,
            ["infer", str(folder / "run"), "-n", "200", "-o", str(folder / "posterior.hdf5")],
            catch_exceptions=False,
        )
    assert result.exit_code == 0, result.output
    with h5py.File(folder / "posterior.hdf5") as file:
        assert len(file["gamma"]) == 200


def test_posterior_returns_from_its_file_and_others_are_refused(folder, tmp_path):
    posterior, config = SourcePosterior.load(folder / "run" / "model.safetensors")
    assert config.universes == 1500
    counts = auger().counts
    with _quiet():
        first, second = (posterior.sample(counts, 5, seed=1)[0] for _ in range(2))
    assert torch.equal(first, second)
    rng = np.random.default_rng(0)
    other = PosteriorEstimator(load_config("quick", ["posterior.training.epochs=1"]).posterior)
    other.fit(rng.normal(size=(200, 1)), rng.normal(size=(200, 2)))
    other.save(tmp_path / "other.safetensors")
    with pytest.raises(CheckpointError, match="holds no posterior of cosmic-ray sources"):
        SourcePosterior.load(tmp_path / "other.safetensors")


def test_a_chain_beside_the_flow(folder):
    pytest.importorskip("emcee")
    posterior, config = SourcePosterior.load(folder / "run")
    with _quiet():
        found = infer(
            posterior, auger().counts, config.verdict, seed=1, chain=ChainConfig(walkers=32, steps=200)
        ).metrics
    assert found["c2st"] > 0.7, "two epochs on 1500 universes do not find a posterior"
    assert found["c2st_points"] == found["c2st_floor_points"] == 60
    assert found["chain_steps"] == 200
    assert found["chain_length"] == pytest.approx(100 / found["chain_autocorrelation"])
    assert "1 of 1 chains kept fewer than 50 autocorrelation times" in _short([found])
    assert _short([{**found, "chain_length": 50.0}]) == ""
    # weights of few draws count too little for a sample that a C2ST can use
    assert found["c2st_reweighted"] is None
    assert found["c2st_reweighted_points"] == 0


def test_universes_in_a_file(tmp_path):
    result = CliRunner().invoke(
        app, ["simulate", "-n", "300", "-o", str(tmp_path / "universes.hdf5")], catch_exceptions=False
    )
    assert result.exit_code == 0, result.output
    with h5py.File(tmp_path / "universes.hdf5") as file:
        assert file["counts"].shape == (300, 420)
        assert abs(file["counts"][:, :15].sum(1).mean() - 55_730) < 60


def test_chain_without_data_samples_the_prior():
    """No counts, no information: the chain must return the prior, a standard normal in its coordinates."""
    pytest.importorskip("emcee")
    chain = markov_chain(ForwardModel(), Prior(), torch.zeros(420, dtype=torch.float64), seed=1, walkers=32, steps=300)
    mean, std = chain.coordinates.mean(0), chain.coordinates.std(0)
    error = (chain.autocorrelation.max() / len(chain.coordinates)) ** 0.5
    assert float(mean.abs().max()) < 5 * error
    assert float((std - 1).abs().max()) < 5 * error
    numbered = replace(chain, coordinates=torch.arange(32.0 * 150).reshape(-1, 1).double())
    for part, steps in ((slice(None), {0, 74, 149}), (slice(75), {0, 37, 74})):
        thinned = numbered.thinned(96, seed=1, part=part).squeeze(1)
        assert {int(one) // 32 for one in thinned} == steps
        assert len(set(thinned.tolist())) == 96
        assert not bool((thinned.diff() > 0).all())
    assert len(numbered.thinned(10_000, seed=1)) == 32 * 150


def test_moves_keep_the_width_of_a_normal_distribution():
    """emcee's snooker move does not: it finds 0.80 of it."""
    emcee = pytest.importorskip("emcee")
    sampler = emcee.EnsembleSampler(64, 7, lambda y: -0.5 * (y**2).sum(-1), vectorize=True, moves=moves())
    sampler.random_state = np.random.RandomState(1).get_state()
    sampler.run_mcmc(np.random.RandomState(2).randn(64, 7), 6000)
    draws = sampler.get_chain(discard=500, flat=True)
    assert np.abs(draws.std(0) - 1).max() < 0.02
    assert np.abs(np.quantile(draws, [0.001, 0.999]) - [-3.09, 3.09]).max() < 0.06


def test_wrong_settings_are_one_sentence():
    with pytest.raises(ConfigError, match=r"prior\.gamma"):
        load_config("quick", ["prior.gamma=3"])
    with pytest.raises(ConfigError, match="no preset"):
        load_config("nothing")
    with pytest.raises(ConfigError, match="low < high"):
        load_config("quick", ["prior.lg_rcut=[19, 18]"])
