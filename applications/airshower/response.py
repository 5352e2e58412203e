"""What arrives at the Earth of what sources emit: the propagation through the background light, as a matrix."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hepflows.errors import ConfigError, DataError
from hepflows.io import Field, reader, writer

Array = NDArray[np.float64]

SHIPPED = ("Gilmore12", "Dominguez11")
"""Models of the extragalactic background light that come with the package."""


@dataclass(frozen=True)
class Response:
    """Nuclei that arrive, for each one that a source emits, averaged over sources of uniform density.

    Args:
        edges: (126,) of the bins in lg(E/eV), the same for emission and arrival.
        matrix: (5, 125, 5, 125) source nucleus, energy bin of emission, mass group that arrives, energy bin of arrival. A nucleus breaks
            up: sums may exceed 1.
        model: of the background light.
    """

    edges: Array
    matrix: Array
    model: str

    @property
    def centres(self) -> Array:
        """(125,) centres of the bins in lg(E/eV)."""
        return np.asarray(0.5 * (self.edges[1:] + self.edges[:-1]))


def _fields() -> list[Field]:
    return [Field("response", shape=(125, 5, 125), dtype=np.dtype(np.float32))]


def write_response(path: Path, response: Response, about: Mapping[str, str]) -> None:
    """Write a response as HDF5: ``response`` (5, 125, 5, 125) float32 and ``lg_energy_edges`` (126,)."""
    with writer(path, _fields(), attributes={**about, "model": response.model}) as table:
        table.extend({"response": response.matrix.astype(np.float32)})
        table.put("lg_energy_edges", response.edges)


def read_response(path: Path) -> Response:
    """Read what `write_response` wrote.

    Raises:
        DataError: another layout, or numbers that are not finite or negative.
    """
    with reader(path, _fields()) as table:
        if table.rows != 5:
            message = f"{path}: a response has 5 rows, one for each source nucleus, and this file {table.rows}"
            raise DataError(message)
        matrix = np.concatenate([chunk["response"] for chunk in table.iterate(chunk=5)]).astype(np.float64)
        edges = np.asarray(table.whole("lg_energy_edges"), dtype=np.float64)
        model = str(table.attributes.get("model", path.stem))
    if edges.shape != (126,) or not np.isfinite(matrix).all() or (matrix < 0).any():
        message = f"{path}: the response must be finite, not negative, and have 126 edges of energy bins"
        raise DataError(message)
    return Response(edges, matrix, model)


@lru_cache(maxsize=4)
def load_response(name: str = "Gilmore12") -> Response:
    """A response that comes with the package, or that of a file of `hepflows airshower convert`.

    Raises:
        ConfigError: no such response.

    >>> load_response("Gilmore12").matrix.shape
    (5, 125, 5, 125)
    """
    if name in SHIPPED:
        with resources.as_file(resources.files(__package__) / "tables" / f"{name}.hdf5") as path:
            return read_response(path)
    if not name.endswith((".hdf5", ".h5")):
        message = f"there is no response {name!r}: choose one of {', '.join(SHIPPED)}, or give a file .hdf5"
        raise ConfigError(message)
    return read_response(Path(name))
