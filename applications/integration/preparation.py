"""Before the estimate: adapt the map of VEGAS, explore where it is poor, look along other axes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from hepflows.applications.integration.channel import Channel
from hepflows.applications.integration.clusters import channels_of
from hepflows.applications.integration.evaluation import Evaluation
from hepflows.applications.integration.exploration import Exploration, explore
from hepflows.applications.integration.integrand import Array
from hepflows.applications.integration.maps import CubeMap, Rotation, principal_axes
from hepflows.applications.integration.mixture import Mixture
from hepflows.applications.integration.points import sobol
from hepflows.applications.integration.vegas import VegasMap
from hepflows.metrics.weights import WeightTally

BINS = 1024
"""Bins of an axis: many, smoothed over many points."""
GOOD, MANY, HOPELESS = 0.5, 0.3, 0.05
"""Effective share from which a map needs no exploration, that below which clumps of points get channels of their own, and that below which
more rounds alone do not help."""
FEW = 4
"""Dimensions up to which strata make good what a map leaves: channels would take more points than they save."""


Adaptive = TypeVar("Adaptive", Channel, Mixture)


@dataclass(frozen=True)
class Candidate:
    """A way to sample: a name and a map, and the weights of its last round of adaptation."""

    name: str
    map: CubeMap | Mixture
    tally: WeightTally


@dataclass(frozen=True)
class Preparation:
    """What is known before the estimate.

    Attributes:
        candidates: the maps that were adapted, the plain one of VEGAS first.
        landmarks: points of the cube that follow the integrand, found independently of the maps; None where not explored.
    """

    candidates: tuple[Candidate, ...]
    landmarks: Exploration | None

    @property
    def best(self) -> Candidate:
        """The candidate of the largest effective share."""
        return max(self.candidates, key=lambda candidate: candidate.tally.effective_share)

    @property
    def best_map(self) -> CubeMap:
        """The map of the largest effective share that is a bijection."""
        maps = [(entry.tally.effective_share, i, entry.map) for i, entry in enumerate(self.candidates)]
        return max((entry for entry in maps if not isinstance(entry[2], Mixture)), key=lambda entry: entry[:2])[2]  # type: ignore[return-value]


def prepare(evaluation: Evaluation, channels: Sequence[CubeMap], neval: int, seed: int) -> Preparation:
    """Spend up to a third of ``neval`` on finding good maps of the cube.

    Args:
        evaluation: the integrand on the cube.
        channels: maps that the user knows.
        neval: evaluations of the whole integration.
        seed: of all points.
    """
    d = evaluation.domain.features
    n = 1 << int(np.log2(min(5 * neval**0.6, neval / 25)))
    flat = VegasMap.flat(d, BINS)
    candidates = [Candidate("vegas", *adapt(evaluation, Channel([], flat), n, 6, seed, hopeless=HOPELESS))]
    if channels:
        mixture = Mixture([Channel([channel], flat) for channel in channels])
        candidates.append(Candidate("channels", *adapt(evaluation, mixture, n, 6, seed)))
    if d == 1 or max(candidate.tally.effective_share for candidate in candidates) > GOOD:
        return Preparation(tuple(candidates), None)

    def target(u: Array) -> Array:
        return evaluation.leading(evaluation(u))

    found = explore(target, d, seed=seed, walkers=int(np.clip(neval // 1000, 50, 4000)) // 2 * 2)
    if found is None:
        return Preparation(tuple(candidates), None)
    x = found.points
    frames: list[Sequence[CubeMap]] = [[], [Rotation(principal_axes(x))]]
    turned = [adapt(evaluation, Channel.fitted(frame, x, BINS), n, 2, seed) for frame in frames]
    best = max(turned, key=lambda entry: entry[1].effective_share)[0]
    hopeless = 0.0 if best.frame else HOPELESS
    best, tally = adapt(evaluation, best, n, _rounds(neval // 3, evaluation, n), seed, hopeless=hopeless)
    candidates.append(Candidate("rotated vegas" if best.frame else "vegas", best, tally))
    poor = MANY if d > FEW else HOPELESS
    clumps = channels_of(found.last, BINS, seed) if tally.effective_share < poor else []
    if clumps:
        rounds = _rounds(neval // 2, evaluation, n)
        candidates.append(Candidate("channels", *adapt(evaluation, Mixture(clumps), n, rounds, seed)))
    return Preparation(tuple(candidates), found)


def _rounds(until: int, evaluation: Evaluation, n: int) -> int:
    """As many rounds as there are evaluations left, one at least and eight at most."""
    return int(np.clip((until - evaluation.calls) // n, 1, 8))


def adapt(
    evaluation: Evaluation, map_: Adaptive, n: int, rounds: int, seed: int, *, hopeless: float = 0.0
) -> tuple[Adaptive, WeightTally]:
    """Up to so many rounds of ``n`` points through a map, as long as it gains; the map and its weights.

    Args:
        evaluation: the integrand.
        map_: a channel or a mixture of them.
        n: points of a round.
        rounds: at most.
        seed: of the points.
        hopeless: effective share below which three rounds are enough.
    """
    best, before = 0.0, evaluation.calls
    for i in range(rounds):
        z = sobol(n, map_.features, seed, "adapt", before, i)
        x, ladj = map_.inverse(z)
        weights = evaluation.leading(evaluation.weights(x, ladj))
        tally = WeightTally.of(weights)
        share = tally.effective_share
        if i == rounds - 1 or (i == 2 and share < hopeless) or GOOD < share < 1.05 * best:
            break
        best = max(best, share)
        map_ = map_.adapted(z, x, weights)
    return map_, tally
