"""What the parameters of each feature depend on, found by autograd: whether a network is autoregressive in any order."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from hepflows.errors import DomainError, ShapeError

PROBES = 2
"""Random points at which the derivatives are looked at: a unit that happens to be flat at one of them is not at the other."""


def check_autoregressive(net: nn.Module, features: int, per_feature: int, context_features: int) -> None:
    """Raise `DomainError` unless there is an order in which the parameters of a feature depend on earlier features only.

    Args:
        net: ``(x (N, D), context (N, C) or None) -> (N, D * P)``.
        features: ``D``.
        per_feature: ``P``.
        context_features: ``C``.
    """
    if next(net.parameters(), torch.zeros(())).is_meta:
        return  # there are no numbers yet
    depends = _depends(net, features, per_feature, context_features)
    left = torch.ones(features, dtype=torch.bool)
    while left.any():
        free = left & ~depends[:, left].any(1)
        if not free.any():
            circle = left.nonzero().squeeze(1).tolist()
            shown = ", ".join(map(str, circle[:8])) + (", ..." if len(circle) > 8 else "")
            message = (
                f"the network is not autoregressive: no order of the features {shown} lets each one's parameters depend on earlier ones "
                "only; mask the network, or use a Coupling"
            )
            raise DomainError(message)
        left &= ~free


def _depends(net: nn.Module, features: int, per_feature: int, context_features: int) -> Tensor:
    """``(D, D)`` booleans on the processor: whether the parameters of the row's feature depend on the column's."""
    rng = torch.Generator().manual_seed(0)
    like = next(net.parameters(), torch.zeros(()))
    found = torch.zeros(features, features, dtype=torch.bool)
    at_once = max(1, (1 << 22) // (features * per_feature))
    for _ in range(PROBES):
        point, context = torch.randn(features, generator=rng), torch.randn(context_features, generator=rng)
        weights = (1 + torch.rand(per_feature, generator=rng)).to(like)
        for rows in torch.split(torch.arange(features), at_once):
            x = point.to(like).repeat(len(rows), 1).requires_grad_()
            with torch.enable_grad():
                raw = net(x, context.to(like).repeat(len(rows), 1) if context_features else None)
                if raw.shape != (len(rows), features * per_feature):
                    message = (
                        f"the network must give {features * per_feature} numbers an event, {per_feature} for each of the {features} "
                        f"features, but {len(rows)} events gave the shape {tuple(raw.shape)}"
                    )
                    raise ShapeError(message)
                # event i of this batch looks at the parameters of its own feature
                own = raw.reshape(len(rows), features, per_feature)[torch.arange(len(rows)), rows] @ weights
            if own.requires_grad:
                (slopes,) = torch.autograd.grad(own.sum(), x, allow_unused=True, materialize_grads=True)
                size = slopes.abs().cpu()
                found[rows] |= size > torch.finfo(size.dtype).eps ** 0.5 * size.max()
    return found
