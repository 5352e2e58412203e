"""Pieces of work in processes of their own; what each has made comes back as the file that a resumed run would find."""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from typing import Any

from hepflows.errors import TrainingError
from hepflows.training.loop import Progress

Work = Callable[[Any], None]
"""Does one piece and writes it to its file; it is sent to each process once, and must be picklable."""

_work: list[Work] = []


def in_processes(work: Work, pieces: Sequence[Any], jobs: int, progress: Progress | None, noun: str) -> None:
    """Call ``work`` for each piece, in at most ``jobs`` processes of one thread each; in this one where it is one.

    Args:
        work: see `Work`.
        pieces: what it is called with.
        jobs: processes.
        progress: called after every piece.
        noun: what the pieces are, for the progress.

    Raises:
        TrainingError: a process died, for example for want of memory.
    """
    workers = min(jobs, len(pieces))
    if workers <= 1:
        for done, piece in enumerate(pieces, start=1):
            work(piece)
            if progress is not None:
                progress(done, len(pieces), f"{done} of {len(pieces)} {noun}")
        return
    context = multiprocessing.get_context("spawn")  # a forked torch may hang
    pool = ProcessPoolExecutor(workers, mp_context=context, initializer=_start, initargs=(work,))
    before = set(multiprocessing.active_children())
    try:
        futures = [pool.submit(_do, piece) for piece in pieces]
        for done, future in enumerate(as_completed(futures), start=1):
            future.result()
            if progress is not None:
                progress(done, len(futures), f"{done} of {len(futures)} {noun}")
    except BrokenProcessPool as error:
        message = f"a process was ended, perhaps for want of memory: use fewer than {workers} --jobs and go on (a run with --resume)"
        raise TrainingError(message) from error
    except BaseException:
        # an interrupt, or an error of one piece: do not wait for the others
        for child in set(multiprocessing.active_children()) - before:
            child.terminate()
        raise
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _start(work: Work) -> None:
    import torch

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the first process decides
    torch.set_num_threads(1)
    _work[:] = [work]


def _do(piece: Any) -> None:
    _work[0](piece)
