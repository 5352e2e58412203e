"""An adapted sampler in one safetensors file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from hepflows.applications.integration.flow_map import FlowMap, cube_flow
from hepflows.applications.integration.integrand import Array
from hepflows.applications.integration.maps import Composition, CubeMap, Rotation
from hepflows.applications.integration.sampler import Grid, Sampler
from hepflows.applications.integration.vegas import VegasMap
from hepflows.errors import CheckpointError
from hepflows.metrics.weights import WeightTally
from hepflows.training.checkpoint import load_state, load_tensors, save_tensors

KIND = "integration sampler"


def save_sampler(path: Path | str, sampler: Sampler, header: dict[str, Any]) -> None:
    """Write ``sampler``, its largest weights with it, and ``header``."""
    parts = sampler.map.maps if isinstance(sampler.map, Composition) else [sampler.map]
    tally, grid = sampler.tally, sampler.grid
    tensors: dict[str, Tensor] = {"weights.top": _tensor(tally.top)}
    kinds = []
    for i, part in enumerate(parts):
        if isinstance(part, Rotation):
            kinds.append("rotation")
            tensors[f"{i}.axes"] = _tensor(part.axes)
        elif isinstance(part, VegasMap):
            kinds.append("vegas")
            tensors[f"{i}.edges"] = _tensor(part.edges)
        elif isinstance(part, FlowMap):
            kinds.append("flow")
            tensors |= {f"{i}.flow.{name}": value for name, value in part.flow.state_dict().items()}
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
    maps: list[CubeMap] = []
    for i, kind in enumerate(header["maps"]):
        if kind == "rotation":
            maps.append(Rotation(tensors[f"{i}.axes"].numpy()))
        elif kind == "vegas":
            maps.append(VegasMap(tensors[f"{i}.edges"].numpy()))
        else:
            flow = cube_flow(maps[-1].features)
            prefix = f"{i}.flow."
            state = {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
            load_state(flow, state, path)
            maps.append(FlowMap(flow))
    map_ = Composition(maps)
    grid = Grid(header["boxes"], map_.features, tensors["grid"].numpy()) if header["boxes"] else None
    tally = WeightTally()
    tally.n, tally.sum, tally.squares = (header["weights"][name] for name in ("n", "sum", "squares"))
    tally.top = tensors["weights.top"].numpy()
    return header, Sampler(map_, grid, tally)


def _tensor(values: Array) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(values))
