"""Events from an adapted sampler: weighted, or of equal weight by rejection."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hepflows.applications.integration.evaluation import Evaluation
from hepflows.applications.integration.integrand import Array
from hepflows.applications.integration.sampler import Sampler
from hepflows.errors import DataError
from hepflows.training.seeding import numpy_generator

BLOCK = 65536
"""Points drawn at once at most; fewer where few events are wanted of a slow integrand."""
LEAST = 2e-4
"""Share of the points that rejection must keep: below, a usual number of events would take minutes to hours."""


@dataclass(frozen=True)
class Sample:
    r"""Events in random order.

    Attributes:
        x: ``(n, d)`` points in the user's coordinates.
        weight: ``(n,)`` weights. Unweighted events have :math:`\pm 1`, the sign that of the integrand, and those above the cap
            :math:`\pm w / Q`. Weighted ones have :math:`f / q`, whose mean is the integral.
        efficiency: share of the points drawn that was kept; 1 for weighted events.
        overweight: share of the sum of all weights that lies above the cap.
        neval: evaluations of the integrand that it took.
        cap: the weight :math:`Q`; of weighted events, that which rejection would use.
        drawn: absolute weights of the first points drawn, before any rejection: what their distribution looks like.
    """

    x: Array
    weight: Array
    efficiency: float
    overweight: float
    neval: int
    cap: float
    drawn: Array

    def __len__(self) -> int:
        return len(self.x)


def generate(
    evaluation: Evaluation, sampler: Sampler, n: int, *, unweighted: bool, overweight: float, seed: int
) -> Sample:
    r"""Draw ``n`` events.

    Unweighted events are kept with probability :math:`\min(1, w/Q)`, where :math:`Q` leaves a share ``overweight`` of the sum of weights
    above it; an event with :math:`w > Q` keeps the weight :math:`w / Q`, so that every distribution stays exact.

    Args:
        evaluation: the integrand.
        sampler: what is drawn from; its weights so far set the cap.
        n: number of events.
        unweighted: whether to reject.
        overweight: share of the weights that may lie above the cap.
        seed: of points and rejection.

    Raises:
        DataError: the integrand was zero wherever the sampler went, or rejection keeps next to nothing.
    """
    cap = sampler.tally.cap(overweight)
    if unweighted and not cap > 0:
        message = "no events can be drawn, because the integrand was zero at every point"
        raise DataError(message)
    rng = numpy_generator(seed, "events")
    expected = n / max(sampler.tally.efficiency(), 1e-3) if unweighted else n
    block = int(np.clip(1.2 * expected, 1024, BLOCK))
    before, drawn, kept = evaluation.calls, 0, 0
    total, above = 0.0, 0.0
    first: Array = np.zeros(0)
    points: list[Array] = []
    weights: list[Array] = []
    while kept < n:
        z = sampler.latents(block, rng)
        u, ladj = sampler.map.inverse(z)
        values = evaluation.weights(u, ladj - sampler.log_density(z))
        w = evaluation.leading(values)
        sign = (
            np.where(values[:, 0] < 0, -1.0, 1.0) if not evaluation.outputs.entries[0].is_complex else np.ones(len(w))
        )
        first = w if drawn == 0 else first
        keep = np.flatnonzero(rng.random(block) * cap < w) if unweighted else np.arange(block)
        drawn += block
        if unweighted:
            total, above = total + float(w.sum()), above + float(np.maximum(w - cap, 0).sum())
            w = np.maximum(w / cap, 1.0)
        points.append(evaluation.domain.inverse(u[keep])[0])
        weights.append((w * sign)[keep])
        kept += len(keep)
        if unweighted and kept < n and drawn >= 16 * BLOCK and kept < LEAST * drawn:
            message = (
                f"only {kept} events were kept of {drawn} points, because the sampler is too far from the integrand: "
                "integrate with more evaluations, or take weighted events"
            )
            raise DataError(message)
    order = rng.permutation(kept)[:n]
    x, weight = np.concatenate(points)[order], np.concatenate(weights)[order]
    share = kept / drawn if unweighted else 1.0
    return Sample(x, weight, share, above / total if total > 0 else 0.0, evaluation.calls - before, cap, first)
