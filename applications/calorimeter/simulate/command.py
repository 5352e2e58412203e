"""``hepflows calorimeter simulate``: arguments in, `simulate_showers` called, a line out."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from hepflows import console

__all__ = ["simulate"]


def simulate(
    output: Annotated[Path, typer.Option("--output", "-o", help="File to write, .root or .hdf5.", show_default=False)],
    n: Annotated[int, typer.Option("-n", help="Number of showers.", min=1)] = 1000,
    particle: Annotated[
        str, typer.Option(help="eplus, eminus, gamma, piplus, piminus, or with Geant4 a PDG number.")
    ] = "eplus",
    energy: Annotated[
        str,
        typer.Option(
            help="Kinetic energy in GeV: 50, 1:100 (flat), log:1:1000 (flat in the logarithm), or a list 10,20,50."
        ),
    ] = "1:100",
    detector: Annotated[
        str, typer.Option(help="calogan, calogan-active, siw, or a YAML file of your own.")
    ] = "calogan",
    engine: Annotated[str, typer.Option(help="geant4 (extra geant4), or fast: parametrised.")] = "geant4",
    physics: Annotated[
        str | None,
        typer.Option(
            help="Geant4's: em, em-option1 or FTFP_BERT; by the particle where not given.", show_default=False
        ),
    ] = None,
    theta: Annotated[str, typer.Option(help="Angle from the beam axis in rad, as --energy.")] = "0",
    phi: Annotated[str, typer.Option(help="Azimuth in rad.")] = "0",
    x: Annotated[str, typer.Option(help="Place on the front face in mm.")] = "0",
    y: Annotated[str, typer.Option(help="Place on the front face in mm.")] = "0",
    seed: Annotated[int, typer.Option(help="Everything random follows from it.", min=0)] = 1,
    jobs: Annotated[
        int | None,
        typer.Option("--jobs", "-j", help="Processes; one a core where not given.", min=1, show_default=False),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the file, and begin again.")] = False,
) -> None:
    """Simulate showers with real Geant4, or fast and parametrised; repeated after an interruption, it goes on.

    Example: `hepflows calorimeter simulate --particle eplus --energy 1:100 -n 10000 -o showers.hdf5`

    Without extra, thousands a second: `hepflows calorimeter simulate --engine fast --particle gamma -n 100000 -o showers.hdf5`
    """
    from hepflows.applications.calorimeter.simulate import Gun, Spread, load_detector, particle_pdg
    from hepflows.applications.calorimeter.simulate.production import simulate_showers

    values = {"energy": energy, "theta": theta, "phi": phi, "x": x, "y": y}
    gun = Gun(particle_pdg(particle), **{name: Spread.parse(text, f"--{name}") for name, text in values.items()})
    where = load_detector(detector)
    started = time.monotonic()
    first: int | None = None  # a resumed one does not begin at zero
    try:
        with console.progress("simulate") as update:

            def tell(done: int, total: int) -> None:
                nonlocal first
                first = done if first is None else first
                rate = (done - first) / (time.monotonic() - started)
                update(done, total, f"{rate:.3g} showers/s" if done > first else f"{done} showers are there")

            written = simulate_showers(
                output,
                where,
                gun,
                n,
                seed=seed,
                engine=engine,
                physics=physics,
                jobs=jobs,
                overwrite=overwrite,
                update=tell,
            )
    except KeyboardInterrupt:
        again = "the command without --overwrite" if overwrite else "the command"
        message = f"\ninterrupted: repeat {again} to go on, what is done lies in {output}.shards"
        console.errors.print(message, markup=False)
        raise typer.Exit(130) from None
    console.say(f"{written} showers in {output}")
