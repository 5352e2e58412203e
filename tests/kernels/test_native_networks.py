"""Whole networks inside the fused kernel, and flows that are traced into one graph: the reference is pure torch in float64."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from hepflows import coupling_flow, iaf, maf
from hepflows.bijections import Coupling, RationalQuadraticSpline
from hepflows.bijections.conditioned import conditioned
from hepflows.kernels import compiled_head, native
from hepflows.made import MADE
from hepflows.nets import MLP, Conditioner, ResidualNet

COMPILED = native.available()[:-1]
NETWORKS = {
    "mlp": lambda rng: MLP(5, 4 * 23, (64, 33), context_features=2, generator=rng),
    "mlp tanh": lambda rng: MLP(5, 4 * 23, (17,), context_features=2, activation=torch.tanh, generator=rng),
    "mlp elu": lambda rng: MLP(5, 4 * 23, (16, 16), context_features=2, activation=functional.elu, generator=rng),
    "mlp softplus": lambda rng: MLP(
        5, 4 * 23, (9, 5), context_features=2, activation=functional.softplus, generator=rng
    ),
    "mlp silu": lambda rng: MLP(5, 4 * 23, (9, 5), context_features=2, activation=functional.silu, generator=rng),
    "mlp wide": lambda rng: MLP(5, 4 * 23, (300, 200), context_features=2, generator=rng),
    "mlp no hidden layer": lambda rng: MLP(5, 4 * 23, (), context_features=2, generator=rng),
    "residual net": lambda rng: ResidualNet(5, 4 * 23, 32, context_features=2, generator=rng),
    "residual net tanh": lambda rng: ResidualNet(
        5, 4 * 23, 19, 3, context_features=2, activation=torch.tanh, generator=rng
    ),
    "residual net silu": lambda rng: ResidualNet(
        5, 4 * 23, 9, context_features=2, activation=functional.silu, generator=rng
    ),
    "residual net wide": lambda rng: ResidualNet(5, 4 * 23, 300, 1, context_features=2, generator=rng),
    "residual net without blocks": lambda rng: ResidualNet(5, 4 * 23, 16, 0, context_features=2, generator=rng),
    "made": lambda rng: MADE(4, 23, (20, 30), context_features=2, generator=rng),
}


def evaluate(
    net: Conditioner, tensors: list[Tensor], upstream: list[Tensor], *, inverse: bool
) -> tuple[list[Tensor], list[Tensor]]:
    """Values and gradients of everything: what is mapped, what the network sees, the context, all weights."""
    leaves = [tensor.clone().requires_grad_() for tensor in tensors]
    columns, x, context = leaves
    y, ladj = conditioned(RationalQuadraticSpline(8, 3.0), columns, net, x, context, inverse=inverse)
    return [y, ladj], list(torch.autograd.grad((y, ladj), [*leaves, *net.parameters()], upstream))


@pytest.mark.parametrize("kernels", COMPILED)
@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("inverse", [False, True])
@pytest.mark.parametrize(("events", "threads"), [(1, 1), (48, 1), (49, 2), (1003, 1), (1003, 2)])
def test_network_and_spline_equal_the_reference(
    kernels: str, name: str, inverse: bool, events: int, threads: int
) -> None:
    rng = torch.Generator().manual_seed(0)
    net = NETWORKS[name](rng)
    width = 4 if name == "made" else 5
    tensors = [torch.randn(size, generator=rng) for size in ((4, events), (events, width), (events, 2))]
    tensors = [2 * tensors[0], *tensors[1:]]
    upstream = [torch.randn(4, events, generator=rng), torch.randn(events, generator=rng)]
    exact, exact_gradients = evaluate(net.double(), tensors, upstream, inverse=inverse)
    singles = [[t.float() for t in group] for group in (tensors, upstream)]
    with native.using("reference"):
        single, single_gradients = evaluate(net.float(), *singles, inverse=inverse)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        with native.using(kernels):
            values, gradients = evaluate(net, *singles, inverse=inverse)
    finally:
        torch.set_num_threads(before)
    assert values[0].dtype == torch.float32
    for got, other, want in zip(values + gradients, single + single_gradients, exact + exact_gradients, strict=True):
        # as close to float64 as torch's own float32, but for the luck of one draw
        assert (got.double() - want).norm() <= 3 * (other.double() - want).norm() + 1e-5 * want.norm() + 1e-6


COUPLED = {
    "mlp": lambda rng, kept, outputs, c: MLP(kept, outputs, (64, 64), context_features=c, generator=rng),
    "mlp no hidden layer": lambda rng, kept, outputs, c: MLP(kept, outputs, (), context_features=c, generator=rng),
    "residual": lambda rng, kept, outputs, c: ResidualNet(kept, outputs, 64, context_features=c, generator=rng),
    "residual elu": lambda rng, kept, outputs, c: ResidualNet(
        kept, outputs, 21, 3, context_features=c, activation=functional.elu, generator=rng
    ),
    "residual without blocks": lambda rng, kept, outputs, c: ResidualNet(
        kept, outputs, 8, 0, context_features=c, generator=rng
    ),
}


@pytest.mark.parametrize("kernels", COMPILED)
@pytest.mark.parametrize("name", COUPLED)
@pytest.mark.parametrize("direction", ["forward", "inverse"])
@pytest.mark.parametrize("context_features", [0, 2])
@pytest.mark.parametrize(("events", "threads"), [(1, 1), (50, 2), (1003, 1), (1003, 2)])
def test_a_coupling_in_one_kernel(
    kernels: str, name: str, direction: str, context_features: int, events: int, threads: int
) -> None:
    """Kept features pass unchanged, and their gradient is that of the identity and of the network."""
    rng = torch.Generator().manual_seed(0)
    mask = [True, False, False, True, True, False, True]
    spline, net = RationalQuadraticSpline(8, 3.0), COUPLED[name](rng, 3, 4 * 23, context_features)
    net.start_at(spline.identity())  # splines as steep as those of the first weights lose more than they tell
    coupling = Coupling(spline, mask, context_features, net=net, generator=rng).double()
    with torch.no_grad():
        for parameter in coupling.parameters():
            parameter.add_(0.03 * torch.randn(parameter.shape, generator=rng))
    x, context = 2 * torch.randn(events, 7, generator=rng), torch.randn(events, context_features, generator=rng)
    upstream = [torch.randn(events, 7, generator=rng), torch.randn(events, generator=rng)]

    def run(bijection: Coupling, tensors: list[Tensor], upstream: list[Tensor]) -> list[Tensor]:
        leaves = [tensor.clone().requires_grad_() for tensor in tensors]
        outputs = getattr(bijection, direction)(*leaves)
        return [*outputs, *torch.autograd.grad(outputs, [*leaves, *bijection.parameters()], upstream)]

    given = [x, context] if context_features else [x]
    exact = run(coupling, given, upstream)
    single, given, upstream = coupling.float(), [t.float() for t in given], [t.float() for t in upstream]
    with native.using("reference"):
        other = run(single, given, upstream)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        with native.using(kernels):
            got = run(single, given, upstream)
    finally:
        torch.set_num_threads(before)
    kept = [i for i, mapped in enumerate(mask) if not mapped]
    assert torch.equal(got[0][:, kept], x.float()[:, kept])
    for ours, theirs, want in zip(got, other, exact, strict=True):
        assert (ours.double() - want).norm() <= 3 * (theirs.double() - want).norm() + 1e-5 * want.norm() + 1e-6


@pytest.mark.parametrize("kernels", COMPILED)
@pytest.mark.parametrize("name", ["mlp", "residual"])
@pytest.mark.parametrize("context_features", [0, 2])
def test_a_coupling_differentiated_twice(kernels: str, name: str, context_features: int) -> None:
    """The kernel's gradient cannot be differentiated; the reference takes over, with the same first gradient."""
    rng = torch.Generator().manual_seed(0)
    net = COUPLED[name](rng, 1, 2 * 23, context_features)
    spline = RationalQuadraticSpline(8, 3.0)
    coupling = Coupling(spline, [True, False, True], context_features, net=net, generator=rng).float()
    x, context = torch.randn(5, 3, generator=rng), torch.randn(5, context_features, generator=rng)
    given = [tensor.float().requires_grad_() for tensor in ([x, context] if context_features else [x])]
    with native.using(kernels):
        first = torch.autograd.grad(coupling(*given)[0].square().sum(), given, create_graph=True)
        plain = torch.autograd.grad(coupling(*given)[0].square().sum(), given)
        (second,) = torch.autograd.grad(first[0].square().sum(), given[0])
    torch.testing.assert_close(first, plain, rtol=1e-4, atol=1e-4)
    double = coupling.double()
    leaves = [tensor.detach().double().requires_grad_() for tensor in given]
    first = torch.autograd.grad(double(*leaves)[0].square().sum(), leaves, create_graph=True)
    (want,) = torch.autograd.grad(first[0].square().sum(), leaves[0])
    torch.testing.assert_close(second.double(), want, rtol=1e-3, atol=1e-3)


