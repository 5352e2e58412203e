"""Random numbers from named seeds, so that a run repeats and no part of it disturbs another."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch


def derive(seed: int, *names: int | str) -> int:
    """A seed for one named part of a run: independent for every other name, the same for ever.

    >>> derive(1, "noise", 0) == derive(1, "noise", 0), derive(1, "noise", 0) == derive(1, "noise", 1)
    (True, False)
    """
    digest = hashlib.sha256(repr((int(seed), *names)).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1  # torch takes 63 bits


def generator(seed: int, *names: int | str, device: torch.device | str = "cpu") -> torch.Generator:
    """A torch generator for one named part of a run."""
    return torch.Generator(device).manual_seed(derive(seed, *names))


def numpy_generator(seed: int, *names: int | str) -> np.random.Generator:
    """A numpy generator for one named part of a run."""
    return np.random.default_rng(derive(seed, *names))


@contextmanager
def seeded_dropout(seed: int, *names: int | str) -> Iterator[None]:
    """Inside, torch's global state (dropout takes no generator) is seeded; outside, it is as it was before."""
    devices = list(range(torch.cuda.device_count())) if torch.cuda.is_available() else []
    with torch.random.fork_rng(devices):
        torch.manual_seed(derive(seed, *names))
        yield
