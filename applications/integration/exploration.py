"""Find where an integrand is: many walkers, from everywhere to the peaks, as it is slowly switched on."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from hepflows.applications.integration.domain import BELOW_ONE
from hepflows.applications.integration.integrand import Array
from hepflows.applications.integration.points import sobol
from hepflows.training.seeding import numpy_generator

Target = Callable[[Array], Array]
"""Points (n, d) of the cube to absolute weights (n,)."""


@dataclass(frozen=True)
class Exploration:
    """Points that follow the integrand.

    Attributes:
        points: ``(n, d)`` latents of about equal weight under ``|w|``, of several sweeps that are correlated.
        values: ``(n,)`` the target at these.
        last: ``(walkers, d)`` those of the last sweep.
    """

    points: Array
    values: Array
    last: Array


def explore(
    target: Target, dimension: int, *, seed: int, walkers: int = 1000, pool: int = 20, moves: int = 8, extra: int = 10
) -> Exploration | None:
    r"""Annealed sequential Monte Carlo (Del Moral et al. 2006; Neal, arXiv:physics/9803008) with moves by differential evolution.

    From ``pool * walkers`` points of the flat density, through :math:`p_\beta \propto |w|^\beta` with :math:`\beta` from 0 to 1 in steps
    that halve the effective number of walkers, each followed by ``moves`` sweeps of

    .. math:: z_i \to z_i + \gamma\, (z_a - z_b) + \epsilon,

    walkers ``a`` and ``b`` of the other half, :math:`\gamma = 2.38 / \sqrt{2 d}`, or 1 now and then, which jumps between modes (ter Braak
    2006). No gradient is needed, and nothing is assumed of the number or shape of the peaks.

    Args:
        target: absolute weights of the latents.
        dimension: of the latents.
        seed: of the walkers.
        walkers: how many there are.
        pool: points for each walker that the first step chooses from.
        moves: sweeps at each temperature.
        extra: sweeps more at the end, whose positions are all kept.

    Returns:
        The points, or None where the target was zero everywhere.

    >>> found = explore(lambda z: np.exp(-200 * ((z - 0.9) ** 2).sum(1)), 2, seed=1, walkers=200)
    >>> found.points.mean(0).round(1).tolist()
    [0.9, 0.9]
    """
    rng = numpy_generator(seed, "explore")
    z = np.ascontiguousarray(sobol(pool * walkers, dimension, seed, "explore"))
    log_w = _log(target(z))
    kept, heights = [], []
    if not np.isfinite(log_w).any():
        return None
    beta, wanted = 0.0, 2.0 * walkers
    while beta < 1:
        step = next_step(log_w, 1 - beta, wanted)
        beta, wanted = (1.0 if step >= 1 - beta else beta + step), walkers / 2
        chosen = resample(log_w, step, walkers, rng)
        z, log_w = z[chosen], log_w[chosen]
        sweeps = moves + (extra if beta == 1 else 0)
        for sweep in range(sweeps):
            _sweep(target, z, log_w, beta, rng)
            if sweep >= sweeps - extra - 1 and beta == 1:
                kept.append(z.copy())
                heights.append(np.exp(log_w))
    return Exploration(np.concatenate(kept), np.concatenate(heights), z)


def _log(weights: Array) -> Array:
    with np.errstate(divide="ignore"):
        return np.log(weights)


def next_step(log_w: Array, rest: float, wanted: float) -> float:
    """The step in the exponent that leaves an effective number of ``wanted`` walkers, or all that is left of it."""
    relative = log_w[np.isfinite(log_w)]
    relative = relative - relative.max()

    def effective(step: float) -> float:
        weights = np.exp(step * relative)
        return float(weights.sum() ** 2 / np.square(weights).sum())

    if effective(rest) >= wanted:
        return rest
    low, high = 0.0, rest
    for _ in range(40):
        middle = 0.5 * (low + high)
        low, high = (low, middle) if effective(middle) < wanted else (middle, high)
    return float(max(high, 1e-6 * rest))


def resample(log_w: Array, step: float, n: int, rng: np.random.Generator) -> Array:
    """Systematic resampling, in random order."""
    weights = np.where(np.isfinite(log_w), np.exp(step * (log_w - log_w.max())), 0.0)
    cumulative = np.cumsum(weights)
    chosen = np.searchsorted(cumulative, (np.arange(n) + rng.random()) / n * cumulative[-1])
    return np.asarray(rng.permutation(np.minimum(chosen, len(log_w) - 1)))


def _sweep(target: Target, z: Array, log_w: Array, beta: float, rng: np.random.Generator) -> None:
    """Move each half by the differences of the other, in place."""
    n, d = z.shape
    for half in (0, 1):
        moving, others = np.arange(half, n, 2), np.arange(1 - half, n, 2)
        a, b = rng.choice(others, len(moving)), rng.choice(others, len(moving))
        scale = 2.38 / math.sqrt(2 * d) * rng.choice([0.3, 1.0], len(moving))
        scale[rng.random(len(moving)) < 0.15] = 1.0
        proposal = z[moving] + scale[:, None] * (z[a] - z[b]) + 1e-3 * rng.standard_normal((len(moving), d))
        # reflection at the walls keeps the move symmetric
        proposal = np.mod(np.abs(proposal), 2.0)
        proposal = np.minimum(np.where(proposal > 1, 2 - proposal, proposal), BELOW_ONE)
        new = _log(target(proposal))
        with np.errstate(invalid="ignore"):
            better = np.log(rng.random(len(moving))) < beta * (new - log_w[moving])
        z[moving[better]], log_w[moving[better]] = proposal[better], new[better]
