"""nflows models become ours with the same numbers."""

from __future__ import annotations

import copy
from collections.abc import Iterator

import pytest
import torch
from nflows import flows, transforms
from nflows.distributions.normal import ConditionalDiagonalNormal, StandardNormal
from nflows.nn.nets import MLP, ResidualNet
from nflows_table import CONTEXT, FEATURES, TABLE, OwnNet, build, points
from torch import nn

from hepflows import nets
from hepflows.bijections import Chain, Coupling, Inverse, Permutation
from hepflows.errors import DomainError
from hepflows.nflows_adapter import from_nflows, to_nflows

NAMES = list(TABLE)


@pytest.mark.parametrize("name", NAMES)
def test_same_values_and_log_determinants(name: str) -> None:
    theirs, (x, context) = build(name), points(name, 200)
    ours = from_nflows(theirs)
    assert ours.context_features == TABLE[name].context
    with torch.no_grad():
        for got, want in zip(ours(x, context), theirs(x, context), strict=True):
            torch.testing.assert_close(got, want, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("name", NAMES)
def test_same_samples_from_the_same_noise(name: str) -> None:
    theirs, (z, context) = build(name), points(name, 50, seed=6)
    ours = from_nflows(theirs)
    # nflows adds 1e-6 to the last knot of a linear spline before it inverts it: there its inverse is not that of its forward
    tolerance = 1e-3 if "linear" in name else 1e-8
    with torch.no_grad():
        for got, want in zip(ours.inverse(z, context), theirs.inverse(z, context), strict=True):
            torch.testing.assert_close(got, want, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("name", NAMES)
def test_same_gradients(name: str) -> None:
    theirs, (x, context) = build(name), points(name, 20)
    x = x[2:]  # nflows differentiates a clamp at the edges
    gradients = []
    for model in (from_nflows(theirs), theirs):
        leaf = x.clone().requires_grad_()
        c = None if context is None else context[2:].clone().requires_grad_()
        z, ladj = model(leaf, c)
        wanted = [leaf] if c is None else [leaf, c]
        gradients.append(torch.autograd.grad((z * z).sum() - ladj.sum(), wanted))
    for got, want in zip(*gradients, strict=True):
        torch.testing.assert_close(got, want, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("name", NAMES)
def test_single_precision_is_no_worse(name: str) -> None:
    """Errors against float64, over several models: at most twice those of nflows, up to one rounding of the value itself."""
    models = [build(name, torch.float32, seed) for seed in range(4)]
    torch.set_default_dtype(torch.float32)
    errors: list[list[torch.Tensor]] = [[], [], [], []]  # of z and ladj: ours, then nflows'
    rounding = torch.zeros(2)
    for seed, theirs in enumerate(models):
        (x, context), exact = points(name, 250, seed, dtype=torch.float32), copy.deepcopy(theirs).double()
        with torch.no_grad():
            got, other = from_nflows(theirs)(x, context), theirs(x, context)
            truth = (exact.forward_no_cache if "cache" in name else exact)(*(
                v.double() for v in (x, context) if v is not None
            ))  # fmt: skip
        for which in (0, 1):
            assert got[which].dtype == torch.float32
            errors[which].append((got[which] - truth[which]).abs().flatten())
            errors[2 + which].append((other[which] - truth[which]).abs().flatten())
            rounding[which] = max(rounding[which], torch.finfo(torch.float32).eps * truth[which].abs().max())
    mine, their = (tuple(map(torch.cat, errors[start : start + 2])) for start in (0, 2))
    for which in (0, 1):
        for statistic in (torch.Tensor.mean, lambda e: e.quantile(0.99)):
            assert statistic(mine[which]) <= 2 * statistic(their[which]) + rounding[which]


def their_flow(kind: str) -> flows.Flow:
    torch.manual_seed(0)
    if kind == "masked autoregressive flow":
        flow = flows.MaskedAutoregressiveFlow(FEATURES, 16, 3, 2, batch_norm_between_layers=True)
    elif kind == "real nvp":
        flow = flows.SimpleRealNVP(FEATURES, 16, 4, 2, batch_norm_between_layers=True, batch_norm_within_layers=True)
    elif kind == "volume preserving":
        flow = flows.SimpleRealNVP(FEATURES, 16, 4, 2, use_volume_preserving=True)
    else:
        flow = flows.Flow(build("composite"), StandardNormal([FEATURES]))
    flow = flow.double()
    with torch.no_grad():
        for parameter in flow.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
        context = torch.randn(200, CONTEXT) if kind == "composite" else None
        for _ in range(20):
            flow.train().log_prob(0.5 + 2 * torch.randn(200, FEATURES), context)  # moves the running averages
    return flow.eval()


@pytest.mark.parametrize("name", ["masked quadratic, residual", "masked rational, feed-forward"])
def test_a_masked_network_that_tells_its_width_is_scaled(name: str) -> None:
    """The networks of nflows 0.14 do not; its transforms, and the networks after 0.14, look for it."""
    theirs, (x, _) = build(name), points(name, 20)
    plain = theirs(x)[0]
    theirs.autoregressive_net.hidden_features = 16
    assert (theirs(x)[0] - plain).abs().max() > 1e-3
    torch.testing.assert_close(from_nflows(theirs)(x)[0], theirs(x)[0], rtol=1e-9, atol=1e-11)


def test_other_scales_of_later_versions_are_named() -> None:
    theirs = build("coupling affine, residual")
    theirs.scale_activation = lambda u: torch.sigmoid(u + 2) + 1e-3
    from_nflows(theirs)
    theirs.scale_activation = lambda u: (torch.nn.functional.softplus(u) + 1e-3).clamp(0, 3)
    with pytest.raises(DomainError, match="scale_activation"):
        from_nflows(theirs)


KINDS = ["masked autoregressive flow", "real nvp", "volume preserving", "composite"]


@pytest.mark.parametrize("kind", KINDS)
def test_whole_flows(kind: str, rng: torch.Generator) -> None:
    theirs = their_flow(kind)
    ours = from_nflows(theirs)
    x = 2 * torch.randn(100, FEATURES, generator=rng)
    context = torch.randn(100, CONTEXT, generator=rng) if kind == "composite" else None
    with torch.no_grad():
        torch.testing.assert_close(ours.log_prob(x, context), theirs.log_prob(x, context), rtol=1e-9, atol=0)
        z = theirs.transform_to_noise(x, context)
        torch.testing.assert_close(ours.bijection.inverse(z, context)[0], x, rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize("kind", KINDS)
def test_the_model_is_left_alone_and_shares_nothing(kind: str) -> None:
    theirs = their_flow(kind)
    before, state = copy.deepcopy(theirs.state_dict()), torch.get_rng_state()
    ours = from_nflows(theirs)
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(value, before[key]) for key, value in theirs.state_dict().items())

    def memory(module: nn.Module) -> set[int]:
        return {tensor.untyped_storage().data_ptr() for tensor in (*module.parameters(), *module.buffers())}

    assert memory(ours)
    assert not memory(ours) & memory(theirs)
    with torch.no_grad():
        for tensor in (*ours.parameters(), *ours.buffers()):
            tensor.zero_()
    assert all(torch.equal(value, before[key]) for key, value in theirs.state_dict().items())
    trainable = [sum(p.numel() for p in model.parameters() if p.requires_grad) for model in (ours, theirs)]
    # the triangles of an LU matrix are stored as squares, and that only
    assert trainable[0] == trainable[1] + (FEATURES * (FEATURES + 1) if kind == "composite" else 0)


@pytest.mark.parametrize("default", [torch.float32, torch.float64])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_dtype_is_that_of_the_model_whatever_the_default(default: torch.dtype, dtype: torch.dtype) -> None:
    torch.set_default_dtype(default)
    theirs = flows.Flow(build("composite", dtype), StandardNormal([FEATURES]))
    ours = from_nflows(theirs)
    floats = [tensor for tensor in (*ours.parameters(), *ours.buffers()) if tensor.is_floating_point()]
    assert {tensor.dtype for tensor in floats} == {dtype}
    x, context = points("composite", 50, dtype=dtype)
    with torch.no_grad():
        difference = (ours.log_prob(x, context) - theirs.log_prob(x, context)).abs().max()
    assert difference < (1e-3 if dtype == torch.float32 else 1e-11)
    assert ours.sample(3, context).dtype == dtype


def test_a_flow_without_parameters() -> None:
    affine = transforms.PointwiseAffineTransform(torch.tensor(1.0), torch.tensor(2.0)).float()
    ours = from_nflows(flows.Flow(affine, StandardNormal([4])))
    assert ours.log_prob(torch.zeros(2, 4, dtype=torch.float32)).dtype == torch.float32
    nothing = from_nflows(flows.Flow(transforms.ReversePermutation(4), StandardNormal([4])))
    assert nothing.log_prob(torch.zeros(2, 4)).shape == (2,)


def test_mode_and_frozen_parts_follow() -> None:
    theirs = their_flow("masked autoregressive flow").train()
    theirs._transform._transforms[2].eval()  # the first batch norm
    theirs._transform._transforms[1].requires_grad_(requires_grad=False)
    ours = from_nflows(theirs)
    parts = ours.bijection.bijections
    assert [part.training for part in parts[:6]] == [True, True, False, True, True, True]
    assert ours.training
    assert ours.bijection.training
    assert not any(parameter.requires_grad for parameter in parts[1].parameters())
    assert all(parameter.requires_grad for parameter in parts[4].parameters())
    modules = from_nflows(theirs.eval()).modules()
    assert not any(module.training for module in modules if not isinstance(module, nn.ModuleList))


def test_training_goes_on_as_in_nflows(rng: torch.Generator) -> None:
    """The same steps of gradient descent give the same density: what is folded in or sorted stays one function."""
    theirs = their_flow("masked autoregressive flow").train()
    ours = from_nflows(theirs)
    models = (ours, theirs)
    # plain gradient descent does not depend on the order of the units
    optimisers = [torch.optim.SGD(model.parameters(), lr=1e-3) for model in models]
    for _ in range(5):
        x = torch.randn(64, FEATURES, generator=rng)
        for model, optimiser in zip(models, optimisers, strict=True):
            optimiser.zero_grad()
            loss = -model.log_prob(x).mean()
            loss.backward()
            optimiser.step()
    x = torch.randn(20, FEATURES, generator=rng)
    with torch.no_grad():
        got, want = (model.eval().log_prob(x) for model in models)
        torch.testing.assert_close(got, want, rtol=1e-9, atol=0)
        assert (got - from_nflows(their_flow("masked autoregressive flow")).log_prob(x)).abs().max() > 1e-3


def test_a_transform_that_stands_twice_stays_one() -> None:
    part = build("masked affine, residual")
    ours = from_nflows(transforms.CompositeTransform([part, transforms.InverseTransform(part)]))
    assert ours.bijections[0] is ours.bijections[1].bijection
    x, _ = points("masked affine, residual", 10)
    torch.testing.assert_close(ours(x)[0], x)


def test_networks_become_ours_where_they_can() -> None:
    mask = [0, 1, 0, 1, 1, 1]

    def net_of(create: object) -> nn.Module:
        ours = from_nflows(transforms.AffineCouplingTransform(mask, create))
        assert isinstance(ours, Coupling)
        return ours.net

    assert isinstance(net_of(lambda i, o: ResidualNet(i, o, 8)), nets.ResidualNet)
    assert isinstance(net_of(lambda i, o: ResidualNet(i, o, 8, num_blocks=0)), nets.ResidualNet)
    assert isinstance(net_of(lambda i, o: MLP([i], [o], [8, 8])), nets.MLP)
    assert not isinstance(net_of(lambda i, o: OwnNet(i, o, 0)), nets.MLP)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])  # compiled kernels are of single precision
def test_a_perceptron_gives_what_nflows_gives_it(dtype: torch.dtype, rng: torch.Generator) -> None:
    """nflows cannot call its MLP inside a coupling, it takes no context: for the comparison somebody calls it."""

    class Caller(nn.Module):
        def __init__(self, net: nn.Module) -> None:
            super().__init__()
            self.net = net

        def forward(self, x: torch.Tensor, context: torch.Tensor | None) -> torch.Tensor:
            return self.net(x)

    torch.manual_seed(0)
    theirs = transforms.PiecewiseRationalQuadraticCouplingTransform(
        [0, 1, 0, 1], lambda i, o: MLP([i], [o], [9, 7], activation=torch.tanh), tails="linear", tail_bound=2.0
    ).to(dtype)
    ours = from_nflows(theirs)
    theirs.transform_net = Caller(theirs.transform_net)
    x = torch.randn(11, 4, generator=rng).to(dtype)
    with torch.no_grad():
        for got, want in zip((*ours(x), *ours.inverse(x)), (*theirs(x), *theirs.inverse(x)), strict=True):
            torch.testing.assert_close(got, want, rtol=0, atol=1e-5 if dtype == torch.float32 else 1e-12)


def test_context_of_networks_that_do_not_tell_it(rng: torch.Generator) -> None:
    class Silent(nn.Module):
        def __init__(self, inputs: int, outputs: int) -> None:
            super().__init__()
            self.linear = nn.Linear(inputs + 2, outputs)

        def forward(self, x: torch.Tensor, context: torch.Tensor) -> torch.Tensor:
            return self.linear(torch.cat([x, context], 1))

    coupling = transforms.AffineCouplingTransform([0, 1, 1], Silent)
    x, context = torch.randn(5, 3, generator=rng), torch.randn(5, 2, generator=rng)
    torch.testing.assert_close(from_nflows(coupling, context_features=2)(x, context)[0], coupling(x, context)[0])
    masked = transforms.MaskedAffineAutoregressiveTransform(3, 8, context_features=2)
    both = transforms.CompositeTransform([coupling, masked])
    torch.testing.assert_close(from_nflows(both)(x, context)[0], both(x, context)[0])


class Louder(transforms.Permutation):
    def forward(self, inputs: torch.Tensor, context: torch.Tensor | None = None) -> tuple[torch.Tensor, torch.Tensor]:
        return super().forward(2 * inputs, context)


class Swap(transforms.Permutation):
    """Only a constructor: still a permutation."""

    def __init__(self) -> None:
        super().__init__(torch.tensor([1, 0]))


def masked(**options: object) -> transforms.Transform:
    return transforms.MaskedAffineAutoregressiveTransform(3, 8, **options)


def tampered() -> transforms.Transform:
    transform = masked()
    transform.autoregressive_net.final_layer.mask[0] = 1
    return transform


def their(transform: nn.Module, base: nn.Module | None = None, embedding: nn.Module | None = None) -> flows.Flow:
    return flows.Flow(transform, StandardNormal([3]) if base is None else base, embedding)


def what_cannot_be_converted() -> Iterator[tuple[str, object, str]]:
    t = transforms
    yield "Tanh", t.Tanh, "nflows' Tanh cannot be converted"
    yield "inside a chain", lambda: t.CompositeTransform([t.LULinear(3), t.LeakyReLU()]), "LeakyReLU"
    yield "Sigmoid", t.Sigmoid, "Sigmoid"
    yield "Logit", t.Logit, "Sigmoid"  # an InverseTransform of a Sigmoid
    yield "ActNorm", lambda: t.ActNorm(3), "ActNorm"
    yield "SVDLinear", lambda: t.SVDLinear(3, 2), "SVDLinear"
    yield "OneByOneConvolution", lambda: t.OneByOneConvolution(3), "OneByOneConvolution"
    yield "cubic", lambda: t.MaskedPiecewiseCubicAutoregressiveTransform(4, 3, 8), "MaskedPiecewiseCubic"
    yield "images", lambda: t.Permutation(torch.tensor([0, 1]), dim=2), "axis 2"
    yield "axes", lambda: t.PiecewiseLinearCDF([2, 3]), "2 axes"
    yield "subclass", lambda: Louder(torch.tensor([0, 1])), r"test_nflows_adapter\.Louder"
    yield "no nflows", lambda: nn.Linear(2, 2), r"Linear cannot be converted"
    yield "batch norm in MADE", lambda: masked(use_batch_norm=True), "MADE.*use_batch_norm=False"
    yield "masks", tampered, "masks"
    yield "activation over units", lambda: masked(activation=nn.Softmax(1)), "MADE.*activation"
    yield "activation of units", lambda: masked(activation=nn.PReLU(8)), "MADE.*activation"
    yield "activation in place", lambda: masked(activation=nn.ReLU(inplace=True)), "MADE.*activation"
    yield (
        "activated output",
        lambda: t.AffineCouplingTransform([0, 1], lambda i, o: MLP([i], [o], [4], activate_output=True)),
        "MLP",
    )
    yield "no width", lambda: t.PointwiseAffineTransform(1.0, 2.0), "how many features"
    yield "base", lambda: their(masked(), ConditionalDiagonalNormal([3])), "ConditionalDiagonalNormal"
    yield "image base", lambda: their(masked(), StandardNormal([3, 2])), "StandardNormal"
    yield "embedding", lambda: their(masked(context_features=2), None, nn.Linear(4, 2)), "Linear.*embedding"


@pytest.mark.parametrize(("part", "message"), [pytest.param(p, m, id=n) for n, p, m in what_cannot_be_converted()])
def test_what_cannot_be_converted_is_named(part: object, message: str) -> None:
    with pytest.raises(DomainError, match=message):
        from_nflows(part())


def test_a_subclass_with_a_constructor_of_its_own_is_what_it_was() -> None:
    assert isinstance(from_nflows(Swap()), Permutation)
    assert isinstance(from_nflows(transforms.CompositeTransform([Swap(), Swap()])), Chain)


def test_activations_that_are_modules_are_copied() -> None:
    theirs = masked(activation=nn.PReLU(init=0.7)).double()
    ours = from_nflows(theirs)
    x = torch.linspace(-2, 2, 9).view(3, 3)
    torch.testing.assert_close(ours(x)[0], theirs(x)[0], rtol=1e-12, atol=1e-12)
    with torch.no_grad():
        ours.made.activation.weight.zero_()
        assert theirs.autoregressive_net.activation.weight == 0.7
        assert (ours(x)[0] - theirs(x)[0]).abs().max() > 1e-6
        torch.testing.assert_close(ours.inverse(ours(x)[0])[0], x)


def test_there_and_back_again() -> None:
    ours = from_nflows(build("composite"))
    back = from_nflows(transforms.CompositeTransform([to_nflows(ours), transforms.InverseTransform(to_nflows(ours))]))
    x, context = points("composite", 20)
    with torch.no_grad():
        torch.testing.assert_close(back(x, context)[0], x, rtol=1e-8, atol=1e-8)
    assert isinstance(back.bijections[1], Inverse)
