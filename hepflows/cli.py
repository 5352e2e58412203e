"""The command line: ``hepflows info`` and whatever registers under the entry-point group ``hepflows.applications``."""

from __future__ import annotations

import errno
import platform
import signal
import sys
import time
from importlib.metadata import PackageNotFoundError, entry_points, version
from typing import Annotated

import typer

from hepflows import __version__
from hepflows.console import errors, say
from hepflows.errors import HepflowsError

_PATIENCE = 5.0

app = typer.Typer(
    name="hepflows",
    help="Normalizing flows for particle physics.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)


def _show_version(wanted: bool) -> None:
    if wanted:
        say(f"hepflows {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Normalizing flows for particle physics.

    Example: `hepflows calorimeter run data/calorimeter/eplus.root --out runs/demo --preset demo`
    """


@app.command()
def info() -> None:
    """Versions, threads and which kernels are in use: those compiled for this processor, or the pure-torch reference, and why.

    `HEPFLOWS_KERNELS=reference` (or `baseline`, `avx2`, `avx512`) chooses them by hand.

    Example: `hepflows info`
    """
    import torch

    from hepflows.kernels import dispatch

    say(f"hepflows {__version__}, Python {platform.python_version()}, {platform.platform()}")
    for package in ("torch", "numpy", "nflows", "h5py", "uproot", "scikit-learn"):
        try:
            say(f"  {package} {version(package)}")
        except PackageNotFoundError:
            say(f"  {package} is not installed: pip install {package}")
    say(f"  threads: {torch.get_num_threads()}, CUDA: {'yes' if torch.cuda.is_available() else 'no'}")
    for line in dispatch.describe():
        say(f"  {line}")
    say(f"  applications: {', '.join(sorted(point.name for point in _applications())) or 'none'}")


def _applications() -> list:  # type: ignore[type-arg]
    return list(entry_points(group="hepflows.applications"))


def _mount() -> None:
    mounted = {group.name for group in app.registered_groups}  # where one process calls main more than once
    for point in sorted(_applications(), key=lambda point: point.name):
        if point.name in mounted:
            continue
        try:
            app.add_typer(point.load(), name=point.name)
        except ImportError as error:  # a broken third party must not take the rest down
            errors.print(f"warning: application {point.name!r} cannot be imported: {error}", markup=False)


def main() -> None:
    """Run the command line: an error of the user is one sentence and exit code 2, never a traceback."""
    _mount()
    signal.signal(signal.SIGTERM, _terminated)
    try:
        app()
    except HepflowsError as error:
        _fail(str(error))
    except OSError as error:
        if error.errno == errno.ENOSPC:
            _fail(f"{error.filename or 'the disk'}: no space left; free some, then run the same command with --resume")
        if error.filename is None:
            raise
        _fail(f"{error.filename}: {error.strerror}; check the path and its permissions")


def _terminated(number: int, _: object) -> None:
    """As a batch system asks at its time limit: half-written files are taken away."""
    sys.exit(128 + number)


def _fail(message: str) -> None:
    errors.print(f"error: {message}", markup=False, style="bold red")
    if (
        errors.quiet
    ):  # torchrun ends all processes as soon as one of them ends: the first one shall have said it by then
        time.sleep(_PATIENCE)
    sys.exit(2)


if __name__ == "__main__":
    main()
