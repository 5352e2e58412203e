"""The continuous flow against what is known of it."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

import hepflows
from hepflows.bijections import Continuous
from hepflows.errors import DomainError

MEAN, SPREAD = torch.tensor([1.0, -0.5]), torch.tensor([0.3, 2.0])


def velocity_of_a_gaussian(x: Tensor, time: Tensor, context: Tensor | None = None) -> Tensor:
    """The velocity that carries a standard normal onto another Gaussian along straight paths: E[x1 - x0 | x_t = x]."""
    t = time[:, None]
    variance = (1 - t) ** 2 + t**2 * SPREAD**2
    return MEAN + (t * SPREAD**2 - (1 - t)) * (x - t * MEAN) / variance


def known_flow(steps: int) -> hepflows.Flow:
    bijection = Continuous(2, hidden=(4,), steps=steps)
    bijection.velocity = velocity_of_a_gaussian
    return hepflows.Flow(bijection)


def test_a_known_velocity_gives_the_known_density() -> None:
    x = MEAN + SPREAD * torch.randn(50, 2, generator=torch.Generator().manual_seed(1))
    truth = torch.distributions.Normal(MEAN, SPREAD).log_prob(x).sum(1)
    with torch.no_grad():
        errors = [float((known_flow(steps).log_prob(x) - truth).abs().max()) for steps in (8, 16, 32)]
    assert errors[2] < 1e-4
    assert errors[0] / errors[1] > 8  # of fourth order
    assert errors[1] / errors[2] > 8


def test_a_known_velocity_carries_latents_to_data() -> None:
    flow = known_flow(32)
    z = torch.randn(20, 2, generator=torch.Generator().manual_seed(2))
    carried = flow.bijection.transport(z).detach()
    torch.testing.assert_close(carried, MEAN + SPREAD * z, rtol=0, atol=1e-4)
    torch.testing.assert_close(carried, flow.bijection.inverse(z)[0].detach())


def test_flow_matching_is_least_at_the_known_velocity() -> None:
    """Its gradient in a parameter that moves the velocity away from the true one vanishes within its error."""
    generator = torch.Generator().manual_seed(3)
    x = MEAN + SPREAD * torch.randn(200_000, 2, generator=generator)
    shift, scale = torch.zeros(2, requires_grad=True), torch.zeros(2, requires_grad=True)
    bijection = Continuous(2, hidden=(4,))
    bijection.velocity = lambda x, time, context=None: (1 + scale) * velocity_of_a_gaussian(x, time) + shift
    loss = hepflows.FlowMatching(bijection)(x, generator=generator)
    for gradient in torch.autograd.grad(loss, (shift, scale)):
        assert float(gradient.abs().max()) < 0.1
    with torch.no_grad():
        shift += 0.5
    moved = hepflows.FlowMatching(bijection)(x, generator=torch.Generator().manual_seed(4))
    assert float(moved.detach() - loss.detach()) == pytest.approx(2 * 0.25, abs=0.1)


def test_weights_count() -> None:
    x, weights = torch.randn(8, 2, generator=torch.Generator().manual_seed(5)), torch.tensor([1.0] * 4 + [0.0] * 4)
    objective = hepflows.FlowMatching(hepflows.continuous_flow(2, hidden=(8,), seed=1).double().bijection)

    def loss(*batch: Tensor | None) -> float:
        return float(objective(*batch, generator=torch.Generator().manual_seed(6)).detach())

    assert loss(x, None, weights) != pytest.approx(loss(x))
    assert loss(x, None, 2 * weights) == pytest.approx(loss(x, None, weights))


def test_it_learns_two_moons_and_stays_normalised() -> None:
    """A shape that no affine map makes: the density integrates to one and lies where the data lie."""
    generator = torch.Generator().manual_seed(7)
    angle = torch.pi * torch.rand(4000, generator=generator)
    upper = (torch.rand(4000, generator=generator) < 0.5).double()
    x = torch.stack([angle.cos() + 1 - upper, angle.sin() * (2 * upper - 1) + 0.5 * (1 - upper)], 1)
    x = (x + 0.1 * torch.randn(x.shape, generator=generator)).double()
    flow = hepflows.continuous_flow(2, hidden=(48, 48), steps=12, seed=1).double()
    config = hepflows.TrainingConfig(epochs=30, batch_size=256, learning_rate=3e-3)
    batches = hepflows.TensorBatches((x,), 256)
    hepflows.fit(hepflows.FlowMatching(flow.bijection), batches, batches, config, seed=1)
    axis = torch.linspace(-2.5, 3.5, 90)
    grid = torch.cartesian_prod(axis, axis)
    density = flow.log_prob(grid).exp().detach()
    cell = float(axis[1] - axis[0]) ** 2
    assert float(density.sum()) * cell == pytest.approx(1, abs=0.03)
    near = (torch.cdist(grid, x).min(1).values < 0.3).float()
    assert float((density * near).sum() / density.sum()) > 0.85


def test_no_steps_are_refused() -> None:
    with pytest.raises(DomainError, match="at least one step"):
        Continuous(2, steps=0)
