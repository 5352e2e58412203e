"""Autoregressive networks of one's own: their inverse, its gradients, and what is said to networks that are not."""

from __future__ import annotations

import pytest
import torch
from bijection_table import CausalConvolution
from torch import Tensor, nn

from hepflows.bijections import Affine, Autoregressive, MaskedAutoregressive, RationalQuadraticSpline, Univariate
from hepflows.errors import DomainError, ShapeError
from hepflows.made import MADE
from hepflows.nets import MLP

RQS = RationalQuadraticSpline(6, 4.0)


class Counting(nn.Module):
    """Hides a network and counts its passes and the events in them."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net, self.events = net, []

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        self.events.append(len(x))
        return self.net(x, context)


class MaskedAttention(nn.Module):
    """One layer of attention to earlier positions in the order 2, 0, 3, 1, ..., and of its own past only."""

    def __init__(self, features: int, per_feature: int, width: int = 8) -> None:
        super().__init__()
        rng = torch.Generator().manual_seed(2)
        order = torch.randperm(features, generator=rng)
        later = order.argsort()[:, None] <= order.argsort()[None, :]
        self.register_buffer("mask", torch.where(later, -torch.inf, 0.0))
        self.places = nn.Parameter(torch.randn(features, width, generator=rng))
        self.key, self.value = nn.Linear(1, width), nn.Linear(1, width)
        self.out = nn.Linear(width, per_feature)
        for parameter in (p for layer in (self.key, self.value, self.out) for p in layer.parameters()):
            parameter.data.uniform_(-0.5, 0.5, generator=rng)

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        keys = self.key(x[..., None]) + self.places
        scores = self.places @ keys.transpose(1, 2) + self.mask
        first = torch.isinf(self.mask).all(1)  # it has nothing to look at
        weights = torch.where(first[:, None], 0.0, torch.softmax(torch.where(first[:, None], 0.0, scores), -1))
        return self.out(torch.tanh(weights @ self.value(x[..., None])) + self.places).flatten(1)


def dense(outputs: int, strength: float) -> MLP:
    net = MLP(4, outputs, (), generator=torch.Generator().manual_seed(0))
    net.output.weight.data *= strength
    return net


def made(features: int, univariate: Univariate, context: int = 0, *, rough: float = 0.0) -> MADE:
    rng = torch.Generator().manual_seed(3)
    net = MADE(
        features, univariate.per_feature, (30, 30), context_features=context, activation=torch.tanh, generator=rng
    )
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(rough * torch.randn(parameter.shape, generator=rng))
    return net


@pytest.mark.parametrize("univariate", [Affine(), RQS])
@pytest.mark.parametrize("context", [0, 2])
def test_equals_the_exact_inverse_of_a_made(univariate: Univariate, context: int, rng: torch.Generator) -> None:
    net = made(12, univariate, context, rough=0.1)
    exact, ours = MaskedAutoregressive(univariate, net), Autoregressive(univariate, Counting(net), 12, context)
    z, c = torch.randn(40, 12, generator=rng), torch.randn(40, 2, generator=rng) if context else None
    leaves = [z.requires_grad_(), *([c.requires_grad_()] if context else []), *net.parameters()]
    results = []
    for bijection in (exact, ours):
        x, ladj = bijection.inverse(z, c)
        gradients = torch.autograd.grad(torch.sin(x).sum() + ladj.square().sum(), leaves)
        results.append([x, ladj, *gradients])
    for a, b in zip(*results, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("net", ["convolution", "attention"])
@pytest.mark.parametrize("univariate", [Affine(), RQS])
def test_networks_in_an_order_of_their_own(net: str, univariate: Univariate, rng: torch.Generator) -> None:
    build = {"convolution": lambda p: CausalConvolution(p, 0), "attention": lambda p: MaskedAttention(7, p)}[net]
    bijection = Autoregressive(univariate, build(univariate.per_feature), 7)
    z = torch.randn(3, 7, generator=rng, requires_grad=True)
    x, ladj = bijection.inverse(z)
    back, forward_ladj = bijection(x)
    torch.testing.assert_close(back, z, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(ladj, -forward_ladj, rtol=1e-10, atol=1e-10)
    jacobian = torch.autograd.functional.jacobian(lambda x: bijection(x)[0].sum(0), x.detach()).permute(1, 0, 2)
    torch.testing.assert_close(torch.linalg.slogdet(jacobian)[1], forward_ladj, rtol=1e-9, atol=1e-9)
    assert torch.autograd.gradcheck(bijection.inverse, z, atol=1e-6)


def test_few_iterations_where_the_features_depend_smoothly(rng: torch.Generator) -> None:
    net = Counting(made(60, RQS))
    bijection = Autoregressive(RQS, net, 60, check=False)
    z = torch.randn(50, 60, generator=rng)
    with torch.no_grad():
        x, _ = bijection.inverse(z)
    assert len(net.events) <= 25
    assert net.events[0] == 50
    assert min(net.events) < 50, "events that have arrived are left out"
    assert net.events[-1] == 50, "and all are verified"
    torch.testing.assert_close(bijection(x)[0].detach(), z, rtol=1e-9, atol=1e-9)


def test_never_more_iterations_than_features(rng: torch.Generator) -> None:
    net = Counting(made(9, RQS, rough=1.0))
    bijection = Autoregressive(RQS, net, 9, check=False)
    z = torch.randn(50, 9, generator=rng, requires_grad=True)
    x, _ = bijection.inverse(z)
    assert len(net.events) <= 9 + 2, "the iterations and the verifications"
    before = len(net.events)
    x.sum().backward()
    assert len(net.events) == before + 1, "the gradient takes one pass and vector-Jacobian products of it"


class Chained(nn.Module):
    """Each feature shifts the next one by ``gain`` times itself."""

    gains = (0.0, 1e-8, 1e-8, 1e14)

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        shift = torch.tensor(self.gains) * nn.functional.pad(x[:, :-1], (1, 0))
        return torch.stack([shift, torch.zeros_like(shift)], 2).flatten(1)


def test_small_steps_are_not_taken_for_arrival() -> None:
    """The second step is as small as rounding; what it changes matters in the third."""
    net = Counting(Chained())
    bijection = Autoregressive(Affine(), net, 4, check=False)
    x, _ = bijection.inverse(torch.tensor([[1.0, 0.0, 0.0, 0.0]]))
    torch.testing.assert_close(x, torch.tensor([[1.0, -1e-8, 1e-16, -0.01]]), rtol=1e-12, atol=0)
    assert len(net.events) == 2 + 1 + 2 + 1, "two steps, verified, two more, verified"


@pytest.mark.parametrize("strength", [0.1, 3.0])
def test_a_network_that_is_not_autoregressive_is_refused(strength: float) -> None:
    net = dense(8, strength)
    with pytest.raises(DomainError, match=r"not autoregressive: no order of the features 0, 1, 2, 3"):
        Autoregressive(Affine(), net, 4)


def test_an_iteration_that_does_not_arrive_raises(rng: torch.Generator) -> None:
    bijection = Autoregressive(Affine(), dense(8, 3.0), 4, check=False)
    with pytest.raises(DomainError, match=r"did not arrive at a solution: after 4 iterations for 4 features"):
        bijection.inverse(torch.randn(10, 4, generator=rng))


def test_outputs_of_another_shape() -> None:
    with pytest.raises(ShapeError, match=r"must give 8 numbers an event, 2 for each of the 4 features"):
        Autoregressive(Affine(), dense(6, 1.0), 4)


def test_dropout_and_batch_statistics_stay_out_of_the_inverse(rng: torch.Generator) -> None:
    class Dropping(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net, self.drop = CausalConvolution(2, 0), nn.Dropout(0.5)

        def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
            return self.drop(self.net(x, context))

    bijection = Autoregressive(Affine(), Dropping(), 5).train()
    z = torch.randn(6, 5, generator=rng, requires_grad=True)
    (a,) = torch.autograd.grad(bijection.inverse(z)[0].sum(), z)
    assert bijection.net.drop.training
    (b,) = torch.autograd.grad(bijection.eval().inverse(z)[0].sum(), z)
    torch.testing.assert_close(a, b, rtol=0, atol=0)


def test_no_events() -> None:
    bijection = Autoregressive(Affine(), CausalConvolution(2, 0), 5)
    x, ladj = bijection.inverse(torch.zeros(0, 5))
    assert x.shape == (0, 5)
    assert ladj.shape == (0,)
