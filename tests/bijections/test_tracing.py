"""Running a bijection part by part gives what running it gives, and what stands between the parts."""

from __future__ import annotations

import pytest
import torch
from bijection_table import CONTEXT, FEATURES, MASK, UNIVARIATES, autoregressive, causal, contexts, generator

from hepflows.bijections import Affine, Bijection, Chain, Coupling, Inverse, Inverted, LULinear, Permutation, trace
from hepflows.errors import DomainError
from hepflows.kernels import native
from hepflows.made import MADE
from hepflows.student import student_of
from hepflows.zoo import iaf
from hepflows.zoo import maf as build_maf

RATIONAL = UNIVARIATES["rational"]
CASES: dict[str, Bijection] = {
    "maf": autoregressive(RATIONAL, CONTEXT),
    "student": Inverse(autoregressive(Inverted(RATIONAL), CONTEXT)),
    "coupling": Coupling(RATIONAL, MASK, CONTEXT, generator=generator()),
    "causal": causal(Affine(), CONTEXT),
    "nested": Chain(
        [
            LULinear(FEATURES),
            Inverse(Chain([autoregressive(Affine(), CONTEXT), Permutation([3, 1, 4, 0, 2])])),
            Chain([Coupling(Affine(), MASK, generator=generator()), autoregressive(RATIONAL, 0)]),
        ]
    ),
}
BLOCKS = {"nested": 3}


def points(n: int = 20) -> torch.Tensor:
    return 1.5 * torch.randn(n, FEATURES, generator=generator())


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("inverse", [False, True])
def test_a_trace_ends_where_the_bijection_does(name: str, inverse: bool) -> None:
    bijection, x = CASES[name].double(), points()
    context = contexts(bijection, 20)
    run = trace(bijection, x, context, inverse=inverse)
    y, ladj = (bijection.inverse if inverse else bijection)(x, context)
    torch.testing.assert_close(run.value, y)
    torch.testing.assert_close(run.ladj, ladj)
    assert len(run.blocks) == BLOCKS.get(name, 1)


@pytest.mark.parametrize("name", CASES)
def test_there_and_back_passes_the_same_places(name: str) -> None:
    bijection, x = CASES[name].double(), points()
    context = contexts(bijection, 20)
    with torch.no_grad():
        there = trace(bijection, x, context)
        back = trace(bijection, there.value, context, inverse=True)
    for one, other in zip(there.blocks, back.blocks, strict=True):
        torch.testing.assert_close(one.latents, other.latents, rtol=1e-7, atol=1e-7)
        torch.testing.assert_close(one.parameters, other.parameters, rtol=1e-6, atol=1e-6)


def test_the_parameters_are_those_of_the_network() -> None:
    flow = build_maf(3, blocks=2, seed=0).double()
    first, permutation, second = flow.bijection.bijections
    x = points()[:, :3].view(4, 5, 3)
    run = trace(flow.bijection, x)
    middle = first(x)[0]
    assert run.value.shape == (4, 5, 3)
    assert run.ladj.shape == (4, 5)
    torch.testing.assert_close(run.blocks[0].latents, middle)
    torch.testing.assert_close(run.blocks[0].parameters, first.made(x.view(20, 3)).view(4, 5, 69))
    torch.testing.assert_close(run.blocks[1].parameters, second.made(permutation(middle)[0].view(20, 3)).view(4, 5, 69))


def test_gradients_of_a_trace_are_those_of_the_bijection() -> None:
    for name, inverse in (("maf", False), ("maf", True), ("student", True), ("coupling", True)):
        bijection = CASES[name].double()
        context, parameters = contexts(bijection, 20), list(bijection.parameters())
        run = trace(bijection, points(), context, inverse=inverse)
        y, ladj = (bijection.inverse if inverse else bijection)(points(), context)
        mine = torch.autograd.grad((run.value * run.value).sum() + run.ladj.sum(), parameters)
        its = torch.autograd.grad((y * y).sum() + ladj.sum(), parameters)
        torch.testing.assert_close(mine, its)


def test_what_is_not_finite_is_refused() -> None:
    with pytest.raises(DomainError, match="1 value that is not finite"):
        trace(
            CASES["maf"].double(),
            torch.full((1, FEATURES), torch.nan).index_fill(1, torch.arange(1, 5), 0.0),
            torch.zeros(1, 2),
        )


def test_an_inverted_map_describes_the_way_from_data_to_latents() -> None:
    """Teacher and student of one network without inputs: the same map, while the IAF of the zoo is its inverse."""
    teacher = build_maf(4, blocks=1, hidden=(8,), univariate=RATIONAL, seed=0).double()
    student, other = student_of(teacher, seed=1), iaf(4, blocks=1, hidden=(8,), univariate=RATIONAL, seed=0).double()
    raw = torch.randn(4 * RATIONAL.per_feature, generator=generator())
    for flow in (teacher, student, other):
        (made,) = (part for part in flow.modules() if isinstance(part, MADE))
        with torch.no_grad():
            made.output.weight.zero_()
            made.output.bias.copy_(raw)
    x = points()[:, :4]
    torch.testing.assert_close(student.log_prob(x), teacher.log_prob(x))
    assert (other.log_prob(x) - teacher.log_prob(x)).abs().max() > 0.1


@pytest.mark.parametrize("inverse", [False, True])
def test_the_compiled_kernels_take_inverted_maps(inverse: bool) -> None:
    bijection, x = Inverse(autoregressive(Inverted(RATIONAL), CONTEXT, (40, 40))).float(), points(50).float()
    context = contexts(bijection, 50).float()
    results, gradients = [], []
    for name in dict.fromkeys([native.available()[0], "reference"]):
        with native.using(name):
            y, ladj = (bijection.inverse if inverse else bijection)(x, context)
            gradients.append(torch.autograd.grad(y.square().sum() + ladj.sum(), list(bijection.parameters())))
            results.append((y, ladj))
    torch.testing.assert_close(results[0], results[-1], rtol=1e-4, atol=1e-4)
    for one, other in zip(gradients[0], gradients[-1], strict=True):
        assert (one - other).norm() <= 1e-3 * (1 + other.norm())
