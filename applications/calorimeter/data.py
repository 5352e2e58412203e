"""Calorimeter showers in memory and in files: CaloGAN's HDF5 and ROOT layouts, read and written in chunks."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hepflows import io
from hepflows.applications.calorimeter.checks import UnitCheck, check_columns, unit_factor
from hepflows.applications.calorimeter.formats import TREE, layout_for
from hepflows.applications.calorimeter.geometry import CALOGAN, Geometry
from hepflows.applications.calorimeter.showers import Showers, joined, same_kind
from hepflows.errors import ConfigError, DataError
from hepflows.io.paths import expand

__all__ = ["CHUNK", "iterate_showers", "read_showers", "write_showers"]

Array = npt.NDArray[Any]
Pathlike = str | os.PathLike[str]

CHUNK = 2000  # showers: 8 MB of CaloGAN voxels in float64


def read_showers(
    paths: Pathlike | Iterable[Pathlike],
    *,
    n: int | None = None,
    dtype: npt.DTypeLike = np.float64,
    energy_unit: str = "GeV",
    voxel_unit: str = "MeV",
    geometry: Geometry = CALOGAN,
) -> Showers:
    """Read showers from CaloGAN files (arXiv:1712.10321), HDF5 or ROOT.

    Args:
        paths: a file, several, a folder or a glob; read in natural order (_t9 before _t10).
        n: at most so many showers; ``None`` reads all.
        dtype: of voxels and overflow, float64 or float32.
        energy_unit: unit of the incident energies in the files.
        voxel_unit: unit of the voxels and of the overflow in the files.
        geometry: the cells that the files must have.

    Raises:
        DataError: a file is not what it should be; the message names the file, the object and the remedy.
        ConfigError: an option is wrong.

    >>> import tempfile
    >>> path = tempfile.mkdtemp() + "/showers.hdf5"
    >>> write_showers(path, Showers(np.full(3, 50.0), np.full((3, 504), 90.0), np.zeros((3, 3))))
    3
    >>> read_showers(path, n=2).voxels.shape
    (2, 504)
    """
    options = {"dtype": dtype, "energy_unit": energy_unit, "voxel_unit": voxel_unit, "geometry": geometry}
    parts = list(iterate_showers(paths, n=n, **options))  # type: ignore[arg-type]
    total, attributes = sum(map(len, parts)), joined([part.attributes for part in parts])
    energies = np.empty(total)
    voxels = np.empty((total, geometry.n_voxels), parts[0].voxels.dtype)
    overflow = np.empty((total, geometry.n_layers), parts[0].voxels.dtype)
    while parts:  # from the end, giving each part back, so that the peak is one copy of the sample and not two
        part = parts.pop()
        rows = slice(total - len(part), total)
        energies[rows], voxels[rows], overflow[rows] = part.energies, part.voxels, part.overflow
        total -= len(part)
    return Showers(energies, voxels, overflow, geometry, attributes)


def iterate_showers(
    paths: Pathlike | Iterable[Pathlike],
    *,
    chunk: int = CHUNK,
    n: int | None = None,
    dtype: npt.DTypeLike = np.float64,
    energy_unit: str = "GeV",
    voxel_unit: str = "MeV",
    geometry: Geometry = CALOGAN,
) -> Iterator[Showers]:
    """Read showers in chunks, with memory for one chunk only; options and errors as in :func:`read_showers`.

    A chunk has at most ``chunk`` showers and never spans two files; it carries the attributes of its file.
    """
    # checked here and not in the generator, so that a wrong option is known before the first chunk is asked for
    files = expand(paths)
    if chunk < 1 or (n is not None and n < 1):
        message = f"chunk and n must be at least 1 shower, but are {chunk} and {n}: give positive numbers"
        raise ConfigError(message)
    if np.dtype(dtype) not in (np.dtype(np.float64), np.dtype(np.float32)):
        message = f"dtype must be float64 or float32, but is {np.dtype(dtype)}: choose one of these"
        raise ConfigError(message)
    units = _Units(energy_unit, voxel_unit)
    return _iterate_files(files, chunk, n, np.dtype(dtype), units, geometry)


def write_showers(
    path: Pathlike, showers: Showers | Iterable[Showers], *, attributes: Mapping[str, str] | None = None
) -> int:
    """Write showers in CaloGAN's layout (float64, compressed) and return how many were written.

    The file appears under its name only when it is complete. In float64 nothing is lost, bit for bit.

    Args:
        path: a file that ends in .root, .hdf5, .h5 or .hdf.
        showers: showers, or an iterable of them (flat memory).
        attributes: added to those of the (first) showers; HDF5 attributes, or JSON beside the ROOT tree.

    Raises:
        DataError: nothing to write, a number that no reader would take, or the file cannot be written.
        ShapeError: parts of different geometries.

    >>> import tempfile
    >>> showers = Showers(np.array([50.0]), np.full((1, 504), 90.0), np.zeros((1, 3)), attributes={"source": "example"})
    >>> path = tempfile.mkdtemp() + "/showers.root"
    >>> write_showers(path, showers)
    1
    >>> read_showers(path).attributes
    {'source': 'example'}
    """
    parts = iter([showers] if isinstance(showers, Showers) else showers)
    first = next(parts, None)
    if first is None:
        message = f"{os.fspath(path)}: there are no showers to write: pass at least one"
        raise DataError(message)
    layout = layout_for(path, first.geometry)
    texts = {str(key): str(value) for key, value in {**first.attributes, **(attributes or {})}.items()}
    written = 0
    with io.writer(path, layout.fields, attributes=texts, tree=TREE) as file:
        for part in chain([first], parts):
            same_kind([first, part])
            for start in range(0, len(part), CHUNK):
                piece = part[start : start + CHUNK]
                columns = layout.pack(piece.energies, piece.voxels, piece.overflow)
                check_columns(path, columns, kind=layout.kind, energy=layout.energy, first_row=written)
                file.extend(columns)
                written += len(piece)
        if not written:
            message = f"{os.fspath(path)}: there are no showers to write: pass at least one"
            raise DataError(message)
    return written


class _Units:
    """The units of a file, and the factors to GeV (incident) and MeV (deposits)."""

    def __init__(self, energy: str, voxel: str) -> None:
        self.energy, self.voxel = energy, voxel
        self.to_gev = unit_factor(energy, "GeV", "--energy-unit (energy_unit)")
        self.to_mev = unit_factor(voxel, "MeV", "--voxel-unit (voxel_unit)")


def _iterate_files(
    files: Iterable[Path], chunk: int, n: int | None, dtype: np.dtype[Any], units: _Units, geometry: Geometry
) -> Iterator[Showers]:
    for path in files:
        for showers in _iterate_file(path, chunk, n, dtype, units, geometry):
            n = None if n is None else n - len(showers)
            yield showers
        if n == 0:
            return


def _iterate_file(
    path: Path, chunk: int, n: int | None, dtype: np.dtype[Any], units: _Units, geometry: Geometry
) -> Iterator[Showers]:
    layout = layout_for(path, geometry)
    unit_check = UnitCheck(path, units.energy, units.voxel)
    row = 0
    with io.reader(path, layout.fields, refuse=layout.refuse) as file:
        attributes = file.attributes
        for columns in file.iterate(chunk=chunk, stop=n):
            check_columns(path, columns, kind=layout.kind, energy=layout.energy, first_row=row)
            energies, voxels, overflow = layout.unpack(columns, dtype)
            energies *= units.to_gev
            voxels *= units.to_mev
            overflow *= units.to_mev
            unit_check.add(energies, voxels.sum(axis=1))
            row += len(energies)
            yield Showers(energies, voxels, overflow, geometry, dict(attributes))
    unit_check.judge()
