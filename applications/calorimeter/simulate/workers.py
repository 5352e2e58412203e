"""Processes that make shards: a Geant4 error aborts the process it happens in, which must not be the user's."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from queue import SimpleQueue

from hepflows.errors import ConfigError, SimulationError

__all__ = ["make_shards"]

_MODULE = "hepflows.applications.calorimeter.simulate.worker"
_TAIL_LINES = 3


def make_shards(
    folder: Path,
    seeds: Sequence[tuple[int, int]],
    *,
    jobs: int,
    environment: dict[str, str],
    done: Callable[[int], None],
) -> None:
    """Make shards in ``jobs`` processes, whichever is free taking the next.

    Args:
        folder: of the shards; its settings say everything about them but their seeds.
        seeds: (index, seed) of the shards to make.
        jobs: number of processes.
        environment: added to that of the processes.
        done: called with the index of every shard, when it is written.

    Raises:
        SimulationError: a process died; the shards that are written stay.
        ConfigError: a process found the settings wrong.
    """
    workers = [_Worker(folder, number, environment) for number in range(min(jobs, len(seeds)))]
    if not workers:
        return
    free: SimpleQueue[_Worker] = SimpleQueue()
    for worker in workers:
        free.put(worker)

    def make(index: int, seed: int) -> int:
        worker = free.get()
        try:
            worker.make(index, seed)
        finally:
            free.put(worker)  # also one that died: who waits for it must not wait for ever
        return index

    pool = ThreadPoolExecutor(len(workers))
    try:
        for future in as_completed([pool.submit(make, index, seed) for index, seed in seeds]):
            done(future.result())
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
        for worker in workers:
            worker.kill()  # what is written is complete, nothing else is of use


class _Worker:
    """One process: a line with index and seed in, the index out when its shard is written."""

    def __init__(self, folder: Path, number: int, environment: dict[str, str]) -> None:
        self._log = folder / f"worker{number}.log"
        with open(self._log, "wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", _MODULE, str(folder)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
                text=True,
            )

    def make(self, index: int, seed: int) -> None:
        process = self._process
        if process.stdin is None or process.stdout is None:
            raise TypeError
        with contextlib.suppress(BrokenPipeError):
            print(index, seed, file=process.stdin, flush=True)
        answer = process.stdout.readline().strip()
        if answer.startswith("refused: "):
            raise ConfigError(answer.removeprefix("refused: "))
        if answer != str(index):
            raise SimulationError(self._obituary(index))

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                with contextlib.suppress(BrokenPipeError):
                    stream.close()

    def _obituary(self, index: int) -> str:
        code = self._process.wait()
        how = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"
        text = self._log.read_text(errors="replace")
        lines = [" ".join(line.split()) for line in text.splitlines() if line.strip(" \n-*")]
        tail = (
            " | ".join(lines[-1 if code == 1 else -_TAIL_LINES :]) or "nothing"
        )  # of a traceback the last line says it
        return (
            f"a process of the simulation {how} in shard {index}, its last words were: {tail}; the shards that are done stay, "
            "remove the cause and repeat the command to go on"
        )
