"""CaloFlow: two conditional flows that together generate a calorimeter shower (arXiv:2106.05285)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from hepflows import __version__
from hepflows.applications.calorimeter.config import CaloFlowConfig, FlowConfig, load_config
from hepflows.applications.calorimeter.geometry import CALOGAN, Geometry
from hepflows.applications.calorimeter.preprocess import build_preprocess
from hepflows.applications.calorimeter.showers import Showers
from hepflows.applications.calorimeter.symmetry import orientations, turned
from hepflows.bijections import RationalQuadraticSpline
from hepflows.errors import CheckpointError, DataError, DomainError
from hepflows.flow import Flow
from hepflows.training import History, MaximumLikelihood, TensorBatches, fit
from hepflows.training.checkpoint import load_state, load_tensors, save_tensors
from hepflows.training.loop import Progress
from hepflows.training.seeding import derive, generator
from hepflows.zoo import maf

BLOCK = 1000
"""Showers generated at once, from a random stream of their own: shower ``i`` depends on the seed and ``i`` alone."""

MEV = 1e3  # in a GeV


class CaloFlow(nn.Module):
    r"""Flow I learns p(layer energies | E_inc), Flow II p(voxels | layer energies, E_inc).

    .. math:: p(v \mid E_\mathrm{inc}) = p_\mathrm{I}(E_0, E_1, \dots \mid E_\mathrm{inc})\;
              p_\mathrm{II}(v \mid E_0, E_1, \dots, E_\mathrm{inc})

    Both are masked autoregressive rational-quadratic spline flows.

    Args:
        kind: ``teacher``, as in CaloFlow v1.
        preset: ``demo``, ``paper`` or the path of a YAML file; ignored where ``config`` is given.
        config: the model section of a configuration.
        geometry: the calorimeter.
        seed: draws initial weights and permutations.

    Example:
        >>> showers = read_showers("data/calorimeter/eplus.hdf5")  # doctest: +SKIP
        >>> model = CaloFlow(preset="demo", seed=1)  # doctest: +SKIP
        >>> model.fit(showers[:2000], showers[2000:2200], seed=1)  # doctest: +SKIP
        >>> generated = model.sample(1000, seed=2)  # doctest: +SKIP
    """

    incident_table: Tensor

    def __init__(
        self,
        kind: str | None = None,
        *,
        preset: str = "demo",
        config: CaloFlowConfig | None = None,
        geometry: Geometry = CALOGAN,
        seed: int = 0,
    ) -> None:
        super().__init__()
        config = load_config(preset).model if config is None else config
        if kind is not None and kind != config.kind:
            message = f"there is no CaloFlow of kind {kind!r} in this configuration: use kind={config.kind!r}"
            raise DomainError(message)
        self.config, self.geometry, self.seed = config, geometry, seed
        self.attributes: dict[str, str] = {}
        self.preprocess = build_preprocess(geometry, config.preprocess)
        self.energy_flow = _flow(config.energy_flow, geometry.n_layers, 1, None, derive(seed, "energy flow"))
        self.shower_flow = _flow(
            config.shower_flow,
            geometry.n_voxels,
            1 + geometry.n_layers,
            layerwise_permutations(geometry, config.shower_flow.blocks - 1, generator(seed, "permutations")),
            derive(seed, "shower flow"),
        )
        self.dtype = getattr(torch, config.precision)
        self.energy_flow.to(self.dtype)
        self.shower_flow.to(self.dtype)
        # 1001 quantiles of the incident energies of the training set, in GeV
        self.register_buffer("incident_table", torch.zeros(1001, dtype=torch.float64))
        self.eval()

    def fit(
        self,
        showers: Showers,
        validation: Showers,
        *,
        seed: int = 0,
        checkpoints: Path | None = None,
        progress: Progress | None = None,
    ) -> dict[str, History]:
        """Train both flows; returns their loss histories under ``energy_flow`` and ``shower_flow``.

        Args:
            showers: the training set.
            validation: chooses the weights that are kept.
            seed: of order, noise and dropout.
            checkpoints: a folder; a call that was interrupted goes on from what it left there, to the same result.
            progress: called after every step.
        """
        for sample in (showers, validation):
            if sample.geometry != self.geometry:
                message = f"the showers are of geometry {sample.geometry.name} and the model of {self.geometry.name}: use one of them"
                raise DataError(message)
        voxels, incident = _tensors(showers)
        orders = orientations(showers) if self.config.mirror else None
        self.preprocess.fit(voxels, incident, generator(seed, "preprocess"), orders)
        self.incident_table.copy_(_incident_quantiles(showers.energies))
        self.attributes = dict(showers.attributes)
        held_out = _tensors(validation)
        histories = {}
        for name, flow, prepare in (
            ("energy_flow", self.energy_flow, self._energy_batch),
            ("shower_flow", self.shower_flow, self._shower_batch),
        ):
            training = getattr(self.config, name).training
            histories[name] = fit(
                MaximumLikelihood(flow),
                TensorBatches((voxels, incident), training.batch_size, turned(prepare, orders)),
                TensorBatches(held_out, max(1000, training.batch_size), prepare, shuffle=False),
                training,
                seed=derive(seed, name),
                checkpoint=None if checkpoints is None else checkpoints / f"checkpoint_{name}.safetensors",
                progress=_named(progress, name.replace("_", " ")),
            )
        return histories

    def _energy_batch(self, batch: tuple[Tensor, ...], rng: torch.Generator) -> tuple[Tensor, ...]:
        voxels, incident = batch
        _, layers = self.preprocess.dequantise(voxels, rng)
        return self._cast(self.preprocess.energy_target(layers, incident), self.preprocess.energy_context(incident))

    def _shower_batch(self, batch: tuple[Tensor, ...], rng: torch.Generator) -> tuple[Tensor, ...]:
        voxels, incident = batch
        voxels, layers = self.preprocess.dequantise(voxels, rng)
        return self._cast(self.preprocess.voxel_target(voxels, layers), self.preprocess.voxel_context(incident, layers))

    def _cast(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        return tuple(tensor.to(self.dtype) for tensor in tensors)

    def sample(self, showers: int | np.ndarray, *, seed: int, progress: Progress | None = None) -> Showers:
        """Generate showers.

        Args:
            showers: how many, with incident energies distributed as in the training set; or the incident energies, (n,) in GeV.
            seed: shower ``i`` depends on the seed and on ``i`` alone.
            progress: called after every block.
        """
        return Showers.concatenate(list(self.iterate_samples(showers, seed=seed, progress=progress)))

    def iterate_samples(
        self, showers: int | np.ndarray, *, seed: int, progress: Progress | None = None
    ) -> Iterator[Showers]:
        """As `sample`, block by block, in flat memory whatever the number of showers."""
        n = showers if isinstance(showers, int) else len(showers)
        if n < 1:
            message = f"the number of showers must be at least 1, got {n}"
            raise DomainError(message)
        if not isinstance(showers, int):
            energies = np.asarray(showers, dtype=np.float64)
            if energies.ndim != 1 or not np.isfinite(energies).all() or (energies <= 0).any():
                message = "incident energies must be a list of positive numbers in GeV"
                raise DomainError(message)
        for block, start in enumerate(range(0, n, BLOCK)):
            rng = generator(seed, "showers", block)
            stop = min(n, start + BLOCK)
            # a short last block draws a full one's energies first: shower i is the same whatever n is
            drawn = self._draw_incident(rng)[: stop - start]
            incident = drawn if isinstance(showers, int) else torch.as_tensor(energies[start:stop])
            yield self._generate(incident * MEV, rng)
            if progress is not None:
                progress(stop, n, "sampling")

    def _draw_incident(self, rng: torch.Generator) -> Tensor:
        position = torch.rand(BLOCK, generator=rng, dtype=torch.float64) * (len(self.incident_table) - 1)
        low = position.floor().long()
        if len(torch.unique(self.incident_table)) <= 100:  # a list of fixed energies, not a spectrum
            return self.incident_table[low]
        fraction = position - low
        return self.incident_table[low] * (1 - fraction) + self.incident_table[low + 1] * fraction

    @torch.no_grad()
    def _generate(self, incident: Tensor, rng: torch.Generator) -> Showers:
        """Incident energies in MeV, at most `BLOCK` of them, to showers."""
        n = len(incident)
        noise = [flow.base.sample(BLOCK, rng)[:n] for flow in (self.energy_flow, self.shower_flow)]
        (context,) = self._cast(self.preprocess.energy_context(incident))
        target, _ = self.energy_flow.bijection.inverse(noise[0], context)
        layers = self.preprocess.layer_energies(target.double(), incident)
        (context,) = self._cast(self.preprocess.voxel_context(incident, layers))
        target, _ = self.shower_flow.bijection.inverse(noise[1], context)
        voxels = self.preprocess.voxels(target.double(), layers)
        return Showers(
            energies=(incident / MEV).numpy(),
            voxels=voxels.numpy(),
            geometry=self.geometry,
            attributes={**self.attributes, "engine": f"hepflows {__version__} CaloFlow {self.config.kind}"},
        )

    @torch.no_grad()
    def log_prob(self, showers: Showers, *, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
        """Log densities of the two flows, each (n,), in the space of their targets, with noise from ``seed``."""
        batch, rng = _tensors(showers), generator(seed, "log_prob")
        energy = self.energy_flow.log_prob(*self._energy_batch(batch, rng))
        shower = self.shower_flow.log_prob(*self._shower_batch(batch, rng))
        return energy.double().numpy(), shower.double().numpy()

    def save(self, path: Path | str) -> None:
        """Write weights and configuration to one safetensors file."""
        header = {
            "model": "CaloFlow",
            "hepflows": __version__,
            "config": self.config.model_dump(),
            "geometry": self.geometry.describe(),
            "seed": self.seed,
            "attributes": self.attributes,
        }
        save_tensors(path, self.state_dict(), header)

    @classmethod
    def load(cls, path: Path | str) -> CaloFlow:
        """Read what `save` wrote; a folder means its ``model.safetensors``."""
        path = Path(path)
        path = path / "model.safetensors" if path.is_dir() else path
        tensors, header = load_tensors(path)
        if header.get("model") != "CaloFlow":
            message = f"{path}: holds a {header.get('model', 'model of unknown kind')}, not a CaloFlow; give the file of a calorimeter run"
            raise CheckpointError(message)
        geometry = Geometry.from_description(header["geometry"])
        model = cls(config=CaloFlowConfig.model_validate(header["config"]), geometry=geometry, seed=header["seed"])
        load_state(model, tensors, path)
        model.attributes = header["attributes"]
        return model


def layerwise_permutations(geometry: Geometry, count: int, rng: torch.Generator) -> list[list[int]]:
    """Alternately the reverse and a random order inside each layer, layers kept in sequence (CaloFlow)."""
    orders = []
    for index in range(count):
        parts = [torch.arange(part.start, part.stop) for part in geometry.slices]
        order = [part.flip(0) if index % 2 == 0 else part[torch.randperm(len(part), generator=rng)] for part in parts]
        orders.append(torch.cat(order).tolist())
    return orders


def _flow(
    config: FlowConfig, features: int, context_features: int, permutations: list[list[int]] | None, seed: int
) -> Flow:
    return maf(
        features,
        context_features,
        blocks=config.blocks,
        hidden=config.hidden,
        univariate=RationalQuadraticSpline(config.bins, config.bound, minimum=config.minimum),
        dropout=config.dropout,
        permutations=permutations,
        seed=seed,
    )


def _tensors(showers: Showers) -> tuple[Tensor, Tensor]:
    """Voxels and incident energies in MeV."""
    return torch.as_tensor(showers.voxels, dtype=torch.float64), torch.as_tensor(showers.energies * MEV)


def _incident_quantiles(energies: np.ndarray) -> Tensor:
    fixed = len(np.unique(energies)) <= 100
    return torch.as_tensor(np.quantile(energies, np.linspace(0, 1, 1001), method="nearest" if fixed else "linear"))


def _named(progress: Progress | None, name: str) -> Progress | None:
    return None if progress is None else lambda done, total, text: progress(done, total, f"{name}: {text}")
