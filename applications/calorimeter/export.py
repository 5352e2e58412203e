"""A trained model as an ONNX file that makes showers: energies and noise in, voxels in MeV out."""

from __future__ import annotations

import copy
import os
from typing import Any, Literal

import torch
from torch import Tensor, nn

from hepflows.applications.calorimeter.models.caloflow import CaloFlow
from hepflows.applications.calorimeter.models.preprocess import sum_layers
from hepflows.applications.calorimeter.models.training_set import MEV
from hepflows.applications.calorimeter.showers import COLUMNS
from hepflows.export import export_onnx

Precision = Literal["float32", "float64"]

OUTPUTS = ("voxels", "layer_energies")


class ShowerSampler(nn.Module):
    """The whole way from an incident particle to its shower, with nothing left to draw: flows, preprocessing, thresholds.

    ``forward(energy (N,), noise (N, L + V), *conditions (N,)) -> voxels (N, V), layer_energies (N, L)``

    The noise is standard normal, for the energy flow the first L columns, for the shower flow the others; everything that comes in or
    goes out is float32 whatever the precision of the model, whose preprocessing is float64 inside. The same noise gives the showers of
    `CaloFlow.sample`. A row that no shower can be made of (an energy that is not positive, a species that the model does not know, a
    number that is not finite) gives a shower of zeros: a graph has no errors.

    Args:
        model: a `CaloFlow`, of a kind that samples in one pass: ``coupling``, or a student.
        precision: of the flows inside, ``float32`` or ``float64``; that of the model where not given.

    Example:
        >>> from hepflows.applications.calorimeter import load_config
        >>> model = CaloFlow(config=load_config("demo", ["model.kind=coupling"]).model)
        >>> sampler = ShowerSampler(model)
        >>> voxels, layer_energies = sampler(torch.tensor([10.0, 50.0]), torch.zeros(2, 507))
        >>> voxels.shape, layer_energies.shape
        (torch.Size([2, 504]), torch.Size([2, 3]))
    """

    def __init__(self, model: CaloFlow, precision: Precision | None = None) -> None:
        super().__init__()
        self.model = model if precision in (None, model.config.precision) else _converted(model, precision)

    @property
    def input_names(self) -> list[str]:
        """Names of the inputs, in their order."""
        return ["energy", "noise", *self.model.conditions.names]

    def forward(self, energy: Tensor, noise: Tensor, *conditions: Tensor) -> tuple[Tensor, Tensor]:
        """Energies in GeV, noise and conditions to voxels and layer energies in MeV."""
        model, n_layers = self.model, self.model.geometry.n_layers
        columns = {name: column.double() for name, column in zip(model.conditions.names, conditions, strict=True)}
        incident, latents = energy.double() * MEV, noise.to(model.targets.dtype)
        possible = (incident > 0) & noise.sum(1).isfinite() & incident.isfinite()
        encoded = incident.new_zeros(incident.shape[0], 0)
        if columns:
            encoded, known = model.conditions.numbers(columns)
            possible = possible & known & encoded.sum(1).isfinite()
        parts = [latents] if model.energy_flow is None else latents.tensor_split([n_layers], 1)
        voxels = model.voxels(torch.where(possible, incident, 1.0), encoded, parts)
        voxels = torch.where(possible.unsqueeze(1), voxels, 0.0)
        return voxels.float(), sum_layers(voxels, model.geometry).float()

    def example(self, n: int, generator: torch.Generator) -> tuple[Tensor, ...]:
        """Particles as of the training set, or of 1 to 100 GeV where there was none, and noise."""
        model = self.model
        position = torch.rand(n, generator=generator, dtype=torch.float64)
        energies, columns = model.incident.at(position)
        if not bool((energies > 0).all()):
            energies = 1 + 99 * position
        noise = torch.randn(n, model.geometry.n_layers + model.geometry.n_voxels, generator=generator)
        given = [torch.as_tensor(columns[name]).float() for name in model.conditions.names]
        return energies.float(), noise, *given

    def metadata(self) -> dict[str, Any]:
        """What a user of the file needs to know; written into it, all but texts as JSON."""
        model = self.model
        energies = model.incident.particles[:, 0] if model.incident.names else model.incident.quantiles
        units = {"energy": "GeV", "voxels": "MeV", "layer_energies": "MeV", "noise": "standard normal"}
        return {
            "model": f"CaloFlow {model.config.kind}",
            "units": units | {name: COLUMNS[name] for name in model.conditions.names},
            "energy_range_gev": [float(energies.min()), float(energies.max())],
            "threshold_mev": float(model.preprocess.threshold),
            "species": model.conditions.species,
            "geometry": model.geometry.describe(),
            "config": model.config.model_dump(),
            "attributes": model.attributes,
        }


def _converted(model: CaloFlow, precision: Precision) -> CaloFlow:
    """A copy of a model whose flows compute in another precision."""
    model = copy.deepcopy(model)
    model.config = model.config.model_copy(update={"precision": precision})
    model.targets.dtype = getattr(torch, precision)
    for flow in (model.energy_flow, model.shower_flow):
        if flow is not None:
            flow.to(model.targets.dtype)
    return model


def export_showers(model: CaloFlow, path: str | os.PathLike[str], *, precision: Precision | None = None) -> float:
    """Write a model as an ONNX file that makes showers, see `ShowerSampler`.

    Args:
        model: a trained model.
        path: the file to write.
        precision: of the flows inside, ``float32`` or ``float64``; that of the model where not given. In float64 the file is twice as
            large and half as fast, and agrees with the same model in float64 to the precision of its outputs.

    Returns:
        The largest difference between ONNX Runtime and torch, in units of the largest voxel.

    Raises:
        MissingExtraError: onnx, onnxscript or onnxruntime is not installed (``pip install 'hepflows[onnx]'``).
        ExportError: the model is of a kind that cannot be exported, or ONNX Runtime computes something else.
        DataError: the file cannot be written.
    """
    sampler = ShowerSampler(model, precision)
    return export_onnx(
        sampler,
        sampler.example,
        path,
        input_names=sampler.input_names,
        output_names=OUTPUTS,
        metadata=sampler.metadata(),
    )
