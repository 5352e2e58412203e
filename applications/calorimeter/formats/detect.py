"""What a file of showers is: its layout by the names of its columns, its geometry by what they hold."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from hepflows import io
from hepflows.applications.calorimeter.formats.calochallenge import CaloChallenge
from hepflows.applications.calorimeter.formats.calogan_hdf5 import CaloGanHdf5
from hepflows.applications.calorimeter.formats.calogan_root import CaloGanRoot
from hepflows.applications.calorimeter.formats.layout import GEOMETRY_KEY, Layout, numbered
from hepflows.applications.calorimeter.formats.pointcloud import PointCloud
from hepflows.applications.calorimeter.geometry import CALOGAN, GEOMETRIES, Geometry
from hepflows.errors import DataError
from hepflows.io.paths import file_format

__all__ = ["Found", "detect"]

Make = Callable[..., Layout]

_GIVE = "give its cells with --geometry NAME, file.yaml or binning.xml:particle (geometry=)"

_MOST_CELLS = 2**24  # of a file's own description: more would be an attack on the memory

# formats that people try and that hold no such showers; the names that give them away, and what they are
_OTHERS: tuple[tuple[frozenset[str], str], ...] = (
    (frozenset({"df"}), "is a pandas table, as of the LHC Olympics"),
    (frozenset({"ECAL", "energy"}), "is a file of cubic ECAL images, as of the CLIC detector"),
)


@dataclass(frozen=True)
class Found:
    """What a file is.

    Args:
        path: the file.
        layout: its format and its cells.
        contents: its columns and attributes.
    """

    path: str
    layout: Layout
    contents: io.Contents

    @property
    def rows(self) -> int:
        """Number of showers."""
        shape = self.contents.shapes.get(self.layout.energy)
        return shape[0] if shape else 0

    @property
    def unknown(self) -> list[str]:
        """Columns that are not read."""
        return self.layout.unknown(self.contents.shapes)


def detect(
    path: str | os.PathLike[str],
    *,
    geometry: Geometry | None = None,
    project: Geometry | None = None,
    energy_unit: str | None = None,
    voxel_unit: str | None = None,
) -> Found:
    """Find out what a file is; no showers are read.

    Args:
        path: an HDF5 or ROOT file.
        geometry: its cells. Otherwise they are those of its own description, which `write_showers` leaves in every file,
            or of the only known calorimeter that has such cells.
        project: cells onto which the points of a point cloud without cells are projected.
        energy_unit: unit of the incident energies, where it is not that of the layout.
        voxel_unit: unit of the deposits, where it is not that of the layout.

    Raises:
        DataError: no layout of showers, no or another geometry; the message says what to give.

    >>> import tempfile
    >>> import numpy as np
    >>> from hepflows.applications.calorimeter import GEOMETRIES, Showers, write_showers
    >>> path = tempfile.mkdtemp() + "/showers.hdf5"
    >>> cells = GEOMETRIES["calochallenge-1-photons"]
    >>> write_showers(path, Showers(np.ones(3), np.full((3, 368), 2.0), geometry=cells))
    3
    >>> found = detect(path)
    >>> found.layout.name, found.layout.geometry.name, found.rows
    ('calochallenge', 'CaloChallenge 1, photons', 3)
    """
    name = os.fspath(path)
    contents = io.contents(path, hint=("TotalEnergy", "cell_0"))
    kind = _kind(name, contents.shapes)

    def make(cells: Geometry, **options: bool) -> Layout:
        return kind(cells, energy_unit, voxel_unit, **options)

    own = _own_geometry(name, contents.attributes)
    if geometry is not None and own is not None and geometry != own:
        message = (
            f"{name}: was written with the geometry {own.name!r} and not with {geometry.name!r}: leave --geometry (geometry=) out, "
            "and say --resample to change the cells"
        )
        raise DataError(message)
    told = own if geometry is None else geometry
    if told is not None:
        return Found(name, _told(name, make, told, contents), contents)
    if kind is PointCloud:
        if project is None:
            message = (
                f"{name} {make(CALOGAN).cells(contents)}: {_GIVE}, or project its points with --resample (project=)"
            )
            raise DataError(message)
        return Found(name, make(project, project=True), contents)
    return Found(name, _known(name, make, contents), contents)


def _told(name: str, make: Make, geometry: Geometry, contents: io.Contents) -> Layout:
    """The layout with the cells that it is said to have."""
    layout = make(geometry)
    contradiction = layout.misfit(contents)
    if contradiction:
        others = _fitting(make, contents)
        remedy = f"its cells are those of --geometry {others[0]}" if others else _GIVE
        message = f"{name} {contradiction}: {remedy}"
        raise DataError(message)
    return layout


def _known(name: str, make: Make, contents: io.Contents) -> Layout:
    """The layout with the cells of the one known calorimeter that has such."""
    fitting = _fitting(make, contents)
    if len(fitting) > 1:
        message = f"{name} {make(CALOGAN).cells(contents)}, as {' and '.join(fitting)} have: say which with --geometry (geometry=)"
        raise DataError(message)
    # without a contradiction something is missing or malformed, which the reader will name
    possible = fitting or [key for key, cells in GEOMETRIES.items() if make(cells).misfit(contents) is None]
    if not possible:
        message = f"{name} {make(CALOGAN).cells(contents)}, which no known calorimeter has: {_GIVE}"
        raise DataError(message)
    return make(GEOMETRIES[possible[0]])


def _fitting(make: Make, contents: io.Contents) -> list[str]:
    return [key for key, cells in GEOMETRIES.items() if make(cells).fits(contents)]


def _kind(name: str, names: Collection[str]) -> type[Layout]:
    """The layout that has such columns, even if some are missing: the reader names those."""
    if file_format(name) == "ROOT":
        return CaloGanRoot
    there = set(names)
    for tell_tale, description in _OTHERS:
        if tell_tale <= there:
            message = f"{name} {description}: give a file in the layout of CaloGAN, the CaloChallenge or showerdata"
            raise DataError(message)
    if there & {"num_points", "shower_ids", "directions"}:
        return PointCloud
    if there & {"incident_energies", "showers"}:
        return CaloChallenge
    if "energy" in there or numbered(there, "layer_"):
        return CaloGanHdf5
    message = (
        f"{name} holds {', '.join(sorted(there)[:6]) or 'nothing'}, which is no layout of showers that is known: give a file with "
        "energy, layer_0, ... (CaloGAN), with incident_energies, showers (CaloChallenge) or a point cloud of showerdata"
    )
    raise DataError(message)


def _own_geometry(name: str, attributes: Mapping[str, str]) -> Geometry | None:
    """The geometry that `write_showers` describes in a file."""
    if GEOMETRY_KEY not in attributes:
        return None
    try:
        geometry = Geometry.from_description(json.loads(attributes[GEOMETRY_KEY]))
        if geometry.n_voxels > _MOST_CELLS:
            raise ValueError
        return geometry
    except (ValueError, TypeError, AttributeError, OverflowError, RecursionError):
        message = f"{name}: its attribute {GEOMETRY_KEY!r} describes no geometry: make the file again, or remove the attribute"
        raise DataError(message) from None
