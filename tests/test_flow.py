"""Flows: normalisation by quadrature, sampling against density, shapes, generators, chunks."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch

import hepflows.flow
from hepflows.bases import Gaussian, UniformBox
from hepflows.bijections import Elementwise, LinearSpline, LULinear, QuadraticSpline, RationalQuadraticSpline
from hepflows.errors import ContextError, DomainError, ShapeError
from hepflows.flow import Flow
from hepflows.zoo import coupling_flow, iaf, inductive_flow, maf, nice, realnvp, transformer_flow

RECIPES: dict[str, Callable[..., Flow]] = {
    "maf": maf, "iaf": iaf, "coupling": coupling_flow, "nice": nice, "realnvp": realnvp,
    "inductive": lambda features, context=0, seed=0: inductive_flow([1] * features, context, seed=seed),
    "transformer": lambda features, context=0, seed=0: transformer_flow(
        features, context, patches=2, blocks=3, width=8, layers=1, heads=2, seed=seed
    ),
}  # fmt: skip


def rough(flow: Flow, seed: int = 0, scale: float = 0.15) -> Flow:
    """Weights far enough from the start that the density is no longer Gaussian."""
    rng = torch.Generator().manual_seed(seed)
    flow = flow.double()
    with torch.no_grad():
        for parameter in flow.parameters():
            parameter.add_(scale * torch.randn(parameter.shape, generator=rng))
    return flow


@pytest.mark.parametrize("name", RECIPES)
def test_integrates_to_one_in_two_dimensions(name: str) -> None:
    flow = rough(RECIPES[name](2, 1, seed=1), scale=0.05)
    axis = torch.linspace(-9, 9, 301)
    grid = torch.cartesian_prod(axis, axis)
    with torch.no_grad():
        density = flow.log_prob(grid, torch.tensor([0.7])).exp().view(301, 301)
    total = torch.trapezoid(torch.trapezoid(density, axis), axis)
    assert abs(total - 1) < 2e-3
    assert density.max() > 0.05


@pytest.mark.parametrize("spline", [LinearSpline(6, 4.0), QuadraticSpline(6, 4.0), RationalQuadraticSpline(6, 4.0)])
def test_integrates_to_one_in_one_dimension(spline: RationalQuadraticSpline) -> None:
    flow = rough(Flow(Elementwise(spline, 1)), scale=1.0)
    x = torch.linspace(-10, 10, 200_001)
    with torch.no_grad():
        density = flow.log_prob(x[:, None]).exp()
    assert abs(torch.trapezoid(density, x) - 1) < 1e-4
    assert (density - Gaussian(1).log_prob(x[:, None]).exp()).abs().max() > 0.05  # it is a density of its own


def test_integrates_to_one_on_a_box() -> None:
    spline = RationalQuadraticSpline(6, box=(0.0, 1.0), free_edges=True)
    flow = rough(Flow(Elementwise(spline, 1), UniformBox([0.0], [1.0])), scale=1.0)
    x = (torch.arange(100_000) + 0.5) / 100_000
    with torch.no_grad():
        assert abs(flow.log_prob(x[:, None]).exp().mean() - 1) < 1e-5
        assert flow.log_prob(torch.tensor([[1.5]])).item() == -math.inf


@pytest.mark.parametrize("name", RECIPES)
def test_samples_follow_the_density(name: str, rng: torch.Generator) -> None:
    """Moments of the samples against moments of the density, by quadrature."""
    flow = rough(RECIPES[name](2, seed=2), scale=0.05)
    axis = torch.linspace(-9, 9, 301)
    grid = torch.cartesian_prod(axis, axis)
    with torch.no_grad():
        weights = flow.log_prob(grid).exp()
    weights = weights / weights.sum()
    x = flow.sample(20_000, generator=rng)
    for function in (
        lambda x: x[:, 0],
        lambda x: x[:, 1],
        lambda x: x[:, 0] * x[:, 1],
        lambda x: x[:, 0] ** 2,
        lambda x: torch.cos(2 * x[:, 1]),
    ):
        values = function(x)
        error = values.std() / len(values) ** 0.5
        assert abs(values.mean() - (weights * function(grid)).sum()) < 4.5 * error + 1e-4


def test_lu_flow_is_the_gaussian_it_should_be(rng: torch.Generator) -> None:
    flow = rough(Flow(LULinear(3)), scale=0.4)
    a, b = (
        flow.bijection(torch.eye(3))[0] - flow.bijection(torch.zeros(3, 3))[0],
        flow.bijection(torch.zeros(1, 3))[0][0],
    )
    matrix = a.T.detach()
    precision = matrix.T @ matrix
    mean = -torch.linalg.solve(matrix, b.detach())
    exact = torch.distributions.MultivariateNormal(mean, precision_matrix=precision)
    x = torch.randn(20, 3, generator=rng)
    torch.testing.assert_close(flow.log_prob(x).detach(), exact.log_prob(x))


@pytest.mark.parametrize("name", RECIPES)
def test_shapes(name: str) -> None:
    flow = RECIPES[name](3, 2, seed=0).double()
    rng = torch.Generator().manual_seed(0)
    context = torch.zeros(4, 5, 2)
    assert flow.sample(context=context, generator=rng).shape == (4, 5, 3)
    assert flow.sample(7, context, generator=rng).shape == (7, 4, 5, 3)
    assert flow.sample((7, 2), context, generator=rng).shape == (7, 2, 4, 5, 3)
    assert flow.sample(6, context[0, 0], generator=rng).shape == (6, 3)
    x, log_prob = flow.sample_and_log_prob(7, context, generator=rng)
    assert log_prob.shape == (7, 4, 5)
    torch.testing.assert_close(flow.log_prob(x, context), log_prob, rtol=1e-7, atol=1e-7)


def test_each_context_gets_its_own_samples() -> None:
    """The mistake of nflows' batched sampling: samples must stand with the context that they were drawn for."""
    flow = rough(maf(1, 1, blocks=1, seed=0), scale=0.3)
    with torch.no_grad():
        made = flow.bijection.bijections[0].made
        made.output.weight[:, :64].mul_(5.0)  # the columns of the units that the context sets
    context = torch.tensor([[-2.0], [0.0], [2.0]])
    rng = torch.Generator().manual_seed(0)
    together = flow.sample(4000, context, generator=rng)
    for i, c in enumerate(context):
        alone = flow.sample(4000, c, generator=torch.Generator().manual_seed(i))
        error = (alone.var() / 2000).sqrt()
        assert abs(together[:, i].mean() - alone.mean()) < 5 * error
    assert together.mean(0).std() > 0.1


