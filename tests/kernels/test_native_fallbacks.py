"""What the compiled kernels do not cover is computed by the reference, without being asked."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from native_cases import every_kernel, harsh, with_gradients
from torch import Tensor

from hepflows import MADE, MaskedAutoregressive, RationalQuadraticSpline
from hepflows.kernels import dispatch, native
from hepflows.kernels.compiled_spline import SplineShape

SHAPE = SplineShape(8, -3.0, 3.0)


def case() -> tuple[RationalQuadraticSpline, Tensor, Tensor]:
    return RationalQuadraticSpline(8, 3.0), *harsh(SHAPE, 4, 19, sd=1.0, beyond=0.9)


@every_kernel
def test_covers(kernels: str) -> None:
    _, x, raw = case()
    with native.using(kernels):
        assert native.covers(SHAPE, x, raw, None)
        assert not native.covers(SHAPE, x.double(), raw)
        assert not native.covers(SHAPE, x, raw.bfloat16())
        assert not native.covers(SHAPE, x.to("meta"))
        assert not native.covers(SHAPE, torch.complex(x, x).conj().imag), "its sign is not in its memory"
        assert not native.covers(SHAPE, x.to_sparse())
        assert not native.covers(replace(SHAPE, bins=65), x)
        assert not native.covers(replace(SHAPE, bins=1), x)
    with native.using("reference"):
        assert not native.covers(SHAPE, x, raw)


@every_kernel
def test_float64_and_too_many_bins(kernels: str) -> None:
    spline, x, raw = case()
    many = RationalQuadraticSpline(80, 3.0)
    parameters = torch.randn(4, many.per_feature, 19, generator=torch.Generator().manual_seed(0), dtype=torch.float32)
    with native.using("reference"):
        want = [*spline.forward(x.double(), raw.double()), *many.forward(x, parameters)]
    with native.using(kernels):
        got = [*spline.forward(x.double(), raw.double()), *many.forward(x, parameters)]
    assert all(torch.equal(a, b) for a, b in zip(got, want, strict=True))


@every_kernel
@pytest.mark.filterwarnings("ignore::DeprecationWarning:torch")
def test_functions_of_torch_func(kernels: str) -> None:
    spline, x, raw = case()

    def slope(x: Tensor, raw: Tensor) -> Tensor:
        return torch.func.jacrev(lambda t: spline.forward(t[None, None], raw[None, :, None])[0].squeeze())(x)

    with native.using(kernels):
        slopes = torch.func.vmap(slope)(x[0], raw[0].T)
        ladj = spline.forward(x, raw)[1][0]
        _, tangent = torch.func.jvp(lambda t: spline.forward(t, raw)[0], (x,), (torch.ones_like(x),))
        with torch.autograd.forward_ad.dual_level():
            dual = torch.autograd.forward_ad.make_dual(x, torch.ones_like(x))
            forward = torch.autograd.forward_ad.unpack_dual(spline.forward(dual, raw)[0]).tangent
    torch.testing.assert_close(slopes.log(), ladj, rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(tangent[0].log(), ladj, rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(forward[0].log(), ladj, rtol=1e-3, atol=1e-4)


def second(function: Callable[..., tuple[Tensor, Tensor]], inputs: list[Tensor]) -> list[Tensor]:
    """Gradients of the size of the gradients."""
    leaves = [tensor.detach().clone().requires_grad_() for tensor in inputs]
    y, ladj = function(*leaves)
    first = torch.autograd.grad((y.square().sum() + (ladj * ladj.detach().cos()).sum()), leaves, create_graph=True)
    return list(torch.autograd.grad(sum(g.square().sum() for g in first), leaves))


@every_kernel
def test_gradients_of_gradients(kernels: str) -> None:
    _, x, raw = case()
    with native.using(kernels):
        got = second(lambda *a: native.spline(*a, SHAPE), [x, raw])
        want = second(SHAPE.reference, [x.double(), raw.double()])
        for a, b in zip(got, want, strict=True):
            torch.testing.assert_close(a.double(), b, rtol=1e-2, atol=2e-3 * float(b.abs().max()))
        rng = torch.Generator().manual_seed(3)
        h, weight = (torch.randn(*size, generator=rng, dtype=torch.float32) for size in ((5, 19), (4 * 23, 5)))
        seen = torch.tensor([0, 2, 4, 5], dtype=torch.int32)
        rows = seen.repeat_interleave(23)[:, None] > torch.arange(5)

        def reference(x: Tensor, h: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
            y, ladj = SHAPE.reference(x, ((weight * rows) @ h).view(4, 23, 19))
            return y, ladj.sum(0)

        inputs = [x, h, 0.5 * weight]
        got = second(lambda x, h, w: native.head(x, h, w, torch.zeros(92).float(), seen, SHAPE), inputs)
        want = second(reference, [t.double() for t in inputs])
        for a, b in zip(got, want, strict=True):
            torch.testing.assert_close(a.double(), b, rtol=1e-2, atol=2e-3 * float(b.abs().max()))


@every_kernel
def test_many_gradients_at_once(kernels: str) -> None:
    _, x, raw = case()
    leaf = raw.clone().requires_grad_()
    with native.using(kernels):
        y, _ = native.spline(x, leaf, SHAPE)
        directions = torch.randn(3, *x.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float32)
        (together,) = torch.autograd.grad(y, leaf, directions, is_grads_batched=True, retain_graph=True)
        for direction, gradient in zip(directions, together, strict=True):
            (alone,) = torch.autograd.grad(y, leaf, direction, retain_graph=True)
            torch.testing.assert_close(gradient, alone, rtol=1e-3, atol=1e-5)


@every_kernel
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::torch.jit.TracerWarning")
def test_under_a_compiler(kernels: str) -> None:
    """Traced as a whole, without a break of the graph."""
    spline, x, raw = case()
    with native.using(kernels):
        want = spline.forward(x, raw)
        compiled = torch.compile(spline.forward, backend="eager", fullgraph=True)
        got = compiled(x, raw)
        traced = torch.jit.trace(lambda x, raw: spline.forward(x, raw)[0], (x, raw), check_trace=False)(2 * x, raw)
    for a, b in zip(got, want, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(traced, spline.forward(2 * x, raw)[0], rtol=1e-3, atol=1e-4)


@every_kernel
def test_one_model_either_way(kernels: str) -> None:
    """A training step with the kernels is that of the reference."""
    spline = RationalQuadraticSpline(8, 4.0)
    made = MADE(9, spline.per_feature, (20, 20), context_features=2, generator=torch.Generator().manual_seed(0))
    maf = MaskedAutoregressive(spline, made).float()
    rng = torch.Generator().manual_seed(1)
    x, c = (torch.randn(100, width, generator=rng, dtype=torch.float32) for width in (9, 2))
    gradients = []
    for name in (kernels, "reference"):
        with native.using(name):
            out = with_gradients(lambda x, c, *_: maf(x, c), [x, c], [torch.ones(100, 9), torch.ones(100)])
            maf.zero_grad()
            maf(x, c)[1].sum().backward()
        gradients.append([*out, *(parameter.grad.clone() for parameter in maf.parameters())])
    for a, b in zip(*gradients, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=2e-4 * float(b.abs().max()) + 1e-6)


SCRIPT = """
import warnings
with warnings.catch_warnings(record=True) as seen:
    warnings.simplefilter("always")
    import torch, hepflows
    from hepflows.kernels import dispatch, native
