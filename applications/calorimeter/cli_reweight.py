"""``hepflows calorimeter reweight``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hepflows import console
from hepflows.applications.calorimeter.file_commands import Cells, different, keep
from hepflows.errors import ConfigError
from hepflows.options import Seed

if TYPE_CHECKING:
    from hepflows.applications.calorimeter.showers import Showers


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
    import numpy as np

    from hepflows.applications.calorimeter import iterate_showers, read_showers, reweighting, write_showers
    from hepflows.applications.calorimeter.data import find_showers
    from hepflows.applications.calorimeter.evaluation.samples import path_of
    from hepflows.applications.calorimeter.formats import layout_for
    from hepflows.metrics import Reweighter, effective_size
    from hepflows.metrics import unweight as draw

    if (reference is None) == (known is None):
        message = "give either a file of true showers or, with --with, what an earlier call learnt"
        raise ConfigError(message)
    if remember is not None and known is not None:
        message = f"--keep {remember}: nothing is learnt with --with {known}; leave one of them out"
        raise ConfigError(message)
    if quantile < 1.0 and not unweight:
        message = f"--quantile {quantile:g}: is of --unweight; add it"
        raise ConfigError(message)
    different([path for path in (output, remember) if path is not None])
    generated = path_of(generated)
    ours = find_showers(generated, geometry=geometry)
    read = find_showers([generated, reference], geometry=geometry) if reference is not None else ours
    layout_for(output, ours[0].layout.geometry)  # a wrong one is known before anything is learnt
    inputs = [*(Path(one.path) for one in read), *([known] if known is not None else [])]
    for path in (output, remember):
        if path is not None:
            keep(path, inputs, overwrite)

    def showers() -> Iterator[Showers]:
        yield from iterate_showers(generated, geometry=geometry)

    with console.progress("reweighting") as update:
        if known is not None:
            reweighter, n = Reweighter.load(known), sum(one.rows for one in ours)
            weights = reweighting.weights_of(showers(), reweighter, lambda done: update(done, n, "showers"))
        else:
            true = read_showers(str(reference), geometry=geometry)
            weighted, learnt = reweighting.reweight(
                read_showers(generated, geometry=geometry), true, folds=folds, clip=clip, seed=seed, progress=update
            )
            weights = weighted.weights
            if remember is not None:
                learnt.reweighter.save(remember)
    size = effective_size(weights)
    console.say(f"{len(weights)} showers of mean weight {weights.mean():.3f}, worth {size:.0f} of weight one")
    rows = np.arange(len(weights))
    if unweight:
        kept = draw(weights, seed=seed, quantile=quantile)
        rows, weights = kept.rows, kept.weights
    console.say(f"{write_showers(output, reweighting.selected(showers(), rows, weights))} showers in {output}")