def test_the_generator_decides() -> None:
    flow = maf(2, seed=0).double()
    state = torch.random.get_rng_state()
    a = flow.sample(5, generator=torch.Generator().manual_seed(1))
    assert torch.equal(a, flow.sample(5, generator=torch.Generator().manual_seed(1)))
    assert not torch.equal(a, flow.sample(5, generator=torch.Generator().manual_seed(2)))
    assert torch.equal(state, torch.random.get_rng_state())


def test_chunks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    flow = maf(3, 1, seed=0).double()
    context = torch.linspace(-1, 1, 10)[:, None]
    whole = flow.sample_and_log_prob(20, context, generator=torch.Generator().manual_seed(1))
    monkeypatch.setattr(hepflows.flow, "CHUNK_NUMBERS", 64)
    monkeypatch.setattr(hepflows.flow, "CHUNK_EVENTS", 7)
    parts = flow.sample_and_log_prob(20, context, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(whole[0], parts[0], rtol=1e-12, atol=1e-12)
    with torch.no_grad():
        torch.testing.assert_close(flow.log_prob(whole[0], context), whole[1], rtol=1e-8, atol=1e-8)


def test_rsample_carries_gradients() -> None:
    flow = iaf(2, 1, seed=0).double()
    x, log_prob = flow.rsample_and_log_prob(8, torch.zeros(1), generator=torch.Generator().manual_seed(0))
    (x.sum() + log_prob.sum()).backward()
    assert all(parameter.grad is not None for parameter in flow.parameters())


def test_seeds_give_the_same_weights() -> None:
    a, b, c = maf(3, seed=4), maf(3, seed=4), maf(3, seed=5)
    assert all(torch.equal(p, q) for p, q in zip(a.parameters(), b.parameters(), strict=True))
    assert not all(torch.equal(p, q) for p, q in zip(a.parameters(), c.parameters(), strict=True))


def test_starts_near_the_base_density(rng: torch.Generator) -> None:
    x = torch.randn(200, 3, generator=rng)
    for recipe in RECIPES.values():
        flow = recipe(3, 2, seed=0).double()
        difference = flow.log_prob(x, torch.zeros(2)) - Gaussian(3).log_prob(x)
        assert difference.abs().mean() < 0.5


def test_wrong_arguments() -> None:
    flow = maf(3, 2, seed=0).double()
    with pytest.raises(ContextError, match="this flow is conditional"):
        flow.sample(4)
    with pytest.raises(ContextError, match="this flow is conditional"):
        flow.log_prob(torch.zeros(1, 3))
    with pytest.raises(ShapeError, match=r"shape \(\.\.\., 3\)"):
        flow.log_prob(torch.zeros(1, 4), torch.zeros(2))
    with pytest.raises(ShapeError, match="non-negative integer"):
        flow.sample(-1, torch.zeros(2))
    with pytest.raises(ShapeError, match=r"the context is torch\.float32"):
        flow.sample(1, torch.zeros(2, dtype=torch.float32))
    with pytest.raises(ShapeError, match="floating-point"):
        flow.log_prob(torch.zeros(1, 3, dtype=torch.long), torch.zeros(2))
    with pytest.raises(DomainError, match="low < high"):
        UniformBox([1.0], [0.0])
    with pytest.raises(ShapeError, match="make them equal"):
        Flow(LULinear(2), Gaussian(3))
