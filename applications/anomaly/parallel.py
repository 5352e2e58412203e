"""Folds in processes of their own; what each has learnt comes back as the file that a resumed run would find."""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool

from hepflows.errors import TrainingError
from hepflows.training.loop import Progress

Fold = Callable[[int], None]
"""Fits one fold and writes it to its file; it is sent to each process once, and must be picklable."""

_fold: list[Fold] = []


def fit_folds(fold: Fold, indices: Sequence[int], jobs: int, progress: Progress | None) -> None:
    """Call ``fold`` for each index, in at most ``jobs`` processes of one thread each.

    Raises:
        TrainingError: a process died, for example for want of memory.
    """
    context = multiprocessing.get_context("spawn")  # a forked torch may hang
    workers = min(jobs, len(indices))
    pool = ProcessPoolExecutor(workers, mp_context=context, initializer=_start, initargs=(fold,))
    before = set(multiprocessing.active_children())
    try:
        futures = [pool.submit(_fit, index) for index in indices]
        for done, future in enumerate(as_completed(futures), start=1):
            future.result()
            if progress is not None:
                progress(done, len(futures), f"{done} of {len(futures)} folds")
    except BrokenProcessPool as error:
        message = f"a process that trained a fold was ended, perhaps for want of memory: use fewer than {workers} --jobs and --resume"
        raise TrainingError(message) from error
    except BaseException:
        # an interrupt, or an error of one fold: do not wait for the others
        for child in set(multiprocessing.active_children()) - before:
            child.terminate()
        raise
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _start(fold: Fold) -> None:
    import torch

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the first process decides
    torch.set_num_threads(1)
    _fold[:] = [fold]


def _fit(index: int) -> None:
    _fold[0](index)
