"""The points that a flow of the cube is trained on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from hepflows.applications.integration.evaluation import Evaluation
from hepflows.applications.integration.flow_map import FlowMap, single
from hepflows.applications.integration.integrand import Array
from hepflows.applications.integration.maps import CubeMap
from hepflows.applications.integration.points import sobol


@dataclass(frozen=True)
class Drawn:
    """Points of the cube that a flow maps, with what is known of them.

    Attributes:
        y: ``(n, d)`` the points.
        weights: ``(n,)`` target over the density that they come from.
        log_density: ``(n,)`` logarithm of that density.
        context: ``(n, k)`` what the target depends on besides, or None.
    """

    y: Array
    weights: Array
    log_density: Array
    context: Array | None = None


Draw = Callable[[FlowMap, int, int], Drawn]
"""The flow as it is, a number of evaluations and the number of the round, to points."""


def own_points(evaluation: Evaluation, frame: CubeMap, seed: int) -> Draw:
    """Points that the flow draws itself."""

    def draw(map_: FlowMap, n: int, i: int) -> Drawn:
        y, ladj = map_.inverse(sobol(n, frame.features, seed, "flow", i))
        u, outer = frame.inverse(y)
        return Drawn(y, evaluation.leading(evaluation.weights(u, outer + ladj)), -ladj)

    return draw


class Buffer:
    """Points of all rounds, each with the density it was drawn from."""

    def __init__(self, dimension: int, context_features: int = 0) -> None:
        self.points = torch.zeros(0, dimension, dtype=torch.float32)
        self.context = torch.zeros(0, context_features, dtype=torch.float32) if context_features else None
        self.target, self.log_q0 = np.zeros(0), np.zeros(0)

    def __len__(self) -> int:
        return len(self.target)

    def add(self, drawn: Drawn) -> None:
        """Keep the points of one more round."""
        self.points = torch.cat([self.points, single(drawn.y)])
        if self.context is not None and drawn.context is not None:
            self.context = torch.cat([self.context, _tensor(drawn.context)])
        self.target = np.concatenate([self.target, drawn.weights * np.exp(drawn.log_density)])
        self.log_q0 = np.concatenate([self.log_q0, drawn.log_density])
        share = np.sqrt(self.target * np.exp(-self.log_q0))
        self.cumulative = np.cumsum(share)
        norm = max(float(np.square(share).mean()), 1e-300)
        with np.errstate(divide="ignore"):  # what has no weight is never picked
            self.log_p = _tensor(np.log(self.target / norm))
            self.picked = _tensor(self.log_q0 + np.log(share * (len(self) / max(self.cumulative[-1], 1e-300))))

    def any(self) -> bool:
        """Whether there is anything to learn from."""
        return bool(self.cumulative[-1] > 0)

    def batch(self, size: int, rng: np.random.Generator) -> tuple[Tensor, Tensor | None, Tensor, Tensor]:
        """Points picked with probability ``w^(1/2)``, their context, the log of the target, and the log density they come from."""
        i = np.searchsorted(self.cumulative, rng.random(size) * self.cumulative[-1])
        rows = torch.from_numpy(np.minimum(i, len(self) - 1))
        context = None if self.context is None else self.context[rows]
        return self.points[rows], context, self.log_p[rows], self.picked[rows]


def _tensor(values: Array) -> Tensor:
    return torch.from_numpy(np.asarray(values, dtype=np.float32))
