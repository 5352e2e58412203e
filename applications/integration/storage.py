"""An adapted sampler in one safetensors file."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from hepflows.applications.integration.channel import Channel
from hepflows.applications.integration.flow_map import FlowMap, cube_flow
from hepflows.applications.integration.integrand import Array
from hepflows.applications.integration.maps import Composition, CubeMap, Rotation
from hepflows.applications.integration.mixture import Mixture
from hepflows.applications.integration.sampler import Grid, Sampler
from hepflows.applications.integration.vegas import VegasMap
from hepflows.errors import CheckpointError, ConfigError
from hepflows.metrics.weights import WeightTally
from hepflows.training.checkpoint import load_state, load_tensors, save_tensors

KIND = "integration sampler"


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
    channels = [_restore(tensors, f"{k}.", kinds, path) for k, kinds in enumerate(header["maps"])]
    map_: CubeMap | Mixture = Composition(channels[0])
    if "shares" in tensors:
        map_ = Mixture([Channel(maps[:-1], cast("VegasMap", maps[-1])) for maps in channels], tensors["shares"].numpy())
    grid = Grid(header["boxes"], map_.features, tensors["grid"].numpy()) if header["boxes"] else None
    tally = WeightTally()
    tally.n, tally.sum, tally.squares = (header["weights"][name] for name in ("n", "sum", "squares"))
    tally.top = tensors["weights.top"].numpy()
    return header, Sampler(map_, grid, tally)


def _store(tensors: dict[str, Tensor], prefix: str, map_: CubeMap) -> list[str]:
    """Put a map, part by part, into ``tensors``; the kinds of the parts."""
    kinds = []
    for i, part in enumerate(map_.maps if isinstance(map_, Composition) else [map_]):
        here = f"{prefix}{i}."
        if isinstance(part, Rotation):
            kinds.append("rotation")
            tensors[f"{here}axes"] = _tensor(part.axes)
        elif isinstance(part, VegasMap):
            kinds.append("vegas")
            tensors[f"{here}edges"] = _tensor(part.edges)
        elif isinstance(part, FlowMap):
            kinds.append("flow")
            tensors |= {f"{here}{name}": value for name, value in part.flow.state_dict().items()}
        else:
            message = (
                "a sampler with channels of your own cannot be saved: keep the program that makes them, and its seed"
            )
            raise ConfigError(message)
    return kinds


def _restore(tensors: dict[str, Tensor], prefix: str, kinds: list[str], path: Path | str) -> list[CubeMap]:
    maps: list[CubeMap] = []
    for i, kind in enumerate(kinds):
        here = f"{prefix}{i}."
        if kind == "rotation":
            maps.append(Rotation(tensors[f"{here}axes"].numpy()))
        elif kind == "vegas":
            maps.append(VegasMap(tensors[f"{here}edges"].numpy()))
        else:
            flow = cube_flow(maps[-1].features)
            load_state(flow, {name.removeprefix(here): v for name, v in tensors.items() if name.startswith(here)}, path)
            maps.append(FlowMap(flow))
    return maps


def _tensor(values: Array) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(values))
