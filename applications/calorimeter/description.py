"""What a file of showers holds, in rows of words for a terminal."""

from __future__ import annotations

import os
from collections.abc import Iterable
from itertools import groupby

import numpy as np

from hepflows import io
from hepflows.applications.calorimeter.data import find_showers, read_showers
from hepflows.applications.calorimeter.formats import Found
from hepflows.applications.calorimeter.geometry import GEOMETRIES, Geometry
from hepflows.applications.calorimeter.showers import COLUMNS, Showers
from hepflows.errors import DataError

__all__ = ["describe", "left_out"]

Rows = list[tuple[str, str]]

_SHOWN = 12  # columns of a file that is not known, layers of a shower


def describe(
    path: str | os.PathLike[str],
    *,
    geometry: Geometry | str | os.PathLike[str] | None = None,
    n: int = 1000,
    energy_unit: str | None = None,
    voxel_unit: str | None = None,
) -> Rows:
    """Layout, cells, number of showers, energies, response, sparsity, columns and attributes of a file.

    Args:
        path: one file.
        geometry: its cells, as `read_showers` takes them.
        n: the first so many showers are looked at.
        energy_unit: unit of the incident energies, where it is not that of the layout.
        voxel_unit: unit of the deposits, where it is not that of the layout.

    Returns:
        Rows of quantity and value.

    A file whose layout or cells are not known is described by the columns that it has.

    Raises:
        DataError: the file cannot be read, or its numbers are no showers.

    >>> import tempfile
    >>> from hepflows.applications.calorimeter import write_showers
    >>> path = tempfile.mkdtemp() + "/showers.hdf5"
    >>> write_showers(path, Showers(np.full(3, 50.0), np.full((3, 504), 90.0)))
    3
    >>> for row in describe(path)[:4]:
    ...     print(*row, sep=": ")
    layout: calogan (HDF5)
    geometry: CaloGAN, known as calogan
    cells: 504 in 3 layers: 3 x 96, 12 x 12, 12 x 6
    showers: 3
    """
    contents = io.contents(path, hint=("TotalEnergy", "cell_0"))
    try:
        (found,) = find_showers(path, geometry=geometry, energy_unit=energy_unit, voxel_unit=voxel_unit)
    except DataError as error:  # of another form: what it holds is all the more worth knowing
        return _unknown(str(error), contents)
    showers = read_showers(path, geometry=geometry, n=n, energy_unit=energy_unit, voxel_unit=voxel_unit)
    rows = [*_file(found), *_numbers(showers, found.rows)]
    rows += [(f"  {key}", text) for key, text in showers.attributes.items()]
    unknown = left_out([found])
    return rows + ([("not read", ", ".join(unknown))] if unknown else [])


def left_out(files: Iterable[Found]) -> list[str]:
    """Names of the columns of files that mean nothing to us, each once."""
    return sorted({name for found in files for name in found.unknown})


def _unknown(reason: str, contents: io.Contents) -> Rows:
    rows = [("not read", reason)]
    for name, shape in list(contents.shapes.items())[:_SHOWN]:
        rows.append((f"  {name}", "no numbers" if shape is None else " x ".join(map(str, shape)) or "one number"))
    if len(contents.shapes) > _SHOWN:
        rows.append(("  ...", f"{len(contents.shapes)} in all"))
    return rows + [(f"  {key}", text) for key, text in contents.attributes.items()]


def _file(found: Found) -> Rows:
    layout, geometry = found.layout, found.layout.geometry
    known = [name for name, cells in GEOMETRIES.items() if cells == geometry]
    name = f"{geometry.name}, known as {known[0]}" if known else geometry.name
    form = "HDF5" if layout.kind == "dataset" else "ROOT"
    return [
        ("layout", f"{layout.name} ({form})"),
        ("geometry", name),
        ("cells", f"{geometry.n_voxels} in {geometry.n_layers} layers: {_shapes(geometry)}"),
        ("showers", f"{found.rows:,}"),
        ("units", f"incident energies in {layout.units.energy}, deposits in {layout.units.voxel}"),
    ]


def _shapes(geometry: Geometry) -> str:
    """The pictures of the layers, equal neighbours together."""
    runs = ((shape, len(list(run))) for shape, run in groupby(layer.shape for layer in geometry.layers))
    return ", ".join((f"{n} times " if n > 1 else "") + " x ".join(map(str, shape)) for shape, n in runs)


def _numbers(showers: Showers, n: int) -> Rows:
    layers = showers.layer_energies
    deposits, distinct = layers.sum(axis=1), np.unique(showers.energies)
    total = float(deposits.sum()) or 1.0
    shares = [f"{100 * share:.3g} %" for share in layers.sum(axis=0)[:_SHOWN] / total]
    fixed = f", {len(distinct)} different ones" if len(distinct) < min(100, len(showers)) else ""
    rows = [
        ("looked at", "all" if len(showers) == n else f"the first {len(showers):,}"),
        ("incident energy", f"{distinct[0]:.4g} to {distinct[-1]:.4g} GeV{fixed}"),
        ("response", f"{_range(deposits / (1e3 * showers.energies))} (cells / incident)"),
        ("overflow", f"{float(showers.overflow.sum()) / total:.3g} (beyond / in the cells)"),
        ("share of layers", ", ".join([*shares, "..."] if showers.geometry.n_layers > _SHOWN else shares)),
        ("empty cells", f"{100 * float(np.mean(showers.voxels == 0)):.1f} %"),
        ("largest deposit", f"{float(showers.voxels.max()):.4g} MeV"),
    ]
    for name, values in showers.columns.items():
        rows.append((name, f"{float(values.min()):.4g} to {float(values.max()):.4g} {COLUMNS[name]}".rstrip()))
    return rows


def _range(values: np.ndarray) -> str:
    return f"median {float(np.median(values)):.4g}, {float(values.min()):.4g} to {float(values.max()):.4g}"
