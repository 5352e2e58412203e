"""Derivatives are those of differences, fits are those of another optimiser, and what a fit leaves out is little."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from scipy.stats import ks_2samp, kstest

from hepflows.applications.airshower.config import load_config
from hepflows.applications.airshower.fitting import GUESS, Fitter
from hepflows.applications.airshower.forward import ForwardModel
from hepflows.applications.airshower.inference import SourcePosterior
from hepflows.applications.airshower.prior import Prior
from hepflows.applications.airshower.universes import Universes
from hepflows.posterior import Guess


@pytest.fixture(scope="module")
def model():
    return ForwardModel()


@pytest.fixture(scope="module")
def fitter(model):
    return Fitter(model, Prior())


@pytest.fixture(scope="module")
def universes(model):
    theta = Prior().draw(300, generator=torch.Generator().manual_seed(0))
    return theta, model.simulate(theta, generator=torch.Generator().manual_seed(1))


def test_derivatives_are_those_of_differences(model):
    theta = Prior().draw(50, generator=torch.Generator().manual_seed(2))
    probabilities, slopes = model.derivatives(theta)
    torch.testing.assert_close(probabilities, model.probabilities(theta))
    for column in range(8):
        step = torch.zeros(8, dtype=torch.float64)
        step[column] = 1e-6
        differences = (model.probabilities(theta + step) - model.probabilities(theta - step)) / 2e-6
        # the second derivative by the cut-off jumps where an energy of the table passes it
        limit = 2e-3 if column == 1 else 1e-7
        assert float((differences - slopes[:, column]).abs().max()) < limit * float(differences.abs().max() + 1)


def test_fits_are_those_of_another_optimiser(model, fitter, universes):
    space = Prior().space()
    modes = fitter.modes(universes[1][:6])
    for row in range(6):
        counts = universes[1][row]

        def loss(y, counts=counts):
            point = torch.from_numpy(y)
            return float(0.5 * point.square().sum() - model.log_likelihood(space.inverse(point.unsqueeze(0)), counts))

        start = modes.guess.mean[row].numpy()
        better = minimize(loss, start + 0.02, method="Powell", options={"maxiter": 30})
        assert -float(modes.value[row]) < better.fun + 0.05


def test_the_truth_is_as_likely_as_it_should_be(model, fitter, universes):
    theta, counts = universes
    modes, y = fitter.modes(counts), Prior().space()(theta)[0]
    assert float(modes.converged.double().mean()) > 0.95
    at_truth = torch.xlogy(counts, model.probabilities(theta)).sum(1) - 0.5 * y.square().sum(1)
    gap = 2 * (modes.value - at_truth)
    assert float((gap > -0.1).double().mean()) > 0.98  # hardly ever a lesser mode
    assert 5.5 < float(gap.median()) < 7.5  # chi-square of seven degrees: 6.35
    # curvature: the scale of Xmax is the best known direction, and Gaussian
    pull = modes.guess.into(y)
    assert 0.75 < float((pull[:, 6].quantile(0.84) - pull[:, 6].quantile(0.16)) / 2) < 1.25


def test_what_a_network_is_shown(fitter, universes):
    counts = universes[1]
    shown = fitter(counts.reshape(3, 100, 420))
    assert shown.shape == (3, 100, GUESS + 10)
    torch.testing.assert_close(shown[1, 7], fitter(counts[107]), atol=1e-6, rtol=1e-6)
    guess = Guess.unpack(shown.reshape(300, -1), 7)
    torch.testing.assert_close(guess.mean, fitter.modes(counts).guess.mean, atol=1e-6, rtol=1e-6)
    # the deviance of the spectrum is a chi-square: 14 free bins, of which the seven parameters take some
    deviance = shown.reshape(300, -1)[:, GUESS].square().numpy()
    assert kstest(deviance, "chi2", args=(deviance.mean(),)).pvalue > 1e-3
    assert 8 < deviance.mean() < 15
    wrong = counts[:20].clone()
    wrong[:, :15] = wrong[:, :15].flip(1)  # a spectrum that rises
    assert float(fitter(wrong)[:, GUESS].min()) > 10 * float(shown[..., GUESS].max())


def test_an_interrupted_simulation_goes_on(tmp_path, monkeypatch):
    monkeypatch.setattr("hepflows.applications.airshower.universes._BLOCK", 400)
    config = load_config("quick", ["universes=1000"])
    whole = Universes.simulate(config, 3)
    assert whole.noise is None

    def interrupt(done, *_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Universes.simulate(config, 3, folder=tmp_path, progress=interrupt)
    before = (tmp_path / "checkpoint_fit_000000.safetensors").stat().st_mtime_ns
    again = Universes.simulate(config, 3, folder=tmp_path)
    assert (tmp_path / "checkpoint_fit_000000.safetensors").stat().st_mtime_ns == before
    assert torch.equal(again.shown, whole.shown)
    counts = Universes.simulate(load_config("quick", ["universes=1000", "observables=counts"]), 3)
    rng = torch.Generator().manual_seed(0)
    assert counts.shown.shape == (1000, 420)
    assert not torch.equal(counts.noise(counts.shown, rng), counts.noise(counts.shown, rng))
    np.testing.assert_allclose(counts.shown[:, :15].sum(1), 55730, rtol=1e-4)


def test_refreshed_universes_are_draws_of_the_same_posteriors(model, tmp_path):
    settings = ["universes=1500", "posterior.training.epochs=6", "posterior.blocks=1", "refresh=3"]
    config = load_config("quick", settings)
    universes = Universes.simulate(config, 3)
    first, _ = SourcePosterior.learn(universes, config, seed=1)
    more = universes.refreshed(first.estimator, config, 3, folder=tmp_path)
    assert more.theta.shape == (4, 1500, 8)
    assert torch.equal(more.theta[0], universes.theta)
    moved = (more.theta[1:] != more.theta[:-1]).any(-1).double().mean()
    assert 0.3 < float(moved) < 1
    # parameters and counts keep their joint distribution: the new ones come from the same prior, and explain the counts as well
    for column in (0, 1, 7):
        assert ks_2samp(more.theta[0, :, column], more.theta[3, :, column]).pvalue > 1e-3
    pulls = Guess.unpack(universes.shown.double(), 7).into(Prior().space()(more.theta)[0])
    assert ks_2samp(pulls[0, :, 6], pulls[3, :, 6]).pvalue > 1e-3
    again = universes.refreshed(first.estimator, config, 3, folder=tmp_path)
    assert torch.equal(again.theta, more.theta)
    found, _ = SourcePosterior.learn(more, config, seed=1)
    assert found.estimator.history.validation[-1] < 1.02 * first.estimator.history.validation[-1]
