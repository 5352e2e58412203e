"""Universes to learn from: their parameters, and what a flow is shown of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from hepflows.applications.airshower.config import AirshowerConfig
from hepflows.applications.airshower.fitting import Fitter
from hepflows.applications.airshower.forward import ForwardModel
from hepflows.posterior.estimator import PosteriorEstimator
from hepflows.posterior.refresh import refreshed
from hepflows.training.checkpoint import load_tensors, save_tensors
from hepflows.training.loop import Progress
from hepflows.training.seeding import derive, generator

Noise = Callable[[Tensor, torch.Generator], Tensor]

_BLOCK = 4096


def features(counts: Tensor) -> Tensor:
    """Counts (..., 420) as a network takes them: the logarithm of the spectrum, the square root of Xmax."""
    spectrum, xmax = counts[..., :15], counts[..., 15:]
    return torch.cat([torch.log(spectrum + 0.5), torch.sqrt(xmax + 0.375)], -1)


def _noisy(expected: Tensor, rng: torch.Generator) -> Tensor:
    return features(torch.poisson(expected, generator=rng))


@dataclass(frozen=True)
class Universes:
    """A table of simulated universes.

    Args:
        theta: (N, 8) parameters, or (R, N, 8) draws of the posterior of each row.
        shown: (N, D) what the flow is shown, or what it is made from.
        noise: makes that from the table, anew in every epoch; None where nothing is left to draw.
    """

    theta: Tensor
    shown: Tensor
    noise: Noise | None

    @classmethod
    def simulate(
        cls, config: AirshowerConfig, seed: int, *, folder: Path | None = None, progress: Progress | None = None
    ) -> Universes:
        """Draw from the prior; counts that are fitted have their noise once, those shown as they are get it in every epoch.

        Args:
            config: prior, model, number, and what is shown.
            seed: of parameters and noise.
            folder: of a run, where finished blocks of fits are kept as checkpoints.
            progress: called after every block.
        """
        prior, model = config.prior.prior(), ForwardModel(config.response, config.xmax)
        theta = prior.draw(config.universes, generator=generator(seed, "universes"))
        fitter = Fitter(model, prior) if config.observables == "fit" else None

        def block(number: int, rows: Tensor) -> Tensor:
            return (
                model.expected(rows).float() if fitter is None else fitter(_counts(model, rows, seed, number)).float()
            )

        kept = None if fitter is None else folder
        parts = [
            _kept(kept, "fit", number, partial(block, number, rows))
            for number, rows in _blocks(theta, progress, "fitted")
        ]
        return cls(theta, torch.cat(parts), _noisy if fitter is None else None)

    def refreshed(
        self,
        estimator: PosteriorEstimator,
        config: AirshowerConfig,
        seed: int,
        *,
        folder: Path | None = None,
        progress: Progress | None = None,
    ) -> Universes:
        """The same universes with further draws of their posteriors, see `hepflows.posterior.refreshed`.

        Args:
            estimator: has learnt from these universes.
            config, seed: that they were simulated with.
            folder: of a run, where finished blocks are kept as checkpoints.
            progress: called after every block.
        """
        prior, model = config.prior.prior(), ForwardModel(config.response, config.xmax)

        def block(number: int, rows: Tensor, shown: Tensor) -> Tensor:
            counts = _counts(model, rows, seed, number)

            def log_target(theta: Tensor) -> Tensor:
                return model.log_likelihood(theta, counts) + prior.log_prob(theta)

            return refreshed(
                estimator, rows, shown, log_target, rounds=config.refresh, seed=derive(seed, "refresh", number)
            )

        parts = [
            _kept(folder, "refreshed", number, partial(block, number, rows, shown))
            for (number, rows), shown in zip(
                _blocks(self.theta, progress, "refreshed"), torch.split(self.shown, _BLOCK), strict=True
            )
        ]
        return Universes(torch.cat(parts, 1), self.shown, self.noise)


def _counts(model: ForwardModel, theta: Tensor, seed: int, number: int) -> Tensor:
    return model.simulate(theta, generator=generator(seed, "counts", number))


def _blocks(theta: Tensor, progress: Progress | None, what: str) -> Iterator[tuple[int, Tensor]]:
    """Numbered blocks of rows; when the next one is asked for, the one before is done."""
    for number, rows in enumerate(torch.split(theta, _BLOCK)):
        yield number, rows
        if progress is not None:
            progress(min((number + 1) * _BLOCK, len(theta)), len(theta), f"universes {what}")


def _kept(folder: Path | None, kind: str, number: int, make: Callable[[], Tensor]) -> Tensor:
    """A block from its file, or made and written to it."""
    if folder is None:
        return make()
    path = folder / f"checkpoint_{kind}_{number:06d}.safetensors"
    if path.exists():
        return load_tensors(path)[0]["block"]
    block = make()
    save_tensors(path, {"block": block}, {})
    return block
