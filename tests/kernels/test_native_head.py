"""The last linear layer fused with the spline, against a product and the reference in float64."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest
import torch
from native_cases import every_kernel
from torch import Tensor

from hepflows.errors import ShapeError
from hepflows.kernels import dispatch, native
from hepflows.kernels.compiled_spline import SplineShape, addresses
from hepflows.kernels.splines import bin_sizes, knots

SHAPE = SplineShape(8, -3.0, 3.0)
SIZES = [  # features, hidden units, events
    (1, 1, 1),
    (2, 5, 7),
    (5, 17, 47),
    (5, 64, 48),
    (2, 64, 49),
    (70, 17, 49),
    (70, 5, 1),
    (1, 378, 500),
    (5, 378, 48),
    (70, 64, 500),
    (3, 2000, 100),  # several chunks of events in the backward pass
]
Inputs = tuple[Tensor, Tensor, Tensor, Tensor]


@contextmanager
def threads(count: int) -> Iterator[None]:
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(1)


def make(shape: SplineShape, features: int, hidden: int, events: int, *, dense: bool = False) -> tuple[Inputs, Tensor]:
    """Inputs, weight and bias, and a staircase from zero; no input stands within rounding of a knot, where gradients jump."""
    rng = torch.Generator().manual_seed(features + hidden + events)

    def normal(*size: int) -> Tensor:
        return torch.randn(*size, generator=rng, dtype=torch.float32)

    rows = features * shape.parameters
    x, h, weight, bias = 2 * normal(features, events), normal(hidden, events), normal(rows, hidden), normal(rows)
    weight *= 0.7 / hidden**0.5
    seen = torch.arange(features) * hidden // max(1, features - 1)
    seen = torch.full_like(seen, hidden) if dense else seen
    raw = layer(h.double(), weight.double(), bias.double(), seen, shape)
    axis = raw[:, shape.bins : 2 * shape.bins] if shape.inverse else raw[:, : shape.bins]
    at = shape.low + (shape.high - shape.low) * knots(bin_sizes(axis, 1e-3))
    for _ in range(3):
        near = ((x.unsqueeze(1) - at).abs() < 1e-4).any(1)
        x = torch.where(near, x + 3e-4, x).float()
    return (x, h, weight, bias), seen.to(torch.int32)


def layer(h: Tensor, weight: Tensor, bias: Tensor, seen: Tensor, shape: SplineShape) -> Tensor:
    """Raw parameters (D, P, N), feature by feature."""
    rows = zip(weight.split(shape.parameters), bias.split(shape.parameters), seen.tolist(), strict=True)
    return torch.stack([b[:, None] + w[:, :n] @ h[:n] for w, b, n in rows])


def exact(seen: Tensor, shape: SplineShape) -> Callable[..., tuple[Tensor, Tensor]]:
    def function(x: Tensor, h: Tensor, weight: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
        y, ladj = shape.reference(x, layer(h, weight, bias, seen, shape))
        return y, ladj.sum(0)

    return function


def run(function: Callable[..., tuple[Tensor, Tensor]], inputs: Inputs, *, double: bool = False) -> list[Tensor]:
    """Outputs and the gradients of all inputs for a fixed upstream."""
    leaves = [(t.double() if double else t).detach().clone().requires_grad_() for t in inputs]
    y, ladj = function(*leaves)
    rng = torch.Generator().manual_seed(5)
    upstream = [torch.randn(t.shape, generator=rng, dtype=torch.float32).to(t.dtype) for t in (y, ladj)]
    return [y.detach(), ladj.detach(), *torch.autograd.grad([y, ladj], leaves, upstream)]


def assert_exact(shape: SplineShape, inputs: Inputs, seen: Tensor, got: list[Tensor]) -> None:
    """Element by element no farther from float64 than what rounding of the inputs does there."""
    want = run(exact(seen, shape), inputs, double=True)
    rng = torch.Generator().manual_seed(9)
    beside = []
    for _ in range(6):
        moved = [t.double() * (1 + 1e-6 * torch.randn(t.shape, generator=rng)) for t in inputs]
        beside.append(run(exact(seen, shape), tuple(moved), double=True))
    for i, name in enumerate(("y", "ladj", "gx", "gh", "gweight", "gbias")):
        moved = torch.stack([other[i] - want[i] for other in beside]).abs().amax(0)
        excess = (got[i].double() - want[i]).abs() - (15 * moved + 2e-5 * want[i].square().mean().sqrt() + 1e-6)
        assert excess.max() <= 0, (name, float(excess.max()))


@every_kernel
@pytest.mark.parametrize("inverse", [False, True])
@pytest.mark.parametrize(("features", "hidden", "events"), SIZES)
def test_equals_product_and_reference(kernels: str, features: int, hidden: int, events: int, inverse: bool) -> None:
    shape = replace(SHAPE, inverse=inverse)
    inputs, seen = make(shape, features, hidden, events)
    with native.using(kernels):
        got = run(lambda *a: native.head(*a, seen, shape), inputs)
        assert_exact(shape, inputs, seen, got)
        with threads(2):
            two = run(lambda *a: native.head(*a, seen, shape), inputs)
            again = run(lambda *a: native.head(*a, seen, shape), inputs)
    assert all(torch.equal(a, b) for a, b in zip(two, again, strict=True))
    assert torch.equal(two[0], got[0])
    for a, b in zip(two, got, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=2e-5 * float(b.abs().max()) + 1e-7)


@every_kernel
@pytest.mark.parametrize("bins", [2, 5, 13])
@pytest.mark.parametrize("free_edges", [False, True])
def test_other_splines_and_a_dense_layer(kernels: str, bins: int, free_edges: bool) -> None:
    shape = replace(SHAPE, bins=bins, low=-1.0, high=2.5, free_edges=free_edges)
    inputs, seen = make(shape, 4, 33, 61, dense=True)
    with native.using(kernels):
        assert_exact(shape, inputs, seen, run(lambda *a: native.head(*a, seen, shape), inputs))


@every_kernel
def test_what_a_feature_does_not_see_is_not_read(kernels: str) -> None:
    inputs, seen = make(SHAPE, 5, 17, 50)
    spoilt = inputs[2].clone()
    for d, count in enumerate(seen.tolist()):
        spoilt[d * 23 : (d + 1) * 23, count:] = float("nan")
    with native.using(kernels):
        want = run(lambda *a: native.head(*a, seen, SHAPE), inputs)
        got = run(lambda *a: native.head(*a, seen, SHAPE), (inputs[0], inputs[1], spoilt, inputs[3]))
    assert all(torch.equal(a, b) for a, b in zip(got, want, strict=True))


@every_kernel
def test_nan_stays_in_its_event(kernels: str) -> None:
    inputs, seen = make(SHAPE, 3, 9, 100, dense=True)
    for which in (0, 1):
        spoilt = [tensor.clone() for tensor in inputs]
        spoilt[which][1, 40] = float("nan")
        with native.using(kernels):
            want = run(lambda *a: native.head(*a, seen, SHAPE), inputs)
            got = run(lambda *a: native.head(*a, seen, SHAPE), tuple(spoilt))
        others = torch.arange(100) != 40
        assert all(torch.equal(got[i][..., others], want[i][..., others]) for i in range(4))
        assert torch.isnan(got[0][1, 40])
        if which == 0:  # a NaN input gives no gradient to the weights
            assert torch.isfinite(got[4]).all()
        else:
            assert torch.isnan(got[1][40])


@every_kernel
@pytest.mark.parametrize("wanted", [(0,), (1,), (2,), (3,), (0, 1), (2, 3), ()])
def test_some_gradients(kernels: str, wanted: tuple[int, ...]) -> None:
    """Frozen weights, say; memory is kept only where a gradient is wanted."""
    inputs, seen = make(SHAPE, 3, 9, 20)
    with native.using(kernels):
        everything = run(lambda *a: native.head(*a, seen, SHAPE), inputs)
        leaves = [tensor.detach().clone().requires_grad_(i in wanted) for i, tensor in enumerate(inputs)]
        y, ladj = native.head(*leaves, seen, SHAPE)
        assert y.requires_grad == bool(wanted)
        if wanted:
            assert y.grad_fn is not None
            assert y.grad_fn.saved_tensors[5] is not None  # the raw parameters
            rng = torch.Generator().manual_seed(5)
            upstream = [torch.randn(t.shape, generator=rng, dtype=torch.float32) for t in (y, ladj)]
            gradients = torch.autograd.grad([y, ladj], [leaves[i] for i in wanted], upstream)
            assert all(torch.equal(g, everything[2 + i]) for g, i in zip(gradients, wanted, strict=True))
        with torch.no_grad():
            assert native.head(*leaves, seen, SHAPE)[0].grad_fn is None


@every_kernel
def test_memory_in_any_order(kernels: str) -> None:
    """Transposed, strided and expanded inputs and upstream gradients."""
    (x, h, weight, bias), seen = make(SHAPE, 3, 9, 20)
    odd = (
        x.T.contiguous().T,
        h.repeat_interleave(2, 1)[:, ::2],
        weight.T.contiguous().T,
        bias[:, None].expand(-1, 2)[:, 1],
    )
    with native.using(kernels):
        outputs = [native.head(*a, seen, SHAPE) for a in ((x, h, weight, bias), odd)]
        assert all(torch.equal(a, b) for a, b in zip(*outputs, strict=True))
        for upstream in (torch.ones(1).float().expand(20), torch.ones(40).float()[::2]):
            leaf = h.clone().requires_grad_()
            _, ladj = native.head(x, leaf, weight, bias, seen, SHAPE)
            (gradient,) = torch.autograd.grad(ladj, leaf, upstream)
            (want,) = torch.autograd.grad(exact(seen, SHAPE)(x, leaf, weight, bias)[1].sum(), leaf)
            torch.testing.assert_close(gradient, want, rtol=1e-3, atol=1e-4)


@every_kernel
def test_an_event_is_the_same_in_every_batch(kernels: str) -> None:
    (x, h, weight, bias), seen = make(SHAPE, 70, 65, 200)
    with native.using(kernels):
        y, ladj = native.head(x, h, weight, bias, seen, SHAPE)
        for start, stop in ((0, 1), (3, 20), (100, 149), (199, 200)):
            part = native.head(x[:, start:stop], h[:, start:stop], weight, bias, seen, SHAPE)
            assert torch.equal(part[0], y[:, start:stop])
            assert torch.equal(part[1], ladj[start:stop])


@every_kernel
def test_no_events(kernels: str) -> None:
    for features in (2, 100):
        inputs, seen = make(SHAPE, features, 5, 0)
        with native.using(kernels):
            got = run(lambda *a: native.head(*a, seen, SHAPE), inputs)  # noqa: B023
        assert [tuple(t.shape) for t in got[:4]] == [(features, 0), (0,), (features, 0), (5, 0)]
        assert all((t == 0).all() for t in got[4:])


@every_kernel
def test_refuses_what_it_would_read_out_of_bounds(kernels: str) -> None:
    (x, h, weight, bias), seen = make(SHAPE, 3, 9, 20)
    with native.using(kernels):
        for wrong in (
            (x, h[:, :-1], weight, bias, seen),
            (x, h, weight[:-1], bias, seen),
            (x, h, weight, bias[1:], seen),
            (x, h, weight, bias, seen[:2]),
            (x.double(), h, weight, bias, seen),
        ):
            with pytest.raises(ShapeError, match="the compiled kernels expect"):
                native.head(*wrong, SHAPE)
        # counts are data: kept within the layer, whatever they are
        wild = torch.tensor([-(2**31), 5, 2**31 - 1])
        same = torch.tensor([0, 5, 9], dtype=torch.int32)
        outputs = [run(lambda *a: native.head(*a, s, SHAPE), (x, h, weight, bias)) for s in (wild, same)]  # noqa: B023
    assert all(torch.equal(a, b) for a, b in zip(*outputs, strict=True))


@every_kernel
@pytest.mark.parametrize("count", [1, 2])
def test_writes_nothing_but_its_outputs(kernels: str, count: int) -> None:
    for features, hidden, events in ((1, 1, 1), (3, 9, 20), (70, 3, 49)):
        (x, h, weight, bias), seen = make(SHAPE, features, hidden, events)
        tile = dispatch.compiled.RAW_TILE
        raw = torch.zeros(features, -(-events // tile), 23, tile, dtype=torch.float32)
        sizes = (x.numel(), events, raw.numel(), x.numel(), h.numel(), weight.numel(), bias.numel())
        fence = torch.full((len(sizes), 64 + max(sizes) + 64), 7.25, dtype=torch.float32)
        y, ladj, raw, gx, gh, gweight, gbias = (fence[i, 64 : 64 + n] for i, n in enumerate(sizes))
        common = (count, SHAPE.fields(), features, hidden, hidden, events, 0, 0, (), (features, 0, 0, 0))
        with native.using(kernels):
            dispatch.compiled.head(*common, *addresses(x, h, weight, bias, seen, raw, None, y, ladj))
            upstream = torch.ones_like(x), torch.ones(events, dtype=torch.float32)
            tensors = (x, h, weight, seen, raw, None, *upstream, gx, gh, gweight, gbias)
            dispatch.compiled.head_backward(*common, *addresses(*tensors))
        for part in (y, ladj, gx, gh, gweight, gbias):
            assert (part != 7.25).all()
        for part in (y, ladj, raw, gx, gh, gweight, gbias):
            part.fill_(7.25)
        assert (fence == 7.25).all()
