"""Float32 against float64 before anything is timed: ours and that of nflows, on the same weights and inputs."""

from __future__ import annotations

import copy
from typing import Any

import torch

from hepflows.nflows_adapter import from_nflows
from tests.benchmarks.core import models
from tests.benchmarks.core.models import CONTEXT, FEATURES


@torch.no_grad()
def accuracy(scale: float = 1.0, batch: int = 200) -> dict[str, Any]:
    """Largest and mean error of density and samples of one MAF block whose weights are multiplied by ``scale``."""
    pair = models.maf()
    for parameter in pair.nflows.parameters():
        parameter.mul_(scale)
    pair = models.pair(pair.nflows)
    theirs, ours = pair.nflows._transform._transforms[0], pair.hepflows.bijection
    exact = copy.deepcopy(theirs).double()
    torch.manual_seed(2)
    x, context = 3 * torch.randn(batch, FEATURES), torch.randn(batch, CONTEXT)
    z, ladj = exact(x.double(), context.double())
    single = z.float()
    exact_x = from_nflows(exact).inverse(single[:16].double(), context[:16].double())[0]
    few = slice(0, 16)  # a true inverse of nflows takes seconds
    rows: dict[str, Any] = {}
    for name, transform in (("nflows", theirs), ("hepflows", ours)):
        got_z, got_ladj = transform(x, context)
        back = transform.inverse(single[few], context[few])[0]
        rows[name] = {
            "z": _errors(got_z - z),
            "ladj": _errors(got_ladj - ladj),
            "inverse": _errors(back - exact_x),
            "round trip": _errors(exact(back.double(), context[few].double())[0] - single[few]),
        }
    return rows


def _errors(difference: torch.Tensor) -> dict[str, float]:
    return {"max": float(difference.abs().max()), "rms": float(difference.square().mean().sqrt())}
