"""Calorimeter showers in memory and in files: CaloGAN's HDF5 and ROOT layouts, read and written in chunks."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hepflows import io
from hepflows.applications.calorimeter.checks import UnitCheck, check_columns, unit_factor
from hepflows.applications.calorimeter.formats import TREE, layout_for
from hepflows.applications.calorimeter.geometry import CALOGAN, Geometry
from hepflows.errors import ConfigError, DataError, ShapeError
from hepflows.io.paths import expand

__all__ = ["CHUNK", "Showers", "iterate_showers", "read_showers", "write_showers"]

Array = npt.NDArray[Any]
Pathlike = str | os.PathLike[str]

CHUNK = 2000  # showers: 8 MB of CaloGAN voxels in float64


@dataclass(frozen=True, eq=False)
class Showers:
    """n showers in one calorimeter.

    Args:
        energies: (n,) incident energies in GeV; kept in float64.
        voxels: (n, n_voxels) deposits in MeV, layers one after the other, each in C order of (n_x, n_y).
        overflow: (n, n_layers) deposits outside the cells, in MeV.
        geometry: the cells.
        attributes: where the sample comes from.

    Raises:
        ShapeError: the shapes do not fit together, or the numbers are no real numbers.

    >>> showers = Showers(np.array([50.0, 10.0]), np.ones((2, 504)), np.zeros((2, 3)))
    >>> showers.layer_energies
    array([[288., 144.,  72.],
           [288., 144.,  72.]])
    >>> len(showers[showers.energies > 20.0])
    1
    """

    energies: Array
    voxels: Array
    overflow: Array
    geometry: Geometry = CALOGAN
    attributes: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "energies", np.asarray(self.energies, dtype=np.float64))
        n = len(self.energies) if self.energies.ndim else 0
        for name, width in (("voxels", self.geometry.n_voxels), ("overflow", self.geometry.n_layers)):
            values = np.asarray(getattr(self, name))
            object.__setattr__(self, name, values)
            if values.shape != (n, width) or values.dtype.kind not in "fiu":
                message = (
                    f"the {name} of {n} {self.geometry.name} showers must be real numbers of the shape ({n}, {width}), "
                    f"but are {values.dtype} of the shape {values.shape}: pass one row a shower"
                )
                raise ShapeError(message)
        if self.energies.ndim != 1:
            message = f"the incident energies must have the shape (n,), but have {self.energies.shape}: flatten them"
            raise ShapeError(message)

    def __len__(self) -> int:
        return len(self.energies)

    def __getitem__(self, index: slice | Array | Sequence[int] | Sequence[bool]) -> Showers:
        """The showers of a slice, of indices or of a mask."""
        try:
            energies = self.energies[index]
            if np.ndim(energies) != 1:
                raise IndexError
            voxels, overflow = self.voxels[index], self.overflow[index]
        except IndexError:
            message = f"{len(self)} showers cannot be indexed by {index!r}: pass a slice, indices or a mask that fit"
            raise ShapeError(message) from None
        return Showers(energies, voxels, overflow, self.geometry, dict(self.attributes))

    def layer(self, index: int) -> Array:
        """The images of one layer, (n, n_x, n_y) in MeV."""
        if not -self.geometry.n_layers <= index < self.geometry.n_layers:
            name, last = self.geometry.name, self.geometry.n_layers - 1
            message = f"the geometry {name!r} has no layer {index}: choose one from 0 to {last}"
            raise ShapeError(message)
        return self.voxels[:, self.geometry.slices[index]].reshape(-1, *self.geometry.layers[index].shape)

    @property
    def layer_energies(self) -> Array:
        """Deposits in the cells of each layer, (n, n_layers) in MeV, without the overflow."""
        return np.stack([self.voxels[:, where].sum(axis=1) for where in self.geometry.slices], axis=1)

    @classmethod
    def concatenate(cls, parts: Sequence[Showers]) -> Showers:
        """Showers one after the other; attributes that differ are joined with " | ".

        Raises:
            ShapeError: no parts, or different geometries.
        """
        if not parts:
            message = "no showers to concatenate: pass at least one set"
            raise ShapeError(message)
        _same_geometry(parts)
        return cls(
            np.concatenate([part.energies for part in parts]),
            np.concatenate([part.voxels for part in parts]),
            np.concatenate([part.overflow for part in parts]),
            parts[0].geometry,
            _joined([part.attributes for part in parts]),
        )


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
    total, attributes = sum(map(len, parts)), _joined([part.attributes for part in parts])
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
            _same_geometry([first, part])
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


def _same_geometry(parts: Sequence[Showers]) -> None:
    for part in parts:
        if part.geometry != parts[0].geometry:
            names = f"{parts[0].geometry.name!r} and {part.geometry.name!r}"
            message = f"showers of different geometries, {names}, cannot be joined: keep them apart"
            raise ShapeError(message)


def _joined(attributes: Sequence[Mapping[str, str]]) -> dict[str, str]:
    """One set of attributes; values that differ are joined in the order of their appearance."""
    values: dict[str, dict[str, None]] = {}
    for one in attributes:
        for key, value in one.items():
            values.setdefault(key, {})[value] = None
    return {key: " | ".join(distinct) for key, distinct in values.items()}
