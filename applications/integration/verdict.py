"""Whether an integral and its error may be believed."""

from __future__ import annotations

import numpy as np

from hepflows.applications.integration.evaluation import Evaluation
from hepflows.applications.integration.exploration import Exploration
from hepflows.applications.integration.sampler import Sampler

TAIL, POOR, HEAVY, MISSED = 0.7, 0.5, 0.01, 0.05
"""Tail shape and effective share beyond which, together, an error is not believed; likewise the largest weight's share of the sum, and the
share of the landmarks that may lie where the sample was never dense enough."""


def judge(
    sampler: Sampler, evaluation: Evaluation, landmarks: Exploration | None, cancellation: float, Q: float
) -> tuple[bool, tuple[str, ...]]:
    """Reasons not to believe a result, and remarks; unreliable where one of the reasons holds.

    Args:
        sampler: what drew the final points, with their weights.
        evaluation: the integrand.
        landmarks: points that follow the integrand, found without the map.
        cancellation: integral of the absolute value over the absolute integral.
        Q: probability of the scatter of the rounds.
    """
    reasons, remarks, tally = [], [], sampler.tally
    if tally.sum == 0:
        reasons.append("the integrand was zero at every point: give bounds that hold what is not zero")
    if tally.khat > TAIL and tally.effective_share < POOR:
        reasons.append(
            f"the weights have a heavy tail (shape {tally.khat:.2f} at an effective share of {tally.effective_share:.2g}): "
            "the error may be too small; use more evaluations or another parametrisation"
        )
    if tally.largest_share > HEAVY:
        reasons.append(
            f"a single point makes {100 * tally.largest_share:.1f} % of the sum: use more evaluations or another parametrisation"
        )
    if landmarks is not None and tally.sum > 0:
        share = missed(sampler, landmarks)
        if share > MISSED:
            reasons.append(
                f"{100 * share:.0f} % of the integral, by an independent exploration, lies where the sample is too thin: "
                "use more evaluations"
            )
    if Q < 1e-4:
        reasons.append(f"the rounds scatter more than their errors allow (Q = {Q:.1g}): use more evaluations")
    if evaluation.example is not None:
        point = "(" + ", ".join(f"{value:.6g}" for value in evaluation.example) + ")"
        remarks.append(
            f"the integrand was not finite at {evaluation.invalid} of {evaluation.calls} points, counted as zero, the first at x = {point}"
        )
    if cancellation > 10:
        remarks.append(f"positive and negative parts cancel to 1/{cancellation:.3g}: the relative error grows by that")
    return not reasons, (*reasons, *remarks)


def missed(sampler: Sampler, landmarks: Exploration) -> float:
    """Share of the landmarks whose weight is beyond all that were seen: the sample is expected there less than once."""
    with np.errstate(over="ignore"):
        weights = landmarks.values * np.exp(-sampler.log_prob(landmarks.points))
    return float((weights > sampler.tally.quantile(1.0)).mean())
