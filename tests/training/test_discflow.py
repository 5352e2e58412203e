"""The weighted likelihood is what its formula and its theory say, and mends what a flow gives too rarely."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn

from hepflows.bijections import Affine, Elementwise
from hepflows.errors import DomainError
from hepflows.flow import Flow
from hepflows.metrics import auc
from hepflows.training import DiscFlow, MaximumLikelihood, TensorBatches, TrainingConfig, fit
from hepflows.zoo import maf, realnvp


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


PEAKS = ((0.9, -1.0, 0.5), (0.1, 3.5, 0.3))
"""Share, mean and width of two Gaussian peaks."""


def grid(n: int) -> torch.Tensor:
    return torch.linspace(-12, 12, n)[:, None]


def two_peaks(x: torch.Tensor) -> torch.Tensor:
    """Their log density."""
    peaks = [math.log(share / width) - 0.5 * ((x - mean) / width) ** 2 for share, mean, width in PEAKS]
    return torch.stack(peaks).logsumexp(0) - 0.5 * math.log(2 * math.pi)


def draw_two_peaks(n: int, seed: int) -> torch.Tensor:
    first = torch.rand(n, generator=rng(seed)) < PEAKS[0][0]
    noise = torch.randn(n, generator=rng(seed + 1))
    return torch.where(first, *(mean + width * noise for _, mean, width in PEAKS))[:, None]


def gaussian() -> Flow:
    return Flow(Elementwise(Affine(), 1))


class Exact(nn.Module):
    """The discriminator that nothing beats: it knows both densities."""

    def __init__(self, flow: Flow) -> None:
        super().__init__()
        self.known = [flow]

    def forward(self, x: torch.Tensor, context: torch.Tensor | None = None) -> torch.Tensor:
        with torch.no_grad():
            return two_peaks(x) - self.known[0].log_prob(x)[:, None]


@pytest.mark.parametrize("alpha", [0.25, 0.5, 1.0, 2.0])
def test_the_gradient_is_that_of_a_renyi_divergence(alpha: float) -> None:
    flow = gaussian()
    with torch.no_grad():
        flow.bijection.raw.copy_(torch.tensor([[0.3, -0.4]]))
    x = grid(2001)
    truth = two_peaks(x[:, 0])
    loss = DiscFlow(flow, Exact(flow), alpha=alpha, clip=1e30)(x, None, truth.exp())
    divergence = (truth + alpha * (truth - flow.log_prob(x))).logsumexp(0) / alpha
    gradients = [torch.autograd.grad(value, flow.bijection.raw)[0] for value in (loss, divergence)]
    torch.testing.assert_close(*gradients)
    assert gradients[0].abs().min() > 0.01


def test_without_power_it_is_maximum_likelihood() -> None:
    x, context, weights = torch.randn(80, 2, generator=rng()), torch.randn(80, 1, generator=rng(1)), torch.rand(80)
    flow = maf(2, 1, blocks=2, hidden=(8,), seed=0)
    for arguments in ((x, context), (x, context, weights)):
        loss = DiscFlow(flow, alpha=0.0)(*arguments, generator=rng())
        assert loss == MaximumLikelihood(flow)(*arguments)
    ends = []
    for build in (MaximumLikelihood, lambda flow: DiscFlow(flow, alpha=0.0), lambda flow: DiscFlow(flow, start=3)):
        flow = maf(2, 1, blocks=2, hidden=(8,), seed=0)
        batches = TensorBatches((x, context), 20)
        history = fit(build(flow), batches, batches, TrainingConfig(epochs=3), seed=0)
        ends.append((history.train, history.validation, torch.cat([p.flatten() for p in flow.parameters()])))
    for train, validation, weights in ends[1:]:
        assert (train, validation) == ends[0][:2]
        assert torch.equal(weights, ends[0][2])


def test_the_loss_by_hand_with_clipped_weights_and_fading_power() -> None:
    flow = maf(2, 1, blocks=1, hidden=(8,), seed=0)
    disc = nn.Module()
    disc.forward = lambda x, context: (x[:, :1] + context).clone()
    objective = DiscFlow(flow, disc, alpha=0.8, start=2, fade=4, clip=3.0)
    x, context, weights = torch.randn(30, 2, generator=rng()), torch.randn(30, 1, generator=rng(1)), torch.rand(30)
    assert (objective.log_weights(x, context).abs() == math.log(3.0)).any()
    powers = []
    for epoch in range(8):
        objective.begin_epoch(epoch)
        powers.append(objective.power)
        w = (x[:, 0] + context[:, 0]).exp().clamp(1 / 3, 3) ** objective.power
        want = -(weights * w * flow.log_prob(x, context)).sum() / (weights * w).sum()
        torch.testing.assert_close(objective(x, context, weights, generator=rng()), want)
        torch.testing.assert_close(
            objective.validation(x, context, weights), MaximumLikelihood(flow)(x, context, weights)
        )
    assert powers == pytest.approx([0, 0, 0, 0.2, 0.4, 0.6, 0.8, 0.8])


def test_each_loss_moves_its_own_network() -> None:
    flow = maf(2, 1, blocks=2, hidden=(8,), dropout=0.5, seed=0)
    objective = DiscFlow(flow, seed=1).train()
    x, context = torch.randn(30, 2, generator=rng()), torch.randn(30, 1, generator=rng(1))
    objective(x, context, generator=rng()).backward()
    assert all(parameter.grad is None for parameter in objective.discriminator.parameters())
    assert all(parameter.grad is not None for parameter in flow.parameters())
    flow.zero_grad()
    first, again, other = (objective.auxiliary_loss(x, context, generator=rng(seed)) for seed in (1, 1, 2))
    assert first == again
    assert first != other
    first.backward()
    assert all(parameter.grad is None for parameter in flow.parameters())
    assert all(parameter.grad is not None for parameter in objective.discriminator.parameters())
    assert flow.training


def test_the_loss_of_the_discriminator_by_hand() -> None:
    flow = maf(2, 1, blocks=1, hidden=(8,), seed=0)
    objective = DiscFlow(flow, seed=1)
    x, context, weights = torch.randn(30, 2, generator=rng()), torch.randn(30, 1, generator=rng(1)), torch.rand(30)
    drawn = flow.sample((), context, generator=rng(5))
    chance = [torch.sigmoid(objective.discriminator(points, context)[:, 0]) for points in (x, drawn)]
    for given, w in ((None, torch.ones(30)), (weights, weights / weights.mean())):
        want = -0.5 * (w * (chance[0].log() + (1 - chance[1]).log())).mean()
        torch.testing.assert_close(objective.auxiliary_loss(x, context, given, generator=rng(5)), want)


def best_gaussian(alpha: float) -> tuple[float, float]:
    """Mean and width with the least KL (zero) or Renyi divergence of order 1 + alpha, by quadrature."""
    means, widths = torch.linspace(-1, 0.5, 76), torch.linspace(1, 2.5, 76)
    m, s = (values.flatten() for values in torch.meshgrid(means, widths, indexing="ij"))
    x = grid(1201)
    truth = two_peaks(x)
    log_ratio = truth + 0.5 * ((x - m) / s) ** 2 + s.log() + 0.5 * math.log(2 * math.pi)
    divergence = (truth + alpha * log_ratio).logsumexp(0) if alpha else (truth.exp() * log_ratio).sum(0)
    return m[divergence.argmin()].item(), s[divergence.argmin()].item()


def test_joint_training_ends_at_the_minimum_of_the_divergence() -> None:
    """A Gaussian cannot have two peaks. Its best mean and width by each divergence follow from quadrature."""
    found, expected = [], []
    for alpha in (0.0, 1.0):
        flow = gaussian().float()
        objective = DiscFlow(flow, alpha=alpha, clip=100.0, rate=5e-3, hidden=(32, 32), seed=1)
        x = draw_two_peaks(20_000, 0).float()
        config = TrainingConfig(epochs=12, learning_rate=0.03, schedule="cosine", average=0.99, keep="last")
        fit(objective, TensorBatches((x,), 500), TensorBatches((x[:500],), 500), config, seed=0)
        shift, raw = flow.bijection.raw[0].tolist()
        width = math.exp(-5 * math.tanh(raw / 5))
        found.append((-shift * width, width))
        expected.append(best_gaussian(alpha))
    assert np.abs(np.subtract(*expected)).max() > 0.25  # the two divergences do not agree
    assert np.abs(np.subtract(found, expected)).max() < 0.1


def ring(n: int, seed: int) -> torch.Tensor:
    angle, radius = (
        2 * torch.pi * torch.rand(n, generator=rng(seed)),
        1.5 + 0.15 * torch.randn(n, generator=rng(seed + 100)),
    )
    return (radius[:, None] * torch.stack([angle.cos(), angle.sin()], 1)).float()


def ring_density(x: torch.Tensor) -> torch.Tensor:
    radius = x.norm(dim=1)
    return (
        -0.5 * ((radius - 1.5) / 0.15) ** 2 - math.log(0.15 * math.sqrt(2 * math.pi)) - torch.log(2 * torch.pi * radius)
    )


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1])
def test_an_underfitting_flow_gets_better(seed: int) -> None:
    """Both densities are known: the area is that of the best possible classifier, not of a trained one."""
    areas = []
    for alpha in (0.0, 1.0):
        flow = realnvp(2, blocks=4, hidden=(16, 16), seed=seed).float()
        objective = DiscFlow(flow, alpha=alpha, start=10, fade=10, rate=3e-3, seed=5)
        config = TrainingConfig(epochs=60, learning_rate=5e-3, schedule="cosine", keep="last")
        held_out = TensorBatches((ring(2000, 1),), 2000, shuffle=False)
        fit(objective, TensorBatches((ring(4000, 7 * seed + 10),), 200), held_out, config, seed=1)
        with torch.no_grad():
            events = torch.cat([flow.sample(20_000, generator=rng(11)), ring(20_000, 2)])
            scores = ring_density(events) - flow.log_prob(events)
        areas.append(auc(scores.double().numpy(), np.repeat([0, 1], 20_000)))
    assert areas[0] > 0.6  # with an error of 0.003
    assert areas[1] < areas[0] - 0.01


@pytest.mark.parametrize(
    "options", [{"alpha": -1.0}, {"alpha": math.nan}, {"start": -1}, {"fade": -2}, {"clip": 1.0}, {"rate": 0.0}]
)
def test_numbers_out_of_range(options: dict[str, float]) -> None:
    with pytest.raises(
        DomainError, match="a DiscFlow needs alpha, start and fade of at least 0, clip above 1 and a positive rate"
    ):
        DiscFlow(maf(2, seed=0), **options)
