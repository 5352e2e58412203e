"""Which layout a file gets when it is written."""

from __future__ import annotations

import os

from hepflows.applications.calorimeter.formats.calochallenge import CaloChallenge
from hepflows.applications.calorimeter.formats.calogan_hdf5 import CaloGanHdf5
from hepflows.applications.calorimeter.formats.calogan_root import MOST_CELLS, CaloGanRoot
from hepflows.applications.calorimeter.formats.layout import Layout
from hepflows.applications.calorimeter.formats.pointcloud import PointCloud
from hepflows.applications.calorimeter.geometry import Geometry, PolarLayer
from hepflows.errors import ConfigError
from hepflows.io.paths import file_format

__all__ = ["LAYOUTS", "layout_for"]

LAYOUTS: dict[str, type[Layout]] = {layout.name: layout for layout in (CaloGanHdf5, CaloChallenge, PointCloud)}
"""The layouts of HDF5 files by the names that ``--layout`` takes; ROOT files have that of CaloGAN."""


def layout_for(path: str | os.PathLike[str], geometry: Geometry, layout: str | None = None) -> Layout:
    """The layout of a file to be written.

    Args:
        path: its suffix decides between ROOT and HDF5.
        geometry: of HDF5 files, rings are written as in the CaloChallenge, grids as in CaloGAN.
        layout: another one, by its name.

    Raises:
        DataError: the suffix is unknown.
        ConfigError: there is no such layout, or not as ROOT, or the geometry has too many cells for branches.

    >>> from hepflows.applications.calorimeter.geometry import CALOGAN, load_geometry
    >>> [field.name for field in layout_for("showers.h5", CALOGAN).fields]
    ['energy', 'layer_0', 'layer_1', 'layer_2', 'overflow']
    >>> len(layout_for("showers.root", CALOGAN).fields)
    508
    >>> layout_for("showers.h5", load_geometry("calochallenge-2")).name
    'calochallenge'
    """
    if layout is not None and layout not in LAYOUTS:
        message = f"there is no layout {layout!r}: choose one of {', '.join(LAYOUTS)}"
        raise ConfigError(message)
    if file_format(path) == "ROOT":
        return _root(os.fspath(path), geometry, layout)
    rings = all(isinstance(layer, PolarLayer) for layer in geometry.layers)
    return LAYOUTS[layout or ("calochallenge" if rings else "calogan")](geometry)


def _root(path: str, geometry: Geometry, layout: str | None) -> Layout:
    if layout not in (None, CaloGanRoot.name):
        message = f"{path}: ROOT files have the layout {CaloGanRoot.name}, not {layout}: give a name that ends in .hdf5"
        raise ConfigError(message)
    if geometry.n_voxels > MOST_CELLS:
        message = (
            f"{path}: ROOT files have one branch a cell, of which the geometry {geometry.name!r} has {geometry.n_voxels}, "
            f"and more than {MOST_CELLS} take too long: give a name that ends in .hdf5"
        )
        raise ConfigError(message)
    return CaloGanRoot(geometry)
