"""What the flows are shown of a batch of showers: targets and contexts."""

from __future__ import annotations

import torch
from torch import Tensor

from hepflows.applications.calorimeter.models.preprocess import Preprocess

Batch = tuple[Tensor, ...]
"""Voxels (n, n_voxels) and incident energies (n,) in MeV, conditions (n, k), and weights (n,) where there are any."""


class Targets:
    """From batches of showers to ``(target, context)`` or ``(target, context, weights)``, with fresh noise each time.

    Args:
        preprocess: the way from energies to numbers that a flow learns well.
        dtype: of the flows; the energies themselves are handled in float64.
    """

    def __init__(self, preprocess: Preprocess, dtype: torch.dtype) -> None:
        self.preprocess, self.dtype = preprocess, dtype

    def energies(self, batch: Batch, rng: torch.Generator) -> Batch:
        """For p(layer energies | E_inc)."""
        _, layers, incident, conditions, weights = self._dequantised(batch, rng)
        target = self.preprocess.energy_target(layers, incident)
        return self._cast(target), self.context(incident, conditions), *weights

    def voxels(self, batch: Batch, rng: torch.Generator) -> Batch:
        """For p(voxels | layer energies, E_inc)."""
        voxels, layers, incident, conditions, weights = self._dequantised(batch, rng)
        target = self.preprocess.voxel_target(voxels, layers)
        return self._cast(target), self.context(incident, conditions, layers), *weights

    def joint(self, batch: Batch, rng: torch.Generator) -> Batch:
        """For p(layer energies, voxels | E_inc): the energies stand first."""
        voxels, layers, incident, conditions, weights = self._dequantised(batch, rng)
        parts = self.preprocess.energy_target(layers, incident), self.preprocess.voxel_target(voxels, layers)
        return self._cast(torch.cat(parts, 1)), self.context(incident, conditions), *weights

    def context(self, incident: Tensor, conditions: Tensor, layers: Tensor | None = None) -> Tensor:
        """What a flow is conditioned on: the incident energy, the layer energies where they are known, the conditions."""
        if layers is None:
            energies = self.preprocess.energy_context(incident)
        else:
            energies = self.preprocess.voxel_context(incident, layers)
        return self._cast(torch.cat([energies, conditions], 1))

    def _dequantised(self, batch: Batch, rng: torch.Generator) -> tuple[Tensor, Tensor, Tensor, Tensor, Batch]:
        voxels, incident, conditions, *weights = batch
        voxels, layers = self.preprocess.dequantise(voxels.double(), rng)
        return voxels, layers, incident, conditions, tuple(self._cast(one) for one in weights)

    def _cast(self, tensor: Tensor) -> Tensor:
        return tensor.to(self.dtype)
