"""``hepflows integration ...``: arguments in, the functions of the package called, a few lines out."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from hepflows import console
from hepflows.applications.integration.bounds_option import BoundsCommand
from hepflows.errors import ConfigError
from hepflows.launch import launched, use_threads
from hepflows.options import Overwrite, Resume, Threads

app = typer.Typer(no_args_is_help=True, rich_markup_mode="markdown")


class Method(StrEnum):
    """The sampler."""

    auto = "auto"
    vegas = "vegas"
    flow = "flow"


class Style(StrEnum):
    """How the function is called."""

    numpy = "numpy"
    torch = "torch"
    point = "point"


class Format(StrEnum):
    """Suffix of a file of events."""

    hdf5 = "hdf5"
    root = "root"
    lhe = "lhe"
    lhe_gz = "lhe.gz"


@app.callback()
def alone() -> None:
    """Integrals with honest errors, and their events.

    Example: `hepflows integration run --builtin ee3j --neval 1e6 --out runs/ee3j`
    """
    if launched()[0]:
        console.silence()  # the first process speaks for all


@app.command(cls=BoundsCommand)
def run(
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of the run.", show_default=False)],
    function: Annotated[
        str | None,
        typer.Argument(
            metavar="MODULE:FUNCTION",
            help="The integrand, in the current folder or installed: it takes points (n, d), numpy or torch, or one at a time.",
            show_default=False,
        ),
    ] = None,
    builtin: Annotated[
        str | None,
        typer.Option(help="A built-in integrand instead, see `hepflows integration list`.", show_default=False),
    ] = None,
    bounds: Annotated[
        list[str] | None,
        typer.Option(
            "--bounds",
            metavar="LOW,HIGH ...",
            help="One for each coordinate: 0,1 or -1,inf, or a whole number K for a discrete one that is summed over 0 to K - 1.",
            show_default=False,
        ),
    ] = None,
    neval: Annotated[
        float, typer.Option(help="Evaluations in all, training included.", metavar="N", show_default="1e6")
    ] = 1e6,
    seed: Annotated[int, typer.Option(help="Seed of all random numbers.")] = 1,
    method: Annotated[Method, typer.Option(help="The sampler; auto takes whatever is expected to pay.")] = Method.auto,
    rtol: Annotated[
        float | None, typer.Option(help="Stop as soon as the relative error is below.", show_default=False)
    ] = None,
    style: Annotated[
        Style | None,
        typer.Option(help="How the function is called; found out where not given.", show_default=False),
    ] = None,
    events: Annotated[int, typer.Option(help="Number of events, 0 for none.", min=0)] = 10_000,
    weighted: Annotated[bool, typer.Option("--weighted", help="Events with their weights, none rejected.")] = False,
    overweight: Annotated[
        float,
        typer.Option(
            help="Share of the sum of weights that may lie above the cap; these events keep a weight above one.",
            min=0.0,
            max=0.5,
        ),
    ] = 1e-3,
    formats: Annotated[
        list[Format] | None,
        typer.Option("--format", help="Of the events, repeatable; lhe for processes only.", show_default="hdf5"),
    ] = None,
    verdict: Annotated[
        bool,
        typer.Option(
            "--verdict",
            help="Let a classifier compare events of a built-in integrand with acceptance-rejection (minutes).",
        ),
    ] = False,
    resume: Resume = False,
    overwrite: Overwrite = False,
    threads: Threads = None,
) -> None:
    """Integrate a function, draw events, and write numbers, events and a report into a folder.

    Example: `hepflows integration run mymodule:f --bounds 0,1 0,1 --neval 1e6 --out runs/f`

    In 8 processes: `torchrun --standalone --nproc-per-node 8 -m hepflows.cli integration run mymodule:f --bounds 0,1 --out runs/f`

    Built-in: `hepflows integration run --builtin ee3j --neval 1e6 --out runs/ee3j --format root --format lhe`
    """
    _check(function, builtin, bounds, neval)
    from hepflows.applications.integration import pipeline

    use_threads(threads)
    settings = pipeline.Settings(
        integrand=builtin or function or "",
        builtin=builtin is not None,
        bounds=tuple(bounds or ()),
        neval=int(neval),
        method=method.value,
        rtol=rtol,
        style=None if style is None else style.value,
        events=events,
        weighted=weighted,
        overweight=overweight,
        formats=tuple(one.value for one in formats or [Format.hdf5]),
        verdict=verdict,
    )
    with console.interruptible(out):
        values = pipeline.run(settings, out, seed, resume=resume, overwrite=overwrite)
    _tell_files(values, out)


@app.command("list")
def list_() -> None:
    """The built-in integrands: name, dimension, integral, one line of text.

    Example: `hepflows integration list`
    """
    from hepflows.applications.integration.catalogue import rows

    console.table([("name", "d", "integral", ""), *rows()])


def _check(function: str | None, builtin: str | None, bounds: list[str] | None, neval: float) -> None:
    if (function is None) == (builtin is None):
        message = "give either a function, as module:name, or --builtin with a name from hepflows integration list"
        raise ConfigError(message)
    if function is not None and not bounds:
        message = f"{function}: give the --bounds of each coordinate, for example --bounds 0,1 0,1"
        raise ConfigError(message)
    if builtin is not None and bounds:
        message = f"--builtin {builtin}: it has bounds of its own, leave --bounds out"
        raise ConfigError(message)
    if not 2000 <= neval <= 1e15:
        message = f"--neval {neval:g}: an integral with its error needs at least 2000 evaluations, for example 1e6"
        raise ConfigError(message)


def _tell_files(values: dict[str, Any], out: Path) -> None:
    """Where everything lies."""
    for name, count in values.get("events", {}).get("files", {}).items():
        console.say(f"{count} events: {out / name}")
    console.say(f"report: {out / 'report.html'}")
