"""A Markov chain on the same likelihood: what the flow is compared with."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hepflows.applications.airshower.forward import ForwardModel
from hepflows.applications.airshower.prior import Prior
from hepflows.errors import MissingExtraError
from hepflows.training.seeding import derive, generator

Array = NDArray[np.float64]
Progress = Callable[[int, int, str], None]

_TRIALS = 20_000
_AFTER = 50  # steps between two looks at the progress


@dataclass(frozen=True)
class Chain:
    """Draws of a Markov chain.

    Args:
        coordinates: (n, 7) draws in the coordinates of `Prior.space`, the second half of the chain: all walkers of a step, step by step.
        theta: (n, 8) the same as parameters.
        walkers: how many draws make a step.
        autocorrelation: (7,) integrated autocorrelation times in steps.
        effective: number of independent draws, n over the longest of them.
        acceptance: mean acceptance.
        seconds: of the whole chain, with its burn-in.
    """

    coordinates: Tensor
    theta: Tensor
    walkers: int
    autocorrelation: Array
    effective: float
    acceptance: float
    seconds: float

    @property
    def steps(self) -> int:
        """Of each walker, with those that were dropped."""
        return 2 * len(self.coordinates) // self.walkers

    @property
    def length(self) -> float:
        """Steps that were kept, in autocorrelation times: a chain of fewer than fifty says little (arXiv:1202.3665)."""
        return self.effective / self.walkers

    def thinned(self, n: int, *, seed: int, part: slice = slice(None)) -> Tensor:
        """(n, 7) coordinates of all walkers at steps as far apart as can be, so that none is met twice where it stood; in random order.

        Args:
            n: how many; fewer where the chain is shorter.
            seed: of the order.
            part: steps that are meant.
        """
        steps = self.coordinates.reshape(-1, self.walkers, self.coordinates.shape[1])[part]
        count = min(len(steps), -(-n // self.walkers))
        chosen = steps[torch.linspace(0, len(steps) - 1, count).long()].flatten(0, 1)
        return chosen[torch.randperm(len(chosen), generator=torch.Generator().manual_seed(seed))[:n]]


def markov_chain(
    model: ForwardModel,
    prior: Prior,
    counts: Tensor,
    *,
    seed: int,
    walkers: int = 64,
    steps: int = 20_000,
    progress: Progress | None = None,
) -> Chain:
    """Sample the exact posterior with emcee (arXiv:1202.3665), in the coordinates in which the prior is a standard normal.

    The walkers begin at the most likely ones of 20,000 draws of the prior, and move as `moves` says. The first half is dropped.

    Args:
        model: likelihood.
        prior: of the parameters.
        counts: (420,) what was seen.
        seed: of the chain.
        walkers: size of the ensemble.
        steps: of each walker.
        progress: called from time to time.

    Raises:
        MissingExtraError: emcee is not installed.
    """
    try:
        import emcee
    except ImportError:
        message = "a Markov chain needs emcee: pip install 'hepflows[mcmc]'"
        raise MissingExtraError(message) from None
    started, space = time.monotonic(), prior.space()

    def log_posterior(points: Array) -> Array:
        y = torch.from_numpy(np.ascontiguousarray(points))
        target = model.log_likelihood(space.inverse(y), counts) - 0.5 * y.square().sum(-1)
        return np.asarray(target.numpy())

    sampler = emcee.EnsembleSampler(
        walkers,
        7,
        log_posterior,
        vectorize=True,
        moves=moves(),
    )
    sampler.random_state = np.random.RandomState(derive(seed, "chain") % 2**32).get_state()
    first = _start(log_posterior, walkers, seed)
    for step, _ in enumerate(sampler.sample(first, iterations=steps)):
        if progress is not None and (step + 1) % _AFTER == 0:
            progress(step + 1, steps, f"acceptance {sampler.acceptance_fraction.mean():.2f}")
    half = steps // 2
    times = np.asarray(sampler.get_autocorr_time(discard=half, tol=0))
    draws = torch.from_numpy(sampler.get_chain(discard=half, flat=True).copy())
    longest = float(np.nanmax(times)) if np.isfinite(times).any() else float(half)
    return Chain(
        coordinates=draws,
        theta=space.inverse(draws),
        walkers=walkers,
        autocorrelation=times,
        effective=len(draws) / max(1.0, longest),
        acceptance=float(sampler.acceptance_fraction.mean()),
        seconds=time.monotonic() - started,
    )


def moves() -> list[tuple[Any, float]]:
    """Differential evolution (ter Braak 2006), which follows curved and correlated posteriors; each tenth step may lead to another mode.

    Not the snooker move of emcee 3.1: it takes the square root of the factor that its proposals need, and of a standard normal in seven
    dimensions it finds 0.80 of the width.
    """
    import emcee

    return [(emcee.moves.DEMove(), 0.9), (emcee.moves.DEMove(gamma0=1.0), 0.1)]


def _start(log_posterior: Callable[[Array], Array], walkers: int, seed: int) -> Array:
    """The most likely draws of the prior, moved a little."""
    rng = generator(seed, "start")
    points = torch.randn(_TRIALS, 7, generator=rng, dtype=torch.float64)
    values = torch.from_numpy(log_posterior(points.numpy()))
    best = points[values.topk(2 * walkers).indices]
    chosen = best[torch.randperm(len(best), generator=rng)[:walkers]]
    moved = chosen + 1e-2 * torch.randn(chosen.shape, generator=rng, dtype=torch.float64)
    return np.asarray(moved.numpy())
