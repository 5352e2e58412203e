"""The rows of the table: each function returns one or more rows by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from nflows.transforms.splines.rational_quadratic import unconstrained_rational_quadratic_spline
from torch import Tensor, nn

from hepflows.bijections import RationalQuadraticSpline
from hepflows.kernels import native
from tests.benchmarks.core import models
from tests.benchmarks.core.models import BINS, CONTEXT, FEATURES, Pair
from tests.benchmarks.core.timing import Competitors, Gemm, compare

Row = dict[str, Any]
Rows = dict[str, Row]
Function = Callable[[], Any]


def both(function: Function, prefix: str = "") -> Competitors:
    """Our call on the reference and, where there are any, on the compiled kernels."""
    compiled = native.in_use()

    def reference() -> None:
        with native.using("reference"):
            function()

    ours: Competitors = {f"{prefix}reference": reference}
    if compiled != "reference":
        ours[f"{prefix}compiled"] = function
    return ours


def without_gradients(function: Function) -> Function:
    """The same call with autograd off."""

    def call() -> None:
        with torch.no_grad():
            function()

    return call


def step(model: nn.Module, loss: Callable[[], Tensor]) -> Function:
    """Forward, backward and a fused Adam step."""
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.Adam(parameters, lr=1e-5, fused=True)

    def call() -> None:
        optimizer.zero_grad(set_to_none=True)
        loss().backward()
        optimizer.step()

    return call


def spline_op(repeats: int) -> Rows:
    """The rational-quadratic spline by itself, forward and backward, 1000 x 504 elements."""
    torch.manual_seed(0)
    x, raw = 3 * torch.randn(1000, FEATURES), torch.randn(1000, FEATURES, 3 * BINS - 1)
    theirs = [part.contiguous().requires_grad_() for part in raw.split([BINS, BINS, BINS - 1], -1)]
    their_x = x.clone().requires_grad_()
    # events last, as our networks give them
    our_x, our_raw = x.T.contiguous().requires_grad_(), raw.permute(1, 2, 0).contiguous().requires_grad_()
    spline = RationalQuadraticSpline(BINS, 3.0)

    def theirs_step() -> Tensor:
        y, ladj = unconstrained_rational_quadratic_spline(their_x, *theirs, tails="linear", tail_bound=3.0)
        torch.autograd.grad((y.sum() + ladj.sum()), [their_x, *theirs])
        return y

    def ours_step() -> Tensor:
        y, ladj = spline.forward(our_x, our_raw)
        torch.autograd.grad((y.sum() + ladj.sum()), [our_x, our_raw])
        return y

    difference = _small(float((theirs_step() - ours_step().T).abs().max().detach()))
    row = compare({"nflows": theirs_step, **both(ours_step)}, repeats)
    return {"RQS op, forward + backward, 1000 x 504": {**row, "max_difference": difference}}


def coupling(repeats: int, gemm: Gemm, batch: int = 10_000) -> Rows:
    """Coupling flow, D = 10, six layers, 2 x 64: density, training step, sampling."""
    pair, zuko, normflows = models.coupling(), models.zuko_coupling(), models.normflows_coupling()
    torch.manual_seed(1)
    x = torch.randn(batch, 10)
    difference = _difference(pair, x)
    name = f"coupling D=10, B={batch}"
    densities = {
        "nflows": without_gradients(lambda: pair.nflows.log_prob(x)),
        **both(without_gradients(lambda: pair.hepflows.log_prob(x))),
        "zuko": without_gradients(lambda: zuko().log_prob(x)),
        "normflows": without_gradients(lambda: normflows.log_prob(x)),
    }
    samples = {
        "nflows": without_gradients(lambda: pair.nflows.sample(batch)),
        **both(without_gradients(lambda: pair.hepflows.sample(batch))),
        "zuko": without_gradients(lambda: zuko().sample((batch,))),
        "normflows": without_gradients(lambda: normflows.sample(batch)),
    }
    flops = batch * models.network_flops(pair.hepflows)
    rows = {f"{name}: log_prob": {**compare(densities, repeats), "max_difference": difference}}
    rows[f"{name}: sample"] = compare(samples, repeats)
    steps = {
        "nflows": step(pair.nflows, lambda: -pair.nflows.log_prob(x).mean()),
        **both(step(pair.hepflows, lambda: -pair.hepflows.log_prob(x).mean())),
        "zuko": step(zuko, lambda: -zuko().log_prob(x).mean()),
        "normflows": step(normflows, lambda: normflows.forward_kld(x)),
    }
    rows[f"{name}: training step"] = compare(steps, repeats)
    for title, row in rows.items():
        row |= _limit(row, flops * (3 if title.endswith("step") else 1), gemm)
    return rows


def residual_coupling(repeats: int, gemm: Gemm, batch: int = 10_000) -> Rows:
    """The same with networks of two residual blocks of 64 units, beside nflows alone: the other libraries' networks differ."""
    pair = models.coupling(residual=True)
    torch.manual_seed(1)
    x = torch.randn(batch, 10)
    difference, flops = _difference(pair, x), batch * models.network_flops(pair.hepflows)
    calls = {
        "log_prob": [without_gradients(lambda flow=flow: flow.log_prob(x)) for flow in (pair.nflows, pair.hepflows)],
        "sample": [without_gradients(lambda flow=flow: flow.sample(batch)) for flow in (pair.nflows, pair.hepflows)],
        "training step": [
            step(flow, lambda flow=flow: -flow.log_prob(x).mean()) for flow in (pair.nflows, pair.hepflows)
        ],
    }
    rows = {}
    for name, (theirs, ours) in calls.items():
        row = {**compare({"nflows": theirs, **both(ours)}, repeats), "max_difference": difference}
        row |= _limit(row, flops * (3 if name == "training step" else 1), gemm)
        rows[f"residual coupling D=10, B={batch}: {name}"] = row
    return rows


