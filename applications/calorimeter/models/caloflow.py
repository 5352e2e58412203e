"""CaloFlow: conditional flows that together generate a calorimeter shower (arXiv:2106.05285)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from hepflows import __version__
from hepflows.applications.calorimeter.config import CaloFlowConfig, load_config
from hepflows.applications.calorimeter.geometry import CALOGAN, Geometry
from hepflows.applications.calorimeter.models.conditions import Conditions
from hepflows.applications.calorimeter.models.incident import Incident
from hepflows.applications.calorimeter.models.kinds import masked, shower_flow
from hepflows.applications.calorimeter.models.preprocess import build_preprocess
from hepflows.applications.calorimeter.models.symmetry import orientations, turned
from hepflows.applications.calorimeter.models.targets import Targets
from hepflows.applications.calorimeter.models.training_set import MEV, TrainingSet
from hepflows.applications.calorimeter.showers import Showers
from hepflows.errors import CheckpointError, DataError, DomainError
from hepflows.flow import Flow
from hepflows.training import History, MaximumLikelihood, World, fit
from hepflows.training.batches import Transform
from hepflows.training.checkpoint import load_state, load_tensors, save_tensors
from hepflows.training.loop import Progress
from hepflows.training.seeding import derive, generator

Stage = tuple[str, Flow, Transform]

BLOCK = 1000
"""Showers generated at once. All shards use the same blocks, so that rounding is the same as well."""

GROUP = 10
"""Showers that share a stream of random numbers: shower ``i`` depends on the seed and ``i`` alone. Divides `BLOCK`."""


class CaloFlow(nn.Module):
    r"""Flow I learns p(layer energies | E_inc), Flow II p(voxels | layer energies, E_inc).

    .. math:: p(v \mid E_\mathrm{inc}) = p_\mathrm{I}(E_0, E_1, \dots \mid E_\mathrm{inc})\;
              p_\mathrm{II}(v \mid E_0, E_1, \dots, E_\mathrm{inc})

    What Flow II is made of is the kind:

    ============= ===================================================================== =======================
    teacher       masked autoregressive spline flow                                     arXiv:2106.05285
    coupling      spline couplings                                                      arXiv:2312.09290
    inductive     one flow a layer, conditioned on the layers before it                 arXiv:2305.11934
    ============= ===================================================================== =======================

    With ``joint`` in the configuration one flow learns p(layer energies, voxels | E_inc).

    Args:
        kind: as above; by default that of the preset.
        preset: ``demo``, ``paper``, ... or the path of a YAML file; ignored where ``config`` is given.
        config: the model section of a configuration.
        geometry: the calorimeter.
        seed: draws initial weights and permutations.

    Raises:
        DomainError: a kind that the configuration is not of.

    Example:
        >>> showers = read_showers("data/calorimeter/eplus.hdf5")  # doctest: +SKIP
        >>> model = CaloFlow(preset="demo", seed=1)  # doctest: +SKIP
        >>> model.fit(showers[:2000], showers[2000:2200], seed=1)  # doctest: +SKIP
        >>> generated = model.sample(1000, seed=2)  # doctest: +SKIP
    """

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
        self.conditions = Conditions(config.conditions, config.species)
        self.incident = Incident(config.conditions)
        given, n_layers = 1 + self.conditions.width, geometry.n_layers
        self.energy_flow = None
        if not config.joint:
            self.energy_flow = masked(config.energy_flow, n_layers, given, None, derive(seed, "energy flow"))
        extra, seen = (n_layers, given) if config.joint else (0, given + n_layers)
        self.shower_flow = shower_flow(config.shower_flow, geometry, extra, seen, seed)
        self.targets = Targets(self.preprocess, getattr(torch, config.precision))
        for _, flow, _ in self._stages:
            flow.to(self.targets.dtype)
        self.eval()

    @property
    def _stages(self) -> list[Stage]:
        """Name, flow and what the flow is shown of a batch, in the order of generation."""
        if self.energy_flow is None:
            return [("shower_flow", self.shower_flow, self.targets.joint)]
        return [
            ("energy_flow", self.energy_flow, self.targets.energies),
            ("shower_flow", self.shower_flow, self.targets.voxels),
        ]

    def fit(
        self,
        showers: Showers,
        validation: Showers,
        *,
        rows: np.ndarray | None = None,
        validation_rows: np.ndarray | None = None,
        seed: int = 0,
        checkpoints: Path | None = None,
        progress: Progress | None = None,
        world: World | None = None,
    ) -> dict[str, History]:
        """Train the flows; returns their loss histories under ``energy_flow`` and ``shower_flow``.

        Showers with the column ``weight`` count by their weight.

        Args:
            showers: the training set; its voxels may be a view of a file larger than the memory.
            validation: chooses the weights that are kept.
            rows: the showers of the training set that are meant, all where not given.
            validation_rows: the same of the validation set, which may then be one sample with the training set.
            seed: of order, noise and dropout.
            checkpoints: a folder; a call that was interrupted goes on from what it left there, to the same result.
            progress: called after every step.
            world: the processes that share the work, see `hepflows.fit`; all of them have the same showers.

        Raises:
            DataError: showers of another geometry, or without a column that the model is conditioned on.
        """
        for sample in (showers, validation):
            if sample.geometry != self.geometry:
                message = f"the showers are of geometry {sample.geometry.name} and the model of {self.geometry.name}: use one of them"
                raise DataError(message)
        rows = np.arange(len(showers)) if rows is None else rows
        self.conditions.fit({name: values[rows] for name, values in showers.columns.items()})
        self.incident.fit(showers, rows, generator(seed, "incident"))
        training = TrainingSet.of(showers, self.conditions, rows)
        held_out = TrainingSet.of(validation, self.conditions, validation_rows)
        # a reflected shower comes from a reflected particle: with a direction or a place the cells alone do not tell
        symmetric = self.config.orient and not set(self.config.conditions) & {"theta", "phi", "x", "y"}
        orders = orientations(showers, rows) if symmetric else None
        self.preprocess.fit(training.chunks, generator(seed, "preprocess"), orders)
        self.attributes = dict(showers.attributes)
        histories = {}
        for name, flow, prepare in self._stages:
            section = getattr(self.config, name).training
            histories[name] = fit(
                MaximumLikelihood(flow),
                training.batches(section.batch_size, turned(prepare, orders)),
                held_out.batches(max(1000, section.batch_size), prepare, shuffle=False),
                section,
                seed=derive(seed, name),
                checkpoint=None if checkpoints is None else checkpoints / f"checkpoint_{name}.safetensors",
                progress=_named(progress, name.replace("_", " ")),
                world=world,
            )
        return histories

    def sample(
        self,
        showers: int | np.ndarray,
        *,
        seed: int,
        columns: Mapping[str, np.ndarray | float] | None = None,
        progress: Progress | None = None,
    ) -> Showers:
        """Generate showers.

        Args:
            showers: how many, with incident energies distributed as in the training set; or the incident energies, (n,) in GeV.
            seed: shower ``i`` depends on the seed and on ``i`` alone.
            columns: what the model is conditioned on, a number or (n,) numbers each; as in the training set where not given.
            progress: called after every block.
        """
        return Showers.concatenate(list(self.iterate_samples(showers, seed=seed, columns=columns, progress=progress)))

    def iterate_samples(
        self,
        showers: int | np.ndarray,
        *,
        seed: int,
        columns: Mapping[str, np.ndarray | float] | None = None,
        shard: tuple[int, int] = (0, 1),
        progress: Progress | None = None,
    ) -> Iterator[Showers]:
        """As `sample`, block by block, in flat memory whatever the number of showers.

        Args:
            showers: as of `sample`.
            seed: as of `sample`.
            columns: as of `sample`.
            shard: (i, n): of n shards, counted from 0, generate the i-th; all shards together are the sample of one call.
            progress: called after every block.
        """
        given = self.incident.asked(showers, columns)
        index, count = shard
        if not 0 <= index < count:
            message = f"shard {index} of {count} does not exist: count from 0 to {count - 1}"
            raise DomainError(message)
        blocks = -(-len(given) // BLOCK)
        first, last = index * blocks // count * BLOCK, min(len(given), (index + 1) * blocks // count * BLOCK)
        for start in range(first, last, BLOCK):
            stop = min(last, start + BLOCK)
            position, *noise = self._noise(start, stop, seed)
            energies, known = given.particles(start, position)
            yield self._generate(energies * MEV, known, noise)
            if progress is not None:
                progress(stop - first, last - first, "sampling")

    def _noise(self, start: int, stop: int, seed: int) -> list[Tensor]:
        """A uniform number (n,) and the latents of each flow (n, D), for showers ``start`` to ``stop``."""
        parts = []
        for group in range(start // GROUP, -(-stop // GROUP)):
            rng = generator(seed, "showers", group)
            uniform = torch.rand(GROUP, generator=rng, dtype=torch.float64)
            parts.append([uniform, *(flow.base.sample(GROUP, rng) for _, flow, _ in self._stages)])
        skipped = start % GROUP
        return [torch.cat(part)[skipped : skipped + stop - start] for part in zip(*parts, strict=True)]

    @torch.no_grad()
    def _generate(self, incident: Tensor, columns: dict[str, np.ndarray], noise: list[Tensor]) -> Showers:
        """Incident energies in MeV and latents of each flow to showers."""
        conditions = self.conditions.encode(columns) if columns else incident.new_zeros(len(incident), 0)
        return Showers(
            energies=(incident / MEV).numpy(),
            voxels=self.voxels(incident, conditions, noise).numpy(),
            geometry=self.geometry,
            attributes={**self.attributes, "engine": f"hepflows {__version__} CaloFlow {self.config.kind}"},
            columns=columns,
        )

    def voxels(self, incident: Tensor, conditions: Tensor, noise: Sequence[Tensor]) -> Tensor:
        """From noise to ``(n, n_voxels)`` MeV, with nothing left to draw.

        Args:
            incident: (n,) incident energies in MeV, float64.
            conditions: (n, k) of `Conditions`, float64.
            noise: the latents of each flow, (n, D) each, in the order of generation: layer energies, voxels.
        """
        context = self.targets.context(incident, conditions)
        if self.energy_flow is None:
            target, _ = self.shower_flow.bijection.inverse(noise[0], context)
            energies, target = target.double().tensor_split([self.geometry.n_layers], 1)
            layers = self.preprocess.layer_energies(energies, incident)
        else:
            target, _ = self.energy_flow.bijection.inverse(noise[0], context)
            layers = self.preprocess.layer_energies(target.double(), incident)
            context = self.targets.context(incident, conditions, layers)
            target, _ = self.shower_flow.bijection.inverse(noise[1], context)
        return self.preprocess.voxels(target.double(), layers)

    @torch.no_grad()
    def log_prob(self, showers: Showers, *, seed: int = 0) -> dict[str, np.ndarray]:
        """Log densities of the flows, (n,) each, in the space of their targets, with noise from ``seed``."""
        sample, rng = TrainingSet.of(showers, self.conditions), generator(seed, "log_prob")
        batch = sample.voxels, sample.incident, sample.conditions
        return {name: flow.log_prob(*prepare(batch, rng)).double().numpy() for name, flow, prepare in self._stages}

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


def _named(progress: Progress | None, name: str) -> Progress | None:
    return None if progress is None else lambda done, total, text: progress(done, total, f"{name}: {text}")
