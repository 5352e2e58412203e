"""Gaussian guesses: right ones leave nothing to learn, wrong ones are corrected; modes are those of an optimiser that is not ours."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from scipy.stats import kstest

from hepflows.errors import ConfigError, DataError
from hepflows.metrics import sbc_ranks, uniformity
from hepflows.posterior import Guess, PosteriorConfig, PosteriorEstimator, find_modes, refreshed
from hepflows.training import TrainingConfig

NOISE = 0.5
MATRIX = torch.tensor([[1.0, 0.5], [0.0, 1.0], [0.3, 1.0]], dtype=torch.float64)
PRECISION = torch.eye(2, dtype=torch.float64) + MATRIX.T @ MATRIX / NOISE**2


def simulate(n, seed):
    rng = torch.Generator().manual_seed(seed)
    theta = torch.randn(n, 2, generator=rng, dtype=torch.float64)
    return theta, theta @ MATRIX.T + NOISE * torch.randn(n, 3, generator=rng, dtype=torch.float64)


def exact(x):
    return Guess.of(torch.linalg.solve(PRECISION, (x @ MATRIX / NOISE**2).T).T, PRECISION.expand(len(x), 2, 2))


def random_guess(seed=0, shape=(5,), features=3):
    rng = torch.Generator().manual_seed(seed)
    a = torch.randn(*shape, features, features, generator=rng, dtype=torch.float64)
    return Guess.of(
        torch.randn(*shape, features, generator=rng, dtype=torch.float64), a @ a.mT + 0.1 * torch.eye(features)
    )


def test_a_guess_is_the_gaussian_it_says():
    guess = random_guess()
    y = torch.randn(7, 5, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    known = torch.distributions.MultivariateNormal(guess.mean, precision_matrix=guess.root @ guess.root.mT)
    torch.testing.assert_close(guess.log_prob(y), known.log_prob(y))
    torch.testing.assert_close(guess.back(guess.into(y)), y)
    again = Guess.unpack(torch.cat([guess.pack(), torch.ones(5, 4)], 1), 3)
    torch.testing.assert_close(again.mean, guess.mean)
    torch.testing.assert_close(again.root, guess.root)
    assert guess.pack().shape == (5, Guess.width(3)) == (5, 9)


def config(epochs, kind="autoregressive"):
    training = TrainingConfig(epochs=epochs, batch_size=256, learning_rate=4e-3, schedule="cosine", clip_norm=5.0)
    return PosteriorConfig(kind=kind, blocks=2, hidden=[32, 32], training=training)


def kl(estimator, guess_of, seed=5):
    """An estimate of the divergence from the known posterior."""
    theta, x = simulate(1000, seed)
    return float((exact(x).log_prob(theta) - estimator.log_prob(theta, guess_of(x))).mean())


def shifted(x):
    """A guess half a standard deviation off, half as wide as it should be, and the observables."""
    right = exact(x)
    off = Guess.of(right.mean + 0.5 / PRECISION.diagonal().sqrt(), 4 * PRECISION.expand(len(x), 2, 2))
    return torch.cat([off.pack(), x], 1)


def test_a_right_guess_leaves_nothing_to_learn_and_a_wrong_one_is_corrected(tmp_path):
    theta, x = simulate(4000, 0)
    right = PosteriorEstimator(config(1), guess=True, seed=1)
    right.fit(theta, exact(x).pack())
    nearly = abs(kl(right, lambda x: exact(x).pack()))  # after a single epoch
    assert nearly < 0.08
    without = PosteriorEstimator(config(1), seed=1)
    without.fit(theta, x)
    assert kl(without, lambda x: x) > 5 * nearly
    wrong = PosteriorEstimator(config(8), guess=True, seed=1)
    wrong.fit(theta, shifted(x))
    assert abs(kl(wrong, shifted)) < 0.05
    held, seen = simulate(400, 6)
    draws, density = wrong.sample_and_log_prob(shifted(seen), 100, seed=3)
    torch.testing.assert_close(wrong.log_prob(draws, shifted(seen)), density, atol=5e-3, rtol=0)
    ranks = sbc_ranks(draws, held, seed=1)
    assert min(uniformity(ranks[:, i]).p_value for i in range(2)) > 1e-3
    wrong.save(tmp_path / "a.safetensors")
    again, _ = PosteriorEstimator.load(tmp_path / "a.safetensors")
    assert torch.equal(again.sample(shifted(seen[:3]), 4, seed=2), wrong.sample(shifted(seen[:3]), 4, seed=2))


def test_the_density_is_normalised_within_bounds():
    rng = torch.Generator().manual_seed(0)
    theta = torch.rand(2000, 1, generator=rng, dtype=torch.float64)
    x = theta + 0.2 * torch.randn(2000, 1, generator=rng, dtype=torch.float64)
    y = torch.special.ndtri(x.clamp(0.02, 0.98))
    shown = torch.cat([Guess.of(y, torch.full((2000, 1, 1), 4.0, dtype=torch.float64)).pack(), x], 1)
    found = PosteriorEstimator(config(4), bounds=[(0.0, 1.0)], guess=True, seed=1)
    found.fit(theta, shown)
    grid = (torch.arange(4000, dtype=torch.float64).unsqueeze(1) + 0.5) / 4000
    mass = found.log_prob(grid.unsqueeze(1), shown[:5]).exp().mean(0)
    torch.testing.assert_close(mass, torch.ones(5, dtype=torch.float64), atol=0.01, rtol=0)


def test_refreshed_draws_are_exact_and_teach_more():
    theta, x = simulate(1500, 0)
    first = PosteriorEstimator(config(3), seed=1)
    first.fit(theta, x)

    def log_target(points):
        return -0.5 * ((x - points @ MATRIX.T) / NOISE).square().sum(-1) - 0.5 * points.square().sum(-1)

    more = refreshed(first, theta, x, log_target, rounds=7, proposals=6, seed=3)
    assert more.shape == (8, 1500, 2)
    assert torch.equal(more[0], theta)
    pulls = exact(x).into(more[1:])  # standard normal, whatever the estimator is worth
    assert float((more[1:] != more[:-1]).any(-1).double().mean()) > 0.5
    for column in range(2):
        assert kstest(pulls[6, :, column], "norm").pvalue > 1e-3
        assert abs(float(pulls[..., column].mean())) < 0.1
    once, several = (PosteriorEstimator(config(60), seed=1) for _ in range(2))
    once.fit(more[:1, :300], x[:300])  # so few that they are learnt by heart
    several.fit(more[:, :300], x[:300])
    assert kl(several, lambda x: x) < 0.7 * kl(once, lambda x: x)
    with pytest.raises(DataError, match=r"\(draws, rows, parameters\), got the shape \(2,\)"):
        first.fit(theta[0], x)


def test_wrong_calls_are_one_sentence():
    theta, x = simulate(200, 0)
    with pytest.raises(DataError, match=r"begins with the 5 columns of Guess\.pack, got the shape \(200, 3\)"):
        PosteriorEstimator(config(1), guess=True).fit(theta, x)
    with pytest.raises(ConfigError, match="fit without augment"):
        PosteriorEstimator(config(1), guess=True).fit(theta, shifted(x), augment=lambda x, _: x)


def poisson(counts, design):
    """Log posterior of log-linear Poisson counts with a standard normal prior."""

    def evaluate(y, rows):
        expected = torch.exp(y @ design.T)
        value = (counts[rows] * (y @ design.T) - expected).sum(1) - 0.5 * y.square().sum(1)
        curvature = torch.einsum("bi,ik,il->bkl", expected, design, design) + torch.eye(2, dtype=y.dtype)
        return value, (counts[rows] - expected) @ design - y, curvature

    return evaluate


def test_modes_are_those_of_scipy_and_problems_do_not_mix():
    rng = np.random.default_rng(0)
    design = torch.from_numpy(rng.normal(size=(12, 2)))
    truth = torch.from_numpy(rng.normal(size=(50, 2)))
    counts = torch.from_numpy(rng.poisson(torch.exp(truth @ design.T).numpy())).double()
    evaluate = poisson(counts, design)
    found = find_modes(evaluate, torch.zeros(50, 2, dtype=torch.float64), tolerance=1e-9)
    assert bool(found.converged.all())
    assert 3 < found.evaluations < 15
    for row in range(0, 50, 10):
        which = torch.tensor([row])

        def loss(y, which=which):
            return -float(evaluate(torch.from_numpy(y).unsqueeze(0), which)[0])

        other = minimize(loss, np.zeros(2), method="Nelder-Mead", options={"xatol": 1e-7, "fatol": 1e-10})
        np.testing.assert_allclose(found.guess.mean[row], other.x, atol=1e-4)
        alone = find_modes(
            lambda y, _, which=which: evaluate(y, which), torch.zeros(1, 2, dtype=torch.float64), tolerance=1e-9
        )
        torch.testing.assert_close(alone.guess.mean[0], found.guess.mean[row])
    curvature = evaluate(found.guess.mean, torch.arange(50))[2]
    torch.testing.assert_close(found.guess.root @ found.guess.root.mT, curvature)
    few = find_modes(evaluate, torch.zeros(50, 2, dtype=torch.float64), tolerance=1e-9, steps=1)
    assert not bool(few.converged.any())
    assert bool((few.value <= found.value + 1e-9).all())
