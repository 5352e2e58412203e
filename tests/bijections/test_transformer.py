"""The transformer sees what it may and nothing else; its stepwise inverse is that of the whole; widths hardly cost parameters."""

from __future__ import annotations

import pytest
import torch
from bijection_table import UNIVARIATES
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from hepflows.bijections import TransformerAutoregressive
from hepflows.bijections.implicit import evaluating
from hepflows.errors import DomainError, ShapeError
from hepflows.flow import Flow
from hepflows.student import student_of
from hepflows.transformer import CausalTransformer
from hepflows.zoo import maf, transformer_flow

PATCHES = {"single features": [1, 1, 1, 1], "equal": [2, 2, 2], "unequal": [3, 1, 4, 2], "one patch": [3]}
CONTEXT = 2


def network(patches: list[int], per_feature: int, *, context: int = CONTEXT, dropout: float = 0.0) -> CausalTransformer:
    rng = torch.Generator().manual_seed(0)
    net = CausalTransformer(
        patches, per_feature, width=12, layers=3, heads=3, context_features=context, dropout=dropout, generator=rng
    ).double()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(0.2 * torch.randn(parameter.shape, generator=rng))
    return net


def rows(n: int, width: int, seed: int = 1) -> Tensor:
    return torch.randn(n, width, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("name", PATCHES)
def test_the_parameters_of_a_patch_see_the_patches_before_it_and_the_context(name: str) -> None:
    """Zeros of the Jacobian are exact, and nothing that may be seen is left out."""
    patches, per_feature = PATCHES[name], 3
    net, x, context = network(patches, per_feature), rows(1, sum(patches)), rows(1, CONTEXT, 2)
    by_x, by_context = torch.autograd.functional.jacobian(net, (x, context))
    patch = torch.repeat_interleave(torch.arange(len(patches)), torch.tensor(patches))
    may = patch[:, None] > patch[None, :]
    seen = by_x[0, :, 0].view(sum(patches), per_feature, sum(patches)) != 0
    assert torch.equal(seen.all(1), may)
    assert torch.equal(seen.any(1), may)
    assert (by_context != 0).all()


@pytest.mark.parametrize("univariate", ["affine", "rational"])
@pytest.mark.parametrize("name", PATCHES)
def test_the_steps_give_what_the_whole_network_gives(name: str, univariate: str) -> None:
    """The inverse with cached keys and values against one that computes everything anew for every patch."""
    patches, g = PATCHES[name], UNIVARIATES[univariate]
    bijection = TransformerAutoregressive(g, network(patches, g.per_feature))
    z, context = rows(50, sum(patches)), rows(50, CONTEXT, 2)
    with torch.no_grad():
        x, ladj = bijection.inverse(z, context)
        naive = torch.zeros_like(z)
        for _ in patches:
            raw = bijection.net(naive, context).T.reshape(sum(patches), g.per_feature, len(z))
            columns, terms = g.inverse(z.T, raw)
            naive = columns.T
    torch.testing.assert_close(x, naive, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(ladj, terms.sum(0), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", PATCHES)
def test_forward_undoes_the_inverse_and_its_ladj_is_that_of_autograd(name: str) -> None:
    bijection = TransformerAutoregressive(UNIVARIATES["affine"], network(PATCHES[name], 2))
    x, context = rows(4, bijection.features), rows(4, CONTEXT, 2)
    z, ladj = bijection(x, context)
    torch.testing.assert_close(bijection.inverse(z, context)[0], x, rtol=1e-9, atol=1e-9)
    for i in range(len(x)):
        jacobian = torch.autograd.functional.jacobian(lambda y, i=i: bijection(y, context[i])[0], x[i])
        torch.testing.assert_close(torch.linalg.slogdet(jacobian)[1], ladj[i], rtol=1e-11, atol=1e-11)


def test_gradients_through_the_inverse_are_those_of_the_steps() -> None:
    """Implicit differentiation against autograd through an inverse in which nothing is cached."""
    g, patches = UNIVARIATES["affine"], PATCHES["unequal"]
    bijection = TransformerAutoregressive(g, network(patches, g.per_feature))
    z, context = rows(5, sum(patches)).requires_grad_(), rows(5, CONTEXT, 2).requires_grad_()
    wanted = [z, context, *bijection.parameters()]

    def loss(x: Tensor, ladj: Tensor) -> Tensor:
        return (x.sin() * torch.arange(1.0, 1 + sum(patches))).sum() + (ladj * ladj).sum()

    implicit = torch.autograd.grad(loss(*bijection.inverse(z, context)), wanted)
    x = torch.zeros_like(z)
    for _ in patches:
        columns, terms = g.inverse(z.T, bijection.net(x, context).T.reshape(sum(patches), g.per_feature, len(z)))
        x = columns.T
    explicit = torch.autograd.grad(loss(x, terms.sum(0)), wanted)
    for a, b in zip(implicit, explicit, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-8, atol=1e-9)


@pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:DeprecationWarning")  # of torch, by torch
def test_second_derivatives_and_forward_mode_by_the_attention_that_has_them() -> None:
    bijection = TransformerAutoregressive(UNIVARIATES["affine"], network([2, 1, 2], 2))
    z, context = rows(1, 5), rows(1, CONTEXT, 2)

    def loss(z: Tensor) -> Tensor:
        return bijection.inverse(z, context)[0].sin().sum()

    (slopes,) = torch.autograd.grad(loss(z.requires_grad_()), z)
    z = z.detach()
    with sdpa_kernel(SDPBackend.MATH):
        tangent = torch.func.jvp(loss, (z,), (torch.ones_like(z),))[1]
        hessian = torch.func.hessian(loss)(z)[0, :, 0]
    torch.testing.assert_close(tangent, slopes.sum(), rtol=1e-10, atol=1e-10)
    step = 1e-5 * torch.eye(5)
    differences = [torch.func.grad(loss)(z + one) - torch.func.grad(loss)(z - one) for one in step]
    torch.testing.assert_close(hessian, torch.cat(differences) / 2e-5, rtol=1e-6, atol=1e-7)


def test_several_blocks_tie_the_features_of_a_patch_and_one_does_not() -> None:
    """The mixed second derivative of a log density vanishes where two features are independent given the rest."""
    for blocks, tied in ((1, False), (2, True)):
        flow = transformer_flow(4, patches=[2, 2], blocks=blocks, width=8, layers=1, heads=2).double()
        with torch.no_grad():
            for parameter in flow.parameters():
                parameter.add_(0.3 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1)))
        x, step = rows(1, 4), 1e-2
        shifts = torch.tensor([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]])
        moved = x.repeat(4, 1)
        moved[:, 2:] += step * shifts  # the last patch of the first block
        with torch.no_grad():
            mixed = flow.log_prob(moved) @ torch.tensor([1.0, -1.0, -1.0, 1.0]) / (4 * step**2)
        assert mixed.abs() > 1e-4 if tied else mixed.abs() < 1e-10


