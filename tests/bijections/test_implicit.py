"""Gradients through the inverse: against finite differences, against the textbook inverse, and in use."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional

from hepflows.bijections import (
    Affine,
    Bijection,
    Chain,
    Inverse,
    MaskedAutoregressive,
    Permutation,
    RationalQuadraticSpline,
    Shift,
    Univariate,
)
from hepflows.flow import Flow
from hepflows.made import MADE
from hepflows.zoo import maf

FEATURES, CONTEXT, EVENTS = 4, 2, 3
RQS = RationalQuadraticSpline(5, 3.0)


def block(
    univariate: Univariate,
    hidden: tuple[int, ...],
    *,
    context: int = CONTEXT,
    features: int = FEATURES,
    **options: object,
) -> MaskedAutoregressive:
    rng = torch.Generator().manual_seed(3)
    options = {"activation": torch.tanh, **options}  # smooth, so that finite differences are accurate
    made = MADE(
        features, univariate.per_feature, hidden, context_features=context, context_hidden=3, generator=rng, **options
    )
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.add_(0.3 * torch.randn(parameter.shape, generator=rng))
    return MaskedAutoregressive(univariate, made)


CASES: dict[str, Callable[[], Bijection]] = {
    "shift": lambda: block(Shift(), (5,)),
    "affine": lambda: block(Affine(), (6, 5)),
    "affine residual": lambda: block(Affine(), (5, 5, 5), residual=True),
    "affine one residual layer": lambda: block(Affine(), (6,), residual=True),
    "rqs": lambda: block(RQS, (6, 3, 5), context=0),
    "rqs context": lambda: block(RQS, (6, 5)),
    "rqs residual": lambda: block(RQS, (4, 4, 4, 4, 4), residual=True),
    "narrow": lambda: block(RQS, (2, 2)),
    "one feature": lambda: block(RQS, (3,), features=1),
    "chain": lambda: Chain([block(Affine(), (5, 5)), Permutation.reverse(FEATURES), block(RQS, (5,)), block(Affine(), (3,))]),
}  # fmt: skip


def inputs(bijection: Bijection, n: int = EVENTS) -> tuple[Tensor, Tensor | None]:
    rng = torch.Generator().manual_seed(5)
    z = 1.2 * torch.randn(n, bijection.features, generator=rng)
    return z, torch.randn(n, CONTEXT, generator=rng) if bijection.context_features else None


def textbook(bijection: Bijection, z: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor]:
    """The inverse by D passes of the whole network, followed by autograd."""
    if isinstance(bijection, Chain):
        total = torch.zeros(len(z))
        for part in reversed(list(bijection.bijections)):
            z, ladj = textbook(part, z, context if part.context_features else None)
            total = total + ladj
        return z, total
    if not isinstance(bijection, MaskedAutoregressive):
        return bijection._inverse(z, context)
    x = z
    for _ in range(bijection.features):
        raw = bijection.made(x, context).view(len(z), bijection.features, -1).transpose(1, 2)
        x, terms = bijection.univariate.inverse(z, raw)
    return x, terms.sum(-1)


@pytest.mark.parametrize("name", CASES)
def test_gradcheck_of_latents_context_and_every_parameter(name: str) -> None:
    bijection = CASES[name]()
    z, context = inputs(bijection)
    names, parameters = zip(*bijection.named_parameters(), strict=True)
    leaves = [z, *([] if context is None else [context])]

    def function(*tensors: Tensor) -> tuple[Tensor, Tensor]:
        values = dict(zip(names, tensors[len(leaves) :], strict=True))
        return functional_call(
            Inverse(bijection), {f"bijection.{key}": value for key, value in values.items()}, tensors[: len(leaves)]
        )

    tensors = [tensor.detach().clone().requires_grad_() for tensor in (*leaves, *parameters)]
    assert torch.autograd.gradcheck(function, tensors, atol=1e-6)


@pytest.mark.parametrize("used", ["x", "ladj", "both"])
@pytest.mark.parametrize("name", CASES)
def test_equals_autograd_through_the_textbook_inverse(name: str, used: str) -> None:
    bijection = CASES[name]()
    z, context = inputs(bijection, 20)
    leaves = [z.requires_grad_(), *([] if context is None else [context.requires_grad_()])]
    results = []
    for invert in (bijection._inverse, lambda z, c: textbook(bijection, z, c)):
        x, ladj = invert(z, context)
        loss = (0.0 if used == "ladj" else torch.sin(x).sum()) + (0.0 if used == "x" else (ladj**2).sum())
        if not loss.requires_grad:  # the log |det J| of a shift is zero
            return
        wanted = [*leaves, *bijection.parameters()]
        results.append(torch.autograd.grad(loss, wanted, allow_unused=True, materialize_grads=True))
    for ours, exact in zip(*results, strict=True):
        torch.testing.assert_close(ours, exact, rtol=1e-9, atol=1e-9)


def test_wide_network_in_single_precision(rng: torch.Generator) -> None:
    flow = maf(40, 3, blocks=2, hidden=(60, 50), seed=1)
    z, context = torch.randn(30, 40, generator=rng), torch.randn(30, 3, generator=rng)
    gradients = {}
    for dtype in (torch.float32, torch.float64):
        bijection = flow.bijection.to(dtype)
        x, ladj = bijection.inverse(z.to(dtype), context.to(dtype))
        (x.square().sum() + ladj.sum()).backward()
        gradients[dtype] = torch.cat([p.grad.double().ravel() for p in bijection.parameters()])
        bijection.zero_grad()
    error = (gradients[torch.float32] - gradients[torch.float64]).norm() / gradients[torch.float64].norm()
    assert error < 1e-4


def test_only_what_wants_a_gradient_gets_one() -> None:
    bijection = block(RQS, (6, 5)).requires_grad_(False)
    z, context = inputs(bijection)
    assert not bijection.inverse(z, context)[0].requires_grad
    x, _ = bijection.inverse(z.requires_grad_(), context)
    x.sum().backward()
    assert z.grad is not None
    bijection.made.output.bias.requires_grad_()
    bijection.inverse(z.detach(), context)[0].sum().backward()
    assert bijection.made.output.bias.grad is not None
    assert all(parameter.grad is None for name, parameter in bijection.named_parameters() if name != "made.output.bias")


def test_a_changed_parameter_is_noticed() -> None:
    bijection = block(Affine(), (5, 5))
    z, context = inputs(bijection)
    x, _ = bijection.inverse(z, context)
    with torch.no_grad():
        bijection.made.output.weight.mul_(2.0)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        x.sum().backward()


def test_second_derivatives_are_refused() -> None:
    bijection = block(Affine(), (5, 5))
    z, context = inputs(bijection)
    x, _ = bijection.inverse(z.requires_grad_(), context)
    (gradient,) = torch.autograd.grad(x.sum(), z, create_graph=True)
    with pytest.raises(RuntimeError, match="cannot be differentiated again"):
        gradient.sum().backward()


def test_dropout_stays_out_of_the_inverse() -> None:
    flow = maf(3, dropout=0.5, seed=0).double().train()
    z = torch.linspace(-1, 1, 6).view(2, 3).requires_grad_()
    (a,) = torch.autograd.grad(flow.bijection.inverse(z)[0].sum(), z)
    (b,) = torch.autograd.grad(flow.bijection.eval().inverse(z)[0].sum(), z)
    torch.testing.assert_close(a, b, rtol=0, atol=0)
    assert not flow.bijection.training


class Stretch(Affine, nn.Module):
    """A map of one feature with a parameter of its own."""

    def __init__(self) -> None:
        nn.Module.__init__(self)
        Affine.__init__(self)
        self.extra = nn.Parameter(torch.tensor(0.3))

    def forward(self, x: Tensor, parameters: Tensor) -> tuple[Tensor, Tensor]:
        z, ladj = super().forward(x, parameters)
        return z * self.extra.exp(), ladj + self.extra

    def inverse(self, z: Tensor, parameters: Tensor) -> tuple[Tensor, Tensor]:
        x, ladj = super().inverse(z * (-self.extra).exp(), parameters)
        return x, ladj - self.extra


def test_parameters_of_the_map_itself() -> None:
    bijection = block(Stretch(), (5, 5))
    z, context = inputs(bijection)
    wanted = list(bijection.parameters())
    assert any(parameter is bijection.univariate.extra for parameter in wanted)
    results = []
    for x, ladj in (bijection._inverse(z, context), textbook(bijection, z, context)):
        results.append(torch.autograd.grad(x.square().sum() + ladj.sum(), wanted))
    for ours, exact in zip(*results, strict=True):
        torch.testing.assert_close(ours, exact, rtol=1e-9, atol=1e-9)


@pytest.mark.filterwarnings("ignore:.*torch.jit.script.*:DeprecationWarning")  # inside torch's own forward mode
def test_transforms_of_torch_func_can_follow() -> None:
    bijection = block(RQS, (6, 5))
    z, context = inputs(bijection)

    def loss(z: Tensor) -> Tensor:
        x, ladj = bijection._inverse(z, context)
        return torch.sin(x).sum() + ladj.square().sum()

    (exact,) = torch.autograd.grad(loss(z.requires_grad_()), z)
    z = z.detach()
    torch.testing.assert_close(torch.func.grad(loss)(z), exact, rtol=1e-9, atol=1e-9)
    direction = torch.ones_like(z)
    torch.testing.assert_close(torch.func.jvp(loss, (z,), (direction,))[1], exact.sum(), rtol=1e-9, atol=1e-9)
    x = torch.func.vmap(bijection.inverse)(z, context)[0]
    torch.testing.assert_close(x, bijection.inverse(z, context)[0])
    assert torch.func.hessian(loss)(z).abs().max() > 1e-3


@pytest.mark.parametrize("gradients", [False, True])
def test_the_inverse_can_be_exported(gradients: bool) -> None:
    bijection = Inverse(block(RQS, (6, 5)))
    z, context = inputs(bijection)
    with torch.set_grad_enabled(gradients):
        exported = torch.export.export(bijection, (z, context)).module()
        torch.testing.assert_close(exported(z, context), bijection(z, context))


def test_inverse_and_gradient_take_one_pass_not_one_a_feature() -> None:
    bijection = block(RQS, (40, 40), features=30, activation=functional.relu)
    passes = []
    bijection.made.layers[0].register_forward_hook(lambda *_: passes.append(1))
    z, context = inputs(bijection, 10)
    x, ladj = bijection.inverse(z, context)
    assert not passes, "the sweep needs no pass of the whole network"
    (x.sum() + ladj.sum()).backward()
    assert len(passes) == 1


def test_the_way_to_the_solution_is_not_kept() -> None:
    """What autograd saves: the solution, the context and the parameters, not one activation of the sweep."""
    bijection = block(RQS, (40, 40), features=30)
    z, context = inputs(bijection, 50)
    saved: list[int] = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: (saved.append(t.numel()), t)[1], lambda t: t):
        bijection._inverse(z.requires_grad_(), context)
    own = sum(parameter.numel() for parameter in bijection.parameters())
    assert sum(saved) == z.numel() + context.numel() + own


def test_reverse_kl_finds_a_gaussian(rng: torch.Generator) -> None:
    """A MAF trained through its own samples on a density without data."""
    mean, covariance = torch.tensor([1.0, -0.5]), torch.tensor([[1.0, 0.6], [0.6, 0.8]])
    target = torch.distributions.MultivariateNormal(mean, covariance)
    flow: Flow = maf(2, univariate=Affine(), blocks=2, hidden=(16,), seed=0).double()
    optimizer = torch.optim.Adam(flow.parameters(), lr=2e-2)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 300)
    losses = []
    for _ in range(300):
        optimizer.zero_grad()
        x, log_prob = flow.rsample_and_log_prob(200, generator=rng)
        loss = (log_prob - target.log_prob(x)).mean()
        loss.backward()
        optimizer.step()
        schedule.step()
        losses.append(float(loss.detach()))
    assert losses[0] > 0.3
    assert abs(sum(losses[-20:]) / 20) < 5e-3  # the divergence of the exact answer is zero
    x = flow.sample(20_000, generator=rng)
    torch.testing.assert_close(x.mean(0), mean, rtol=0, atol=0.04)
    torch.testing.assert_close(torch.cov(x.T), covariance, rtol=0, atol=0.06)


def test_an_iaf_is_trained_on_data_by_the_same_gradients(rng: torch.Generator) -> None:
    """The density of an IAF is an inverse: maximum likelihood has the gradients that its textbook form has."""
    bijection = block(RQS, (6, 5))
    x, context = inputs(bijection, 10)
    z, ladj = Inverse(bijection)(x, context)
    exact_z, exact_ladj = textbook(bijection, x, context)
    wanted = list(bijection.parameters())
    ours = torch.autograd.grad((0.5 * z.square()).sum() - ladj.sum(), wanted)
    exact = torch.autograd.grad((0.5 * exact_z.square()).sum() - exact_ladj.sum(), wanted)
    for a, b in zip(ours, exact, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-9)
