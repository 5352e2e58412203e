"""``hepflows calorimeter convert`` and ``describe``, and the arguments that name files of showers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hepflows import console
from hepflows.errors import ConfigError

if TYPE_CHECKING:
    from hepflows.applications.calorimeter.geometry import Geometry
    from hepflows.applications.calorimeter.showers import Showers

Inputs = Annotated[
    list[str],
    typer.Argument(
        help="Files of showers (CaloGAN, CaloChallenge, showerdata): one, several, a folder or a quoted glob.",
        show_default=False,
    ),
]
Cells = Annotated[
    str | None,
    typer.Option(
        "--geometry",
        help="The cells of the files: a name such as calochallenge-2, a YAML file, or binning.xml:particle; found out where not given.",
        show_default=False,
    ),
]
EnergyUnit = Annotated[
    str | None,
    typer.Option(
        help="Unit of the incident energies in the files: MeV, GeV or TeV; that of the layout where not given.",
        show_default=False,
    ),
]
VoxelUnit = Annotated[
    str | None,
    typer.Option(
        help="Unit of the deposits in the files: keV, MeV or GeV; that of the layout where not given.",
        show_default=False,
    ),
]


def convert(
    inputs: Inputs,
    output: Annotated[Path, typer.Option("--output", "-o", help="File to write, .root or .hdf5.", show_default=False)],
    layout: Annotated[
        str | None,
        typer.Option(
            help="calogan, calochallenge or pointcloud; calochallenge for rings and calogan for grids where not given.",
            show_default=False,
        ),
    ] = None,
    geometry: Cells = None,
    resample: Annotated[
        str | None,
        typer.Option(
            help="Put the showers into the cells of another calorimeter, named as for --geometry; energies of the layers are kept.",
            show_default=False,
        ),
    ] = None,
    energy_unit: EnergyUnit = None,
    voxel_unit: VoxelUnit = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the output file.")] = False,
) -> None:
    """Convert showers between layouts, without loss within one geometry, in flat memory; several inputs become one file.

    Example: `hepflows calorimeter convert showers_t0.root showers_t1.root -o showers.hdf5`
    """
    from hepflows.applications.calorimeter.data import find_showers, iterate_showers, write_showers
    from hepflows.applications.calorimeter.description import left_out
    from hepflows.applications.calorimeter.formats import layout_for
    from hepflows.applications.calorimeter.geometry import load_geometry
    from hepflows.applications.calorimeter.showers import joined

    target = None if resample is None else load_geometry(resample)
    options = {"geometry": geometry, "energy_unit": energy_unit, "voxel_unit": voxel_unit, "project": target}
    found = find_showers(inputs, **options)  # type: ignore[arg-type]
    layout_for(output, target or found[0].layout.geometry, layout)  # a wrong one is known before anything is read
    keep(output, [Path(one.path) for one in found], overwrite)
    for name in left_out(found):
        console.errors.print(
            f"warning: {name!r} in the input means nothing to this command and is left out", markup=False
        )
    heads = [next(iterate_showers([one.path], chunk=1, **options)) for one in found]  # type: ignore[arg-type]
    texts = joined([head.attributes for head in heads])
    chunks: Iterator[Showers] = iterate_showers(inputs, **options)  # type: ignore[arg-type]
    if target is not None:
        chunks = _resampled(chunks, target)
    console.say(f"{write_showers(output, chunks, layout=layout, attributes=texts)} showers in {output}")


def describe(
    inputs: Inputs,
    geometry: Cells = None,
    n: Annotated[int, typer.Option("-n", help="Look at the first so many showers of each file.", min=1)] = 1000,
    energy_unit: EnergyUnit = None,
    voxel_unit: VoxelUnit = None,
) -> None:
    """Say what files hold: layout, cells, number of showers, energies, response, sparsity, columns, attributes.

    Example: `hepflows calorimeter describe data/calorimeter/eplus.hdf5`
    """
    from hepflows.applications.calorimeter.description import describe as rows_of
    from hepflows.io.paths import expand

    for number, path in enumerate(expand(inputs)):
        console.say(f"{chr(10) if number else ''}{path}")
        console.table(rows_of(path, geometry=geometry, n=n, energy_unit=energy_unit, voxel_unit=voxel_unit))


def _resampled(chunks: Iterator[Showers], target: Geometry) -> Iterator[Showers]:
    from hepflows.applications.calorimeter.resampling import resample

    for chunk in chunks:
        yield resample(chunk, target)


def different(outputs: Sequence[Path]) -> None:
    """Refuse to write two things into one file."""
    twice = [path for path, times in Counter(outputs).items() if times > 1]
    if twice:
        message = f"{twice[0]}: is to be written twice; give each output a name of its own"
        raise ConfigError(message)


def keep(output: Path, inputs: list[Path], overwrite: bool) -> None:
    """Refuse to write over something that is wanted, or where nothing can be written."""
    from hepflows.io.atomic import check_target

    output = output.expanduser()
    if output.exists() and any(output.samefile(path) for path in inputs):
        message = f"{output}: is one of the files that are read; give the output another name"
        raise ConfigError(message)
    if output.exists() and not overwrite:
        message = f"{output}: is there already; add --overwrite to replace it, or give another name"
        raise ConfigError(message)
    check_target(output)
