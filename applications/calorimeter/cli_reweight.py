"""``hepflows calorimeter reweight``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hepflows import console
from hepflows.applications.calorimeter.file_commands import Cells, keep
from hepflows.errors import ConfigError
from hepflows.options import Seed


def reweight(
    generated: Annotated[str, typer.Argument(help="File of generated showers.", show_default=False)],
    output: Annotated[Path, typer.Option("--output", "-o", help="File to write, .root or .hdf5.", show_default=False)],
    reference: Annotated[
        str | None,
        typer.Argument(help="File of true showers to learn from; judge the result by others.", show_default=False),
    ] = None,
    known: Annotated[
        Path | None,
        typer.Option(
            "--with", help="Weights as an earlier call learnt them, instead of a reference.", show_default=False
        ),
    ] = None,
    remember: Annotated[
        Path | None,
        typer.Option("--keep", help="Write what was learnt to a file, .safetensors, for --with.", show_default=False),
    ] = None,
    unweight: Annotated[
        bool, typer.Option("--unweight", help="Draw showers of weight one instead, and leave the others out.")
    ] = False,
    quantile: Annotated[
        float,
        typer.Option(
            help="With --unweight: the weight that is kept for certain is at this quantile.", min=0.0, max=1.0
        ),
    ] = 1.0,
    folds: Annotated[int, typer.Option(help="Classifiers; no shower is weighted by one that has seen it.", min=2)] = 5,
    clip: Annotated[
        float | None, typer.Option(help="Keep the odds between 1/clip and clip.", show_default=False)
    ] = None,
    geometry: Cells = None,
    seed: Seed = 1,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the output file.")] = False,
) -> None:
    """Give generated showers weights, learnt by a classifier, that make them look like true ones (DCTR).

    Example: `hepflows calorimeter reweight runs/eplus/generated.hdf5 more_geant4.hdf5 -o weighted.hdf5 --keep weights.safetensors`

    More of them: `hepflows calorimeter reweight new.hdf5 --with weights.safetensors -o weighted.hdf5`
    """
    from hepflows.applications.calorimeter import read_showers, reweighting, write_showers
    from hepflows.applications.calorimeter.formats import layout_for
    from hepflows.metrics import Reweighter, effective_size

    if (reference is None) == (known is None):
        message = "give either a file of true showers or, with --with, what an earlier call learnt"
        raise ConfigError(message)
    keep(output, [Path(path) for path in (generated, reference) if path is not None], overwrite)
    showers = read_showers(generated, geometry=geometry)
    layout_for(output, showers.geometry)  # a wrong one is known before anything is learnt
    if known is not None:
        weighted = reweighting.apply_weights(showers, Reweighter.load(known))
    else:
        truth = read_showers(str(reference), geometry=geometry)
        with console.progress("reweighting") as update:
            weighted, found = reweighting.reweight(showers, truth, folds=folds, clip=clip, seed=seed, progress=update)
        if remember is not None:
            found.reweighter.save(remember)
    size = effective_size(weighted.weights)
    console.say(f"{len(weighted)} showers of mean weight {weighted.weights.mean():.3f}, worth {size:.0f} of weight one")
    if unweight:
        weighted = reweighting.unweighted(weighted, seed=seed, quantile=quantile)
    console.say(f"{write_showers(output, weighted)} showers in {output}")
