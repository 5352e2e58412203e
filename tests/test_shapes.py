"""Shapes, contexts and chunks against calls event by event; what is wrong is said before any arithmetic."""

from __future__ import annotations

import math
import subprocess
import sys
from itertools import product

import numpy as np
import pytest
import torch

import hepflows.flow
from hepflows.bijections import LULinear, Permutation, Standardize
from hepflows.errors import ContextError, DomainError, HepflowsError, ShapeError
from hepflows.flow import Flow
from hepflows.shapes import check_finite, rows, sample_shape
from hepflows.zoo import coupling_flow, iaf, maf

D, C = 3, 2
FLOWS = {"maf": maf, "iaf": iaf, "coupling": coupling_flow}


def flow_of(name: str, context: int = C) -> Flow:
    flow = FLOWS[name](D, context, hidden=(8,), blocks=2, seed=0).double()
    rng = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in flow.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=rng))
    return flow


def random(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(2))


@pytest.fixture(params=["whole", "chunks"])
def _chunked(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "chunks":
        monkeypatch.setattr(hepflows.flow, "CHUNK_NUMBERS", 1)
        monkeypatch.setattr(hepflows.flow, "CHUNK_EVENTS", 4)


# (*sample) + (*batch): leading axes of the points; leading axes of the context
LEADING = [
    ((), ()), ((6,), ()), ((6,), (6,)), ((6,), (1,)), ((4, 5), (5,)), ((4, 5), (4, 5)), ((4, 5), (1, 5)), ((4, 5), (4, 1)),
    ((2, 3, 4), (3, 4)), ((2, 3, 4), (3, 1)), ((0,), ()), ((0,), (0,)), ((3, 0), (0,)),
]  # fmt: skip


@pytest.mark.usefixtures("_chunked")
@pytest.mark.parametrize("name", FLOWS)
@pytest.mark.parametrize(("leading", "batch"), LEADING)
def test_log_prob_event_by_event(name: str, leading: tuple[int, ...], batch: tuple[int, ...]) -> None:
    flow, x, context = flow_of(name), random(*leading, D), random(*batch, C)
    with torch.no_grad():
        density = flow.log_prob(x, context)
        z, ladj = flow.bijection(x, context)
        back, _ = flow.bijection.inverse(z, context)
        assert density.shape == ladj.shape == leading
        assert z.shape == (*leading, D)
        torch.testing.assert_close(back, x, rtol=1e-8, atol=1e-8)
        every = context.expand(*leading, C)
        for index in product(*map(range, leading)):
            torch.testing.assert_close(flow.log_prob(x[index], every[index]), density[index])
            torch.testing.assert_close(flow.bijection(x[index], every[index])[1], ladj[index])


@pytest.mark.usefixtures("_chunked")
@pytest.mark.parametrize("name", FLOWS)
@pytest.mark.parametrize("n", [(), 1, 5, (2, 3), 0, (2, 0)])
@pytest.mark.parametrize("batch", [(), (4,), (2, 3), (0,)])
def test_samples_stand_with_their_context(name: str, n: int | tuple[int, ...], batch: tuple[int, ...]) -> None:
    """The same noise sent through the flow one event at a time gives the same samples at the same places."""
    flow, context = flow_of(name), random(*batch, C)
    x, log_prob = flow.sample_and_log_prob(n, context, generator=torch.Generator().manual_seed(3))
    leading = (*sample_shape(n), *batch)
    assert x.shape == (*leading, D)
    assert log_prob.shape == leading
    noise = flow.base.sample(math.prod(leading), torch.Generator().manual_seed(3)).view(*leading, D)
    every = context.expand(*leading, C)
    with torch.no_grad():
        for index in product(*map(range, leading)):
            torch.testing.assert_close(flow.bijection.inverse(noise[index], every[index])[0], x[index])
        torch.testing.assert_close(flow.log_prob(x, context), log_prob, rtol=1e-7, atol=1e-7)


@pytest.mark.usefixtures("_chunked")
def test_without_a_context() -> None:
    flow = flow_of("maf", 0)
    x, log_prob = flow.sample_and_log_prob((3, 5), generator=torch.Generator().manual_seed(3))
    assert x.shape == (3, 5, D)
    with torch.no_grad():
        torch.testing.assert_close(flow.log_prob(x), log_prob, rtol=1e-7, atol=1e-7)
        turned = x.transpose(0, 1)  # no longer contiguous
        torch.testing.assert_close(flow.log_prob(turned), flow.log_prob(x).T)


@pytest.mark.parametrize("name", ["maf", "iaf"])
def test_gradients_of_single_events_add_up(name: str) -> None:
    flow, x, context = flow_of(name), random(10, D), random(C)
    flow.log_prob(x, context).sum().backward()
    whole = [parameter.grad.clone() for parameter in flow.parameters()]
    flow.zero_grad()
    for event in x:
        flow.log_prob(event, context).backward()
    for a, b in zip(whole, flow.parameters(), strict=True):
        torch.testing.assert_close(a, b.grad)


def test_chunks_without_no_grad_where_nothing_wants_a_gradient(monkeypatch: pytest.MonkeyPatch) -> None:
    flow, x = flow_of("coupling", 0), random(50, D)
    sizes: list[int] = []
    forward = flow.bijection._forward
    monkeypatch.setattr(flow.bijection, "_forward", lambda x, c: (sizes.append(len(x)), forward(x, c))[1])
    monkeypatch.setattr(hepflows.flow, "CHUNK_NUMBERS", 1)
    monkeypatch.setattr(hepflows.flow, "CHUNK_EVENTS", 16)
    flow.log_prob(x)
    flow.requires_grad_(False).log_prob(x)
    assert sizes == [50, 16, 16, 16, 2]


def test_rows_of_an_expanded_tensor_are_not_copied() -> None:
    huge = random(5, 2).expand(10**9, 5, 2)
    part = rows(huge, 3 * 10**9 + 1, 3 * 10**9 + 8)
    torch.testing.assert_close(part, huge[:2].reshape(-1, 2)[1:8])


MEMORY = """
import resource, sys, torch, hepflows
torch.set_num_threads(1)
what, n = sys.argv[1], int(sys.argv[2])
flow = hepflows.coupling_flow(10, 4, blocks=2, hidden=(32,), seed=0)
rng = torch.Generator().manual_seed(0)
def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
with torch.no_grad():
    if what == "log_prob":
        x = torch.randn(n, 10)
        call = lambda x: flow.log_prob(x, torch.zeros(4))
    elif what == "sample":
        x = torch.zeros(n, 4)[:, :1].expand(n, 4)
        call = lambda context: flow.sample((), context, generator=rng)
    else:  # many samples for each of some contexts
        x = torch.zeros(20, 4)
        call = lambda context: flow.sample(n // 20, context[: 20 if context is x else 1], generator=rng)
    call(x[:20_000].clone())
    before = peak()
    call(x)
    print(peak() - before)
"""


@pytest.mark.parametrize(("what", "arrays"), [("log_prob", 0.1), ("sample", 2.1), ("contexts", 2.1)])
def test_memory_is_that_of_the_noise_and_the_answer(what: str, arrays: float) -> None:
    """A million events of ten features, in MB of the resident set; one activation of theirs alone would take 460 MB."""
    n = 1_000_000
    done = subprocess.run([sys.executable, "-c", MEMORY, what, str(n)], capture_output=True, text=True, check=True)
    points = n * 10 * 4 / 2**20
    answer = n * 4 / 2**20
    assert float(done.stdout) < arrays * points + answer + 30


# what is wrong with the call, and what is said
DOUBLE = {"dtype": torch.float64}
WRONG_INPUT = {
    "an array": (np.zeros((4, D)), ShapeError, "must be a torch tensor, got ndarray"),
    "integers": (torch.zeros(4, D, dtype=torch.long), ShapeError, "floating-point numbers, got torch.int64"),
    "complex": (torch.zeros(4, D, dtype=torch.complex64), ShapeError, "floating-point numbers, got torch.complex64"),
    "half": (torch.zeros(4, D, dtype=torch.half), ShapeError, "the input is torch.float16 and the model torch.float64"),
    "another device": (torch.zeros(4, D, device="meta", **DOUBLE), ShapeError, "the input lives on meta and the model on cpu"),
    "width": (torch.zeros(4, D + 1), ShapeError, r"shape \(\.\.\., 3\), got \(4, 4\)"),
    "a scalar": (torch.tensor(0.0), ShapeError, r"shape \(\.\.\., 3\), got \(\)"),
    "nan": (torch.full((4, D), torch.nan, **DOUBLE), DomainError, r"the input holds 12 values that are not finite, .* index \(0, 0\)"),
    "infinity": (torch.full((4, D), torch.inf, **DOUBLE), DomainError, r"the input holds 12 values that are not finite"),
}  # fmt: skip
WRONG_CONTEXT = {
    "missing": (None, ContextError, r"pass context= of shape \(\.\.\., 2\)"),
    "a list": ([[0.0, 0.0]], ShapeError, "the context must be a torch tensor, got list"),
    "integers": (torch.zeros(4, C, dtype=torch.long), ShapeError, "the context must hold floating-point numbers"),
    "single": (torch.zeros(4, C, dtype=torch.float32), ShapeError, "the context is torch.float32 and the model torch.float64"),
    "another device": (torch.zeros(4, C, device="meta", **DOUBLE), ShapeError, "the context lives on meta and the model on cpu"),
    "width": (torch.zeros(4, C + 1), ContextError, r"shape \(\.\.\., 2\), got \(4, 3\)"),
    "nan": (torch.full((4, C), torch.nan, **DOUBLE), DomainError, "the context holds 8 values that are not finite"),
}  # fmt: skip


@pytest.fixture
def silent(monkeypatch: pytest.MonkeyPatch) -> Flow:
    """A flow that fails the test where it computes anything."""
    flow = flow_of("maf")

    def compute(*_: object) -> None:
        pytest.fail("arithmetic before the check")

    for method in ("_forward", "_inverse"):
        monkeypatch.setattr(flow.bijection, method, compute)
    return flow


@pytest.mark.parametrize("case", WRONG_INPUT)
def test_wrong_input(case: str, silent: Flow) -> None:
    x, kind, message = WRONG_INPUT[case]
    for call in (silent.log_prob, silent.bijection, silent.bijection.inverse):
        with pytest.raises(kind, match=message) as raised:
            call(x, torch.zeros(C))
        assert isinstance(raised.value, HepflowsError)
        assert "\n" not in str(raised.value)


@pytest.mark.parametrize("case", WRONG_CONTEXT)
def test_wrong_context(case: str, silent: Flow) -> None:
    context, kind, message = WRONG_CONTEXT[case]
    x = torch.zeros(4, D)
    for call in (
        lambda: silent.log_prob(x, context), lambda: silent.bijection(x, context), lambda: silent.bijection.inverse(x, context),
        lambda: silent.sample(3, context), lambda: silent.rsample_and_log_prob((), context),
    ):  # fmt: skip
        with pytest.raises(kind, match=message):
            call()


def test_contexts_that_do_not_go_with_the_points(silent: Flow) -> None:
    for leading, batch in (((4,), (5,)), ((5, 4), (5,)), ((4,), (3, 4)), ((), (1,)), ((1,), (4,))):
        with pytest.raises(ContextError, match="the leading axes of the points must end with those of the context"):
            silent.log_prob(torch.zeros(*leading, D), torch.zeros(*batch, C))


def test_an_unwanted_context() -> None:
    flow = flow_of("maf", 0)
    for call in (lambda c: flow.log_prob(torch.zeros(4, D), c), lambda c: flow.sample(4, c)):
        with pytest.raises(ContextError, match="unconditional"):
            call(torch.zeros(4, C))


@pytest.mark.parametrize("n", [-1, (2, -1), 1.5, "3", None, (2, 0.5)])
def test_wrong_numbers_of_samples(n: object) -> None:
    with pytest.raises(ShapeError, match="non-negative integer or a tuple of them"):
        sample_shape(n)


def test_numbers_of_samples_from_numpy_and_torch() -> None:
    assert sample_shape(np.int64(3)) == (3,)
    assert sample_shape(torch.Size([2, 3])) == (2, 3)


def test_bijections_without_parameters_know_their_dtype() -> None:
    with pytest.raises(ShapeError, match=r"the input is torch\.float32 and the model torch\.float64"):
        Standardize(torch.zeros(2), torch.ones(2))(torch.zeros(1, 2, dtype=torch.float32))
    Permutation([1, 0])(torch.zeros(1, 2, dtype=torch.float32))


def test_finite_numbers_whose_sum_overflows_are_no_mistake() -> None:
    largest = torch.finfo(torch.float32).max
    for x in (torch.full((4, 2), largest), torch.tensor([[largest, largest, -largest, -largest]])):
        check_finite(x.float())
    with pytest.raises(DomainError, match="1 value that is not finite"):
        check_finite(torch.tensor([largest, largest, torch.nan, 1.0]))
    with pytest.raises(DomainError, match="2 values that are"):
        check_finite(torch.tensor([torch.inf, -torch.inf]))
    check_finite(torch.zeros(0, 3))


def test_the_check_does_not_stand_in_the_way_of_vmap_and_export() -> None:
    flow, x, context = flow_of("maf"), random(5, D), random(5, C)
    torch.testing.assert_close(torch.func.vmap(flow.log_prob)(x, context), flow.log_prob(x, context))
    exported = torch.export.export(flow.bijection, (x, context)).module()
    torch.testing.assert_close(exported(x, context)[1], flow.bijection(x, context)[1])


def test_a_flow_on_the_meta_device() -> None:
    flow = Flow(LULinear(2)).to("meta")
    assert flow.log_prob(torch.zeros(4, 2, device="meta")).shape == (4,)
