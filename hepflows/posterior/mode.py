"""The mode of many posteriors at once, and the curvature there, where likelihood and derivatives are known."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from hepflows.posterior.guess import Guess

Evaluate = Callable[[Tensor, Tensor], tuple[Tensor, Tensor, Tensor]]
"""``(y, rows)`` to log posterior (B,), gradient (B, D) and expected curvature (B, D, D) of the problems ``rows`` at their points (B, D)."""

_LONGEST = 2.0  # step, in coordinates in which a prior is of order one
_FIRST, _LEAST, _MOST = 1e-3, 1e-6, 1e4  # damping


@dataclass(frozen=True)
class Modes:
    """Where posteriors are largest.

    Args:
        guess: Gaussians there, with the expected curvature.
        value: (N,) log posterior.
        converged: (N,) whether a further step promises no more than the tolerance.
        evaluations: in the mean.
    """

    guess: Guess
    value: Tensor
    converged: Tensor
    evaluations: float


def find_modes(evaluate: Evaluate, start: Tensor, *, tolerance: float = 0.01, steps: int = 25) -> Modes:
    r"""Fisher scoring with the damping of Levenberg and Marquardt, of N problems side by side.

    .. math:: y \leftarrow y + (F + \lambda\, \mathrm{diag} F)^{-1} \nabla \log p(y|x)

    with the expected curvature F of the log posterior, which is positive where that of the data need not be. A step that does not gain is
    taken back and damped more. What is converged is left alone.

    Args:
        evaluate: log posteriors and derivatives.
        start: (N, D) first points; the mode that is found is the one that they lead to.
        tolerance: gain of the log posterior that a further step must promise to be made.
        steps: at most.

    Example:
        >>> target = torch.tensor([[1.0, 2.0], [-3.0, 0.5]])
        >>> precision = torch.tensor([[2.0, 0.5], [0.5, 1.0]])
        >>> def evaluate(y, rows):
        ...     away = target[rows] - y
        ...     return -0.5 * (away @ precision * away).sum(1), away @ precision, precision.expand(len(y), 2, 2)
        >>> modes = find_modes(evaluate, torch.zeros(2, 2), tolerance=1e-8)
        >>> bool(torch.allclose(modes.guess.mean, target, atol=1e-3)), bool(modes.converged.all())
        (True, True)
    """
    count = len(start)
    y, rows = start.clone(), torch.arange(count)
    value, gradient, curvature = (one.clone() for one in evaluate(y, rows))
    damping = torch.full((count,), _FIRST, dtype=y.dtype)
    evaluations = count
    for _ in range(steps):
        step = _step(gradient[rows], curvature[rows], damping[rows])
        worth = (step * gradient[rows]).sum(1) > 2 * tolerance  # a quadratic gains half of that
        rows, step = rows[worth], step[worth]
        if not len(rows):
            break
        found = evaluate(y[rows] + step, rows)
        evaluations += len(rows)
        gained = found[0] > value[rows]
        better, worse = rows[gained], rows[~gained]
        y[better] += step[gained]
        value[better], gradient[better], curvature[better] = (one[gained] for one in found)
        damping[better] = (damping[better] / 5).clamp_min(_LEAST)
        damping[worse] = (damping[worse] * 8).clamp_max(_MOST)
    converged = torch.ones(count, dtype=torch.bool)
    converged[rows] = False
    return Modes(Guess.of(y, curvature), value, converged, evaluations / max(1, count))


def _step(gradient: Tensor, curvature: Tensor, damping: Tensor) -> Tensor:
    diagonal = torch.diagonal(curvature, dim1=1, dim2=2)
    damped = curvature + torch.diag_embed(damping.unsqueeze(1) * diagonal)
    step: Tensor = torch.linalg.solve(damped, gradient)
    shorter: Tensor = step * (_LONGEST / step.norm(dim=1, keepdim=True)).clamp_max(1.0)
    return shorter
