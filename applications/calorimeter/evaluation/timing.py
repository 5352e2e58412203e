"""How long a trained model takes for a shower, as published tables quote it: by size of the batch, with the model loaded."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from hepflows import __version__
from hepflows.errors import ConfigError

BATCHES = (1, 100, 10_000)
"""Sizes of the batches of the CaloChallenge's tables."""


def time_batches(
    sample: Callable[[int], object],
    batches: Sequence[int] = BATCHES,
    *,
    repeats: int = 7,
    seconds: float = 60.0,
    progress: Callable[[int, int, str], None] | None = None,
) -> list[dict[str, Any]]:
    """Time a generator, batch by batch.

    Each size is run once without being timed, then ``repeats`` times; after ``seconds`` no further repetition of a size is
    begun once there are three. The spread is half the range of the central 68 % of the repetitions, of a single one and not of the
    median.

    Args:
        sample: makes so many showers.
        batches: numbers of showers in one call.
        repeats: timed calls of each, at least 3.
        seconds: after which a size is given up on early.
        progress: called with (done, in all, text).

    Returns:
        For each size ``batch``, ``ms_per_shower`` (median), ``ms_per_shower_spread``, ``repeats``, and ``milliseconds`` of every call.

    Raises:
        ConfigError: no batch, one below 1, or fewer than 3 repeats.

    >>> found = time_batches(lambda n: time.sleep(0.001 * n), [1, 4], repeats=3)
    >>> [one["batch"] for one in found], all(one["ms_per_shower"] >= 1.0 for one in found)
    ([1, 4], True)
    """
    if not batches or min(batches) < 1 or repeats < 3:
        message = f"timing needs batches of 1 or more showers and 3 or more repeats, but got {list(batches)} and {repeats}: change them"
        raise ConfigError(message)
    found = []
    for number, batch in enumerate(batches):
        sample(batch)
        times: list[float] = []
        begun = time.perf_counter()
        while len(times) < repeats and (len(times) < 3 or time.perf_counter() - begun < seconds):
            started = time.perf_counter()
            sample(batch)
            times.append(1e3 * (time.perf_counter() - started))
            if progress is not None:
                progress(number * repeats + len(times), len(batches) * repeats, f"batch {batch:,}")
        low, high = np.quantile(times, [0.16, 0.84]) / batch
        found.append(
            {
                "batch": int(batch),
                "ms_per_shower": float(np.median(times)) / batch,
                "ms_per_shower_spread": float(high - low) / 2,
                "repeats": len(times),
                "milliseconds": times,
            }
        )
    return found


def time_model(
    path: Path,
    batches: Sequence[int] = BATCHES,
    *,
    repeats: int = 7,
    seed: int = 1,
    progress: Callable[[int, int, str], None] | None = None,
) -> dict[str, Any]:
    """Time a trained model on this machine, from incident energies to voxels in MeV in memory; files are not part of it.

    Args:
        path: folder of a run, or its ``model.safetensors``.
        batches, repeats, progress: see `time_batches`.
        seed: of the showers.

    Returns:
        ``batches`` (see `time_batches`), ``parameters``, and the machine: ``cpu``, ``threads``, ``torch``, ``hepflows``.

    Raises:
        CheckpointError: there is no model.
    """
    from hepflows.applications.calorimeter.models.caloflow import CaloFlow

    model = CaloFlow.load(path)
    times = time_batches(lambda n: model.sample(n, seed=seed), batches, repeats=repeats, progress=progress)
    return {
        "model": str(path),
        "kind": model.config.kind,
        "geometry": model.geometry.name,
        "parameters": sum(one.numel() for one in model.parameters()),
        "batches": times,
        "device": "cpu",
        "cpu": cpu_name(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "hepflows": __version__,
    }


def cpu_name() -> str:
    """What the processor calls itself.

    >>> len(cpu_name()) > 0
    True
    """
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine() or "unknown"


def rows(found: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """The times for a terminal."""
    return [
        ("batch", "ms a shower", "spread", "repeats"),
        *(
            (
                f"{one['batch']:,}",
                f"{one['ms_per_shower']:.3g}",
                f"± {one['ms_per_shower_spread']:.2g}",
                str(one["repeats"]),
            )
            for one in found["batches"]
        ),
    ]
