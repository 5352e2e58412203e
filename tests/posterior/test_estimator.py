"""The estimator on a problem whose posterior is known: linear Gaussian, p(theta|x) = N(S A^T x / s^2, S), S = (1 + A^T A / s^2)^-1."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from hepflows.errors import CheckpointError, ConfigError, DataError
from hepflows.metrics import c2st, hpd_ranks, sbc_ranks, uniformity
from hepflows.posterior import OutOfRangeWarning, PosteriorConfig, PosteriorEstimator
from hepflows.training import TrainingConfig

NOISE = 0.5
MATRIX = torch.tensor([[1.0, 0.5], [0.0, 1.0], [0.3, 1.0]], dtype=torch.float64)


def simulate(n, seed):
    rng = torch.Generator().manual_seed(seed)
    theta = torch.randn(n, 2, generator=rng, dtype=torch.float64)
    return theta, theta @ MATRIX.T + NOISE * torch.randn(n, 3, generator=rng, dtype=torch.float64)


def exact(x):
    covariance = torch.linalg.inv(torch.eye(2, dtype=torch.float64) + MATRIX.T @ MATRIX / NOISE**2)
    return torch.distributions.MultivariateNormal(x @ MATRIX @ covariance / NOISE**2, covariance)


def quick(kind="spline", epochs=8, **more):
    training = TrainingConfig(epochs=epochs, batch_size=256, learning_rate=4e-3, schedule="cosine", clip_norm=5.0)
    return PosteriorConfig(kind=kind, blocks=3, hidden=[32, 32], training=training, **more)


@pytest.fixture(scope="module")
def estimator():
    found = PosteriorEstimator(quick(), seed=1, names=["a", "b"])
    found.fit(*simulate(12_000, 0))
    return found


def test_posterior_is_the_known_one(estimator):
    theta, x = simulate(400, 5)
    gap = (exact(x).log_prob(theta) - estimator.log_prob(theta, x)).mean()  # an estimate of the KL divergence
    assert -0.02 < gap < 0.03
    draws, density = estimator.sample_and_log_prob(x, 200, seed=3)
    torch.testing.assert_close(estimator.log_prob(draws, x), density, atol=2e-3, rtol=0)
    ranks = sbc_ranks(draws, theta, seed=1)
    assert min(uniformity(ranks[:, i]).p_value for i in range(2)) > 1e-3
    assert uniformity(hpd_ranks(density, estimator.log_prob(theta, x), seed=1)).p_value > 1e-3


def test_classifier_cannot_tell_the_posterior_from_the_known_one(estimator):
    x = torch.tensor([0.4, -0.6, 0.2], dtype=torch.float64)
    theta = _draw(exact(x), 500, seed=2)
    assert c2st(theta, estimator.sample(x, 500, seed=4)).accuracy <= 0.56


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["spline", "affine"])
def test_c2st_of_the_linear_gaussian_problem(kind):
    found = PosteriorEstimator(quick(kind, epochs=40), seed=1)
    found.fit(*simulate(50_000, 0))
    results = []
    for seed, x in enumerate(simulate(5, 9)[1]):
        results.append(c2st(_draw(exact(x), 5000, seed), found.sample(x, 5000, seed=seed)).accuracy)
    assert np.mean(results) <= 0.52


def _draw(distribution, n, seed):
    noise = torch.randn(n, 2, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return distribution.mean + noise @ distribution.scale_tril.T


def test_reweighting_with_the_exact_likelihood(estimator):
    x = torch.tensor([0.4, -0.6, 0.2], dtype=torch.float64)
    draws = estimator.sample(x, 4000, seed=8)

    def log_likelihood(theta, observed):
        return -0.5 * ((observed - theta @ MATRIX.T) / NOISE).square().sum(-1)

    found = estimator.reweight(draws, x, log_likelihood, lambda theta: -0.5 * theta.square().sum(-1))
    assert 0.9 < found.efficiency <= 1.0
    mean = (found.weights[:, None] * draws).sum(0)
    torch.testing.assert_close(mean, exact(x).mean, atol=0.03, rtol=0)
    assert float((found.resample(4000, seed=2).T.cov() / exact(x).covariance_matrix - 1).abs().max()) < 0.15


def test_shapes_are_those_of_the_conventions(estimator):
    x = torch.zeros(4, 5, 3)
    assert estimator.sample(x, 7, seed=1).shape == (7, 4, 5, 2)
    assert estimator.sample(x, (), seed=1).shape == (4, 5, 2)
    assert estimator.sample(x[0, 0].numpy(), (2, 3), seed=1).shape == (2, 3, 2)
    assert estimator.log_prob(torch.zeros(2), x).shape == (4, 5)
    assert estimator.log_prob(torch.zeros(6, 4, 5, 2), x).shape == (6, 4, 5)
    found = estimator.summary(x, 50, seed=1)
    assert found.mode.shape == (4, 5, 2)
    assert found.low.shape == (2, 4, 5, 2)
    assert bool((found.low[1] <= found.low[0]).all())


def test_chunks_change_nothing(estimator, monkeypatch):
    theta, x = simulate(300, 6)
    whole, density = estimator.sample(x, 11, seed=1), estimator.log_prob(theta, x)
    summary = estimator.summary(x, 40, seed=2)
    monkeypatch.setattr("hepflows.posterior.network.CHUNK", 1)  # the least size of a chunk: 1024 events
    torch.testing.assert_close(estimator.sample(x, 11, seed=1), whole)
    torch.testing.assert_close(estimator.log_prob(theta, x), density)
    torch.testing.assert_close(estimator.summary(x, 40, seed=2).mean, summary.mean)
    torch.testing.assert_close(estimator.summary(x[:7], 40, seed=2).mean, summary.mean[:7])


def test_summary_agrees_with_the_known_posterior(estimator):
    _, x = simulate(50, 7)
    found, known = estimator.summary(x, 2000, seed=1), exact(x)
    spread = known.variance.sqrt()
    assert float(((found.mean - known.mean) / spread).abs().mean()) < 0.15
    assert float((found.std / spread - 1).abs().mean()) < 0.1
    assert float(((found.mode - known.mean) / spread).abs().mean()) < 0.4
    half = (found.high[0] - found.low[0]) / 2 / spread
    assert float((half - 0.994).abs().mean()) < 0.1  # 68 % of a Gaussian


def test_far_observations_are_flagged_not_silently_answered(estimator):
    far = torch.tensor([[0.1, 0.2, 0.3], [900.0, 0.0, 0.0], [4.0, -4.0, 4.0]])
    assert (estimator.out_of_range(far) > 1).tolist() == [False, True, True]  # the last only breaks the correlation
    with pytest.warns(OutOfRangeWarning, match="2 of 3 observations lie outside .* the first in row 1"):
        estimator.sample(far, 2, seed=1)
    fresh = estimator.out_of_range(simulate(2000, 11)[1])
    assert float((fresh > 1).double().mean()) < 0.003


def test_bounds_and_simplex_are_never_left():
    rng = np.random.default_rng(0)
    theta = np.concatenate([rng.uniform(-1, 1, (2000, 1)), rng.dirichlet([1, 1, 1], 2000)], 1)
    x = theta + 0.2 * rng.normal(size=theta.shape)
    found = PosteriorEstimator(quick(epochs=3), bounds=[(-1, 1), None, None, None], simplex=[1, 2, 3], seed=1)
    found.fit(theta, x)
    with pytest.warns(OutOfRangeWarning):
        draws = found.sample(np.array([5.0, 3.0, -3.0, 0.0]), 4000, seed=1)
    assert bool((draws[:, 0].abs() <= 1).all())
    assert bool((draws[:, 1:] >= 0).all())
    torch.testing.assert_close(draws[:, 1:].sum(-1), torch.ones(4000, dtype=torch.float64))
    outside = found.log_prob(np.array([[1.5, 0.2, 0.3, 0.5], [0.5, 0.2, 0.3, 0.5]]), x[:2])
    assert outside[0] == -torch.inf
    assert outside[1].isfinite()


def test_density_with_bounds_and_simplex_is_normalised():
    rng = np.random.default_rng(1)
    theta = np.concatenate([rng.uniform(-1, 1, (2000, 1)), rng.dirichlet([1, 1, 1], 2000)], 1)
    found = PosteriorEstimator(quick(epochs=3), bounds=[(-1, 1), None, None, None], simplex=[1, 2, 3], seed=1)
    found.fit(theta, theta[:, :2] + 0.3 * rng.normal(size=(2000, 2)))
    points = np.concatenate([rng.uniform(-1, 1, (40_000, 1)), rng.dirichlet([1, 1, 1], 40_000)], 1)
    volume = 2 * 0.5  # of the box and of the triangle of two fractions
    density = found.log_prob(points[:, None], np.array([[0.2, 0.3]])).exp()[:, 0] * volume
    assert abs(float(density.mean()) - 1) < 5 * float(density.std()) / 200


def test_negative_weights_are_events_that_are_taken_away():
    theta, x = simulate(6000, 3)
    extra = 3 + 0.3 * torch.randn(2000, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    extra_x = extra @ MATRIX.T + NOISE * torch.randn(
        2000, 3, generator=torch.Generator().manual_seed(2), dtype=torch.float64
    )
    half = torch.arange(2000) % 2 == 0
    pairs = torch.cat([theta, extra]), torch.cat([x, extra_x])
    weights = torch.cat([torch.ones(6000), torch.where(half, 1.0, -1.0)])  # they cancel, but for their noise
    found = PosteriorEstimator(quick(), seed=1)
    found.fit(*pairs, weights=weights)
    new, new_x = simulate(400, 5)
    assert float((exact(new_x).log_prob(new) - found.log_prob(new, new_x)).mean()) < 0.1


def test_saved_and_loaded(estimator, tmp_path):
    estimator.save(tmp_path / "model.safetensors", {"data": "toy"})
    again, notes = PosteriorEstimator.load(tmp_path / "model.safetensors")
    theta, x = simulate(20, 4)
    assert notes == {"data": "toy"}
    assert again.names == ["a", "b"]
    assert torch.equal(again.log_prob(theta, x), estimator.log_prob(theta, x))
    assert torch.equal(again.sample(x, 3, seed=1), estimator.sample(x, 3, seed=1))
    assert again.history.validation == estimator.history.validation
    assert torch.equal(again.out_of_range(x), estimator.out_of_range(x))
    with pytest.raises(CheckpointError, match="without an embedding"):
        PosteriorEstimator.load(tmp_path / "model.safetensors", embedding=torch.nn.Identity())


def test_resumed_training_ends_with_the_same_weights(tmp_path):
    theta, x = simulate(1000, 0)

    class Stopped(Exception):  # noqa: N818
        pass

    def stop(done, total, text):
        if done == 6:
            raise Stopped

    whole = PosteriorEstimator(quick(epochs=3), seed=1)
    whole.fit(theta, x)
    parts = PosteriorEstimator(quick(epochs=3), seed=1)
    import hepflows.posterior.estimator as module

    original = module.fit
    module.fit = lambda *a, **k: original(*a, **k, checkpoint_seconds=0.0)
    try:
        with pytest.raises(Stopped):
            parts.fit(theta, x, checkpoint=tmp_path / "state.safetensors", progress=stop)
        parts.fit(theta, x, checkpoint=tmp_path / "state.safetensors")
    finally:
        module.fit = original
    assert torch.equal(parts.log_prob(theta[:50], x[:50]), whole.log_prob(theta[:50], x[:50]))


def test_early_stopping():
    theta, x = simulate(300, 0)
    training = TrainingConfig(epochs=200, batch_size=64, learning_rate=1e-2, schedule="constant", patience=3)
    found = PosteriorEstimator(PosteriorConfig(blocks=2, hidden=[32], training=training), seed=1)
    history = found.fit(theta, x)
    assert len(history.validation) < 200
    assert len(history.validation) - 1 - history.best_epoch == 3


def test_own_embedding_and_fresh_noise(tmp_path):
    """A mean over a set of measurements, made anew in every epoch: the posterior of a mean is known."""

    class Mean(torch.nn.Module):
        def forward(self, x):
            return x.mean(1)

    theta = torch.randn(8000, 1, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    table = theta.float()[:, None, :].expand(-1, 5, -1)
    found = PosteriorEstimator(quick(), seed=1, embedding=Mean())
    found.fit(theta, table, augment=lambda x, rng: x + torch.randn(x.shape, generator=rng))
    observed = torch.tensor([[0.2], [1.0], [0.6], [-0.1], [0.8]])
    draws = found.sample(observed, 4000, seed=1)
    assert abs(float(draws.mean()) - 0.5 * 5 / 6) < 0.06
    assert abs(float(draws.std()) - (1 / 6) ** 0.5) < 0.04
    found.save(tmp_path / "model.safetensors")
    again, _ = PosteriorEstimator.load(tmp_path / "model.safetensors", embedding=Mean())
    assert torch.equal(again.sample(observed, 3, seed=1), found.sample(observed, 3, seed=1))


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda t, x: (t, x[:-1]), "one row a simulation"),
        (lambda t, x: (t[:50], x[:50]), "at least 100"),
        (lambda t, x: (t, torch.where(torch.arange(len(x))[:, None] == 3, torch.nan, x)), r"missing or not finite.*\(3, 0\)"),
        (lambda t, x: (t * 100, x), "outside of the bounds"),
        (lambda t, x: (torch.cat([t[:, :1], 0 * t[:, :1]], 1), x), "'theta_1' is the same in all rows"),
        (lambda t, x: ([["a"]], x), "no table of numbers"),
    ],
)  # fmt: skip
def test_wrong_tables_are_one_sentence(change, sentence):
    theta, x = simulate(200, 0)
    found = PosteriorEstimator(quick(epochs=1), bounds=[(-9, 9), None], seed=1)
    with pytest.raises(DataError, match=sentence):
        found.fit(*change(theta, x))


def test_wrong_calls_are_one_sentence(estimator):
    with pytest.raises(ConfigError, match="learnt nothing"):
        PosteriorEstimator().sample(torch.zeros(3), seed=1)
    with pytest.raises(DataError, match=r"\(..., 3\), got \(5, 4\)"):
        estimator.sample(torch.zeros(5, 4), seed=1)
    with pytest.raises(DataError, match="missing or not finite"):
        estimator.log_prob(torch.zeros(2), torch.tensor([0.0, torch.nan, 0.0]))
    with pytest.raises(ConfigError, match="either a seed or a generator"):
        estimator.sample(torch.zeros(3))
    with pytest.raises(DataError, match="do not go with the observations"):
        estimator.log_prob(torch.zeros(4, 2), torch.zeros(5, 3))
    with pytest.raises(ConfigError, match="low < high"):
        PosteriorEstimator(bounds=[(1, 0), None]).fit(*simulate(200, 0))
