"""Before the estimate: adapt the map of VEGAS, explore where it is poor, look along other axes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hepflows.applications.integration.clusters import channels_of
from hepflows.applications.integration.evaluation import Evaluation
from hepflows.applications.integration.exploration import Exploration, explore
from hepflows.applications.integration.integrand import Array
from hepflows.applications.integration.maps import Composition, CubeMap, Rotation, principal_axes
from hepflows.applications.integration.mixture import Mixture
from hepflows.applications.integration.points import sobol
from hepflows.applications.integration.vegas import VegasMap
from hepflows.metrics.weights import WeightTally

BINS = 1024
"""Bins of an axis: many, smoothed over many points."""
GOOD, MANY, HOPELESS = 0.5, 0.3, 0.05
"""Effective share from which a map needs no exploration, that below which clumps of points get channels of their own, and that below which
more rounds alone do not help."""


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
    plain, tally = adapt(evaluation, [], VegasMap.flat(d, BINS), n, 6, seed)
    candidates = [Candidate("vegas", plain, tally)]
    if channels:
        mixture = Mixture([([channel], VegasMap.flat(d, BINS)) for channel in channels])
        candidates.append(Candidate("channels", *mix(evaluation, mixture, n, 6, seed)))
    if d == 1 or max(candidate.tally.effective_share for candidate in candidates) > GOOD:
        return Preparation(tuple(candidates), None)

    def target(u: Array) -> Array:
        return evaluation.leading(evaluation(u))

    found = explore(target, d, seed=seed, walkers=int(np.clip(neval // 1000, 50, 4000)) // 2 * 2)
    if found is None:
        return Preparation(tuple(candidates), None)
    x = found.points
    frames: list[Sequence[CubeMap]] = [[], [Rotation(principal_axes(x))]]
    turned = [_fitted(evaluation, frame, x, BINS, n, seed) for frame in frames]
    frame, map_, _ = max(turned, key=lambda entry: entry[2].effective_share)
    map_, tally = adapt(evaluation, frame, map_, n, _rounds(neval // 3, evaluation, n), seed)
    candidates.append(Candidate("rotated vegas" if frame else "vegas", Composition([*frame, map_]), tally))
    clumps = channels_of(found.last, BINS, seed) if tally.effective_share < MANY else []
    if clumps:
        mixture = Mixture(clumps)
        candidates.append(Candidate("channels", *mix(evaluation, mixture, n, _rounds(neval // 2, evaluation, n), seed)))
    return Preparation(tuple(candidates), found)


def _rounds(until: int, evaluation: Evaluation, n: int) -> int:
    """As many rounds as there are evaluations left, one at least and eight at most."""
    return int(np.clip((until - evaluation.calls) // n, 1, 8))


def mix(evaluation: Evaluation, mixture: Mixture, n: int, rounds: int, seed: int) -> tuple[Mixture, WeightTally]:
    """Up to so many rounds of ``n`` points through a mixture, as `adapt` does."""
    best = 0.0
    for i in range(rounds):
        z = sobol(n, mixture.features, seed, "mix", i)
        x, ladj = mixture.inverse(z)
        weights = evaluation.leading(evaluation.weights(x, ladj))
        tally = WeightTally()
        tally.add(weights)
        if i == rounds - 1 or GOOD < tally.effective_share < 1.05 * best:
            break
        best = max(best, tally.effective_share)
        mixture = mixture.adapted(z, x, weights)
    return mixture, tally


def _fitted(
    evaluation: Evaluation, frame: Sequence[CubeMap], x: Array, bins: int, n: int, seed: int
) -> tuple[Sequence[CubeMap], VegasMap, WeightTally]:
    """A map fitted to points of the cube along the axes of ``frame``, and its first rounds."""
    z = frame[0].forward(x)[0] if frame else x
    return frame, *adapt(evaluation, frame, VegasMap.fitted(z, bins, floor=min(0.1, 0.3 / z.shape[1])), n, 2, seed)


def adapt(
    evaluation: Evaluation, frame: Sequence[CubeMap], map_: VegasMap, n: int, rounds: int, seed: int
) -> tuple[VegasMap, WeightTally]:
    """Up to so many rounds of ``n`` points through ``map_`` and then ``frame``, as long as the map gains; it and its weights."""
    best, before = 0.0, evaluation.calls
    for i in range(rounds):
        z = sobol(n, map_.features, seed, "adapt", before, i)
        weights = evaluation.leading(evaluation.weights(*Composition([*frame, map_]).inverse(z)))
        tally = WeightTally()
        tally.add(weights)
        if (
            i == rounds - 1
            or (i == 2 and not frame and tally.effective_share < HOPELESS)
            or GOOD < tally.effective_share < 1.05 * best
        ):
            break
        best = max(best, tally.effective_share)
        map_ = map_.adapted(z, weights)
    return map_, tally
