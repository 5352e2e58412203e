"""What is minimised: modules that return a scalar, so that data-parallel training can wrap them."""

from __future__ import annotations

from torch import Tensor, nn

from hepflows.flow import Flow


class MaximumLikelihood(nn.Module):
    r"""Negative mean log-likelihood, :math:`-\sum_i w_i \log p(x_i | c_i) / \sum_i w_i`.

    Args:
        flow: the flow that is fitted.

    Example:
        >>> import torch
        >>> from hepflows.zoo import maf
        >>> MaximumLikelihood(maf(2, seed=0))(torch.zeros(4, 2)).shape
        torch.Size([])
    """

    def __init__(self, flow: Flow) -> None:
        super().__init__()
        self.flow = flow

    def forward(self, x: Tensor, context: Tensor | None = None, weights: Tensor | None = None) -> Tensor:
        log_prob = self.flow.log_prob(x, context)
        if weights is None:
            return -log_prob.mean()
        return -(weights * log_prob).sum() / weights.sum()