def maf_training(repeats: int, gemm: Gemm) -> Rows:
    """Training step with Adam of one MAF block, D = 504, at two batch sizes."""
    rows = {}
    for batch in (200, 1000):
        pair, zuko, normflows = models.maf(), models.zuko_maf(), models.normflows_maf()
        flops = 3 * models.network_flops(pair.hepflows)  # forward, and two products backward
        torch.manual_seed(1)
        x, context = 3 * torch.randn(batch, FEATURES), torch.randn(batch, CONTEXT)
        difference = _difference(pair, x, context)
        competitors = {
            "nflows": step(pair.nflows, _loss(pair.nflows, x, context)),
            **both(step(pair.hepflows, _loss(pair.hepflows, x, context))),
            "zuko": step(zuko, lambda x=x, c=context, m=zuko: -m(c).log_prob(x).mean()),
            "normflows": step(normflows, lambda x=x, c=context, m=normflows: m.forward_kld(x, c)),
        }
        row = compare(competitors, repeats)
        limit = _limit(row, flops * batch, gemm)
        rows[f"MAF D=504, training step, B={batch}"] = {**row, **limit, "max_difference": difference}
    return rows


@torch.no_grad()
def maf_sampling(repeats: int, gemm: Gemm, *, residual: bool = False) -> Rows:
    """The exact inverse of one MAF block against a true inverse of nflows, and against one of its passes times D."""
    pair = models.maf(residual=residual)
    theirs, ours = pair.nflows._transform._transforms[0], pair.hepflows.bijection
    kind = "residual MAF D=504" if residual else "MAF D=504"
    torch.manual_seed(1)
    z, context = torch.randn(1000, FEATURES), torch.randn(1000, CONTEXT)
    few = slice(0, 16)
    difference = (theirs.inverse(z[few], context[few])[0] - ours.inverse(z[few], context[few])[0]).abs().max()
    checked = {"max_difference": _small(float(difference))}
    true = {
        "nflows": lambda: theirs.inverse(z[few], context[few]),
        **both(lambda: ours.inverse(z[few], context[few])),
    }
    rows = {f"{kind}, sampling, B=16, nflows = its own inverse": {**compare(true, 2), **checked}}
    for batch in (100, 1000):
        part = slice(0, batch)
        competitors = {
            "nflows": lambda part=part: theirs(z[part], context[part]),
            **both(lambda part=part: ours.inverse(z[part], context[part])),
        }
        row = compare(competitors, repeats, factor=FEATURES)
        row |= _limit(row, models.network_flops(pair.hepflows) * batch, gemm)
        rows[f"{kind}, sampling, B={batch}, nflows = one pass x 504"] = row
    return rows


