"""Showers as the training loop takes them: in memory, or mapped from a file that is larger than it."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from hepflows.applications.calorimeter.geometry import Geometry
from hepflows.applications.calorimeter.models.conditions import Conditions
from hepflows.applications.calorimeter.showers import Showers
from hepflows.errors import DataError
from hepflows.training import TensorBatches
from hepflows.training.batches import Transform

MEV = 1e3  # in a GeV
_CHUNK_BYTES = 64_000_000


@dataclass(frozen=True)
class TrainingSet:
    """Voxels, incident energies, conditions and weights of showers, and which of them are meant.

    Attributes:
        voxels: (n, n_voxels) MeV, in the precision of the sample; may be a view of a mapped file.
        incident: (n,) MeV, float64.
        conditions: (n, k) float64.
        weights: (n,) float64, or None where all are one.
        rows: (m,) the showers that belong to the set.
    """

    voxels: Tensor
    incident: Tensor
    conditions: Tensor
    weights: Tensor | None
    rows: Tensor

    @classmethod
    def of(
        cls, showers: Showers, geometry: Geometry, conditions: Conditions, rows: np.ndarray | None = None
    ) -> TrainingSet:
        """The set of some showers, as a model of this geometry and these conditions takes them; no voxel is copied.

        Raises:
            DataError: showers of another geometry, or without a column that is asked for.
        """
        if showers.geometry != geometry:
            message = (
                f"the showers are of geometry {showers.geometry.name} and the model of {geometry.name}: use one of them"
            )
            raise DataError(message)
        return cls(
            _tensor(showers.voxels),
            torch.as_tensor(showers.energies * MEV),
            _encoded(showers, conditions),
            torch.as_tensor(showers.columns["weight"]) if "weight" in showers.columns else None,
            torch.arange(len(showers)) if rows is None else torch.as_tensor(rows),
        )

    def __len__(self) -> int:
        return len(self.rows)

    def batches(self, size: int, prepare: Transform, *, shuffle: bool = True) -> TensorBatches:
        """Batches of ``(voxels, incident, conditions)``, and weights where there are any, each through ``prepare``."""
        weights = () if self.weights is None else (self.weights,)
        return TensorBatches(
            (self.voxels, self.incident, self.conditions, *weights), size, prepare, rows=self.rows, shuffle=shuffle
        )

    def blocks(self, size: int) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """Voxels, incident energies and conditions in order, so many showers at a time; of no showers one empty block."""
        for rows in torch.split(self.rows, size):
            yield self.voxels[rows], self.incident[rows], self.conditions[rows]

    def chunks(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Voxels in float64 and incident energies, in order, a bounded number of bytes at a time."""
        for rows in torch.split(self.rows, max(1, _CHUNK_BYTES // (8 * self.voxels.shape[1]))):
            yield self.voxels[rows].double(), self.incident[rows]


def counted(showers: Showers, rows: np.ndarray | None = None) -> np.ndarray:
    """Of some showers, or of all, those whose weight is not zero: from the others there is nothing to learn.

    Raises:
        DataError: the sum of their weights is not positive.
    """
    rows = np.arange(len(showers)) if rows is None else rows
    weights = showers.weights[rows]
    total = weights.sum()
    if not 0 < total < np.inf:
        message = f"the weights of {len(rows)} showers sum to {total:g}: a training and its validation need a positive, finite sum each"
        raise DataError(message)
    return np.asarray(rows[weights != 0])


def _encoded(showers: Showers, conditions: Conditions) -> Tensor:
    if not conditions.names:
        return torch.zeros(len(showers), 0, dtype=torch.float64)
    return conditions.encode(showers.columns)


def _tensor(voxels: np.ndarray) -> Tensor:
    if voxels.dtype.kind != "f":
        return torch.as_tensor(voxels, dtype=torch.float64)
    with (
        warnings.catch_warnings()
    ):  # torch warns of arrays that must not be written to, such as mapped files; it only reads
        warnings.simplefilter("ignore", UserWarning)
        return torch.from_numpy(np.ascontiguousarray(voxels))
