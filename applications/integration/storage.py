"""An adapted sampler in one safetensors file."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from hepflows.applications.integration.channel import Channel
from hepflows.applications.integration.flow_map import FlowMap, FlowShape
from hepflows.applications.integration.integrand import Array
from hepflows.applications.integration.maps import Composition, CubeMap, Rotation
from hepflows.applications.integration.mixture import Mixture
from hepflows.applications.integration.sampler import Grid, Sampler
from hepflows.applications.integration.vegas import VegasMap
from hepflows.errors import CheckpointError, ConfigError
from hepflows.metrics.weights import WeightTally
from hepflows.training.checkpoint import load_state, load_tensors, restoring, save_tensors

KIND, FAMILY = "integration sampler", "integration family"
Kind = str | dict[str, Any]
"""What a part of a map is, and for a flow how it is built."""


def save_sampler(path: Path | str, sampler: Sampler, header: dict[str, Any]) -> None:
    """Write ``sampler``, its largest weights with it, and ``header``.

    Raises:
        ConfigError: it contains a map of the user's, which only the user's program knows.
    """
    tally, grid = sampler.tally, sampler.grid
    tensors: dict[str, Tensor] = {"weights.top": _tensor(tally.top)}
    channels = sampler.map.channels if isinstance(sampler.map, Mixture) else [sampler.map]
    if isinstance(sampler.map, Mixture):
        tensors["shares"] = _tensor(sampler.map.shares)
    kinds = [_store(tensors, f"{k}.", channel) for k, channel in enumerate(channels)]
    if grid is not None:
        tensors["grid"] = _tensor(grid.share)
    weights = {"n": tally.n, "sum": tally.sum, "squares": tally.squares}
    boxes = grid.k if grid is not None else 0
    save_tensors(path, tensors, {**header, "kind": KIND, "maps": kinds, "boxes": boxes, "weights": weights})


def load_sampler(path: Path | str) -> tuple[dict[str, Any], Sampler]:
    """Read what `save_sampler` wrote.

    Raises:
        CheckpointError: the file is not one of these.
    """
    tensors, header = load_tensors(path)
    if header.get("kind") != KIND:
        message = f"{path}: holds no integration sampler; save one with FlowIntegrator.save"
        raise CheckpointError(message)
    with restoring(path):
        channels = [_restore(tensors, f"{k}.", kinds, path) for k, kinds in enumerate(header["maps"])]
        map_: CubeMap | Mixture = Composition(channels[0])
        if "shares" in tensors:
            map_ = Mixture(
                [Channel(maps[:-1], cast("VegasMap", maps[-1])) for maps in channels], tensors["shares"].numpy()
            )
        grid = Grid(header["boxes"], map_.features, tensors["grid"].numpy()) if header["boxes"] else None
        tally = WeightTally()
        tally.n, tally.sum, tally.squares = (header["weights"][name] for name in ("n", "sum", "squares"))
        tally.top = tensors["weights.top"].numpy()
        return header, Sampler(map_, grid, tally)


def save_family(path: Path | str, map_: Composition, header: dict[str, Any]) -> None:
    """Write the two maps of a family of integrals and ``header``."""
    tensors: dict[str, Tensor] = {}
    maps = _store(tensors, "", map_)
    save_tensors(path, tensors, {**header, "kind": FAMILY, "maps": maps})


def load_family(path: Path | str) -> tuple[dict[str, Any], tuple[VegasMap, FlowMap]]:
    """Read what `save_family` wrote.

    Raises:
        CheckpointError: the file is not one of these.
    """
    tensors, header = load_tensors(path)
    if header.get("kind") != FAMILY:
        message = f"{path}: holds no family of integrals; save one with FamilyIntegrator.save"
        raise CheckpointError(message)
    with restoring(path):
        vegas, flow = _restore(tensors, "", header["maps"], path)
        return header, (cast("VegasMap", vegas), cast("FlowMap", flow))


def _store(tensors: dict[str, Tensor], prefix: str, map_: CubeMap) -> list[Kind]:
    """Put a map, part by part, into ``tensors``; the kinds of the parts."""
    kinds: list[Kind] = []
    for i, part in enumerate(map_.maps if isinstance(map_, Composition) else [map_]):
        here = f"{prefix}{i}."
        if isinstance(part, Rotation):
            kinds.append("rotation")
            tensors[f"{here}axes"] = _tensor(part.axes)
        elif isinstance(part, VegasMap):
            kinds.append("vegas")
            tensors[f"{here}edges"] = _tensor(part.edges)
        elif isinstance(part, FlowMap):
            kinds.append({"flow": _shape(part)})
            tensors |= {f"{here}{name}": value for name, value in part.flow.state_dict().items()}
        else:
            message = (
                "a sampler with channels of your own cannot be saved: keep the program that makes them, and its seed"
            )
            raise ConfigError(message)
    return kinds


def _restore(tensors: dict[str, Tensor], prefix: str, kinds: list[Kind], path: Path | str) -> list[CubeMap]:
    maps: list[CubeMap] = []
    for i, kind in enumerate(kinds):
        here = f"{prefix}{i}."
        if kind == "rotation":
            maps.append(Rotation(tensors[f"{here}axes"].numpy()))
        elif kind == "vegas":
            maps.append(VegasMap(tensors[f"{here}edges"].numpy()))
        else:
            map_ = _flow(cast("dict[str, Any]", kind)["flow"])
            mine = {name.removeprefix(here): v for name, v in tensors.items() if name.startswith(here)}
            load_state(map_.flow, mine, path)
            maps.append(map_)
    return maps


def _shape(map_: FlowMap) -> dict[str, Any]:
    shape = {field.name: getattr(map_.shape, field.name) for field in fields(FlowShape)}
    context = None if map_.context is None else map_.context.tolist()
    widths = {"features": map_.features, "context_features": map_.flow.context_features}
    return {**widths, "shape": shape, "context": context}


def _flow(header: dict[str, Any]) -> FlowMap:
    shape = FlowShape(**{**header["shape"], "hidden": tuple(header["shape"]["hidden"])})
    map_ = FlowMap(header["features"], header["context_features"], shape)
    return map_ if header["context"] is None else map_.at(np.array(header["context"]))


def _tensor(values: Array) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(values))
