"""``python -m ...simulate.worker FOLDER``: makes the shards that it is told to make, until its input ends. Started by `workers`."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from queue import SimpleQueue
from typing import TextIO

import numpy as np

from hepflows.applications.calorimeter.showers import Showers
from hepflows.applications.calorimeter.simulate.engines import Engine, Settings
from hepflows.applications.calorimeter.simulate.shards import ShardFolder
from hepflows.errors import HepflowsError


def main(folder: Path) -> None:
    """Read lines "index seed", write shards, answer with the index."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # Geant4 speaks on standard output; its words belong into the log
    try:
        settings = Settings.read(ShardFolder(folder, 0, 1).settings())
        shards = ShardFolder(folder, settings.n, settings.size)
        engine = settings.engine()
        for index, seed in _orders():
            shards.write(index, make_shard(engine, settings, shards.showers_in(index), seed))
            print(index, file=answers, flush=True)
    except HepflowsError as error:
        print(f"refused: {error}", file=answers, flush=True)


def make_shard(engine: Engine, settings: Settings, n: int, seed: int) -> Showers:
    """The first ``n`` showers of a shard, which depend on settings and seed only."""
    primaries = settings.gun.draw(settings.size, np.random.default_rng(seed))
    showers = engine.shoot(primaries, seed, n)
    columns = settings.gun.columns(primaries[:n])
    return Showers(showers.energies, showers.voxels, showers.overflow, showers.geometry, columns=columns)


def _orders() -> Iterator[tuple[int, int]]:
    """Yield (index, seed); ends the process as soon as its input ends, in the middle of a shard as well."""
    lines: SimpleQueue[str] = SimpleQueue()

    def listen(source: TextIO) -> None:
        for line in source:
            lines.put(line)
        os._exit(0)  # the parent is gone

    threading.Thread(target=listen, args=(sys.stdin,), daemon=True).start()
    while True:
        index, seed = map(int, lines.get().split())
        yield index, seed


if __name__ == "__main__":
    main(Path(sys.argv[1]))