@torch.no_grad()
def headline(repeats: int, gemm: Gemm, blocks: int = 8, batch: int = 1000) -> Rows:
    """The exact teacher, a MAF of ours, against an IAF student of the same size built with nflows: samples end to end."""
    teacher, student = models.maf(blocks).hepflows, models.iaf(blocks)
    torch.manual_seed(1)
    context = torch.randn(batch, CONTEXT)
    competitors = {
        "nflows": lambda: student.sample(1, context),
        **both(lambda: teacher.sample(1, context, generator=torch.Generator().manual_seed(0))),
    }
    name = f"{blocks} blocks end to end, B={batch}: our exact MAF against an nflows IAF student"
    row = compare(competitors, repeats)
    return {name: row | _limit(row, models.network_flops(teacher) * batch, gemm)}


def threads(repeats: int) -> Rows:
    """How much a second thread brings: training step and inverse at B = 1000, and a matrix product, in one run."""
    pair = models.maf()
    torch.manual_seed(1)
    x, context = 3 * torch.randn(1000, FEATURES), torch.randn(1000, CONTEXT)
    a = torch.randn(2048, 2048)
    calls = {
        "gemm": lambda: a @ a.T,
        "training step": step(pair.hepflows, lambda: -pair.hepflows.log_prob(x, context).mean()),
        "inverse": without_gradients(lambda: pair.hepflows.bijection.inverse(x, context)),
    }
    before = torch.get_num_threads()
    competitors: Competitors = {}
    for name, call in calls.items():
        for count in (1, 2):
            competitors[f"{name}, {count}"] = _on_threads(count, call)
    try:
        milliseconds = compare(competitors, repeats)["ms"]
    finally:
        torch.set_num_threads(before)
    gains = {name: milliseconds[f"{name}, 1"] / milliseconds[f"{name}, 2"] for name in calls}
    row = {"ms": milliseconds, "gain": gains, "share_of_gemm": {name: gains[name] / gains["gemm"] for name in calls}}
    return {"from one thread to two, B=1000": row}


def _loss(flow: Any, x: Tensor, context: Tensor) -> Callable[[], Tensor]:
    return lambda: -flow.log_prob(x, context).mean()


def _on_threads(count: int, call: Function) -> Function:
    def on_threads() -> None:
        torch.set_num_threads(count)
        call()

    return on_threads


def _limit(row: Row, flops: int, gemm: Gemm) -> Row:
    """What the masks allow, at the rate of a matrix product on the same threads."""
    limit = 1e3 * flops / gemm.measure()
    ours = row["ms"].get("compiled")
    return {"limit_ms": limit, **({"share_of_limit": limit / ours} if ours else {})}


def _difference(pair: Pair, x: Tensor, context: Tensor | None = None) -> float:
    """Largest relative difference of the log densities."""
    with torch.no_grad():
        theirs, ours = pair.nflows.log_prob(x, context), pair.hepflows.log_prob(x, context)
    return _small(float(((theirs - ours) / theirs).abs().max()))


def _small(difference: float) -> float:
    """Nothing is timed before the outputs agree."""
    if not difference < 1e-2:
        message = f"the outputs of nflows and hepflows differ by {difference:.3g}"
        raise RuntimeError(message)
    return difference
