"""Showers from files and into files, in chunks: every layout of `formats`, found out by itself."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import chain
from typing import Any

import numpy as np
import numpy.typing as npt

from hepflows import io
from hepflows.applications.calorimeter.checks import OWN_UNITS, UnitCheck, check_unit
from hepflows.applications.calorimeter.formats import GEOMETRY_KEY, TREE, Found, Layout, detect, layout_for
from hepflows.applications.calorimeter.formats.layout import OWN
from hepflows.applications.calorimeter.geometry import Geometry, load_geometry
from hepflows.applications.calorimeter.showers import Showers, joined, of_known_species, same_kind
from hepflows.errors import ConfigError, DataError
from hepflows.io.paths import expand

__all__ = ["CHUNK_BYTES", "find_showers", "iterate_showers", "read_showers", "write_showers"]

Pathlike = str | os.PathLike[str]

CHUNK_BYTES = 2**25
"""Showers are read and written in chunks of about so many bytes, but at least one shower."""


def read_showers(
    paths: Pathlike | Iterable[Pathlike],
    *,
    geometry: Geometry | Pathlike | None = None,
    n: int | None = None,
    dtype: npt.DTypeLike = np.float64,
    energy_unit: str | None = None,
    voxel_unit: str | None = None,
    project: Geometry | None = None,
) -> Showers:
    """Read showers from files of CaloGAN (arXiv:1712.10321), of the CaloChallenge (arXiv:2410.21611) or of showerdata.

    Files of one particle each, read together, get the column ``pdg`` where their attribute ``particle`` tells. Voxels come as they are,
    bit for bit; where a file has another unit than memory, to one unit in the last place.

    Args:
        paths: a file, several, a folder or a glob; read in natural order (_t9 before _t10).
        geometry: the cells of the files: a `Geometry`, a name in `GEOMETRIES`, or a YAML or binning XML file. None: what the
            file says of itself, or else the only known calorimeter with such cells.
        n: at most so many showers; ``None`` reads all.
        dtype: of voxels and overflow, float64 or float32.
        energy_unit: unit of the incident energies in the files, where it is not that of their layout.
        voxel_unit: unit of the voxels and of the overflow in the files, where it is not that of their layout.
        project: cells onto which the points of a point cloud are projected that has no cells of its own.

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
    options = {"geometry": geometry, "n": n, "dtype": dtype, "project": project}
    parts = list(iterate_showers(paths, **options, energy_unit=energy_unit, voxel_unit=voxel_unit))  # type: ignore[arg-type]
    if len({part.attributes.get("particle") for part in parts}) > 1:  # which does not tell them apart any more
        told = [of_known_species(part) for part in parts]
        parts = told if all("pdg" in part.columns for part in told) else parts
    first, total, attributes = parts[0], sum(map(len, parts)), joined([part.attributes for part in parts])
    energies, columns = np.empty(total), {name: np.empty(total) for name in first.columns}
    voxels = np.empty((total, first.geometry.n_voxels), first.voxels.dtype)
    overflow = np.empty((total, first.geometry.n_layers), first.voxels.dtype)
    while parts:  # from the end, giving each part back, so that the peak is one copy of the sample and not two
        part = parts.pop()
        rows = slice(total - len(part), total)
        energies[rows], voxels[rows], overflow[rows] = part.energies, part.voxels, part.overflow
        for name, values in part.columns.items():
            columns[name][rows] = values
        total -= len(part)
    return Showers(energies, voxels, overflow, first.geometry, attributes, columns)


def iterate_showers(
    paths: Pathlike | Iterable[Pathlike],
    *,
    geometry: Geometry | Pathlike | None = None,
    chunk: int | None = None,
    n: int | None = None,
    dtype: npt.DTypeLike = np.float64,
    energy_unit: str | None = None,
    voxel_unit: str | None = None,
    project: Geometry | None = None,
) -> Iterator[Showers]:
    """Read showers in chunks, with memory for one chunk only; options and errors as in :func:`read_showers`.

    A chunk has at most ``chunk`` showers (None: as many as are 32 MB) and never spans two files; it carries the attributes
    of its file.
    """
    # checked here and not in the generator, so that a wrong option is known before the first chunk is asked for
    if (chunk is not None and chunk < 1) or (n is not None and n < 1):
        message = f"chunk and n must be at least 1 shower, but are {chunk} and {n}: give positive numbers"
        raise ConfigError(message)
    if np.dtype(dtype) not in (np.dtype(np.float64), np.dtype(np.float32)):
        message = f"dtype must be float64 or float32, but is {np.dtype(dtype)}: choose one of these"
        raise ConfigError(message)
    files = find_showers(paths, geometry=geometry, energy_unit=energy_unit, voxel_unit=voxel_unit, project=project)
    return _iterate_files(files, chunk, n, np.dtype(dtype))


