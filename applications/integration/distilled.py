"""Training points from a continuous flow that is trained beside the coupling flow."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from hepflows.applications.integration.domain import BELOW_ONE
from hepflows.applications.integration.flow_map import single_precision
from hepflows.applications.integration.integrand import Array
from hepflows.applications.integration.training_points import Buffer
from hepflows.bijections import Continuous
from hepflows.training.flow_matching import FlowMatching
from hepflows.training.seeding import derive, numpy_generator

STEPS, BATCH, RATE = 1500, 1024, 2e-3
"""Steps of Adam of the continuous flow, their points, and the learning rate at the start."""
POINTS, SOLVER = 60_000, 8
"""Points that the coupling flow learns from, and the steps of the solver that draws them."""
EDGE = 1e-6


class Teacher:
    r"""A continuous flow of the cube, fitted to weighted points (arXiv:2604.03511).

    In normal coordinates :math:`t_i = \Phi^{-1}(y_i)`, where the flat density is where it starts. A network without constraints makes
    more of the same points than couplings of splines do in many dimensions; its samples, of which there are as many as one likes without
    a call of the integrand, teach those.

    Args:
        features: dimension of the cube.
        seed: of weights, batches and points.
    """

    def __init__(self, features: int, seed: int) -> None:
        self.seed, self.features = seed, features
        with single_precision():
            self.bijection = Continuous(
                features, hidden=(128, 128, 128), steps=SOLVER, generator=_generator(seed, "teacher")
            )

    def learn(self, buffer: Buffer) -> None:
        """Fit the velocity to the points of a buffer, as many times as their weights say."""
        optimiser = torch.optim.Adam(self.bijection.parameters(), lr=RATE)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, RATE, total_steps=STEPS)
        objective = FlowMatching(self.bijection)
        rng, generator = numpy_generator(self.seed, "teacher"), _generator(self.seed, "paths")
        for _ in range(STEPS):
            points, _, log_p, log_q0 = buffer.batch(BATCH, rng)
            t = torch.special.ndtri(points.double().clamp(EDGE, 1 - EDGE)).float()
            optimiser.zero_grad()
            objective(t, None, (log_p - log_q0).exp(), generator=generator).backward()
            nn.utils.clip_grad_norm_(self.bijection.parameters(), 5.0)
            optimiser.step()
            schedule.step()

    def sample(self, n: int) -> Array:
        """Points (n, d) of the cube."""
        generator = _generator(self.seed, "samples")
        parts = []
        with torch.no_grad():
            for start in range(0, n, 4096):
                z = torch.randn(min(4096, n - start), self.features, generator=generator, dtype=torch.float32)
                parts.append(torch.special.ndtr(self.bijection.transport(z)).double().numpy())
        return np.asarray(np.clip(np.concatenate(parts), 0.0, BELOW_ONE))


def _generator(seed: int, name: str) -> torch.Generator:
    return torch.Generator().manual_seed(derive(seed, name) & 0x7FFFFFFF)
