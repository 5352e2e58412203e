"""A posterior in a few numbers an observation: mode, mean, spread, intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Summary:
    """Point estimates and intervals of each observation.

    Args:
        mode: (*batch, P) the draw of highest density.
        mean: (*batch, P) mean of the draws.
        std: (*batch, P) their standard deviation.
        median: (*batch, P) their median.
        levels: the probability of each interval.
        low: (levels, *batch, P) lower ends of the central intervals.
        high: (levels, *batch, P) their upper ends.
    """

    mode: Tensor
    mean: Tensor
    std: Tensor
    median: Tensor
    levels: tuple[float, ...]
    low: Tensor
    high: Tensor


def summarise(theta: Tensor, log_prob: Tensor, levels: Sequence[float]) -> Summary:
    """Sum up draws ``(n, B, P)`` of ``B`` observations with their log densities ``(n, B)``.

    >>> theta = torch.arange(5.0).reshape(5, 1, 1)
    >>> found = summarise(theta, -(theta[..., 0] - 3).square(), [0.5])
    >>> found.mode.item(), found.median.item(), found.low.item(), found.high.item()
    (3.0, 2.0, 1.0, 3.0)
    """
    mode = torch.take_along_dim(theta, log_prob.argmax(0)[None, :, None], 0)[0]
    tails = torch.tensor([0.5, *[side for level in levels for side in ((1 - level) / 2, (1 + level) / 2)]])
    cuts = torch.quantile(theta, tails.to(theta.dtype), dim=0)
    spread = theta.std(0) if len(theta) > 1 else torch.zeros_like(mode)
    return Summary(mode, theta.mean(0), spread, cuts[0], tuple(levels), cuts[1::2], cuts[2::2])


def joined(parts: Sequence[Summary], batch: Sequence[int]) -> Summary:
    """Summaries of chunks of observations as one, with the leading axes ``batch``."""

    def together(name: str, axis: int) -> Tensor:
        values = torch.cat([getattr(part, name) for part in parts], axis)
        return values.reshape(*values.shape[:axis], *batch, values.shape[-1])

    named = {name: together(name, 0) for name in ("mode", "mean", "std", "median")}
    return Summary(**named, levels=parts[0].levels, low=together("low", 1), high=together("high", 1))
