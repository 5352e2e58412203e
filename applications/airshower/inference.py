"""The posterior of the sources: a flow that has seen universes, and the exact likelihood beside it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from hepflows.applications.airshower.config import AirshowerConfig
from hepflows.applications.airshower.fitting import Fitter
from hepflows.applications.airshower.forward import ForwardModel
from hepflows.applications.airshower.prior import NAMES, Prior
from hepflows.applications.airshower.universes import Universes, features
from hepflows.errors import CheckpointError
from hepflows.posterior.adaptation import population_monte_carlo
from hepflows.posterior.estimator import PosteriorEstimator
from hepflows.posterior.reweighting import Reweighted, reweight
from hepflows.training.checkpoint import load_tensors, restoring
from hepflows.training.loop import History, Progress
from hepflows.training.presets import validated


@dataclass
class SourcePosterior:
    """The posterior of gamma, lg(R_cut/V), five fractions and the Xmax scale, given 420 counts.

    Args:
        estimator: the flow.
        model: the forward model, for its likelihood.
        prior: of the parameters.
        fitter: fits the counts for the flow; None where it is shown the counts themselves.
    """

    estimator: PosteriorEstimator
    model: ForwardModel
    prior: Prior
    fitter: Fitter | None

    @classmethod
    def learn(
        cls,
        universes: Universes,
        config: AirshowerConfig,
        *,
        seed: int,
        checkpoint: Path | None = None,
        progress: Progress | None = None,
    ) -> tuple[SourcePosterior, History]:
        """Learn from universes that were simulated with the same configuration.

        Args:
            universes: from `Universes.simulate`.
            config: prior, model, flow.
            seed: everything random of the training follows from it.
            checkpoint: where the training is kept.
            progress: called after every step.
        """
        prior, model = config.prior.prior(), ForwardModel(config.response, config.xmax)
        fitter = Fitter(model, prior) if config.observables == "fit" else None
        estimator = PosteriorEstimator(
            config.posterior,
            bounds=prior.bounds,
            simplex=prior.simplex,
            names=NAMES,
            guess=fitter is not None,
            seed=seed,
        )
        history = estimator.fit(
            universes.theta, universes.shown, augment=universes.noise, checkpoint=checkpoint, progress=progress
        )
        return cls(estimator, model, prior, fitter), history

    def observables(self, counts: Tensor) -> Tensor:
        """What the flow is shown (*batch, D) of counts (*batch, 420)."""
        return features(counts.double()) if self.fitter is None else self.fitter(counts)

    def sample(self, counts: Tensor, n: int, *, seed: int) -> tuple[Tensor, Tensor]:
        """Draws (n, *batch, 8) for counts (*batch, 420), and their log densities (n, *batch)."""
        return self.estimator.sample_and_log_prob(self.observables(counts), n, seed=seed)

    def log_prob(self, theta: Tensor, counts: Tensor) -> Tensor:
        """Log density of parameters (*sample, *batch, 8) for counts (*batch, 420)."""
        return self.estimator.log_prob(theta, self.observables(counts))

    def out_of_range(self, counts: Tensor) -> Tensor:
        """Distance of counts (*batch, 420) from the universes of the training; above 1 they are unlike all of them."""
        return self.estimator.out_of_range(self.observables(counts))

    def reweight(self, theta: Tensor, counts: Tensor) -> Reweighted:
        """Weights that make draws (n, *batch, 8) follow the exact posterior for counts (*batch, 420)."""
        return self.estimator.reweight(
            theta,
            self.observables(counts),
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
        about: dict[str, Any] | None = load_tensors(path)[1].get("notes", {}).get("airshower")
        if about is None:
            message = f"{path}: holds no posterior of cosmic-ray sources: give the folder of a run of 'hepflows airshower run'"
            raise CheckpointError(message)
        with restoring(path):
            estimator, _ = PosteriorEstimator.load(path)
            config = validated(AirshowerConfig, about, "config")
            prior, model = config.prior.prior(), ForwardModel(config.response, config.xmax)
            return cls(estimator, model, prior, Fitter(model, prior) if config.observables == "fit" else None), config
