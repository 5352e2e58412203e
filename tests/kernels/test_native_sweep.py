"""The compiled inverse of a masked autoregressive map, against the reference in float64 and the map itself."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch
from native_cases import every_kernel
from torch import Tensor, nn
from torch.nn import functional

from hepflows import MADE, Affine, MaskedAutoregressive, RationalQuadraticSpline
from hepflows.errors import ShapeError
from hepflows.kernels import dispatch, native
from hepflows.kernels.compiled_spline import addresses
from hepflows.kernels.masked_inverse import Staircase, masked_inverse

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": functional.relu,
    "torch relu": torch.relu,
    "ReLU": nn.ReLU(),
    "tanh": torch.tanh,
    "Tanh": nn.Tanh(),
    "sigmoid": torch.sigmoid,
    "Sigmoid": nn.Sigmoid(),
    "elu": functional.elu,
    "leaky relu": functional.leaky_relu,
    "silu": functional.silu,
    "SiLU": nn.SiLU(),
    "softplus": functional.softplus,
}
NETWORKS: dict[str, dict[str, Any]] = {
    "one layer": {"hidden": (40,)},
    "narrow": {"hidden": (5, 3)},
    "wide, with context": {"hidden": (90, 70), "context_features": 3},
    "deep": {"hidden": (20, 31, 17, 26), "context_features": 2},
    "one block": {"hidden": (24, 24, 24), "residual": True},
    "two blocks, context": {"hidden": (33,) * 5, "residual": True, "context_features": 3},
    "no block": {"hidden": (24,), "residual": True, "context_features": 1},
    "uneven degrees": {"hidden": (6, 4), "degrees": [torch.tensor([0, 0, 3, 3, 3, 12]), torch.tensor([0, 3, 3, 12])]},
}


def build(features: int, bins: int = 8, *, scale: float = 1.5, **network: Any) -> MaskedAutoregressive:
    """float32, the weights larger than a fresh network's so that the spline bends."""
    spline = RationalQuadraticSpline(bins, 4.0)
    made = MADE(features, spline.per_feature, generator=torch.Generator().manual_seed(1), **network)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.mul_(scale)
    return MaskedAutoregressive(spline, made).float().eval()


def inputs(maf: MaskedAutoregressive, n: int) -> tuple[Tensor, Tensor | None]:
    rng = torch.Generator().manual_seed(n)
    z = 1.5 * torch.randn(n, maf.features, generator=rng, dtype=torch.float32)
    c = maf.context_features
    return z, torch.randn(n, c, generator=rng, dtype=torch.float32) if c else None


def given(maf: MaskedAutoregressive, c: Tensor | None) -> tuple[list[Tensor | None], Tensor | None]:
    return maf.made.terms(c), maf.made.units(c)


def exactly(maf: MaskedAutoregressive) -> MaskedAutoregressive:
    return copy.deepcopy(maf).double()


def agrees(maf: MaskedAutoregressive, n: int) -> None:
    z, c = inputs(maf, n)
    double = exactly(maf)
    z64, c64 = z.double(), None if c is None else c.double()
    with torch.no_grad():
        spline = maf.univariate.spline(inverse=True)
        assert native.sweep_covers(maf.made.staircase(), spline, z.T)
        x, ladj = native.sweep(z.T, maf.made.staircase(), spline, *given(maf, c))
        want = masked_inverse(z64.T, double.made.staircase(), double.univariate.inverse, *given(double, c64))
        with native.using("reference"):
            single = masked_inverse(z.T, maf.made.staircase(), maf.univariate.inverse, *given(maf, c))
        back, back_ladj = double(x.T.double(), c64)
        public = maf.inverse(z, c)
    assert torch.equal(public[0], x.T)
    assert torch.equal(public[1], ladj)
    for got, exact, other in zip((x, ladj), want, single, strict=True):
        error, allowed = (got.double() - exact).abs().max(), 8 * (other.double() - exact).abs().max() + 1e-4
        assert error <= allowed, (float(error), float(allowed))
    steep = 1 + (-ladj.double()).exp().max()  # the map magnifies the rounding of x
    assert (back - z64).abs().max() <= 1e-4 * steep
    torch.testing.assert_close(back_ladj, -ladj.double(), rtol=0, atol=float(1e-4 * steep))


@every_kernel
@pytest.mark.parametrize("name", NETWORKS)
def test_networks(kernels: str, name: str) -> None:
    with native.using(kernels):
        for features in (13,) if "degrees" in NETWORKS[name] else (1, 2, 13, 40):
            agrees(build(features, **NETWORKS[name]), 37)


@every_kernel
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations(kernels: str, name: str) -> None:
    with native.using(kernels):
        for network in ({"hidden": (30, 20)}, {"hidden": (24, 24, 24), "residual": True, "context_features": 2}):
            agrees(build(9, activation=ACTIVATIONS[name], **network), 50)


@every_kernel
@pytest.mark.parametrize("n", [1, 3, 16, 17, 100, 1000])
def test_batches(kernels: str, n: int) -> None:
    with native.using(kernels):
        agrees(build(11, hidden=(30, 30), context_features=2), n)


@every_kernel
@pytest.mark.parametrize("bins", [2, 7, 33])
def test_bins(kernels: str, bins: int) -> None:
    with native.using(kernels):
        agrees(build(6, bins, hidden=(30, 30)), 40)


