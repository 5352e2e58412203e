"""What changes in a table from epoch to epoch."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from hepflows.training.batches import Transform

Augment = Callable[[Tensor, torch.Generator], Tensor]
"""Gives observables ``(B, *shape)`` fresh noise, with a generator."""


def fresh(augment: Augment | None, draws: int) -> Transform | None:
    """What is done to batches of coordinates (B, draws, D), observables and weights: one draw is taken, observables get their noise.

    None where that changes nothing.
    """
    if augment is None and draws == 1:
        return None

    def changed(batch: tuple[Tensor, ...], rng: torch.Generator) -> tuple[Tensor, ...]:
        y, x, *weights = batch
        if draws > 1:
            y = y[torch.arange(len(y)), torch.randint(draws, (len(y),), generator=rng)]
        return y, x if augment is None else augment(x, rng), *weights

    return changed
