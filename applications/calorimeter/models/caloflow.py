"""CaloFlow: conditional flows that together generate a calorimeter shower (arXiv:2106.05285)."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from hepflows import __version__
from hepflows.applications.calorimeter.config import CaloFlowConfig, model_config
from hepflows.applications.calorimeter.geometry import CALOGAN, Geometry
from hepflows.applications.calorimeter.models.conditions import Conditions
from hepflows.applications.calorimeter.models.incident import Incident
from hepflows.applications.calorimeter.models.kinds import follower, masked, shower_flow
from hepflows.applications.calorimeter.models.learning import densities, labelled, objective, shown
from hepflows.applications.calorimeter.models.noise import part_of, shower_noise
from hepflows.applications.calorimeter.models.preprocess import build_preprocess
from hepflows.applications.calorimeter.models.provenance import provenance
from hepflows.applications.calorimeter.models.symmetry import orientations, turned
from hepflows.applications.calorimeter.models.targets import Targets
from hepflows.applications.calorimeter.models.training_set import MEV, TrainingSet, counted
from hepflows.applications.calorimeter.showers import Showers
from hepflows.applications.calorimeter.spread import Spread
from hepflows.errors import CheckpointError
from hepflows.flow import Flow
from hepflows.training import History, World, fit
from hepflows.training.batches import Transform
from hepflows.training.checkpoint import load_state, load_tensors, restoring, save_tensors
from hepflows.training.loop import Progress
from hepflows.training.presets import validated
from hepflows.training.seeding import derive, generator

Stage = tuple[str, Flow, Transform]

BLOCK = 1000
"""Showers generated at once. All shards use the same blocks, so that rounding is the same as well."""


class CaloFlow(nn.Module):
    r"""Flow I learns p(layer energies | E_inc), Flow II p(voxels | layer energies, E_inc).

    .. math:: p(v \mid E_\mathrm{inc}) = p_\mathrm{I}(E_0, E_1, \dots \mid E_\mathrm{inc})\;
              p_\mathrm{II}(v \mid E_0, E_1, \dots, E_\mathrm{inc})

    What Flow II is made of is the kind:

    ============= ===================================================================== =======================
    teacher       masked autoregressive spline flow                                     arXiv:2106.05285
    coupling      spline couplings                                                      arXiv:2312.09290
    inductive     one flow a layer, conditioned on the layers before it                 arXiv:2305.11934
    transformer   causal transformers over patches of voxels                            arXiv:2412.06329
    student       inverse autoregressive flow that learns from a teacher                arXiv:2110.11377
    ============= ===================================================================== =======================

    With ``joint`` in the configuration one flow learns p(layer energies, voxels | E_inc).

    Args:
        kind: as above; by default that of the preset.
        preset: ``demo``, ``paper``, ... or the path of a YAML file; that of the kind where not given. Ignored where ``config`` is.
        config: the model section of a configuration.
        geometry: the calorimeter; that of the teacher where there is one.
        teacher: of a student, which has its Flow I and its preprocessing, and learns from a copy of its Flow II.
        seed: draws initial weights and permutations.

    Raises:
        DomainError, ConfigError: no such kind or the configuration is of another, a student is without a teacher, or a teacher is none.

    Example:
        >>> showers = read_showers("data/calorimeter/eplus.hdf5")  # doctest: +SKIP
        >>> model = CaloFlow(preset="demo", seed=1)  # doctest: +SKIP
        >>> model.fit(showers[:2000], showers[2000:2200], seed=1)  # doctest: +SKIP
        >>> generated = model.sample(1000, seed=2)  # doctest: +SKIP
    """

    taught_by: Flow | None

    def __init__(
        self,
        kind: str | None = None,
        *,
        preset: str | None = None,
        config: CaloFlowConfig | None = None,
        geometry: Geometry = CALOGAN,
        teacher: CaloFlow | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__()
        config = model_config(kind, preset, config)
        if teacher is not None:
            config, geometry = config.taught_by(teacher.config), teacher.geometry
        self.config: CaloFlowConfig = config
        self.geometry: Geometry = geometry
        self.seed, self.attributes = seed, dict[str, str]()
        self.preprocess = build_preprocess(geometry, config.preprocess)
        self.conditions = Conditions(config.conditions, config.species)
        self.incident = Incident(config.conditions)
        given, n_layers = 1 + self.conditions.width, geometry.n_layers
        self.energy_flow = None
        if not config.joint:
            self.energy_flow = masked(config.energy_flow, n_layers, given, None, derive(seed, "energy flow"))
        extra, seen = (n_layers, given) if config.joint else (0, given + n_layers)
        told = config.shower_flow
        made = follower(told, teacher.shower_flow, seed) if teacher else shower_flow(told, geometry, extra, seen, seed)
        self.shower_flow: Flow = made
        self.targets = Targets(self.preprocess, getattr(torch, config.precision))
        for _, flow, _ in self._stages:
            flow.to(self.targets.dtype)
        # no submodule: it is not part of the student; a copy, since who is learnt from is frozen
        self.__dict__["taught_by"] = teacher and copy.deepcopy(teacher.shower_flow)
        if teacher is not None:
            for name, part in teacher.named_children():
                if name != "shower_flow":
                    getattr(self, name).load_state_dict(part.state_dict())
            self.attributes = dict(teacher.attributes)
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
        """Train the flows; returns their loss histories under ``energy_flow`` and ``shower_flow``, of a student the latter alone.

        Showers with the column ``weight`` count by their weight, but to a student all are the same.

        Args:
            showers: the training set; its voxels may be a view of a file larger than the memory.
            validation: chooses the weights that are kept.
            rows, validation_rows: the showers of each that are meant, all where not given; both sets may then be one sample.
            seed: of order, noise and dropout.
            checkpoints: a folder; an interrupted call goes on from what it left there, to the same result.
            progress: called after every step.
            world: the processes that share the work, see `hepflows.fit`; all of them have the same showers.

        Raises:
            DataError: showers of another geometry, without a column that the model is conditioned on, or of no positive sum of weights.
        """
        rows, validation_rows = counted(showers, rows), counted(validation, validation_rows)
        if self.config.kind != "student":
            self.conditions.fit({name: values[rows] for name, values in showers.columns.items()})
            self.incident.fit(showers, rows, generator(seed, "incident"))
            self.attributes = dict(showers.attributes)
        training = TrainingSet.of(showers, self.geometry, self.conditions, rows)
        held_out = TrainingSet.of(validation, self.geometry, self.conditions, validation_rows)
        orders = orientations(showers, rows, self.config.conditions) if self.config.orient else None
        if self.config.kind != "student":
            self.preprocess.fit(training.chunks, generator(seed, "preprocess"), orders)
        histories = {}
        for name, flow, prepare in self._stages[-1:] if self.config.kind == "student" else self._stages:
            config = getattr(self.config, name)
            section, prepare = config.training, shown(config, prepare)
            histories[name] = fit(
                objective(config, flow, self.taught_by, derive(seed, name, "discriminator")),
                training.batches(section.batch_size, turned(prepare, orders)),
                held_out.batches(max(1000, section.batch_size), prepare, shuffle=False),
                section,
                seed=derive(seed, name),
                checkpoint=None if checkpoints is None else checkpoints / f"checkpoint_{name}.safetensors",
                progress=labelled(progress, name.replace("_", " ")),
                world=world,
            )
        return histories

    def sample(
        self,
        showers: int | np.ndarray,
        *,
        seed: int,
        energies: Spread | str | None = None,
        columns: Mapping[str, np.ndarray | float] | None = None,
        progress: Progress | None = None,
    ) -> Showers:
        """Generate showers.

        Args:
            showers: how many; or the incident energies, (n,) in GeV.
            seed: shower ``i`` depends on the seed and on ``i`` alone; to rounding where its block of 1,000 is cut short.
            energies: of so many showers, in GeV, see `Spread`: ``"50"``, ``"1:100"``, ``"log:1:1000"`` or ``"10,20,50"``; distributed
                as in the training set where not given.
            columns: what the model is conditioned on, a number or (n,) numbers each; as in the training set where not given.
            progress: called after every block.
        """
        blocks = self.iterate_samples(showers, seed=seed, energies=energies, columns=columns, progress=progress)
        return Showers.concatenate(list(blocks))

    def iterate_samples(
        self,
        showers: int | np.ndarray,
        *,
        seed: int,
        energies: Spread | str | None = None,
        columns: Mapping[str, np.ndarray | float] | None = None,
        shard: tuple[int, int] = (0, 1),
        progress: Progress | None = None,
    ) -> Iterator[Showers]:
        """As `sample`, block by block, in flat memory whatever the number of showers.

        Args:
            showers, seed, energies, columns, progress: as of `sample`.
            shard: (i, n): of n shards, counted from 0, generate the i-th; all shards together are the sample of one call.
        """
        given = self.incident.asked(showers, columns, energies)
        origin = provenance(self.attributes, given, self.config.kind, seed)
        first, last = part_of(len(given), shard, BLOCK)
        for start in range(first, last, BLOCK):
            stop = min(last, start + BLOCK)
            position, elsewhere, *noise = shower_noise([flow for _, flow, _ in self._stages], start, stop, seed)
            incident, known = given.particles(start, position, elsewhere)
            yield self._generate(incident * MEV, known, noise, origin)
            if progress is not None:
                progress(stop - first, last - first, "sampling")

    @torch.no_grad()
    def _generate(
        self, incident: Tensor, columns: dict[str, np.ndarray], noise: list[Tensor], origin: dict[str, str]
    ) -> Showers:
        """Incident energies in MeV and latents of each flow to showers of this origin."""
        conditions = self.conditions.encode(columns) if columns else incident.new_zeros(len(incident), 0)
        voxels = self.voxels(incident, conditions, noise).numpy()
        return Showers((incident / MEV).numpy(), voxels, geometry=self.geometry, attributes=origin, columns=columns)

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
        """Log densities of the flows, (n,) each, in memory for 1,000 showers.

        They are densities of the targets, which the preprocessing makes and the training set standardises: they do not compare models of
        different preprocessing. The noise comes from ``seed`` and goes by position, so that showers in another order have another.
        """
        sample, rng = TrainingSet.of(showers, self.geometry, self.conditions), generator(seed, "log_prob")
        return {name: densities(flow, prepare, sample.blocks(BLOCK), rng) for name, flow, prepare in self._stages}

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
        tensors, header = load_tensors(path)
        if header.get("model") != "CaloFlow":
            message = f"{path}: holds no CaloFlow; give the file of a calorimeter run"
            raise CheckpointError(message)
        with restoring(path):
            geometry = Geometry.from_description(header["geometry"])
            model = cls(
                config=validated(CaloFlowConfig, header["config"], "config"), geometry=geometry, seed=header["seed"]
            )
            load_state(model, tensors, path)
            model.attributes = header["attributes"]
        return model