@every_kernel
def test_an_event_is_the_same_in_every_batch_and_on_any_number_of_threads(kernels: str) -> None:
    maf = build(11, hidden=(30, 30, 30), residual=True)
    z, _ = inputs(maf, 300)
    with native.using(kernels), torch.no_grad():
        spline = maf.univariate.spline(inverse=True)
        want = native.sweep(z.T, maf.made.staircase(), spline, [None] * 3)
        for start, stop in ((0, 1), (5, 21), (100, 300)):
            part = native.sweep(z[start:stop].T, maf.made.staircase(), spline, [None] * 3)
            assert all(torch.equal(a, b[..., start:stop]) for a, b in zip(part, want, strict=True))
        torch.set_num_threads(2)
        try:
            two = native.sweep(z.T, maf.made.staircase(), spline, [None] * 3)
        finally:
            torch.set_num_threads(1)
        assert all(torch.equal(a, b) for a, b in zip(two, want, strict=True))


@every_kernel
def test_nan_stays_in_its_event_and_no_event_at_all(kernels: str) -> None:
    maf = build(6, hidden=(12, 12))
    z, _ = inputs(maf, 40)
    with native.using(kernels), torch.no_grad():
        want, spoilt = maf.inverse(z)[0], z.clone()
        spoilt[7, 2] = float("nan")
        got = maf._inverse(spoilt, None)[0]  # the border would refuse it
        others = torch.arange(40) != 7
        assert torch.equal(got[others], want[others])
        assert torch.isnan(got[7, 2:]).all()
        assert torch.equal(got[7, :2], want[7, :2])
        assert [tuple(t.shape) for t in maf.inverse(z[:0])] == [(0, 6), (0,)]


@every_kernel
@pytest.mark.parametrize("which", ["gelu", "lambda", "affine", "too deep", "float64"])
def test_what_is_not_covered_falls_back(kernels: str, which: str) -> None:
    activation = {"gelu": functional.gelu, "lambda": lambda x: functional.relu(x)}.get(which, functional.relu)
    univariate = Affine() if which == "affine" else RationalQuadraticSpline(8, 4.0)
    hidden = (6,) * 70 if which == "too deep" else (12, 12)
    maf = MaskedAutoregressive(univariate, MADE(5, univariate.per_feature, hidden, activation=activation))
    maf = maf.double() if which == "float64" else maf.float()
    with torch.no_grad():
        for parameter in maf.parameters():
            parameter.uniform_(-0.3, 0.3, generator=torch.Generator().manual_seed(2))
        z = inputs(maf, 20)[0].to(next(maf.parameters()).dtype)
        with native.using("reference"):
            want = maf.inverse(z)
        with native.using(kernels):
            spline = maf.univariate.spline(inverse=True)
            assert spline is None or not native.sweep_covers(maf.made.staircase(), spline, z.T)
            got = maf.inverse(z)
            x, _ = maf.inverse(maf(z)[0])
    for a, b in zip((*got, x), (*want, z), strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=2e-4)


@every_kernel
@pytest.mark.parametrize("residual", [False, True])
def test_networks_from_nflows(kernels: str, residual: bool) -> None:
    from nflows.transforms import MaskedPiecewiseRationalQuadraticAutoregressiveTransform

    from hepflows.nflows_adapter import from_nflows

    with torch.random.fork_rng():
        torch.manual_seed(4)
        theirs = MaskedPiecewiseRationalQuadraticAutoregressiveTransform(
            6, 20, num_bins=8, tails="linear", tail_bound=3.0, num_blocks=2, use_residual_blocks=residual
        ).float().eval()  # fmt: skip
    z = 2 * torch.randn(30, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float32)
    with native.using(kernels), torch.no_grad():
        got, want = from_nflows(theirs).inverse(z), theirs.inverse(z)
    for a, b in zip(got, want, strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-4)


@every_kernel
def test_refuses_what_it_would_read_out_of_bounds(kernels: str) -> None:
    maf = build(4, hidden=(6, 6), context_features=2)
    z, c = inputs(maf, 10)
    with native.using(kernels), torch.no_grad():
        spline = maf.univariate.spline(inverse=True)
        made, (terms, units) = maf.made.staircase(), given(maf, c)

        def refused(made: Staircase, terms: Sequence[Tensor | None], units: Tensor | None) -> None:
            with pytest.raises(ShapeError, match="the compiled kernels expect"):
                native.sweep(z.T, made, spline, terms, units)

        refused(made, [terms[0][:, :5], None], units)
        refused(made, terms, units[:, :5])
        refused(made, terms, None)
        refused(replace(made, weights=[made.weights[0][:, :2], made.weights[1]]), terms, units)
        refused(replace(made, seen=[made.seen[0][:2], made.seen[1]]), terms, units)
        # counts are data: kept within the layer, and no unit is computed twice
        native.sweep(z.T, replace(made, seen=[[-9, 99, -1, 2**30]] * 2), spline, terms, units)


@every_kernel
def test_writes_nothing_but_its_outputs(kernels: str) -> None:
    maf = build(7, hidden=(12, 10))
    made, spline = maf.made.staircase(), maf.univariate.spline(inverse=True)
    for n in (1, 17, 49):
        z = inputs(maf, n)[0].T.contiguous()
        fence = torch.full((2, 64 + z.numel() + 64), 7.25, dtype=torch.float32)
        x, ladj = fence[0, 64 : 64 + z.numel()], fence[1, 64 : 64 + n]
        counts = [torch.tensor(seen, dtype=torch.int32) for seen in made.seen]
        layers = tuple(
            (len(bias), *addresses(weight, bias, None, seen))
            for weight, bias, seen in zip(made.weights, made.biases, counts, strict=True)
        )
        last = addresses(made.output_weight, made.output_bias, None, z, x, ladj)
        with native.using(kernels):
            dispatch.compiled.sweep(2, spline.fields(), 7, n, 0, 1, 0, layers, *last)
        assert (x != 7.25).all()
        x.fill_(7.25)
        ladj.fill_(7.25)
        assert (fence == 7.25).all()
