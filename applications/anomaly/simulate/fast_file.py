"""Analytic events into a file, a chunk at a time."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hepflows.applications.anomaly.regions import Regions
from hepflows.applications.anomaly.simulate.fast import FEATURES, RESONANCE, FastModel, signal_events
from hepflows.errors import ConfigError
from hepflows.io.columns import write_columns
from hepflows.training.seeding import derive

CHUNK = 250_000


def simulate_file(
    output: Path,
    background: int,
    signal: int | None,
    *,
    s_over_b: float,
    variant: str,
    window: str | None,
    seed: int,
) -> tuple[int, int]:
    """Write labelled events; returns the numbers of background and signal.

    Raises:
        ConfigError: an unknown variant, or no events.
    """
    model = FastModel(variant)
    region = None if window is None else Regions.parse(window)
    count = signal_events(background, s_over_b) if signal is None else signal
    if signal is None and region is not None:
        count = 0  # more background: nothing was said about a signal
    total = background + count
    if total < 1:
        message = "there is nothing to simulate: give --background or --signal"
        raise ConfigError(message)

    def chunks() -> Iterator[dict[str, Any]]:
        for first in range(0, total, CHUNK):
            last = min(first + CHUNK, total)
            # as many signal events in every part of the file
            part = last * count // total - first * count // total
            events = model.generate(
                last - first - part,
                signal=part,
                seed=derive(seed, "chunk", first),
                window=None if region is None else (region.low, region.high),
            )
            yield {
                RESONANCE: events.resonance,
                **{name: events.column(name) for name in FEATURES},
                "label": events.label,
                "log_likelihood_ratio": model.log_likelihood_ratio(events),
            }

    write_columns(
        output, chunks(), attributes={"engine": "fast", "variant": variant, "units": "TeV", "seed": str(seed)}
    )
    return background, count
