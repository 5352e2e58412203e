"""A coupling flow as a map of the unit cube."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import torch
from torch import Tensor

from hepflows.applications.integration.domain import BELOW_ONE
from hepflows.applications.integration.integrand import Array
from hepflows.bases import UniformBox
from hepflows.bijections import (
    Bijection,
    Chain,
    Coupling,
    LinearSpline,
    QuadraticSpline,
    RationalQuadraticSpline,
    Univariate,
)
from hepflows.errors import ConfigError
from hepflows.flow import Flow

LARGEST = 1 - 2.0**-24
"""The largest number below one in float32."""
CHUNK = 16384


Spline = Literal["rational_quadratic", "quadratic", "linear"]


@dataclass(frozen=True)
class FlowShape:
    """The size of a flow of the cube.

    Attributes:
        spline: kind of spline of the couplings, ``"rational_quadratic"``, ``"quadratic"`` or ``"linear"``.
        blocks: number of couplings; as many as it takes for every coordinate to see every other, at least six, where not given.
        hidden: widths of the conditioning networks.
        bins: of each spline.
    """

    spline: Spline = "rational_quadratic"
    blocks: int | None = None
    hidden: tuple[int, ...] = (64, 64)
    bins: int = 16

    def univariate(self) -> Univariate:
        """The map of one coordinate.

        Raises:
            ConfigError: there is no such spline.
        """
        if self.spline == "rational_quadratic":
            return RationalQuadraticSpline(bins=self.bins, box=(0.0, 1.0), free_edges=True, minimum=1e-4)
        if self.spline == "quadratic":
            return QuadraticSpline(bins=self.bins, box=(0.0, 1.0), free_edges=True, minimum=1e-4)
        if self.spline == "linear":
            return LinearSpline(bins=self.bins, box=(0.0, 1.0), minimum=1e-4)
        message = f"spline must be one of {', '.join(get_args(Spline))}, got {self.spline!r}"
        raise ConfigError(message)


def cube_flow(dimension: int, context_features: int = 0, shape: FlowShape | None = None, *, seed: int = 0) -> Flow:
    r"""A flow of the unit cube that starts near the identity: couplings of splines on ``[0, 1]`` (arXiv:1808.03856, arXiv:2001.05486).

    The masks are the binary digits of the coordinates' numbers, each followed by its complement: after
    :math:`2 \lceil \log_2 d \rceil` layers every coordinate has seen every other.

    Args:
        dimension: of the cube, at least two.
        context_features: numbers that the density depends on besides.
        shape: splines and networks.
        seed: draws the initial weights.

    >>> flow = cube_flow(3, seed=1)
    >>> bool((flow.log_prob(torch.full((1, 3), 0.5)).abs() < 1).all())
    True
    """
    shape = shape or FlowShape()
    generator = torch.Generator().manual_seed(seed)
    univariate = shape.univariate()
    digits = max(1, math.ceil(math.log2(dimension)))
    layers: list[Bijection] = []
    with single_precision():
        for block in range(max(6, 2 * digits) if shape.blocks is None else shape.blocks):
            digit = torch.tensor([(i >> (block // 2 % digits)) & 1 for i in range(dimension)], dtype=torch.bool)
            mask = digit if block % 2 else ~digit
            layers.append(Coupling(univariate, mask, context_features, hidden=shape.hidden, generator=generator))
        return Flow(Chain(layers), UniformBox([0.0] * dimension, [1.0] * dimension))


@contextmanager
def single_precision() -> Iterator[None]:
    """Inside, torch's default is float32, for which there are compiled kernels; a seed then gives the same flow anywhere."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float32)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


class FlowMap:
    """The bijection of a flow, of float32 inside, as a map of the cube.

    Args:
        features: dimension of the cube, at least two.
        context_features: numbers that the density depends on besides.
        shape: of the flow.
        seed: of its initial weights.

    >>> map_ = FlowMap(2, seed=1)
    >>> x, ladj = map_.inverse(np.array([[0.3, 0.6]]))
    >>> z, back = map_.forward(x)
    >>> bool(np.allclose(z, [[0.3, 0.6]], atol=1e-5)), bool(np.allclose(ladj, -back, atol=1e-4))
    (True, True)
    """

    def __init__(
        self, features: int, context_features: int = 0, shape: FlowShape | None = None, *, seed: int = 0
    ) -> None:
        self.features, self.shape = features, shape or FlowShape()
        self.flow = cube_flow(features, context_features, self.shape, seed=seed)
        self.context: Array | None = None

    def at(self, context: Array) -> FlowMap:
        """The map at one value ``(k,)`` of the context, or at one for each point ``(n, k)``."""
        map_ = copy(self)
        map_.context = np.asarray(context, dtype=np.float32)
        return map_

    def forward(self, x: Array) -> tuple[Array, Array]:
        return self._apply(x, inverse=False)

    def inverse(self, z: Array) -> tuple[Array, Array]:
        return self._apply(z, inverse=True)

    def _apply(self, points: Array, *, inverse: bool) -> tuple[Array, Array]:
        mapped, ladj = np.empty(points.shape[::-1]), np.empty(len(points))
        function = self.flow.bijection.inverse if inverse else self.flow.bijection.forward
        context = None if self.context is None else torch.from_numpy(self.context)
        with torch.no_grad():
            for start in range(0, len(points), CHUNK):
                part = slice(start, start + CHUNK)
                given = context if context is None or context.ndim == 1 else context[part]
                y, slope = function(single(points[part]), given)
                mapped[:, part], ladj[part] = y.T.numpy(), slope.numpy()
        return np.clip(mapped.T, 0.0, BELOW_ONE), ladj


def single(points: Array) -> Tensor:
    """Points (n, d) of the cube in float32, below one."""
    return torch.from_numpy(np.ascontiguousarray(points, dtype=np.float32)).clamp_(max=LARGEST)
