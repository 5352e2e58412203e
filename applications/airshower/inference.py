"""The posterior of the sources: a flow that has seen universes, and the exact likelihood beside it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from hepflows.applications.airshower.config import AirshowerConfig
from hepflows.applications.airshower.forward import ForwardModel
from hepflows.applications.airshower.prior import NAMES, Prior
from hepflows.errors import CheckpointError
from hepflows.posterior.adaptation import population_monte_carlo
from hepflows.posterior.estimator import PosteriorEstimator
from hepflows.posterior.reweighting import Reweighted, reweight
from hepflows.training.loop import History, Progress
from hepflows.training.seeding import generator


def features(counts: Tensor) -> Tensor:
    """Counts (..., 420) as a network takes them: the logarithm of the spectrum, the square root of Xmax."""
    spectrum, xmax = counts[..., :15], counts[..., 15:]
    return torch.cat([torch.log(spectrum + 0.5), torch.sqrt(xmax + 0.375)], -1)


def _noisy(expected: Tensor, rng: torch.Generator) -> Tensor:
    return features(torch.poisson(expected, generator=rng))


@dataclass
class SourcePosterior:
    """The posterior of gamma, lg(R_cut/V), five fractions and the Xmax scale, given 420 counts.

    Args:
        estimator: the flow.
        model: the forward model, for its likelihood.
        prior: of the parameters.
    """

    estimator: PosteriorEstimator
    model: ForwardModel
    prior: Prior

    @classmethod
    def learn(
        cls,
        config: AirshowerConfig,
        *,
        seed: int,
        checkpoint: Path | None = None,
        progress: Progress | None = None,
    ) -> tuple[SourcePosterior, History]:
        """Simulate universes and learn from them; their Poisson noise is new in every epoch.

        Args:
            config: prior, model, number of universes, flow.
            seed: everything random follows from it.
            checkpoint: where the training is kept.
            progress: called after every step.
        """
        prior, model = config.prior.prior(), ForwardModel(config.response, config.xmax)
        theta = prior.draw(config.universes, generator=generator(seed, "universes"))
        expected = torch.cat([model.expected(rows).float() for rows in torch.split(theta, 4096)])
        estimator = PosteriorEstimator(
            config.posterior, bounds=prior.bounds, simplex=prior.simplex, names=NAMES, seed=seed
        )
        history = estimator.fit(theta, expected, augment=_noisy, checkpoint=checkpoint, progress=progress)
        return cls(estimator, model, prior), history

    def sample(self, counts: Tensor, n: int, *, seed: int) -> tuple[Tensor, Tensor]:
        """Draws (n, *batch, 8) for counts (*batch, 420), and their log densities (n, *batch)."""
        return self.estimator.sample_and_log_prob(features(counts.double()), n, seed=seed)

    def log_prob(self, theta: Tensor, counts: Tensor) -> Tensor:
        """Log density of parameters (*sample, *batch, 8) for counts (*batch, 420)."""
        return self.estimator.log_prob(theta, features(counts.double()))

    def out_of_range(self, counts: Tensor) -> Tensor:
        """Distance of counts (*batch, 420) from the universes of the training; above 1 they are unlike all of them."""
        return self.estimator.out_of_range(features(counts.double()))

    def reweight(self, theta: Tensor, counts: Tensor) -> Reweighted:
        """Weights that make draws (n, *batch, 8) follow the exact posterior for counts (*batch, 420)."""
        return self.estimator.reweight(
            theta,
            features(counts.double()),
            lambda points, _: self.model.log_likelihood(points, counts.double()),
            self.prior.log_prob,
        )

    def exact(
        self, theta: Tensor, log_density: Tensor, counts: Tensor, n: int, *, seed: int
    ) -> tuple[Reweighted, float]:
        """Weighted draws of the exact posterior, where the weights of the flow's own draws may be carried by a few of them.

        The draws of the flow begin a population Monte Carlo, see `population_monte_carlo`.

        Args:
            theta: (m, 8) draws of `sample`.
            log_density: (m,) their log densities.
            counts: (420,) what was seen.
            n: weighted draws.
            seed: of these.

        Returns:
            The draws, and the temperature that the adaptation reached: 1, or it did not come to its end.
        """
        space = self.prior.space()
        y, ladj = space(theta)

        def log_target(points: Tensor) -> Tensor:
            prior = -0.5 * points.square().sum(-1) - 0.5 * points.shape[-1] * math.log(2 * math.pi)
            return self.model.log_likelihood(space.inverse(points), counts.double()) + prior

        found = population_monte_carlo(log_target, y, log_density - ladj, n, seed=seed)
        weighted = reweight(space.inverse(found.points), torch.zeros(n, dtype=torch.float64), found.log_weights)
        return weighted, found.temperature

    def save(self, path: Path, config: AirshowerConfig) -> None:
        """Write the flow, and the configuration that the rest follows from."""
        self.estimator.save(path, {"airshower": config.model_dump(mode="json")})

    @classmethod
    def load(cls, path: Path) -> tuple[SourcePosterior, AirshowerConfig]:
        """Read what `save` wrote.

        Raises:
            CheckpointError: another model.
        """
        estimator, notes = PosteriorEstimator.load(path)
        about: dict[str, Any] | None = notes.get("airshower")
        if about is None:
            message = (
                f"{path}: holds a posterior, but not one of air showers: give the folder of a run of hepflows airshower"
            )
            raise CheckpointError(message)
        config = AirshowerConfig.model_validate(about)
        return cls(estimator, ForwardModel(config.response, config.xmax), config.prior.prior()), config
