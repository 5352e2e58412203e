"""The flows that learn voxels: one recipe a kind."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import singledispatch
from typing import Any

import torch

from hepflows.applications.calorimeter.flow_config import (
    CouplingConfig,
    FlowConfig,
    InductiveConfig,
    ShowerFlowConfig,
    SplineConfig,
    StudentConfig,
    TeacherConfig,
    TransformerConfig,
)
from hepflows.applications.calorimeter.geometry import Geometry
from hepflows.bijections import Affine, RationalQuadraticSpline
from hepflows.errors import ConfigError
from hepflows.flow import Flow
from hepflows.student import student_of
from hepflows.training.seeding import derive, generator
from hepflows.zoo import coupling_flow, inductive_flow, maf, transformer_flow


@singledispatch
def shower_flow(config: ShowerFlowConfig, geometry: Geometry, extra: int, context_features: int, seed: int) -> Flow:
    """The flow of a configuration, over ``extra`` numbers and then the voxels.

    Args:
        config: its type is the kind.
        geometry: the cells.
        extra: numbers before the voxels: the layer energies, where one flow learns both.
        context_features: width of the context.
        seed: draws initial weights and permutations.
    """
    message = f"no recipe for {type(config).__name__}"
    raise TypeError(message)


@shower_flow.register
def _(config: TeacherConfig, geometry: Geometry, extra: int, context_features: int, seed: int) -> Flow:
    orders = layerwise_permutations(geometry, extra, config.blocks - 1, generator(seed, "permutations"))
    return masked(config, extra + geometry.n_voxels, context_features, orders, derive(seed, "shower flow"))


@shower_flow.register
def _(config: CouplingConfig, geometry: Geometry, extra: int, context_features: int, seed: int) -> Flow:
    return coupling_flow(
        extra + geometry.n_voxels, context_features, **_options(config), seed=derive(seed, "shower flow")
    )


@shower_flow.register
def _(config: InductiveConfig, geometry: Geometry, extra: int, context_features: int, seed: int) -> Flow:
    layers = [layer.n_voxels for layer in geometry.layers]
    widths = sorted(set(layers))
    if config.share and len(widths) > 1:
        message = (
            f"blocks of {', '.join(map(str, widths))} features cannot share one flow: set model.shower_flow.share=false"
        )
        raise ConfigError(message)
    return inductive_flow(
        [*([extra] if extra else []), *layers],
        context_features,
        window=config.window,
        share=len(widths) == 1 if config.share is None else config.share,
        coupling=config.coupling,
        **_options(config),
        seed=derive(seed, "shower flow"),
    )


@shower_flow.register
def _(config: StudentConfig, geometry: Geometry, extra: int, context_features: int, seed: int) -> Flow:
    """Of a teacher that is not at hand: the structure, for weights out of a file."""
    if config.taught_by is None:
        message = 'a student needs its teacher: CaloFlow("student", teacher=CaloFlow.load(...)), or --teacher on the command line'
        raise ConfigError(message)
    return follower(config, shower_flow(config.taught_by, geometry, extra, context_features, seed), seed)


def follower(config: ShowerFlowConfig, teacher: Flow, seed: int) -> Flow:
    """The student of a Flow II."""
    assert isinstance(config, StudentConfig)
    return student_of(
        teacher,
        hidden=config.hidden,
        dropout=config.dropout,
        from_teacher=config.from_teacher,
        seed=derive(seed, "student"),
    )


@shower_flow.register
def _(config: TransformerConfig, geometry: Geometry, extra: int, context_features: int, seed: int) -> Flow:
    sizes = patch_sizes(geometry, config.patch)
    return transformer_flow(
        extra + geometry.n_voxels,
        context_features,
        patches=[1] * extra + layerwise_patches(geometry, sizes),
        permutations=spreading_permutations(geometry, extra, sizes, config.blocks - 1),
        blocks=config.blocks,
        width=config.width,
        layers=config.layers,
        heads=config.heads,
        univariate=Affine() if config.univariate == "affine" else _spline(config),
        dropout=config.dropout,
        seed=derive(seed, "shower flow"),
    )


def masked(
    config: FlowConfig, features: int, context_features: int, permutations: Sequence[Sequence[int]] | None, seed: int
) -> Flow:
    """A masked autoregressive flow; the layer energies are learnt by one whatever the kind."""
    return maf(features, context_features, **_options(config), permutations=permutations, seed=seed)


def layerwise_permutations(geometry: Geometry, extra: int, count: int, rng: torch.Generator) -> list[list[int]]:
    """Alternately the reverse and a random order inside each layer, layers kept in sequence (CaloFlow); extra numbers stay first."""
    orders = []
    for index in range(count):
        parts = [torch.arange(extra + part.start, extra + part.stop) for part in geometry.slices]
        order = [part.flip(0) if index % 2 == 0 else part[torch.randperm(len(part), generator=rng)] for part in parts]
        orders.append(torch.cat([torch.arange(extra), *order]).tolist())
    return orders


def patch_sizes(geometry: Geometry, patch: int | Sequence[int]) -> list[int]:
    """Voxels a patch, for each layer: at most the square root of its voxels, so that rows and columns of patches share one voxel."""
    sizes = [patch] * geometry.n_layers if isinstance(patch, int) else list(patch)
    if len(sizes) != geometry.n_layers:
        message = f"patch lists {len(sizes)} sizes and {geometry.name} has {geometry.n_layers} layers: give one a layer, or one number"
        raise ConfigError(message)
    return [min(size, math.isqrt(layer.n_voxels)) for size, layer in zip(sizes, geometry.layers, strict=True)]


def layerwise_patches(geometry: Geometry, sizes: Sequence[int]) -> list[int]:
    """How many voxels each patch has: in each layer its size of ``sizes``, and at its end what is left."""
    return [
        min(size, layer.n_voxels - first)
        for layer, size in zip(geometry.layers, sizes, strict=True)
        for first in range(0, layer.n_voxels, size)
    ]


def spreading_permutations(geometry: Geometry, extra: int, sizes: Sequence[int], count: int) -> list[list[int]]:
    """All the other way round, in each layer the last voxels of the patches before those next to them, and back in turn.

    A patch is a row of neighbours in one block and stands across those rows in the next: of two voxels that do not see each other in one,
    one sees the other in the next.
    """
    parts = [
        extra + part.start + torch.arange(part.stop - part.start).remainder(size).argsort(stable=True)
        for part, size in zip(geometry.slices, sizes, strict=True)
    ]
    there = torch.cat([torch.arange(extra), *parts]).flip(0)
    return [(there if index % 2 == 0 else there.argsort()).tolist() for index in range(count)]


def _options(config: FlowConfig) -> dict[str, Any]:
    return {
        "blocks": config.blocks, "hidden": config.hidden, "univariate": _spline(config), "dropout": config.dropout,
    }  # fmt: skip


def _spline(config: SplineConfig) -> RationalQuadraticSpline:
    return RationalQuadraticSpline(config.bins, config.bound, minimum=config.minimum)
