"""The random numbers of each shower, which depend on the seed and its number alone, and the showers of each shard."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from hepflows.errors import DomainError
from hepflows.flow import Flow
from hepflows.training.seeding import generator

GROUP = 10
"""Showers that share a stream of random numbers; divides the blocks in which showers are generated."""


def shower_noise(flows: Sequence[Flow], start: int, stop: int, seed: int) -> list[Tensor]:
    """Two uniform numbers (n,) and the latents of each flow (n, D), for showers ``start`` to ``stop``."""
    parts = []
    for group in range(start // GROUP, -(-stop // GROUP)):
        rng = generator(seed, "showers", group)
        first = torch.rand(GROUP, generator=rng, dtype=torch.float64)
        latents = [flow.base.sample(GROUP, rng) for flow in flows]
        parts.append([first, torch.rand(GROUP, generator=rng, dtype=torch.float64), *latents])
    skipped = start % GROUP
    return [torch.cat(part)[skipped : skipped + stop - start] for part in zip(*parts, strict=True)]


def part_of(n: int, shard: tuple[int, int], block: int) -> tuple[int, int]:
    """First shower of the i-th of so many shards of ``n``, and the one after its last; shards are made of whole blocks.

    Raises:
        DomainError: there is no such shard.

    >>> [part_of(2500, (i, 2), block=1000) for i in range(2)]
    [(0, 1000), (1000, 2500)]
    """
    index, count = shard
    if not 0 <= index < count:
        message = f"shard {index} of {count} does not exist: count from 0 to {count - 1}"
        raise DomainError(message)
    blocks = -(-n // block)
    return index * blocks // count * block, min(n, (index + 1) * blocks // count * block)
