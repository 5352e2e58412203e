"""Where the cells of a calorimeter lie."""

from hepflows.applications.calorimeter.geometry.binning import read_binning, write_binning
from hepflows.applications.calorimeter.geometry.catalogue import CALOGAN, GEOMETRIES, geometry_from, load_geometry
from hepflows.applications.calorimeter.geometry.geometry import Geometry
from hepflows.applications.calorimeter.geometry.layers import GridLayer, Layer, PolarLayer

__all__ = [
    "CALOGAN",
    "GEOMETRIES",
    "Geometry",
    "GridLayer",
    "Layer",
    "PolarLayer",
    "geometry_from",
    "load_geometry",
    "read_binning",
    "write_binning",
]
