"""Train a coupling flow on an integrand: rounds of its own points, all of them kept and used again."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor, nn

from hepflows.applications.integration.evaluation import Evaluation
from hepflows.applications.integration.flow_map import FlowMap, cube_flow, single
from hepflows.applications.integration.integrand import Array
from hepflows.applications.integration.maps import CubeMap
from hepflows.applications.integration.points import sobol
from hepflows.metrics.weights import WeightTally
from hepflows.training.divergences import DivergenceLoss
from hepflows.training.seeding import numpy_generator

ROUNDS, STEPS, BATCH, RATE = 6, 570, 1024, 4e-3
"""Rounds of points, steps of Adam in all, points of a step, and its learning rate at the start."""
SHARE = 0.24
"""Share of all evaluations that the training takes."""
LAST = 0.4
"""Last share of the steps, in which large weights are punished more than KL does."""
PASSES = 8
"""Times that a step of the training sees a point on average, at most: fewer points, fewer steps."""


def train_flow(
    evaluation: Evaluation, frame: CubeMap, neval: int, seed: int, loss: str | None = None
) -> tuple[FlowMap, WeightTally]:
    r"""A flow ``F`` between latents and the cube of ``frame``: points are ``frame(F(z))``.

    Each round draws points through the flow as it is, adds them to those of all rounds before, each with the density it was drawn
    from, and goes on with Adam on all of them: first the forward KL, at the end the alpha divergence of :math:`\alpha = 3`, whose
    minimum has a shorter tail of weights. Points are picked with probability :math:`\propto w^{1/2}` and weighted by the rest. No
    gradient of the integrand is needed, and no loss enters the integral.

    Args:
        evaluation: the integrand on the cube.
        frame: the map before the flow, adapted by VEGAS.
        neval: evaluations of the whole integration.
        seed: of weights, points and batches.
        loss: a divergence instead, from the first step to the last.

    Returns:
        The map and the weights of the last round of points.
    """
    d = frame.features
    flow = cube_flow(d, seed=seed & 0x7FFFFFFF)
    map_ = FlowMap(flow)
    optimiser = torch.optim.Adam(flow.parameters(), lr=RATE, betas=(0.9, 0.99))
    rng = numpy_generator(seed, "batches")
    n = int(SHARE * neval / ROUNDS)
    losses = (DivergenceLoss("kl"), DivergenceLoss("alpha", alpha=3.0, clip=4.0))
    if loss is not None:
        losses = (DivergenceLoss(loss),) * 2
    buffer = _Buffer(d)
    tally, step = WeightTally(), 0
    for i in range(ROUNDS):
        evaluation.world.adopt([parameter.data for parameter in flow.parameters()])
        z = sobol(n, d, seed, "flow", i)
        y, ladj = map_.inverse(z)
        u, outer = frame.inverse(y)
        weights = evaluation.leading(evaluation.weights(u, outer + ladj))
        tally = WeightTally()
        tally.add(weights)
        buffer.add(y, weights, ladj)
        if not buffer.any():
            continue
        for _ in range(min(STEPS // ROUNDS, max(1, PASSES * len(buffer) // BATCH))):
            share = step / STEPS
            for group in optimiser.param_groups:
                group["lr"] = RATE * min(1.0, (step + 1) / 30) * (0.5 * (1 + math.cos(math.pi * share)) + 0.005)
            points, log_p, log_q0 = buffer.batch(BATCH, rng)
            _, log_q = flow.bijection.forward(points)
            optimiser.zero_grad()
            losses[share > 1 - LAST](log_q, log_p, log_q0).backward()
            nn.utils.clip_grad_norm_(flow.parameters(), 5.0)
            optimiser.step()
            step += 1
    evaluation.world.adopt([parameter.data for parameter in flow.parameters()])
    return map_, tally


class _Buffer:
    """Points of all rounds, each with the density it was drawn from."""

    def __init__(self, dimension: int) -> None:
        self.points = torch.zeros(0, dimension, dtype=torch.float32)
        self.target, self.log_q0 = np.zeros(0), np.zeros(0)

    def __len__(self) -> int:
        return len(self.target)

    def add(self, y: Array, weights: Array, ladj: Array) -> None:
        """Points ``y`` (n, d) with their weights ``f dx/dz`` and log dy/dz."""
        self.points = torch.cat([self.points, single(y)])
        self.target = np.concatenate([self.target, weights * np.exp(-ladj)])
        self.log_q0 = np.concatenate([self.log_q0, -ladj])
        share = np.sqrt(self.target * np.exp(-self.log_q0))
        self.cumulative = np.cumsum(share)
        norm = max(float(np.square(share).mean()), 1e-300)
        with np.errstate(divide="ignore"):  # what has no weight is never picked
            self.log_p = _tensor(np.log(self.target / norm))
            self.picked = _tensor(self.log_q0 + np.log(share * (len(self) / max(self.cumulative[-1], 1e-300))))

    def any(self) -> bool:
        """Whether there is anything to learn from."""
        return bool(self.cumulative[-1] > 0)

    def batch(self, size: int, rng: np.random.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """Points picked with probability ``w^(1/2)``, the log of the normalised target, and the log density they come from."""
        i = np.searchsorted(self.cumulative, rng.random(size) * self.cumulative[-1])
        rows = torch.from_numpy(np.minimum(i, len(self) - 1))
        return self.points[rows], self.log_p[rows], self.picked[rows]


def _tensor(values: Array) -> Tensor:
    return torch.from_numpy(np.asarray(values, dtype=np.float32))
