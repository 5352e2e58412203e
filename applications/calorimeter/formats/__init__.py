"""How showers lie in files: one module a layout, and `detect`, which finds out what a file is.

==================  ====================================  ==========================  ========================================
layout              files                                 units: incident, deposits   cells
==================  ====================================  ==========================  ========================================
``calogan``         HDF5, ROOT (arXiv:1712.10321)         GeV, MeV                    one picture a layer; one branch a cell
``calochallenge``   HDF5 (arXiv:2410.21611)               MeV, MeV                    flat, layers one after the other
``pointcloud``      HDF5, as the showerdata package's     GeV, GeV                    points (x, y, layer, energy)
==================  ====================================  ==========================  ========================================
"""

from hepflows.applications.calorimeter.formats.choice import LAYOUTS, layout_for
from hepflows.applications.calorimeter.formats.detect import Found, detect
from hepflows.applications.calorimeter.formats.layout import GEOMETRY_KEY, TREE, Layout, Units

__all__ = ["GEOMETRY_KEY", "LAYOUTS", "TREE", "Found", "Layout", "Units", "detect", "layout_for"]
