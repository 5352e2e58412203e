"""What an observatory counted, as a file: spectrum and Xmax histograms."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hepflows.applications.airshower.detector import SPECTRUM_EDGES, XMAX_EDGES, load_detector
from hepflows.errors import DataError
from hepflows.io import Field, reader, writer

Array = NDArray[np.float64]

_ROWS = [Field("xmax_counts", shape=(45,), dtype=np.float64)]


@dataclass(frozen=True)
class Observation:
    """Counts in the bins of the public data.

    Args:
        spectrum: (15,) events in bins of 0.1 in lg(E/eV) from 18.7 to 20.2, as counted, before unfolding.
        xmax: (9, 45) events in bins of 20 g/cm2 from 500 to 1400, for lg(E/eV) from 18.7 to 19.5 in steps of 0.1 and from 19.5 to 20.
        name: where it comes from.

    Raises:
        DataError: other shapes, counts that are negative or no whole numbers, or none at all.
    """

    spectrum: Array
    xmax: Array
    name: str

    def __post_init__(self) -> None:
        for what, values, shape in (("spectrum", self.spectrum, (15,)), ("Xmax", self.xmax, (9, 45))):
            if values.shape != shape:
                message = f"{self.name}: the {what} has the shape {values.shape} instead of {shape}"
                raise DataError(message)
            if not np.isfinite(values).all() or (values < 0).any() or (values != np.round(values)).any():
                message = (
                    f"{self.name}: the {what} must hold whole numbers of events, none negative or missing: no fluxes"
                )
                raise DataError(message)
        if not self.spectrum.sum() > 0:
            message = f"{self.name}: the spectrum holds no events"
            raise DataError(message)

    @property
    def counts(self) -> Tensor:
        """(420,) all of them, in the order of `ForwardModel`."""
        return torch.from_numpy(np.concatenate([self.spectrum, self.xmax.ravel()]))

    @classmethod
    def of(cls, counts: Tensor, name: str) -> Observation:
        """The observation of 420 counts."""
        values = counts.double().numpy()
        return cls(values[:15], values[15:].reshape(9, 45), name)


def auger() -> Observation:
    """The public data of the Pierre Auger Observatory: spectrum of 2020 (55,730 events), Xmax of 2014 (1,446 events above 10^18.7 eV).

    >>> int(auger().counts.sum())
    57176
    """
    detector = load_detector()
    return Observation(detector.spectrum_counts, detector.xmax_counts, "Pierre Auger Observatory")


def write_observation(path: Path, observation: Observation) -> None:
    """Write an observation as HDF5.

    Datasets: ``xmax_counts`` (9, 45), ``spectrum_counts`` (15,), and the edges ``xmax_edges`` (46,) in g/cm2, ``xmax_lg_energy_edges``
        (10,) and
    ``spectrum_lg_energy_edges`` (16,) in lg(E/eV).
    """
    with writer(path, _ROWS, attributes={"name": observation.name}) as table:
        table.extend({"xmax_counts": observation.xmax})
        table.put("spectrum_counts", observation.spectrum)
        for name, edges in _edges().items():
            table.put(name, edges)


def read_observation(path: Path) -> Observation:
    """Read what `write_observation` wrote.

    Raises:
        DataError: a dataset is missing, has other bins than these, or holds no counts.
    """
    with reader(path, _ROWS) as table:
        for name, edges in _edges().items():
            there = np.asarray(table.whole(name), dtype=np.float64)
            if there.shape != edges.shape or not np.allclose(there, edges, atol=1e-6):
                message = (
                    f"{path}: {name} must be {len(edges)} edges from {edges[0]:g} to {edges[-1]:g}, "
                    f"got {there.size} from {there.flat[0]:g}: rebin the counts, energies are in lg(E/eV) and depths in g/cm2"
                )
                raise DataError(message)
        spectrum = np.asarray(table.whole("spectrum_counts"), dtype=np.float64)
        xmax = [np.asarray(chunk["xmax_counts"], dtype=np.float64) for chunk in table.iterate(chunk=64)]
        name = table.attributes.get("name", path.name)
    return Observation(spectrum, np.concatenate(xmax) if xmax else np.empty((0, 45)), str(name))


def _edges() -> dict[str, Array]:
    return {
        "spectrum_lg_energy_edges": SPECTRUM_EDGES,
        "xmax_lg_energy_edges": load_detector().lg_energy_edges,
        "xmax_edges": XMAX_EDGES,
    }
