"""From a number of dijet events to a file of features: shards in several processes, weights, one table."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hepflows.applications.anomaly.events import Array
from hepflows.applications.anomaly.formats import lhco
from hepflows.applications.anomaly.jets.clustering import import_fastjet
from hepflows.applications.anomaly.parallel import in_processes
from hepflows.applications.anomaly.simulate.pythia import import_pythia
from hepflows.applications.anomaly.simulate.shards import SIZE, Shard, ShardFolder, Shower
from hepflows.applications.anomaly.simulate.weights import balance
from hepflows.errors import ConfigError
from hepflows.io.columns import format_of, write_columns
from hepflows.training.loop import Progress
from hepflows.training.seeding import numpy_generator

FEATURES = ("mJJ", "mJ1", "mJ2", "dmJ", "tau21_1", "tau21_2", "tau32_1", "tau32_2", "dR")
_CHUNK = 100_000
_IN_REGION = 0.75
"""Share of the signal that passes whose dijet mass lies between 3.3 and 3.7 TeV, roughly: it only turns S/B into a number of events."""


@dataclass(frozen=True)
class Order:
    """How many events are asked for.

    Args:
        background: that pass the selection.
        signal: the same; as many as ``s_over_b`` asks for where None.
        s_over_b: signal over background in the signal region, in events of the file.
        enrich: share of the background that is made with limits on the mass of the hard process.

    Raises:
        ConfigError: a negative number, or a share that is none.
    """

    background: int
    signal: int | None = None
    s_over_b: float = 0.006
    enrich: float = 0.0

    def __post_init__(self) -> None:
        if self.background < 0 or (self.signal or 0) < 0 or self.background + (self.signal or 0) < 1:
            message = "there is nothing to simulate: give --background or --signal"
            raise ConfigError(message)
        if not 0 <= self.enrich <= 1:
            message = f"--enrich is a share of the background and lies between 0 and 1, but is {self.enrich:g}"
            raise ConfigError(message)


def simulate_showers(
    output: Path, order: Order, shower: Shower, *, jobs: int = 1, progress: Progress | None = None
) -> tuple[int, int]:
    """Write labelled events with weights, in random order; repeated after an interruption it goes on.

    Args:
        output: the new file: `FEATURES` in TeV, ``label``, ``weight`` of mean one for the background, and ``m_hat`` in TeV.
        order: how many.
        shower: how they are made.
        jobs: processes.
        progress: called after every shard.

    Returns:
        The numbers of background and signal.

    Raises:
        MissingExtraError: Pythia or FastJet is not installed.
        ConfigError: the folder of shards holds a simulation with other settings.
    """
    import_pythia()
    import_fastjet()
    format_of(output)
    folder = ShardFolder.beside(output, shower)
    enriched = round(order.enrich * order.background)
    plan = [*_shards("background", order.background - enriched), *_shards("enriched", enriched)]
    in_processes(folder.write, folder.missing(plan), jobs, progress, "shards of background")
    background = background_of(folder, plan)
    low, high = shower.enriched
    region = (background["mJJ"] > low) & (background["mJJ"] < high) if order.background else np.zeros(0, dtype=bool)
    signal = order.signal
    if signal is None:
        signal = 0 if shower.window is not None else round(order.s_over_b * int(region.sum()) / _IN_REGION)
    more = _shards("signal", signal)
    in_processes(folder.write, folder.missing(more), jobs, progress, "shards of signal")
    # a signal event counts as much as a background event of the signal region
    weight = float(background["weight"][region].mean()) if region.any() else 1.0
    parts = [background] if order.background else []
    parts += [_table(folder.read(one), label=1, weight=weight) for one in more]
    table = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    about = {
        "engine": "pythia",
        "units": "TeV",
        "seed": str(shower.seed),
        "mpi": str(shower.mpi),
        "smeared": str(shower.smeared),
    }
    write_columns(output, _shuffled(table, shower.seed), attributes=about)
    folder.remove()
    return order.background, signal


def background_of(folder: ShardFolder, plan: list[Shard]) -> dict[str, Array]:
    """The table of all background shards, with weights."""
    read = [(one.kind == "enriched", folder.read(one)) for one in plan]
    if not read:
        return {}
    tried = [sum(int(one["tried"]) for limited, one in read if limited is kind) for kind in (False, True)]
    area = [
        sum(float(one["cross_section"]) * int(one["tried"]) for limited, one in read if limited is kind)
        for kind in (False, True)
    ]
    mean = [sum_ / count if count else 1.0 for sum_, count in zip(area, tried, strict=True)]
    parts = [_table(one, label=0, weight=1.0) for _, one in read]
    table = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    low, high = folder.shower.m_hat
    within = (1e3 * table["m_hat"] >= low) & (1e3 * table["m_hat"] <= high)
    return {**table, "weight": balance(within, (tried[0], tried[1]), (mean[0], mean[1]))}


def _shards(kind: str, events: int) -> list[Shard]:
    return [Shard(kind, index, min(SIZE, events - index * SIZE)) for index in range(-(-events // SIZE))]


def _table(shard: dict[str, Array], *, label: int, weight: float) -> dict[str, Array]:
    n = len(shard["m_hat"])
    made = {name: lhco.derive(name, shard, "TeV") for name in FEATURES}
    return {**made, "label": np.full(n, label), "weight": np.full(n, weight), "m_hat": 1e-3 * shard["m_hat"]}


def _shuffled(table: dict[str, Array], seed: int) -> Iterator[dict[str, Any]]:
    order = numpy_generator(seed, "order").permutation(len(table["label"]))
    for first in range(0, len(order), _CHUNK):
        rows = order[first : first + _CHUNK]
        yield {name: values[rows] for name, values in table.items()}
