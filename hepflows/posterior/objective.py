"""What a posterior estimator minimises."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from hepflows.flow import Flow
from hepflows.training import Objective
from hepflows.training.objectives import Sums


class PosteriorLoss(Objective):
    r"""Negative mean log posterior, :math:`-\frac1n \sum_i w_i \log q(y_i | s(x_i))`, with weights that may be negative.

    The weights are those of the whole table divided by their mean, not by the sum of a batch, which may come near zero where some are
    negative. A row of negative weight pushes the density down: where nothing holds against it the loss would have no lower bound, so that
    the log density of such a row counts no lower than ``floor``.

    Args:
        flow: of the coordinates.
        context: from observables to the context of the flow.
        floor: least log density of a row of negative weight.
    """

    def __init__(self, flow: Flow, context: nn.Module, floor: float) -> None:
        super().__init__()
        self.flow, self.context, self.floor = flow, context, floor

    def forward(
        self, y: Tensor, x: Tensor, weights: Tensor | None = None, *, generator: torch.Generator | None = None
    ) -> Tensor:
        numerator, denominator = PosteriorLoss.sums(self, y, x, weights)
        return numerator / denominator

    def sums(
        self, y: Tensor, x: Tensor, weights: Tensor | None = None, *, generator: torch.Generator | None = None
    ) -> Sums:
        log_prob = self.flow.log_prob(y, self.context(x))
        if weights is None:
            return -log_prob.sum(), len(y)
        log_prob = torch.where(weights < 0, log_prob.clamp_min(self.floor), log_prob)
        return -(weights * log_prob).sum(), len(y)
