"""More draws of the posteriors of a table, where the likelihood is known: the same observations teach more."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from hepflows.posterior.estimator import PosteriorEstimator
from hepflows.training.seeding import derive, generator

Target = Callable[[Tensor], Tensor]
"""Log likelihood plus log prior ``(K, N)`` of parameters ``(K, N, P)`` for the observations of the table."""


def refreshed(
    estimator: PosteriorEstimator,
    theta: Tensor,
    x: Tensor,
    log_target: Target,
    *,
    rounds: int,
    proposals: int = 8,
    seed: int,
) -> Tensor:
    r"""Draw further parameters of each row from its exact posterior, by iterated sampling importance resampling (arXiv:1312.6432).

    The parameters that made an observation are a draw of its posterior. K proposals of the estimator stand beside them, and one of these
    K + 1 is taken with a probability proportional to

    .. math:: w_k = \frac{p(x|\theta_k)\, p(\theta_k)}{q(\theta_k|x)},

    which leaves the posterior as it is whatever the estimator is worth: a worse one moves less often. A table of N simulations becomes
    ``rounds + 1`` tables of the same observations, for the price of likelihoods: `PosteriorEstimator.fit` takes them all, so that what it
    learns does not hang on the one draw that each observation came with.

    Args:
        estimator: has learnt from the table, or from one like it.
        theta: (N, P) the parameters of the rows.
        x: (N, D) what the estimator is shown of them.
        log_target: the exact posterior, up to a constant a row.
        rounds: draws that are added.
        proposals: K.
        seed: of proposals and choices.

    Returns:
        (rounds + 1, N, P): the given parameters and the new ones.
    """
    rows, found = torch.arange(len(theta)), [theta]
    kept = log_target(theta.unsqueeze(0)) - estimator.log_prob(theta, x)
    rng = generator(seed, "choice")
    for number in range(rounds):
        proposed, density = estimator.sample_and_log_prob(x, proposals, seed=derive(seed, "proposals", number))
        points = torch.cat([found[-1].unsqueeze(0), proposed])
        weights = torch.cat([kept, log_target(proposed) - density])
        chosen = torch.multinomial(torch.softmax(weights, 0).T, 1, generator=rng).squeeze(1)
        found.append(points[chosen, rows])
        kept = weights[chosen, rows].unsqueeze(0)
    return torch.stack(found)
