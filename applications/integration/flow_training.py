"""Train a coupling flow of the cube on points of known weight: rounds of them, all kept and used again."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from hepflows.applications.integration.flow_map import FlowMap, FlowShape, single
from hepflows.applications.integration.training_points import Buffer, Draw
from hepflows.errors import ConfigError
from hepflows.flow import Flow
from hepflows.metrics.weights import WeightTally
from hepflows.training.distributed import World
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

TAUGHT, LESSONS = 3, 500
"""Round in which a continuous flow is fitted to the points so far, and the steps in which the flow learns from its samples."""

Points = Literal["own", "annealed", "distilled"]


@dataclass(frozen=True)
class FlowTraining(FlowShape):
    """How a flow is made and trained, beyond its `FlowShape`.

    Attributes:
        loss: divergence from the first step to the last, a name of `hepflows.training.divergences.DIVERGENCES`; the Kullback-Leibler one
            and, at the end, one that has a shorter tail of weights where not given.
        points: what it learns from: ``"own"`` points; ``"annealed"`` ones, which follow the gradient of an integrand written in torch to
            where the weights are large (arXiv:2208.01893); or ``"distilled"``, its own and those of a continuous flow that is
            trained beside it (arXiv:2604.03511), for many dimensions.

    >>> FlowTraining(spline="quadratic", bins=12).points
    'own'
    """

    loss: str | None = None
    points: Points = "own"

    def check(self) -> None:
        """Refuse what cannot be, before anything is computed.

        Raises:
            ConfigError: there are no such points or splines.
            DomainError: there is no such loss.
        """
        if self.points not in get_args(Points):
            message = f"points must be one of {', '.join(get_args(Points))}, got {self.points!r}"
            raise ConfigError(message)
        self.losses()
        self.univariate()

    def losses(self) -> tuple[DivergenceLoss, DivergenceLoss]:
        """The loss of most steps, and that of the last.

        Raises:
            DomainError: there is no such divergence.
        """
        if self.loss is not None:
            return (DivergenceLoss(self.loss),) * 2
        return DivergenceLoss("kl"), DivergenceLoss("alpha", alpha=3.0, clip=4.0)


def train(map_: FlowMap, draw: Draw, neval: int, seed: int, how: FlowTraining, world: World) -> WeightTally:
    r"""Train a flow in place on a share of ``neval`` evaluations.

    Each round draws points, adds them to those of all rounds before, each with the density it was drawn from, and goes on with Adam on
    all of them: first the forward KL, at the end the alpha divergence of :math:`\alpha = 3`, whose minimum has a shorter tail of
    weights. Points are picked with probability :math:`\propto w^{1/2}` and weighted by the rest. No loss enters the integral.

    Args:
        map_: the flow.
        draw: what gives the points.
        neval: evaluations of the whole integration.
        seed: of the batches.
        how: the loss, and whether a continuous flow teaches.
        world: processes that all train the same.

    Returns:
        The weights of the last round of points.
    """
    flow = map_.flow
    rng = numpy_generator(seed, "batches")
    n = int(SHARE * neval / ROUNDS)
    losses = how.losses()
    buffer = Buffer(flow.features, flow.context_features)
    tally, descent = WeightTally(), _Descent(flow)
    for i in range(ROUNDS):
        world.adopt([parameter.data for parameter in flow.parameters()])
        drawn = draw(map_, n, i)
        tally = WeightTally.of(drawn.weights)
        buffer.add(drawn)
        if not buffer.any():
            continue
        if how.points == "distilled" and i == TAUGHT:
            _distil(flow, buffer, descent, seed)
        for _ in range(min(STEPS // ROUNDS, max(1, PASSES * len(buffer) // BATCH))):
            points, context, log_p, log_q0 = buffer.batch(BATCH, rng)
            _, log_q = flow.bijection.forward(points, context)
            descent.step(losses[descent.share > 1 - LAST](log_q, log_p, log_q0))
            descent.done += 1
    world.adopt([parameter.data for parameter in flow.parameters()])
    return tally


def _distil(flow: Flow, buffer: Buffer, descent: _Descent, seed: int) -> None:
    """Fit a continuous flow to the buffer, and the flow to its samples."""
    from hepflows.applications.integration.distilled import POINTS, Teacher

    teacher = Teacher(flow.features, seed)
    teacher.learn(buffer)
    points = single(teacher.sample(POINTS))
    rng = numpy_generator(seed, "lessons")
    for _ in range(LESSONS):
        rows = torch.from_numpy(rng.integers(POINTS, size=BATCH))
        _, log_q = flow.bijection.forward(points[rows])
        descent.step(-log_q.mean())


class _Descent:
    """Adam with a short rise and a cosine fall of its rate over the steps that are done of all."""

    def __init__(self, flow: Flow) -> None:
        self.parameters, self.done = list(flow.parameters()), 0
        self.optimiser = torch.optim.Adam(self.parameters, lr=RATE, betas=(0.9, 0.99))

    @property
    def share(self) -> float:
        return self.done / STEPS

    def step(self, loss: Tensor) -> None:
        for group in self.optimiser.param_groups:
            rise, fall = min(1.0, (self.done + 1) / 30), 0.5 * (1 + math.cos(math.pi * self.share)) + 0.005
            group["lr"] = RATE * rise * fall
        self.optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.parameters, 5.0)
        self.optimiser.step()
