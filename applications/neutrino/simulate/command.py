"""``hepflows neutrino simulate``: events of an engine into a file, a chunk at a time."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from hepflows import console
from hepflows.applications.neutrino.data import write_events
from hepflows.applications.neutrino.events import Events
from hepflows.applications.neutrino.simulate.fast import Channel, Selection, top_pairs
from hepflows.errors import ConfigError
from hepflows.training.seeding import derive

CHUNK = 100_000


def simulate_file(output: Path, n: int, *, channel: Channel, engine: str, selection: Selection, seed: int) -> int:
    """Write n events that pass the selection, with their true neutrinos.

    Raises:
        ConfigError: an unknown engine or channel, or no events.
        MissingExtraError: the engine is not installed.
    """
    if engine not in ("fast", "pythia"):
        message = f"there is no engine {engine!r}: choose fast or pythia"
        raise ConfigError(message)
    if n < 1:
        message = f"--events must be at least 1, got {n}"
        raise ConfigError(message)

    def chunks() -> Iterator[Events]:
        with console.progress("simulating") as update:
            size = CHUNK if engine == "fast" else 500
            for first in range(0, n, size):
                count, part = min(size, n - first), derive(seed, "chunk", first)
                if engine == "fast":
                    yield top_pairs(count, channel=channel, selection=selection, seed=part)
                else:
                    from hepflows.applications.neutrino.simulate.pythia import pythia_pairs

                    yield pythia_pairs(count, channel=channel, selection=selection, seed=part)
                update(min(first + size, n), n, "events")

    about = {"engine": engine, "channel": channel, "units": "GeV", "seed": str(seed)}
    return write_events(output, chunks(), attributes=about)
