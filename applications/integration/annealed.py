"""Training points that follow the gradient of the integrand to where the weights of a flow are large."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import partial

import numpy as np
import torch
from scipy.special import logsumexp, ndtri

from hepflows.applications.integration.domain import BELOW_ONE
from hepflows.applications.integration.evaluation import Evaluation
from hepflows.applications.integration.exploration import next_step, resample
from hepflows.applications.integration.flow_map import FlowMap
from hepflows.applications.integration.integrand import Array
from hepflows.applications.integration.maps import CubeMap
from hepflows.applications.integration.points import sobol
from hepflows.applications.integration.training_points import Draw, Drawn, own_points
from hepflows.metrics.weights import WeightTally
from hepflows.training.seeding import numpy_generator

LEVELS, LEAPS = 8, 3
"""Levels between the flow and the target at most, each with one trajectory of so many leaps."""
COST, TRIAL = 1 + LEVELS * LEAPS, 5
"""Evaluations of an annealed point, and the inverse of the share of them that tries the flow's own points."""
EDGE, SHIFT = 1e-6, 1e-6
"""How near the latents may come to the walls of the cube, and the step of differences."""


def annealed_points(evaluation: Evaluation, frame: CubeMap, seed: int) -> Draw:
    r"""Points that annealed importance sampling makes of those of the flow (FAB, arXiv:2208.01893, arXiv:2411.16234).

    With latents :math:`z = \Phi(t)` of normal ``t``, in which the flow is flat, and the weight :math:`w(t) = p/q` of their points, the
    levels

    .. math:: \pi_\beta(t) \propto \varphi(t)\, |w(t)|^{2\beta}, \qquad 0 < \beta \le 1

    go from the flow to :math:`p^2 / q`, of which the variance of the integral is made, in steps that halve the effective number of
    points. At each they are resampled and make one trajectory of Hamiltonian Monte Carlo with the gradient of the integrand; the
    weights (Neal, arXiv:physics/9803008) make them points of the last level whatever the trajectories did. A point takes up to ``COST``
    evaluations, each gradient counted as one: where the flow's own points are worth more than that, a trial says so, and they are taken
    instead.

    Args:
        evaluation: of an integrand written in torch.
        frame: the map before the flow.
        seed: of points and trajectories.

    Raises:
        ConfigError: the integrand has no gradient.
    """
    evaluation.log_gradient(
        evaluation.domain.inverse(np.full((2, frame.features), 0.5))[0]
    )  # without one, it ends here
    step, own = 0.3, own_points(evaluation, frame, seed)

    def draw(map_: FlowMap, n: int, i: int) -> Drawn:
        nonlocal step
        first = own(map_, n // TRIAL, i)
        if WeightTally.of(first.weights).effective_share > 1 / COST:
            return own(map_, n, i)
        rng = numpy_generator(seed, "annealed", i)
        particles = max(16, (n - n // TRIAL) // COST)
        weigh = partial(_weigh, evaluation, frame, map_)
        now = weigh(ndtri(np.clip(sobol(particles, frame.features, seed, "annealed", i), EDGE, 1 - EDGE)))
        log_share, beta = np.zeros(particles), 0.0
        for level in range(LEVELS):
            if not np.isfinite(now.log_w).any():
                return first
            rest = 1 - beta
            delta = rest if level == LEVELS - 1 else next_step(2 * now.log_w, rest, particles / 2)
            beta = 1.0 if delta >= rest else beta + delta
            log_share = log_share + 2 * delta * now.log_w
            if beta < 1:
                now = now.take(resample(2 * now.log_w, delta, particles, rng))
                log_share = np.full(particles, logsumexp(log_share) - math.log(particles))
            now, accepted = _trajectory(now, weigh, 2 * beta, step, rng)
            step *= math.exp(0.5 * (accepted - 0.7))
            if beta == 1:
                break
        # so far the log weight of p^2 / q, of which p has the share 1 / w
        alive = np.isfinite(now.log_w) & np.isfinite(log_share)
        log_w = np.where(alive, now.log_w, 0.0)
        log_share = np.where(alive, log_share - log_w, -np.inf)
        return Drawn(now.y, np.exp(log_share), np.where(alive, now.log_q + log_w - log_share, 0.0))

    return draw


@dataclass(frozen=True)
class _State:
    """Particles: normal latents ``t``, log w and its gradient there, their points ``y`` and log q of these."""

    t: Array
    log_w: Array
    force: Array
    y: Array
    log_q: Array

    def take(self, rows: Array) -> _State:
        """The particles of these numbers."""
        return _State(*(getattr(self, field.name)[rows] for field in fields(self)))

    def where(self, taken: Array, other: _State) -> _State:
        """The particles of ``other`` where ``taken``."""
        mine = [(getattr(self, field.name), getattr(other, field.name)) for field in fields(self)]
        return _State(*(np.where(taken.reshape(-1, *(1,) * (old.ndim - 1)), new, old) for old, new in mine))


def _trajectory(
    now: _State, weigh: Callable[[Array], _State], power: float, step: float, rng: np.random.Generator
) -> tuple[_State, float]:
    r"""One trajectory of each particle in :math:`\varphi(t)\, w(t)^\text{power}`, and the share of them that was accepted."""
    speed = rng.standard_normal(now.t.shape)
    before = power * now.log_w - 0.5 * (now.t**2 + speed**2).sum(1)
    new = now
    for _ in range(LEAPS):
        speed = speed + 0.5 * step * (power * new.force - new.t)
        new = weigh(new.t + step * speed)
        speed = speed + 0.5 * step * (power * new.force - new.t)
    after = power * new.log_w - 0.5 * (new.t**2 + speed**2).sum(1)
    with np.errstate(invalid="ignore"):  # minus infinity less minus infinity: a particle that is nowhere goes anywhere
        chance = np.nan_to_num(np.exp(np.minimum(after - before, 0.0)), nan=0.0)
    chance[~np.isfinite(before) & np.isfinite(after)] = 1.0
    return now.where(rng.random(len(chance)) < chance, new), float(chance.mean())


def _weigh(evaluation: Evaluation, frame: CubeMap, map_: FlowMap, t: Array) -> _State:
    latents = torch.from_numpy(t.astype(np.float32)).requires_grad_()
    y, ladj = map_.flow.bijection.inverse(torch.special.ndtr(latents).clamp(EDGE, 1 - EDGE))
    points = np.clip(y.detach().numpy().astype(np.float64), 0.0, BELOW_ONE)
    log_p, slope = _log_target(evaluation, frame, points)
    (ladj + (torch.from_numpy(slope.astype(np.float32)) * y).sum(1)).sum().backward()  # type: ignore[no-untyped-call]
    assert latents.grad is not None
    log_q = -ladj.detach().numpy().astype(np.float64)
    return _State(t, log_p - log_q, latents.grad.numpy().astype(np.float64), points, log_q)


def _log_target(evaluation: Evaluation, frame: CubeMap, y: Array) -> tuple[Array, Array]:
    """The log target (n,) at points ``y`` (n, d) of the cube, and its gradient (n, d)."""

    def mapped(points: Array) -> tuple[Array, Array]:
        u, outer = frame.inverse(points)
        x, ladj = evaluation.domain.inverse(u)
        return x, outer + ladj

    x, ladj = mapped(y)
    log_f, gradient = evaluation.log_gradient(x)
    slope = np.empty_like(y)
    for axis in range(y.shape[1]):  # the maps cost next to nothing, so their derivatives are differences
        moved = y.copy()
        moved[:, axis] += np.where(y[:, axis] < 0.5, SHIFT, -SHIFT)
        there, ladj_there = mapped(moved)
        with np.errstate(invalid="ignore"):
            change = ((there - x) * gradient).sum(1) + ladj_there - ladj
        slope[:, axis] = np.nan_to_num(change / (moved - y)[:, axis], posinf=0.0, neginf=0.0)
    return log_f + ladj, slope