print(native.in_use(), sum("HEPFLOWS_KERNELS" in str(w.message) for w in seen))
print(*dispatch.describe(), sep="; ")
flow = hepflows.maf(features=3, blocks=1, hidden=(8, 8), seed=0)
print(bool(torch.isfinite(flow.sample(5, generator=torch.Generator().manual_seed(0))).all()))
"""


@pytest.mark.parametrize(("value", "warnings"), [("reference", 0), ("fastest", 1), ("", 0)])
def test_chosen_by_the_environment(value: str, warnings: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEPFLOWS_KERNELS", value)
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True)
    used, description, works = done.stdout.splitlines()[:3]
    expected = "reference" if value == "reference" else native.available()[0]
    assert used == f"{expected} {warnings}"
    assert f"kernels: {expected} (available: " in description
    assert ("HEPFLOWS_KERNELS" in description) == (value == "reference" and dispatch.compiled is not None)
    assert works == "True"


def test_a_name_that_is_not_there() -> None:
    with pytest.raises(ValueError, match="kernels 'fastest' are not available here: choose from"):
        native.use("fastest")


def test_without_compiled_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    before = native.in_use()
    monkeypatch.setattr(dispatch, "compiled", None)
    monkeypatch.setattr(dispatch, "_in_use", "reference")
    assert native.available() == ["reference"]
    assert not native.covers(SHAPE, torch.zeros(1, 1).float())
    assert any("reinstall hepflows where a C++ compiler" in line for line in dispatch.describe())
    monkeypatch.undo()
    assert native.in_use() == before
