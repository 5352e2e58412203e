"""Train a continuous flow without solving it."""

from __future__ import annotations

import torch
from torch import Tensor

from hepflows.bijections.continuous import Continuous
from hepflows.training.objectives import Objective, Sums


class FlowMatching(Objective):
    r"""Regress the velocity on straight paths from noise to data (arXiv:2210.02747, arXiv:2209.03003).

    .. math:: L = \frac{\sum_i w_i \big\| v(x_t, t, c_i) - (x_i - z_i) \big\|^2}{\sum_i |w_i|}, \qquad x_t = (1 - t)\, z_i + t\, x_i,

    with :math:`z_i` standard normal and :math:`t` uniform. Its minimum carries the standard normal onto the density of the data.

    Args:
        bijection: whose velocity is learned; take it as the bijection of a `hepflows.Flow` afterwards.

    Shapes: ``x`` (N, D), ``context`` (N, C) or None, ``weights`` (N,) or None; the loss is a scalar.

    Example:
        >>> loss = FlowMatching(Continuous(2, hidden=(8,)))(torch.zeros(4, 2), generator=torch.Generator().manual_seed(0))
        >>> loss.shape
        torch.Size([])
    """

    def __init__(self, bijection: Continuous) -> None:
        super().__init__()
        self.bijection = bijection

    def forward(
        self,
        x: Tensor,
        context: Tensor | None = None,
        weights: Tensor | None = None,
        *,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        numerator, denominator = FlowMatching.sums(self, x, context, weights, generator=generator)
        return numerator / denominator

    def sums(
        self,
        x: Tensor,
        context: Tensor | None = None,
        weights: Tensor | None = None,
        *,
        generator: torch.Generator | None = None,
    ) -> Sums:
        z = torch.randn(x.shape, generator=generator, dtype=x.dtype, device=x.device)
        time = torch.rand(len(x), generator=generator, dtype=x.dtype, device=x.device)
        between = z + time[:, None] * (x - z)
        misses = (self.bijection.velocity(between, time, context) - (x - z)).square().sum(1)
        if weights is None:
            return misses.sum(), len(x)
        return (weights * misses).sum(), weights.abs().sum()
