"""The binning files of the CaloChallenge (arXiv:2410.21611): one XML element a particle, and in it one a layer.

.. code-block:: xml

    <Bins>
      <Bin pid="22" etaMin="20" etaMax="25" name="photon">
        <Layer id="0" r_edges="0,5,10,30" n_bin_alpha="1" />
        <Layer id="1" r_edges="0" n_bin_alpha="1" />      <!-- a single edge: this layer is not there -->
      </Bin>
    </Bins>
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from xml.etree import ElementTree as ET

from hepflows.applications.calorimeter.geometry.geometry import Geometry
from hepflows.applications.calorimeter.geometry.layers import PolarLayer
from hepflows.errors import ConfigError, ShapeError
from hepflows.io.atomic import replacing

__all__ = ["read_binning", "write_binning"]

_PDG = {"photon": 22, "electron": 11, "pion": 211}
_MAX_BYTES = 10_000_000  # the official ones have a few kB


def read_binning(path: str | os.PathLike[str], particle: str | None = None) -> Geometry:
    """The layers of one particle of a binning file; the voxels of a CaloChallenge file lie in their order.

    Args:
        path: the XML file.
        particle: the name of the element; may be left out where the file has only one.

    Raises:
        ConfigError: the file is missing or no binning file, or has not this particle.
    """
    name = os.fspath(path)
    bins = {str(entry.get("name", "")): entry for entry in _root(name).findall("Bin")}
    if particle is None and len(bins) == 1:
        particle = next(iter(bins))
    if particle not in bins:
        wanted = "its particle must be named" if particle is None else f"it has no particle {particle!r}"
        message = f"{name}: {wanted}; give one of {', '.join(f'{name}:{one}' for one in bins) or 'another file, this has none'}"
        raise ConfigError(message)
    layers = []
    for entry in bins[particle].findall("Layer"):
        try:
            edges = tuple(float(edge) for edge in entry.get("r_edges", "").split(","))
            if len(edges) > 1:
                layers.append(PolarLayer(edges, int(entry.get("n_bin_alpha", ""))))
        except (ValueError, ShapeError) as error:
            message = f"{name}: layer {entry.get('id')} of {particle!r}: {error}; correct r_edges and n_bin_alpha"
            raise ConfigError(message) from None
    if not layers:
        message = (
            f"{name}: the particle {particle!r} has no layers with cells: give a binning file of the CaloChallenge"
        )
        raise ConfigError(message)
    return Geometry(f"{Path(name).stem}, {particle}", tuple(layers))


def write_binning(path: str | os.PathLike[str], geometries: Mapping[str, Geometry]) -> None:
    """Write geometries of rings, by the name of the particle, as a binning file.

    Raises:
        ConfigError: a geometry has layers that are no rings, which this format cannot describe.
    """
    root = ET.Element("Bins")
    for particle, geometry in geometries.items():
        attributes = {"pid": str(_PDG.get(particle, 0)), "etaMin": "0", "etaMax": "130", "name": particle}
        entry = ET.SubElement(root, "Bin", attributes)
        for number, layer in enumerate(geometry.layers):
            if not isinstance(layer, PolarLayer):
                message = (
                    f"{os.fspath(path)}: layer {number} of {geometry.name!r} is a grid, and a binning file knows rings only: "
                    "write YAML"
                )
                raise ConfigError(message)
            edges = ",".join(f"{edge:.12g}" for edge in layer.r_edges_mm)
            ET.SubElement(entry, "Layer", {"id": str(number), "r_edges": edges, "n_bin_alpha": str(layer.n_alpha)})
    ET.indent(root)
    with replacing(Path(path)) as temporary:
        Path(temporary).write_bytes(ET.tostring(root, encoding="utf-8", xml_declaration=True) + b"\n")


def _root(name: str) -> ET.Element:
    try:
        data = Path(name).read_bytes()
        # expat expands entities, a few of which can fill any memory; a binning file has none
        if len(data) > _MAX_BYTES or b"<!ENTITY" in data:
            message = f"{name}: is no binning file, which is small and has no entities: give that of the CaloChallenge"
            raise ConfigError(message)
        root = ET.fromstring(data)
    except (OSError, ET.ParseError) as error:
        message = f"{name}: cannot be read as XML ({error}): check its name, or download the binning file again"
        raise ConfigError(message) from None
    if root.tag != "Bins":
        message = f"{name}: begins with <{root.tag}> instead of <Bins>: give a binning file of the CaloChallenge"
        raise ConfigError(message)
    return root
