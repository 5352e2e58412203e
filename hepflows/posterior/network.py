"""What is learnt of a posterior, and how it is drawn from and evaluated in chunks of bounded memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn

from hepflows.posterior.config import PosteriorConfig
from hepflows.posterior.flows import posterior_flow
from hepflows.posterior.observables import Observables
from hepflows.posterior.parameters import Parameters
from hepflows.posterior.training_range import TrainingRange
from hepflows.training.seeding import derive, generator

CHUNK = 1 << 21
"""Numbers of the widest layer that are handled at once."""


class PosteriorNetwork(nn.Module):
    """Parameters, observables, the flow between them and the range that it was trained in.

    Args:
        config: kind and sizes of the flow and of the network of the observables.
        space: the parameters.
        shape: of one observation.
        mean: (D,) means of the coordinates of the parameters.
        spread: (D,) their standard deviations.
        embedding: a network of the user.
        seed: draws the initial weights.
    """

    def __init__(
        self,
        config: PosteriorConfig,
        space: Parameters,
        shape: Sequence[int],
        mean: Tensor,
        spread: Tensor,
        embedding: nn.Module | None,
        seed: int,
    ) -> None:
        super().__init__()
        self.space, self.shape = space, tuple(shape)
        self.observables = Observables(shape, config.summary, embedding, generator(seed, "summary network"))
        width = self.observables.outputs
        dtype = torch.get_default_dtype()
        self.flow = posterior_flow(mean.to(dtype), spread.to(dtype), width, config, seed=derive(seed, "flow"))
        self.range = TrainingRange(torch.Size(shape).numel())

    @property
    def dtype(self) -> torch.dtype:
        """Of the weights, and of the observations that are handed over."""
        return self.flow.base.anchor.dtype

    def noise(self, draws: int, observations: int, rng: torch.Generator | None) -> Tensor:
        """Latents ``(draws, observations, D)``."""
        return self.flow.base.sample(draws * observations, rng).view(draws, observations, -1)

    @torch.no_grad()
    def draw(self, noise: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        """Latents ``(n, B, D)`` and observations ``(B, *shape)`` to parameters ``(n, B, P)`` and their log densities, in float64."""
        theta = torch.empty(*noise.shape[:2], self.space.count, dtype=torch.float64)
        density = torch.empty(noise.shape[:2], dtype=torch.float64)
        for draws, rows, context in self._blocks(x, len(noise)):
            z = noise[draws, rows]
            y, ladj = self.flow.bijection.inverse(z, context)
            theta[draws, rows] = points = self.space.inverse(y.double())
            density[draws, rows] = (self.flow.base.log_prob(z) - ladj).double() + self.space(points)[1]
        return theta, density

    @torch.no_grad()
    def density(self, theta: Tensor, x: Tensor) -> Tensor:
        """Log density ``(n, B)`` of parameters ``(n, B, P)`` for observations ``(B, *shape)``, in float64."""
        density = torch.empty(theta.shape[:2], dtype=torch.float64)
        for draws, rows, context in self._blocks(x, len(theta)):
            y, ladj = self.space(theta[draws, rows])
            density[draws, rows] = self.flow.log_prob(y.to(self.dtype), context).double() + ladj
        return density

    def _blocks(self, x: Tensor, draws: int) -> Iterator[tuple[slice, slice, Tensor]]:
        """Chunks of draws and of observations, with the context of these."""
        widest = max(len(parameter) for parameter in self.parameters() if parameter.ndim)
        size = max(1024, CHUNK // widest)
        step = max(1, size // max(1, draws))
        for first in range(0, len(x), step):
            rows = slice(first, min(first + step, len(x)))
            context = self.observables(x[rows])
            for start in range(0, draws, size):
                yield slice(start, min(start + size, draws)), rows, context
