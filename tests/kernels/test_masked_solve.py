"""The backward sweep against a dense triangular solve."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from hepflows.kernels.masked_solve import masked_solve
from hepflows.made import MADE, Activation

CASES = [
    (1, (3,), 0, False, torch.tanh),
    (7, (5,), 2, False, torch.tanh),
    (7, (16, 9, 4), 2, False, functional.elu),
    (12, (5, 5, 5), 0, True, torch.tanh),
    (6, (20, 20, 20, 20, 20), 2, True, functional.silu),
    (40, (6, 3), 0, False, functional.relu),
]


@pytest.mark.parametrize("offset", [False, True])
@pytest.mark.parametrize(("features", "hidden", "context", "residual", "activation"), CASES)
def test_solves_the_triangular_system(
    features: int, hidden: tuple[int, ...], context: int, residual: bool, activation: Activation, offset: bool
) -> None:
    rng = torch.Generator().manual_seed(0)
    options = {"context_features": context, "residual": residual, "activation": activation, "generator": rng}
    made, n, per_feature = MADE(features, 3, hidden, **options), 4, 3
    x = torch.randn(n, features, generator=rng)
    c = torch.randn(n, context, generator=rng) if context else None
    v, weights = torch.randn(features, n, generator=rng), torch.randn(features, per_feature, n, generator=rng)
    slope = 0.5 + torch.rand(features, n, generator=rng)
    extra = torch.randn(features, per_feature, n, generator=rng) if offset else None
    before: list[torch.Tensor] = []
    with torch.no_grad():
        made.last_hidden(x, c, before)
    bends = [torch.func.vmap(torch.func.vmap(torch.func.grad(activation)))(values) for values in before]
    g, found = masked_solve(made.staircase(), v, slope, weights, extra, [*bends[:-1], None] if residual else bends)
    for event in range(n):
        row = None if c is None else c[event : event + 1]
        net = torch.autograd.functional.jacobian(lambda y, row=row: made(y[None], row)[0], x[event])
        net = net.view(features, per_feature, features)
        jacobian = torch.diag(slope[:, event]) + torch.einsum("dp,dpe->de", weights[..., event], net)
        side = v[:, event] - (0 if extra is None else torch.einsum("dp,dpe->e", extra[..., event], net))
        torch.testing.assert_close(g[:, event], torch.linalg.solve(jacobian.T, side), rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(found, weights * g[:, None] + (0 if extra is None else extra))


def test_what_the_mask_forbids_is_not_read() -> None:
    """As in the forward sweep: the weights stand there unmasked."""
    made = MADE(5, 2, (8, 8), generator=torch.Generator().manual_seed(0))
    rng = torch.Generator().manual_seed(1)
    v, weights, slope = torch.randn(5, 3, generator=rng), torch.randn(5, 2, 3, generator=rng), torch.ones(5, 3)
    bends = [torch.ones(8, 3), torch.ones(8, 3)]
    clean, _ = masked_solve(made.staircase(), v, slope, weights, None, bends)
    with torch.no_grad():
        for layer in (*made.layers, made.output):
            layer.weight[layer.mask == 0] = torch.nan
    torch.testing.assert_close(masked_solve(made.staircase(), v, slope, weights, None, bends)[0], clean, rtol=0, atol=0)