def test_keeps_nothing_where_no_gradient_can_be_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the backward pass would read is ten times the output: writing it costs a third of the time."""
    kept: list[int] = []
    save = compiled_head._saved
    monkeypatch.setattr(compiled_head, "_saved", lambda like, *size: kept.append(1) or save(like, *size))
    coupling = Coupling(RationalQuadraticSpline(8, 3.0), [True, False]).float()
    x = torch.zeros(5, 2, dtype=torch.float32)
    for context in (torch.no_grad, torch.inference_mode):
        with context():
            coupling(x)
    assert not kept
    assert coupling(x)[0].requires_grad
    assert kept


@pytest.mark.parametrize("kernels", COMPILED)
def test_no_events(kernels: str) -> None:
    net = MLP(5, 4 * 23, (8,), generator=torch.Generator().manual_seed(0)).float()
    empty = torch.zeros(0, 5, dtype=torch.float32)
    with native.using(kernels):
        y, ladj = conditioned(RationalQuadraticSpline(8, 3.0), empty.new_zeros(4, 0), net, empty, None)
        (y.sum() + ladj.sum()).backward()
    assert y.shape == (4, 0)
    assert ladj.shape == (0,)
    assert all(bool((parameter.grad == 0).all()) for parameter in net.parameters())


@pytest.mark.parametrize("recipe", [maf, coupling_flow, iaf])
@pytest.mark.parametrize("direction", ["log_prob", "inverse"])
def test_traced_into_one_graph(recipe, direction: str, rng: torch.Generator) -> None:
    """No data-dependent branch: what `torch.compile` needs on a GPU."""
    flow = recipe(4, 2, blocks=2, hidden=(8, 8), seed=0).double()
    x, context = torch.randn(6, 4, generator=rng), torch.randn(6, 2, generator=rng)

    def function(x: Tensor, context: Tensor) -> Tensor:
        return flow.log_prob(x, context) if direction == "log_prob" else flow.bijection.inverse(x, context)[0]

    torch._dynamo.reset()
    with torch.no_grad():
        traced: nn.Module = torch.compile(function, fullgraph=True, backend="aot_eager")
        torch.testing.assert_close(traced(x, context), function(x, context), rtol=1e-9, atol=1e-9)
