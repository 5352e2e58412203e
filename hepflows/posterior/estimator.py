"""The posterior estimator: fit to simulated pairs, then draw and evaluate p(parameters | observables)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn

from hepflows.errors import ConfigError
from hepflows.posterior import reweighting, tables
from hepflows.posterior.config import PosteriorConfig
from hepflows.posterior.fresh import Augment, fresh
from hepflows.posterior.network import PosteriorNetwork, described
from hepflows.posterior.objective import PosteriorLoss
from hepflows.posterior.parameters import Bound, Parameters
from hepflows.posterior.summary import Summary, joined, summarise
from hepflows.shapes import sample_shape
from hepflows.training.batches import TensorBatches
from hepflows.training.checkpoint import load_state, load_tensors, restoring, save_tensors
from hepflows.training.loop import History, Progress, fit
from hepflows.training.presets import validated
from hepflows.training.seeding import derive, generator

SUMMARISED = 1 << 20
"""Draws that a summary holds at once."""


class PosteriorEstimator:
    r"""The posterior :math:`p(\theta|x)` of any simulator, learnt from pairs :math:`(\theta_i, x_i)` (arXiv:1605.06376, arXiv:2003.06281).

    A conditional flow :math:`q(\theta|x)` is fitted by maximum likelihood, :math:`\min -\sum_i \log q(\theta_i|x_i)`. The prior is that
    of the table of parameters: what they were drawn from. Parameters and observables are standardised inside; parameters with bounds, and
    fractions on a simplex, never leave them, see `Parameters`.

    Args:
        config: the flow and its training, see `PosteriorConfig`.
        bounds: a pair ``(low, high)`` or None for each parameter; None for no bounds.
        simplex: columns of the parameters that are fractions of one whole.
        names: of the parameters, for messages and pictures.
        embedding: a network of your own, observations ``(N, *shape)`` to ``(N, C)``, which takes them as they are. `load`
            needs it again, since a file holds no code.
        guess: whether observations begin with a Gaussian guess of their posterior, packed by `Guess`, in the coordinates of `Parameters`.
            The flow then learns what is left to say about its shape, with the columns of the guess among the observables.
        seed: everything random of the training follows from it.

    Shapes: one observation has the shape ``(D,)``, or any with an embedding. Observations are ``(*batch, D)``, draws ``(*n, *batch, P)`` in
    float64, log densities ``(*sample, *batch)``; arrays of NumPy are as good as tensors.

    Example:
        >>> generator = torch.Generator().manual_seed(0)
        >>> theta = 4 * torch.rand(2000, 1, generator=generator) - 2
        >>> x = theta + 0.5 * torch.randn(2000, 1, generator=generator)
        >>> quick = PosteriorConfig(blocks=2, hidden=[16], training={"epochs": 3, "batch_size": 128, "learning_rate": 0.01})
        >>> estimator = PosteriorEstimator(quick, bounds=[(-2, 2)], seed=1)
        >>> history = estimator.fit(theta, x)
        >>> estimator.sample(torch.tensor([0.3]), 500, seed=2).shape
        torch.Size([500, 1])
    """

    def __init__(
        self,
        config: PosteriorConfig | None = None,
        *,
        bounds: Sequence[Bound] | None = None,
        simplex: Sequence[int] | None = None,
        names: Sequence[str] | None = None,
        embedding: nn.Module | None = None,
        guess: bool = False,
        seed: int = 0,
    ) -> None:
        self.config = PosteriorConfig() if config is None else config
        self.bounds, self.simplex, self.embedding, self.guess, self.seed = bounds, simplex, embedding, guess, seed
        self.names = None if names is None else list(names)
        self.history: History | None = None
        self._network: PosteriorNetwork | None = None

    def fit(
        self,
        theta: ArrayLike | Tensor,
        x: ArrayLike | Tensor,
        *,
        weights: ArrayLike | Tensor | None = None,
        augment: Augment | None = None,
        checkpoint: Path | None = None,
        progress: Progress | None = None,
    ) -> History:
        """Learn from ``N`` simulated pairs.

        Args:
            theta: (N, P) parameters, or (R, N, P) if each row comes with R draws, see `refreshed`; an epoch takes one of them.
            x: (N, D) observables, or (N, *shape) with an embedding.
            weights: (N,) weights of the rows, which may be negative, see `PosteriorLoss`.
            augment: ``augment(x, generator)``, called for every batch of an epoch anew: noise that need not be in the table.
            checkpoint: where the state of the training is kept; the same call goes on from there.
            progress: called after every step.

        Raises:
            DataError: tables of different length, too few rows, NaN, parameters outside of their bounds, or one that never varies.
            TrainingError: the loss is not finite.
        """
        theta, x = tables.parameters(theta, self.bounds, self.simplex), tables.floats(x, "observables")
        weight = tables.weights(weights, len(x))
        tables.check_pairs(theta, x)
        space = Parameters(theta.shape[-1], self.bounds, self.simplex)
        self.names = tables.names(self.names, theta.shape[-1])
        y = space(theta)[0]
        mean, spread = y.flatten(0, -2).mean(0), tables.spread(y.flatten(0, -2), space, self.names)
        if self.guess:
            y = tables.guesses(x, space.features, fresh=augment is not None).into(y)
            mean, spread = torch.zeros_like(mean), torch.ones_like(spread)
        held, rest = tables.held_out(len(x), self.config.validation, generator(self.seed, "validation"))
        network = self._untrained(space, x.shape[1:], mean, spread)
        seen = x[rest] if augment is None else augment(x[rest], generator(self.seed, "standardise"))
        network.observables.standardise(seen)
        network.range.fitted(seen.flatten(1))
        several = y.ndim == 3
        changed = fresh(augment, several)
        table = ((y.movedim(0, 1) if several else y).to(x.dtype), x, *([] if weight is None else [weight]))
        size = self.config.training.batch_size
        self.history = fit(
            PosteriorLoss(network.flow, network.observables, floor=-10.0 - 4.0 * space.features),
            TensorBatches(table, size, changed, rows=rest),
            TensorBatches(table, max(size, 4096), changed, rows=held, shuffle=False),
            self.config.training,
            seed=derive(self.seed, "training"),
            checkpoint=checkpoint,
            progress=progress,
        )
        self._network = network.eval()
        return self.history

    def sample(
        self,
        x: ArrayLike | Tensor,
        n: int | tuple[int, ...] = 1,
        *,
        seed: int | None = None,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """Draw ``n`` parameter points for each observation: ``(*x.shape[:-1], D)`` to ``(*n, *batch, P)``.

        Beyond the noise and the answer it takes the memory of one chunk. An observation outside of the range of the training is answered
        under an `OutOfRangeWarning`, see `out_of_range`.

        Raises:
            DataError: an observation that is not finite or of the wrong width.
            ConfigError: neither a ``seed`` nor a ``generator``, or both.
        """
        return self.sample_and_log_prob(x, n, seed=seed, generator=generator)[0]

    def sample_and_log_prob(
        self,
        x: ArrayLike | Tensor,
        n: int | tuple[int, ...] = 1,
        *,
        seed: int | None = None,
        generator: torch.Generator | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Draw as `sample` does; the log densities ``(*n, *batch)`` of the draws come with them."""
        if (seed is None) == (generator is None):
            message = "draws need either a seed or a generator, and not both: pass for example seed=1"
            raise ConfigError(message)
        rows, batch = self._rows(x)
        self.network.range.warn(rows)
        rng = torch.Generator().manual_seed(seed) if generator is None and seed is not None else generator
        shape = sample_shape(n)
        draws = torch.Size(shape).numel()
        theta, density = self.network.draw(self.network.noise(draws, len(rows), rng), rows)
        return theta.reshape(*shape, *batch, -1), density.reshape(*shape, *batch)

    def log_prob(self, theta: ArrayLike | Tensor, x: ArrayLike | Tensor) -> Tensor:
        """Log density ``(*sample, *batch)`` of parameters ``(*sample, *batch, P)`` for observations ``(*batch, D)``.

        Minus infinity outside of the bounds. On a simplex it is the density in all fractions but the last.
        """
        rows, batch = self._rows(x)
        points = tables.points(theta, self.network.space.count, batch)
        density = self.network.density(points.reshape(-1, len(rows), points.shape[-1]), rows)
        return density.reshape(points.shape[:-1])

    def summary(
        self, x: ArrayLike | Tensor, n: int = 256, *, levels: Sequence[float] = (0.68, 0.95), seed: int
    ) -> Summary:
        """Mode, mean, spread and central intervals of each observation from ``n`` draws, in bounded memory for any number of them.

        Args:
            x: (*batch, D) observations.
            n: draws an observation; the mode is the one of highest density among them.
            levels: probabilities of the intervals.
            seed: of the draws; those of an observation do not depend on how many others there are.
        """
        rows, batch = self._rows(x)
        self.network.range.warn(rows)
        parts = []
        for block, some in enumerate(torch.split(rows, max(1, min(1024, SUMMARISED // n)))):
            # the draws of one observation next to one another: a block that is cut short draws the same
            noise = self.network.noise(len(some), n, generator(seed, "summary", block)).transpose(0, 1)
            parts.append(summarise(*self.network.draw(noise, some), levels))
        return joined(parts, batch)

    def reweight(
        self,
        theta: Tensor,
        x: ArrayLike | Tensor,
        log_likelihood: Callable[[Tensor, Tensor], Tensor],
        log_prior: Callable[[Tensor], Tensor] | None = None,
    ) -> reweighting.Reweighted:
        """Correct draws by the exact likelihood, where there is one.

        Args:
            theta: (n, *batch, P) draws from `sample` for ``x``.
            x: (*batch, D) observations.
            log_likelihood: ``(theta, x)`` to (n, *batch) log likelihoods, up to a constant an observation.
            log_prior: ``theta`` to (n, *batch); a constant where not given, which is right for parameters uniform in their bounds.

        Raises:
            DataError: NaN, or no draw with a likelihood.
        """
        rows, batch = self._rows(x)
        observed = rows.double().reshape(*batch, *self.network.shape)
        target = torch.as_tensor(log_likelihood(theta, observed))
        if log_prior is not None:
            target = target + torch.as_tensor(log_prior(theta))
        return reweighting.reweight(theta, self.log_prob(theta, x), target)

    def out_of_range(self, x: ArrayLike | Tensor) -> Tensor:
        """How far each observation ``(*batch, D)`` lies from the training observations, ``(*batch)``; above 1 it is outside.

        The statistic is the Mahalanobis distance of `TrainingRange`, in units of the largest one of the training.
        """
        rows, batch = self._rows(x)
        distance: Tensor = self.network.range(rows.flatten(1))
        return distance.reshape(batch)

    @property
    def network(self) -> PosteriorNetwork:
        """What was learnt; a `ConfigError` where nothing was."""
        if self._network is None:
            message = "this estimator has learnt nothing yet: call fit, or PosteriorEstimator.load"
            raise ConfigError(message)
        return self._network

    def save(self, path: Path | str, notes: dict[str, Any] | None = None) -> None:
        """Write everything to one safetensors file; ``notes`` go along in its header.

        Raises:
            ConfigError: nothing was learnt yet.
        """
        header = {
            "posterior": {
                "config": self.config.model_dump(mode="json"),
                "parameters": self.network.space.description(),
                "names": self.names,
                "shape": list(self.network.shape),
                "embedding": self.embedding is not None,
                "guess": self.guess,
                "seed": self.seed,
                "history": None if self.history is None else vars(self.history),
            },
            "notes": notes or {},
        }
        save_tensors(path, self.network.state_dict(), header)

    @classmethod
    def load(cls, path: Path | str, *, embedding: nn.Module | None = None) -> tuple[PosteriorEstimator, dict[str, Any]]:
        """Read what `save` wrote: the estimator and the notes.

        Args:
            path: the file.
            embedding: the network that the estimator was made with, if it was; its weights are read.

        Raises:
            CheckpointError: not such a file, or an embedding that is missing or does not fit.
        """
        tensors, header = load_tensors(path)
        with restoring(path):
            about = described(header, path, embedding)
            space = Parameters.described(about["parameters"])
            estimator = cls(
                validated(PosteriorConfig, about["config"], "config"),
                bounds=space.bounds, simplex=space.simplex or None, names=about["names"], embedding=embedding,
                guess=about.get("guess", False), seed=about["seed"],
            )  # fmt: skip
            zero, one = torch.zeros(space.features), torch.ones(space.features)
            network = estimator._untrained(space, about["shape"], zero, one).to_dtype(tensors["observables.mean"].dtype)
            load_state(network, tensors, path)
            estimator._network = network.eval()
            estimator.history = None if about["history"] is None else History(**about["history"])
            return estimator, header["notes"]

    def _untrained(self, space: Parameters, shape: Sequence[int], mean: Tensor, spread: Tensor) -> PosteriorNetwork:
        return PosteriorNetwork(self.config, space, shape, mean, spread, self.embedding, self.seed, guess=self.guess)

    def _rows(self, x: ArrayLike | Tensor) -> tuple[Tensor, tuple[int, ...]]:
        return tables.observations(x, self.network.shape, self.network.dtype)
