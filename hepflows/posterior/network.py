"""What is learnt of a posterior, and how it is drawn from and evaluated in chunks of bounded memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from hepflows.errors import CheckpointError
from hepflows.posterior.config import PosteriorConfig
from hepflows.posterior.flows import posterior_flow
from hepflows.posterior.guess import Guess
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
        guess: whether observations begin with a packed `Guess`, in whose coordinates the flow then works.
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
        *,
        guess: bool = False,
    ) -> None:
        super().__init__()
        self.space, self.shape, self.guess = space, tuple(shape), guess
        self.observables = Observables(shape, config.summary, embedding, generator(seed, "summary network"))
        width = self.observables.outputs
        dtype = torch.get_default_dtype()
        self.flow = posterior_flow(mean.to(dtype), spread.to(dtype), width, config, seed=derive(seed, "flow"))
        self.range = TrainingRange(torch.Size(shape).numel())

    @property
    def dtype(self) -> torch.dtype:
        """Of the weights, and of the observations that are handed over."""
        return self.flow.base.anchor.dtype

    def to_dtype(self, dtype: torch.dtype) -> PosteriorNetwork:
        """The networks in another type; what says how far they were trained stays in float64."""
        for part in (self.flow, self.observables):
            part.to(dtype)
        return self

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
            y, ladj = y.double(), ladj.double()
            if self.guess:
                guess = self.guessed(x[rows])
                y, ladj = guess.back(y), ladj - guess.log_det
            theta[draws, rows] = points = self.space.inverse(y)
            density[draws, rows] = self.flow.base.log_prob(z).double() - ladj + self.space(points)[1]
        return theta, density

    @torch.no_grad()
    def density(self, theta: Tensor, x: Tensor) -> Tensor:
        """Log density ``(n, B)`` of parameters ``(n, B, P)`` for observations ``(B, *shape)``, in float64."""
        density = torch.empty(theta.shape[:2], dtype=torch.float64)
        for draws, rows, context in self._blocks(x, len(theta)):
            y, ladj = self.space(theta[draws, rows])
            if self.guess:
                guess = self.guessed(x[rows])
                y, ladj = guess.into(y), ladj + guess.log_det
            density[draws, rows] = self.flow.log_prob(y.to(self.dtype), context).double() + ladj
        return density

    def guessed(self, x: Tensor) -> Guess:
        """What observations ``(B, D)`` begin with, in float64."""
        return Guess.unpack(x.double(), self.space.features)

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


def described(header: dict[str, Any], path: Path | str, embedding: nn.Module | None) -> dict[str, Any]:
    """What the header of a file says of a posterior.

    Raises:
        CheckpointError: nothing, or that an embedding is missing or too much.
    """
    about: dict[str, Any] | None = header.get("posterior")
    if about is None:
        message = f"{path}: holds a model, but no posterior: give a file that PosteriorEstimator.save wrote"
        raise CheckpointError(message)
    if about["embedding"] != (embedding is not None):
        wanted = "with an embedding of its own: pass embedding=" if about["embedding"] else "without an embedding"
        message = f"{path}: this estimator was made {wanted}"
        raise CheckpointError(message)
    return about
