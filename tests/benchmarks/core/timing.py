"""Competitors side by side in one process: interleaved call by call, ratios taken repetition by repetition."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch

Competitors = dict[str, Callable[[], Any]]


def seconds(function: Callable[[], Any]) -> float:
    """Wall time of one call."""
    started = time.perf_counter()
    function()
    return time.perf_counter() - started


def compare(competitors: Competitors, repeats: int, baseline: str = "nflows", factor: int = 1) -> dict[str, Any]:
    """Time every competitor ``repeats`` times, in turn, after one call of each that is not counted.

    Args:
        competitors: what is timed, by name.
        repeats: counted calls of each.
        baseline: whose time is divided by that of the others.
        factor: multiplies the baseline's time; more than one is an extrapolation and is named so.
    """
    for function in competitors.values():
        function()
    gc.collect()
    gc.disable()  # a collection in the middle of one call would count against that competitor
    try:
        rounds = [{name: seconds(function) for name, function in competitors.items()} for _ in range(repeats)]
    finally:
        gc.enable()
    row: dict[str, Any] = {"extrapolated": factor > 1, "ms": {}, "ratio": {}}
    for name in competitors:
        scale = factor if name == baseline else 1
        row["ms"][name] = 1e3 * scale * statistics.median(r[name] for r in rounds)
        if name != baseline and baseline in competitors:
            ratios = sorted(factor * r[baseline] / r[name] for r in rounds)
            row["ratio"][name] = [statistics.median(ratios), ratios[0], ratios[-1]]
    return row


class Gemm:
    """The rate of a matrix product on the threads in use, measured again and again through a run."""

    def __init__(self, size: int = 1024) -> None:
        self.a, self.b = torch.randn(size, size), torch.randn(size, size)
        self.rates: list[float] = []

    def measure(self) -> float:
        """Multiply-add rate now, in flop/s: the best of five."""
        best = min(seconds(lambda: self.a @ self.b.T) for _ in range(5))
        self.rates.append(2 * len(self.a) ** 3 / best)
        return self.rates[-1]

    @property
    def spread(self) -> float:
        """Largest over smallest rate of the run; a run beyond 1.2 is not to be quoted."""
        return max(self.rates) / min(self.rates)
