"""Residual networks inside the fused kernel: what it writes and what it refuses (its values: test_native_networks.py)."""

from __future__ import annotations

import pytest
import torch
from native_cases import every_kernel
from torch import Tensor

from hepflows.errors import ShapeError
from hepflows.kernels import dispatch, native
from hepflows.kernels.compiled_spline import SplineShape, addresses
from hepflows.kernels.wiring import Wiring

SHAPE = SplineShape(8, -3.0, 3.0)


def tensors(features: int, inputs: int, units: int, events: int, keeps: int = 0) -> list[Tensor]:
    """What is mapped and kept, the rest of the network's input, weight and bias of its last layer, how many units each feature sees."""
    rng = torch.Generator().manual_seed(units)
    sizes = (features + keeps, events), (inputs - keeps, events), (23 * features, units), (23 * features,)
    drawn = [torch.randn(size, generator=rng, dtype=torch.float32) for size in sizes]
    return [*drawn, torch.full((features,), units, dtype=torch.int32)]


@every_kernel
@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize(("gates", "keeps"), [(0, 0), (2, 0), (0, 2), (1, 1)])
@pytest.mark.parametrize(
    ("features", "inputs", "units", "blocks", "events"),
    [(1, 2, 1, 1, 1), (3, 7, 9, 2, 20), (5, 4, 17, 3, 49), (2, 3, 300, 1, 500), (2, 5, 8, 0, 30)],
)
def test_writes_nothing_but_its_outputs(
    kernels: str, count: int, gates: int, keeps: int, features: int, inputs: int, units: int, blocks: int, events: int
) -> None:
    wiring = Wiring(residual=True, gates=gates)
    x, h, weight, bias, seen = tensors(features, inputs, units, events, keeps)
    kept, mapped = torch.arange(keeps + features, dtype=torch.int32).split([keeps, features])
    coupling = (len(x), keeps, *addresses(mapped, kept)) if keeps else (len(x), 0, 0, 0)
    layers = [
        torch.full(size, 0.1, dtype=torch.float32)
        for rows, columns in wiring.sizes(inputs, [units] * (1 + wiring.block * blocks))
        for size in ((rows, columns), (rows,))
    ]
    tile = dispatch.compiled.RAW_TILE
    saved = -(-events // tile) * tile
    sizes = [
        x.numel(),
        events,
        23 * features * saved,
        units * saved,
        x.numel(),
        h.numel(),
        weight.numel(),
        bias.numel(),
    ]
    sizes += [tensor.numel() for tensor in layers]
    fence = torch.full((len(sizes), 64 + max(sizes) + 64), 7.25, dtype=torch.float32)
    parts = [fence[i, 64 : 64 + size] for i, size in enumerate(sizes)]
    y, ladj, raw, last, gx, gh, gweight, gbias, *gradients = parts
    common = count, SHAPE.fields(), features, inputs, units, events, 1, wiring.block
    pairs = range(0, len(layers), 2)
    forward = tuple((*layers[i].shape, *addresses(*layers[i : i + 2], None, None)) for i in pairs)
    backward = tuple((*layers[i].shape, *addresses(*layers[i : i + 2], *gradients[i : i + 2])) for i in pairs)
    upstream = torch.ones_like(x), torch.ones(events, dtype=torch.float32)
    with native.using(kernels):
        given = addresses(x, h, weight, bias, seen, raw, last, y, ladj)
        dispatch.compiled.head(*common, forward, coupling, *given)
        given = addresses(x, h, weight, seen, raw, last, *upstream, gx, gh, gweight, gbias)
        dispatch.compiled.head_backward(*common, backward, coupling, *given)
    assert all(bool((part != 7.25).all()) for part in (y, ladj, gx, gh, gweight, gbias, *gradients))
    for part in parts:
        part.fill_(7.25)
    assert bool((fence == 7.25).all())


@every_kernel
@pytest.mark.parametrize(
    ("gates", "sizes"),
    [
        (0, []),
        (0, [(9, 9), (9, 9)]),
        (0, [(9, 9), (10, 9), (9, 9)]),
        (0, [(9, 9), (9, 9), (10, 9)]),
        (4, [(9, 9), (9, 9), (9, 9), (9, 9)]),
        (10, [(9, 9), (9, 9), (9, 9), (9, 10)]),
    ],
)
def test_refuses_layers_that_do_not_make_a_residual_network(
    kernels: str, gates: int, sizes: list[tuple[int, int]]
) -> None:
    x, h, weight, bias, seen = tensors(2, 9, 9, 20)
    layers = [torch.ones(size, dtype=torch.float32) for rows, columns in sizes for size in ((rows, columns), (rows,))]
    with native.using(kernels), pytest.raises(ShapeError):
        native.head(x, h, weight, bias, seen, SHAPE, layers, Wiring(residual=True, gates=gates))
