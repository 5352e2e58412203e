"""What a person sees while a command works: a progress bar with the time left on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from hepflows.errors import HepflowsError

Update = Callable[[int, int, str], None]
"""Called with (done, in all, a short text)."""

console = Console(highlight=False, soft_wrap=True)
errors = Console(stderr=True, highlight=False, soft_wrap=True)


def silence() -> None:
    """Print nothing from now on: another process says it."""
    console.quiet = errors.quiet = True


def say(text: str) -> None:
    """Print a line."""
    console.print(text, markup=False)


def table(rows: Sequence[tuple[str, ...]]) -> None:
    """Print rows in aligned columns."""
    grid = Table(show_header=False, box=None, pad_edge=False)
    for row in rows:
        grid.add_row(*map(escape, row))
    console.print(grid)


@contextmanager
def progress(title: str) -> Iterator[Update]:
    """Show how far a piece of work has come; yields the function to call after every step."""
    if console.is_terminal:
        yield from _bar(title)
    else:
        yield from _lines(title)


def _bar(title: str) -> Iterator[Update]:
    columns = (
        TextColumn("{task.fields[title]}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        TextColumn("{task.description}"),
    )
    with Progress(*columns, console=console) as bar:
        task = bar.add_task("", total=None, title=title)
        yield lambda done, total, text: bar.update(task, completed=done, total=total, description=text)


def _lines(title: str, every: float = 15.0) -> Iterator[Update]:
    started = last = time.monotonic()
    first: int | None = None  # a resumed run does not start at zero

    def update(done: int, total: int, text: str) -> None:
        nonlocal first, last
        now = time.monotonic()
        if first is None:
            first = done
        elif now - last >= every and done < total:
            left = (now - started) * (total - done) / max(1, done - first)
            say(f"{title}: {100 * done // total} %, {text}, about {_duration(left)} left")
            last = now

    yield update
    say(f"{title}: done in {_duration(time.monotonic() - started)}")


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


@contextmanager
def interruptible(out: Path) -> Iterator[None]:
    """Ctrl-C inside ends the command with code 130, and a sentence on how to go on with the run in ``out``.

    After an error a run that began inside and holds nothing yet but what was asked for is taken away, so that the command can be mended.
    """
    new = not out.exists()
    try:
        yield
    except KeyboardInterrupt:
        import typer

        errors.print(f"\ninterrupted: repeat the command with --resume to go on with {out}", markup=False)
        raise typer.Exit(130) from None
    except HepflowsError:
        if new:
            from hepflows.training.runs import withdraw

            withdraw(out)
        raise
