"""``hepflows anomaly simulate``: labelled events of an engine into a file."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from hepflows import console

__all__ = ["simulate"]

ENGINES = ("fast", "pythia")
SIGNAL_REGION = "3.3:3.7"


def simulate(
    output: Annotated[
        Path, typer.Option("--output", "-o", help="File to write: .hdf5, .root, .csv or .parquet.", show_default=False)
    ],
    background: Annotated[
        int | None, typer.Option(help="Background events; 250,000 (fast) or 2,000 (pythia) where not given.", min=0)
    ] = None,
    signal: Annotated[
        int | None, typer.Option(help="Signal events; those of --s-over-b where not given.", min=0, show_default=False)
    ] = None,
    s_over_b: Annotated[
        float, typer.Option(help="Signal over background in the signal region of 3.3 to 3.7 TeV.", min=0)
    ] = 0.006,
    engine: Annotated[
        str,
        typer.Option(help="fast: analytic events with a known likelihood ratio; pythia: dijets (extra pythia)."),
    ] = "fast",
    variant: Annotated[
        str, typer.Option(help="fast: plain, or correlated: masses that grow with the resonance.")
    ] = "plain",
    window: Annotated[
        str | None,
        typer.Option(help="low:high in TeV: only events with a dijet mass between them.", show_default=False),
    ] = None,
    enrich: Annotated[
        float,
        typer.Option(help="pythia: share of the background made around the signal region (or --window); see weight."),
    ] = 0.0,
    mpi: Annotated[bool, typer.Option("--mpi", help="pythia: with multi-parton interactions.")] = False,
    smear: Annotated[bool, typer.Option("--smear", help="pythia: particles pass a simple detector.")] = False,
    pt_hat: Annotated[float, typer.Option(help="pythia: smallest pT of the hard process in GeV.", min=1)] = 1100.0,
    seed: Annotated[int, typer.Option(help="Everything random follows from it.", min=0)] = 1,
    jobs: Annotated[
        int | None,
        typer.Option("--jobs", "-j", help="pythia: processes; one a core where not given.", min=1, show_default=False),
    ] = None,
) -> None:
    """Simulate labelled events in TeV: `mJJ`, `mJ1`, `dmJ`, `tau21_1`, `tau21_2`, `label`.

    The fast engine adds the true `log_likelihood_ratio`; Pythia adds more features and the `weight` of each event, which makes up for
    --enrich. Repeated after an interruption, Pythia goes on.

    Example: `hepflows anomaly simulate --engine pythia --background 100000 --enrich 0.5 -o dijets.hdf5`
    """
    from hepflows.errors import ConfigError

    if engine not in ENGINES:
        message = f"there is no engine {engine!r}: choose one of {', '.join(ENGINES)}"
        raise ConfigError(message)
    if engine == "fast":
        from hepflows.applications.anomaly.simulate.fast_file import simulate_file

        n = simulate_file(
            output,
            250_000 if background is None else background,
            signal,
            s_over_b=s_over_b,
            variant=variant,
            window=window,
            seed=seed,
        )
    else:
        n = _pythia(output, background, signal, s_over_b, window, enrich, mpi, smear, pt_hat, seed, jobs)
    console.say(f"{n[0]} background and {n[1]} signal events in {output}")


def _pythia(
    output: Path,
    background: int | None,
    signal: int | None,
    s_over_b: float,
    window: str | None,
    enrich: float,
    mpi: bool,
    smear: bool,
    pt_hat: float,
    seed: int,
    jobs: int | None,
) -> tuple[int, int]:
    from hepflows.applications.anomaly.regions import Regions
    from hepflows.applications.anomaly.simulate.production import Order, simulate_showers
    from hepflows.applications.anomaly.simulate.shards import Shower

    region = Regions.parse(SIGNAL_REGION if window is None else window, option="--window")
    edges = (region.low, region.high)
    shower = Shower(seed, mpi, smear, pt_hat, None if window is None else edges, edges)
    order = Order(2000 if background is None else background, signal, s_over_b, enrich)
    try:
        with console.progress("simulate") as update:
            return simulate_showers(output, order, shower, jobs=jobs or _cores(), progress=update)
    except KeyboardInterrupt:
        message = f"\ninterrupted: repeat the command to go on, what is done lies in {output}.shards"
        console.errors.print(message, markup=False)
        raise typer.Exit(130) from None


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