def test_dropout_acts_forward_only_and_never_in_the_inverse() -> None:
    g = UNIVARIATES["affine"]
    bijection = TransformerAutoregressive(g, network([2, 2], g.per_feature, dropout=0.3)).train()
    x, context = rows(20, 4), rows(20, CONTEXT, 2)
    torch.manual_seed(0)
    assert not torch.equal(bijection(x, context)[0], bijection(x, context)[0])
    assert torch.equal(bijection.inverse(x, context)[0], bijection.inverse(x, context)[0])
    assert bijection.net.training
    with evaluating(bijection):
        torch.testing.assert_close(bijection(bijection.inverse(x, context)[0], context)[0], x, rtol=1e-9, atol=1e-9)


def test_the_number_of_parameters_hardly_grows_with_the_features() -> None:
    def count(flow: Flow) -> int:
        return sum(parameter.numel() for parameter in flow.parameters())

    def wide(features: int) -> Flow:
        return transformer_flow(features, 4, patches=12, blocks=2, width=32)

    own = (
        23 * 504 + 42 * 32
    )  # what a feature has for itself, a bias for each of its parameters, and what a patch has, its position
    assert count(wide(1008)) - count(wide(504)) == 2 * own
    assert count(wide(504)) < 0.02 * count(maf(504, 4, blocks=2, hidden=(378, 378)))


def test_seeds_give_the_same_weights_and_leave_the_global_state_alone() -> None:
    state = torch.random.get_rng_state()
    a, b, c = (transformer_flow(6, 2, patches=2, blocks=2, width=8, seed=seed) for seed in (4, 4, 5))
    assert all(torch.equal(p, q) for p, q in zip(a.parameters(), b.parameters(), strict=True))
    assert not any(
        torch.equal(p, q)
        for (name, p), q in zip(a.named_parameters(), c.parameters(), strict=True)
        if "norm" not in name and not name.endswith("net.bias")
    )
    assert torch.equal(state, torch.random.get_rng_state())


def test_mistakes() -> None:
    for patches in ([2, 2], 0, -3, [3, 3]):
        with pytest.raises(ShapeError, match=r"the patches hold -?\d+ features together and there are 5"):
            transformer_flow(5, patches=patches)
    with pytest.raises(ShapeError, match=r"patches of at least one feature each, got \[3, 0, 2\]"):
        transformer_flow(5, patches=[3, 0, 2])
    with pytest.raises(ShapeError, match="a width that is a multiple of its heads"):
        transformer_flow(5, width=10, heads=4)
    with pytest.raises(ShapeError, match=r"build the CausalTransformer with per_feature=2"):
        TransformerAutoregressive(UNIVARIATES["affine"], network([1, 1], 3))
    with pytest.raises(DomainError, match="build it with maf"):
        student_of(transformer_flow(3, blocks=1))