def find_showers(
    paths: Pathlike | Iterable[Pathlike],
    *,
    geometry: Geometry | Pathlike | None = None,
    energy_unit: str | None = None,
    voxel_unit: str | None = None,
    project: Geometry | None = None,
) -> list[Found]:
    """What the files are from which :func:`read_showers` would read; options and errors as there.

    >>> [found.layout.name for found in find_showers("data/calorimeter/eplus.hdf5")]  # doctest: +SKIP
    ['calogan']
    """
    for unit, option in ((energy_unit, "--energy-unit (energy_unit)"), (voxel_unit, "--voxel-unit (voxel_unit)")):
        if unit is not None:
            check_unit(unit, option)
    files = expand(paths)
    cells = geometry if geometry is None or isinstance(geometry, Geometry) else load_geometry(geometry)
    units = {"energy_unit": energy_unit, "voxel_unit": voxel_unit}
    found = [detect(path, geometry=cells, project=project, **units) for path in files]
    for one in found:
        if one.layout.geometry != found[0].layout.geometry:
            names = f"{found[0].path} ({found[0].layout.geometry.name}) and {one.path} ({one.layout.geometry.name})"
            message = f"the showers of {names} are of different geometries: give files of one"
            raise DataError(message)
    return found


def write_showers(
    path: Pathlike,
    showers: Showers | Iterable[Showers],
    *,
    layout: str | None = None,
    attributes: Mapping[str, str] | None = None,
) -> int:
    """Write showers (float64, compressed) and return how many were written.

    The file appears under its name only when it is complete. Voxels lose nothing, bit for bit, but in point clouds, which
    are in GeV: to one unit in the last place there.

    Args:
        path: a file that ends in .root, .hdf5, .h5 or .hdf.
        showers: showers, or an iterable of them (flat memory).
        layout: ``calogan``, ``calochallenge`` or ``pointcloud``; None: that of the geometry, see
            :func:`~hepflows.applications.calorimeter.formats.layout_for`.
        attributes: added to those of the (first) showers; HDF5 attributes, or JSON beside the ROOT tree. The geometry is
            described there, too.

    Raises:
        DataError: nothing to write, a number that no reader would take, or the file cannot be written.
        ShapeError: parts of different geometries.
        ConfigError: no such layout, or not for these showers.

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
    form = layout_for(path, first.geometry, layout)
    texts = {str(key): str(value) for key, value in {**first.attributes, **(attributes or {})}.items()}
    texts |= {GEOMETRY_KEY: json.dumps(first.geometry.describe())} | form.attributes(first)
    written, step = 0, _chunk_rows(form)
    with io.writer(path, form.writes(first), attributes=texts, tree=TREE) as file:
        for part in chain([first], parts):
            same_kind([first, part])
            for start in range(0, len(part), step):
                piece = part[start : start + step]
                columns = form.pack(piece)
                form.check(path, columns, first_row=written)
                file.extend(columns)
                written += len(piece)
        if not written:
            message = f"{os.fspath(path)}: there are no showers to write: pass at least one"
            raise DataError(message)
        for name, values in form.whole().items():
            file.put(name, values)
    return written


def _chunk_rows(layout: Layout) -> int:
    return max(1, CHUNK_BYTES // layout.row_bytes)


def _iterate_files(files: Iterable[Found], chunk: int | None, n: int | None, dtype: np.dtype[Any]) -> Iterator[Showers]:
    first = None
    for found in files:
        for showers in _iterate_file(found, chunk, n, dtype):
            first = showers if first is None else first
            if set(showers.columns) != set(first.columns):
                names = " and ".join(", ".join(sorted(one.columns)) or "none" for one in (first, showers))
                message = f"{found.path}: has other columns ({names}) than the files before it: read them apart"
                raise DataError(message)
            n = None if n is None else n - len(showers)
            yield showers
        if n == 0:
            return


def _iterate_file(found: Found, chunk: int | None, n: int | None, dtype: np.dtype[Any]) -> Iterator[Showers]:
    layout, path = found.layout, found.path
    unit_check = UnitCheck(path, layout.units.energy, layout.units.voxel)
    row = 0
    with io.reader(path, layout.reads()) as file:
        layout.opened(path, file)
        attributes = {name: text for name, text in file.attributes.items() if not name.startswith(OWN)}
        unit_check.judged = attributes.get("units") == OWN_UNITS
        for columns in file.iterate(chunk=chunk or _chunk_rows(layout), stop=n):
            layout.check(path, columns, first_row=row)
            showers = layout.unpack(columns, dtype)
            if not unit_check.judged:
                unit_check.add(showers.energies, showers.voxels.sum(axis=1))
            row += len(showers)
            yield replace(showers, attributes=attributes)
    unit_check.judge()
