"""What changes in a table from epoch to epoch."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from hepflows.training.batches import Transform

Augment = Callable[[Tensor, torch.Generator], Tensor]
"""Gives observables ``(B, *shape)`` fresh noise, with a generator."""


def fresh(augment: Augment | None, several: bool) -> Transform | None:
    """What is done to batches of coordinates, observables, weights: one of several draws (B, R, D) is taken, observables get noise.

    None where that changes nothing.
    """
    if augment is None and not several:
        return None

    def changed(batch: tuple[Tensor, ...], rng: torch.Generator) -> tuple[Tensor, ...]:
        y, x, *weights = batch
        if several:
            y = y[torch.arange(len(y)), torch.randint(y.shape[1], (len(y),), generator=rng)]
        return y, x if augment is None else augment(x, rng), *weights

    return changed
