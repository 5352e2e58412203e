"""What each flow of a CaloFlow minimises, and its density where it has learnt."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch

from hepflows.applications.calorimeter.flow_config import SplineConfig, StudentConfig
from hepflows.errors import ConfigError
from hepflows.flow import Flow
from hepflows.training import BlockDistillation, DiscFlow, Distillation, MaximumLikelihood, Objective
from hepflows.training.batches import Transform
from hepflows.training.loop import Progress


def objective(config: SplineConfig | StudentConfig, flow: Flow, teacher: Flow | None, seed: int) -> Objective:
    """The likelihood, weighted by a discriminator where one is configured; the distillation loss for a student.

    Args:
        config: of the flow.
        flow: learns.
        teacher: of a student.
        seed: draws the initial weights of a discriminator.

    Raises:
        ConfigError: a student without its teacher, as one that was loaded from a file is.
    """
    if not isinstance(config, StudentConfig):
        discriminator = config.discriminator
        return DiscFlow(flow, **discriminator.model_dump(), seed=seed) if discriminator else MaximumLikelihood(flow)
    if teacher is None:
        message = 'this student is without its teacher and cannot learn: make it anew, CaloFlow("student", teacher=CaloFlow.load(...))'
        raise ConfigError(message)
    if config.objective == "blocks":
        return BlockDistillation(flow, teacher)
    return Distillation(flow, teacher, config.beta, config.intermediate, config.parameters)


def shown(config: SplineConfig | StudentConfig, prepare: Transform) -> Transform:
    """What the objective takes of a batch: a student imitates its teacher wherever there are showers, whatever they weigh."""
    if not isinstance(config, StudentConfig):
        return prepare

    def unweighted(batch: tuple[torch.Tensor, ...], rng: torch.Generator) -> tuple[torch.Tensor, ...]:
        return prepare(batch, rng)[:2]

    return unweighted


def densities(
    flow: Flow, prepare: Transform, blocks: Iterable[tuple[torch.Tensor, ...]], rng: torch.Generator
) -> np.ndarray:
    """Log densities of a flow, block by block: (n,) in float64.

    Args:
        flow: evaluated.
        prepare: makes targets and contexts of a block.
        blocks: of showers.
        rng: draws the noise, on and on.
    """
    return np.concatenate([flow.log_prob(*prepare(block, rng)).double().numpy() for block in blocks])


def labelled(progress: Progress | None, name: str) -> Progress | None:
    """A progress that says which flow learns."""
    return None if progress is None else lambda done, total, text: progress(done, total, f"{name}: {text}")
