"""Which sampler the rest of the evaluations go to: each candidate is tried, the best is taken."""

from __future__ import annotations

from collections.abc import Callable

from hepflows.applications.integration.estimators import Estimator, Nets, Strata, boxes, net_size
from hepflows.applications.integration.evaluation import Evaluation
from hepflows.applications.integration.flow_map import FlowMap
from hepflows.applications.integration.maps import Composition, CubeMap
from hepflows.applications.integration.mixture import Mixture
from hepflows.applications.integration.preparation import Candidate, Preparation
from hepflows.applications.integration.verdict import MISSED, missed

ROUNDS = 4
"""Independent rounds of the final estimate: their scatter is checked against their errors."""
PILOT = 0.02
"""Share of the evaluations that tries each sampler before one is chosen; these points are not used again."""
FEW, SMALL = 5, 1024
"""Dimensions up to which the nets of a flow are large, and their size above. What a flow leaves of the weights are interactions of many
axes: on these, large Sobol nets of many dimensions alias, and now and then one of them is far off."""


def choose(
    evaluation: Evaluation, preparation: Preparation, neval: int, seed: int, *, correlate: bool = False
) -> tuple[Candidate, Estimator]:
    """The sampler of the smallest error in a trial."""
    n = int(PILOT * neval)
    final = (
        neval
        - evaluation.calls
        - n * sum(1 + (boxes(n, candidate.map.features) > 1) for candidate in preparation.candidates)
    )
    trials: list[tuple[tuple[float, float], Candidate, Callable[[], Estimator]]] = []
    for candidate in preparation.candidates:
        for trial, make in _samplers(evaluation, candidate, n, final, seed, correlate):
            error = _trial(trial, n)
            if isinstance(trial, Strata):  # nets gain more from more points than a trial shows
                error *= 2
            # what misses a part of the integral looks better than it is
            share = 0.0 if preparation.landmarks is None else missed(trial.sampler, preparation.landmarks)
            trials.append(((share if share > MISSED else 0.0, error), candidate, make))
    _, candidate, make = min(trials, key=lambda entry: entry[0])
    return candidate, make()


def _samplers(
    evaluation: Evaluation, candidate: Candidate, n: int, final: int, seed: int, correlate: bool
) -> list[tuple[Estimator, Callable[[], Estimator]]]:
    """Each sampler of a candidate: one for the trial, and what makes the one for the estimate."""
    map_ = candidate.map

    def nets(name: str, size: int) -> Nets:
        return Nets(evaluation, map_, seed, name, size, correlate)

    size = min(net_size(final), SMALL) if map_.features > FEW and _learned(map_) else net_size(final)
    pairs: list[tuple[Estimator, Callable[[], Estimator]]] = [
        (nets(f"trial {candidate.name}", net_size(n)), lambda: nets("final", size))
    ]
    if not isinstance(map_, Mixture) and boxes(n // 2, map_.features) > 1:
        trial = Strata(evaluation, map_, seed, f"trial {candidate.name}", n // 2)
        pairs.append((trial, lambda: Strata(evaluation, map_, seed, "final", final // (ROUNDS + 1), correlate)))
    return pairs


def _learned(map_: CubeMap | Mixture) -> bool:
    return isinstance(map_, Composition) and any(isinstance(part, FlowMap) for part in map_.maps)


def _trial(estimator: Estimator, n: int) -> float:
    """Variance of the first output, times the points it took."""
    if isinstance(estimator, Strata):
        estimator.round(n // 2)
        n = n // 2
    result = estimator.round(n)
    return float(result.variance[0]) * result.n
