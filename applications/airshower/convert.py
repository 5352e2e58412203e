"""From the propagation matrices of astrotools, which are pickled objects, to a plain table.

The files are read only if their SHA-256 is a known one, and by an unpickler that can build NumPy arrays and nothing else.
"""

from __future__ import annotations

import hashlib
import io
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hepflows.applications.airshower.response import Response, write_response
from hepflows.errors import DataError

Array = NDArray[np.float64]

KNOWN = {
    "e94311289f272c47c0c21047eb39fe299aa29871e4e4eeebddfeebcd04517f84": ("Gilmore12", 1e-4),
    "bfa55ed852c5f935a52ad389cd6c7bcbd4e1869f5f79d82bdff460441a4868e5": ("Dominguez11", 1e-4),
    "2d5d3b52cdc91c9b4611287a39e658122a528e8c0c4b46ab8276f5ec4966f90c": ("Kneiske04", 1e-5),
}
"""SHA-256 of a file: the model of the extragalactic background light, and what one injected nucleus counts in it."""

_KEYS = ("h", "he", "n", "si", "fe")  # the order of the dictionary differs from file to file: by name
_SHAPE = (125, 100, 5, 125)
_LARGEST = 400_000_000


class _Arrays(pickle.Unpickler):
    """Builds NumPy arrays and nothing else."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in {
            ("numpy.core.multiarray", "_reconstruct"),
            ("numpy._core.multiarray", "_reconstruct"),
        }:
            return np.empty(0).__reduce__()[0]
        if (module, name) in {("numpy", "ndarray"), ("numpy", "dtype")}:
            return getattr(np, name)
        message = f"the file asks for {module}.{name}, which is no array: it is not read"
        raise DataError(message)


def convert(path: Path, output: Path) -> Response:
    """Reduce a matrix over the distances of the sources, and write it as a table.

    The sources are equal and of uniform density: a shell of comoving width counts with its width (the dilution by 1/D^2 cancels its
    volume), which is proportional to ``D`` on the logarithmic grid of the file. The injection of the file was uniform in log E.

    Args:
        path: one of the three ``crpropa3__emin_18.5__emax_21.0__IRB_*.npz`` of astrotools 1.5.0.
        output: the table, ``.hdf5``.

    Raises:
        DataError: another file than these, or one that cannot be read.
    """
    try:
        raw = path.read_bytes()
    except OSError as error:
        message = f"{path}: cannot be read ({error.strerror}); unzip the wheel of astrotools 1.5.0 and give its file"
        raise DataError(message) from None
    digest = hashlib.sha256(raw).hexdigest()
    if digest not in KNOWN:
        message = f"{path}: not a propagation matrix of astrotools 1.5.0 (its SHA-256 is {digest}): it is not read"
        raise DataError(message)
    model, primary = KNOWN[digest]
    with zipfile.ZipFile(io.BytesIO(raw)) as archive:
        edges = np.load(io.BytesIO(archive.read("log10e_bins.npy")), allow_pickle=False)
        distances = np.load(io.BytesIO(archive.read("distances.npy")), allow_pickle=False)
        matrices = _objects(archive)
    weights = distances / distances.sum()
    reduced = np.empty((5, 125, 5, 125))
    for source, key in enumerate(_KEYS):
        matrix = np.asarray(matrices[key], dtype=np.float64)
        if matrix.shape != _SHAPE or not np.isfinite(matrix).all():
            message = (
                f"{path}: the matrix of {key!r} has the shape {matrix.shape} instead of {_SHAPE}, or is not finite"
            )
            raise DataError(message)
        reduced[source] = np.einsum("edgo,d->ego", matrix, weights) / primary
    response = Response(edges, reduced, model)
    write_response(output, response, {"source": f"astrotools 1.5.0 (MIT), {path.name}", "sha256": digest})
    return response


def _objects(archive: zipfile.ZipFile) -> dict[str, Any]:
    """The dictionary of matrices: a NumPy header, then a pickle."""
    if archive.getinfo("fractions.npy").file_size > _LARGEST:
        message = "the matrices are larger than those of astrotools 1.5.0: they are not read"
        raise DataError(message)
    stream = io.BytesIO(archive.read("fractions.npy"))
    np.lib.format.read_magic(stream)
    np.lib.format.read_array_header_1_0(stream)
    boxed = _Arrays(stream, encoding="latin1").load()
    return dict(boxed.item())
