"""Whether events of equal weight are right: a classifier compares them with acceptance-rejection."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from hepflows.applications.integration.domain import Domain
from hepflows.applications.integration.generation import Sample
from hepflows.applications.integration.integrand import Array, Integrand
from hepflows.applications.integration.points import sobol
from hepflows.errors import DataError
from hepflows.metrics import ClassifierProtocol, ClassifierResult, classifier_test
from hepflows.metrics.classifier import Progress
from hepflows.training.seeding import derive, numpy_generator

SCAN = 1 << 16
"""Sobol points on which the largest value is looked for."""
SAFETY = 1.5
"""How far above the largest value of the scan the bound lies."""
MOST = 100_000_000
"""Points that acceptance-rejection may try."""
_BLOCK = 1 << 18


@dataclass(frozen=True)
class Truth:
    """Events by acceptance-rejection from evenly spread points: right whatever any sampler does.

    Attributes:
        x: ``(n, d)`` points.
        weight: ``(n,)`` one, or ``f / bound`` where the function exceeds the bound: every distribution stays exact.
        bound: what the function was compared with.
        exceeded: number of events above it.
        largest: the largest value found, over the bound.
        efficiency: share of the points that was kept.
    """

    x: Array
    weight: Array
    bound: float
    exceeded: int
    largest: float
    efficiency: float


def rejection(
    integrand: Integrand,
    n: int,
    *,
    seed: int,
    bound: float | None = None,
    guess: Array | None = None,
    most: int = MOST,
) -> Truth:
    r"""Draw ``n`` events of :math:`f \ge 0` by acceptance-rejection: a point is kept with probability :math:`f(x) / f_\mathrm{max}`.

    Args:
        integrand: on finite bounds.
        n: number of events.
        seed: of points and rejection.
        bound: :math:`f_\mathrm{max}` where it is known; else 1.5 times the largest value on 65,536 Sobol points and ``guess``.
        guess: (m, d) points where the function may be large, for example events of a sampler: in many dimensions a net misses the peaks.
        most: points to try before giving up.

    Raises:
        DataError: a bound is infinite, or the integrand is negative somewhere, or so peaked that more than ``most`` points are needed.

    >>> from hepflows.applications.integration.integrands import camel
    >>> truth = rejection(camel(2), 1000, seed=1)
    >>> len(truth.x), truth.exceeded, 0.1 < truth.efficiency < 0.2
    (1000, 0, True)
    """
    domain = Domain(integrand.bounds)
    if not np.isfinite(np.hstack(domain.bounds)).all():
        message = f"{integrand.name}: acceptance-rejection needs finite bounds, where points can be spread evenly"
        raise DataError(message)
    top = SAFETY * _largest(integrand, domain, seed, guess) if bound is None else bound
    if not (top > 0 and math.isfinite(top)):
        message = f"{integrand.name}: acceptance-rejection needs a positive largest value, got {top:g}"
        raise DataError(message)
    rng = numpy_generator(seed, "rejection")
    points: list[Array] = []
    ratios: list[Array] = []
    kept = tried = 0
    while kept < n:
        x = domain.inverse(rng.random((_BLOCK, domain.features)))[0]
        values = _values(integrand, x)
        keep = rng.random(_BLOCK) * top < values
        points.append(x[keep])
        ratios.append(values[keep] / top)
        kept, tried = kept + int(keep.sum()), tried + _BLOCK
        if kept < n and kept * most < n * tried and tried >= 8 * _BLOCK:
            message = (
                f"{integrand.name}: acceptance-rejection keeps {kept} of {tried} points, too few for {n} events: "
                "there is no independent sample to compare with"
            )
            raise DataError(message)
    ratio = np.concatenate(ratios)[:n]
    return Truth(
        np.concatenate(points)[:n],
        np.maximum(ratio, 1.0),
        top,
        int((ratio > 1).sum()),
        float(ratio.max()),
        kept / tried,
    )


def events_test(
    sample: Sample,
    integrand: Integrand,
    *,
    seed: int,
    protocol: str | ClassifierProtocol = "standardised",
    repeats: int = 3,
    bound: float | None = None,
    progress: Progress | None = None,
) -> tuple[ClassifierResult, Truth]:
    """The classifier test of unweighted events against acceptance-rejection.

    Events above the cap enter with their weights. The floor is one half of the truth against the other; the power check is the truth
    against evenly spread points, which a classifier that can judge at all tells apart (permuted coordinates would not do: many
    integrands are products).

    Args:
        sample: from `FlowIntegrator.sample`, unweighted.
        integrand: what was sampled; on finite bounds.
        seed: of truth and classifier.
        protocol: see `hepflows.metrics.classifier_test`; so is ``repeats``.
        bound: largest value of the integrand where it is known.
        progress: called after every epoch.

    Raises:
        DataError: events of negative weight, too few of them, or no truth can be had, see `rejection`.
    """
    if (sample.weight < 0).any():
        message = f"{integrand.name}: events of negative weight cannot be compared by a classifier"
        raise DataError(message)
    n = len(sample)
    truth = rejection(integrand, 2 * n, seed=derive(seed, "truth"), bound=bound, guess=sample.x)
    flat = Domain(integrand.bounds).inverse(numpy_generator(seed, "flat").random((n, integrand.dimension)))[0]
    result = classifier_test(
        sample.x,
        truth.x,
        protocol=protocol,
        repeats=repeats,
        seed=seed,
        generated_weights=sample.weight,
        reference_weights=truth.weight,
        power_pair=(truth.x[:n], flat),
        progress=progress,
    )
    return result, truth


def as_metrics(result: ClassifierResult, truth: Truth) -> dict[str, Any]:
    """The content of ``metrics.json``."""
    return {
        **result.to_dict(),
        "verdict": str(result),
        "n_truth": len(truth.x),
        "truth_bound": truth.bound,
        "truth_exceeded": truth.exceeded,
        "truth_largest": truth.largest,
        "truth_efficiency": truth.efficiency,
    }


def _largest(integrand: Integrand, domain: Domain, seed: int, guess: Array | None) -> float:
    found = _values(integrand, domain.inverse(sobol(SCAN, domain.features, seed, "scan"))[0])
    return float(max(found.max(), 0.0 if guess is None else _values(integrand, guess).max()))


def _values(integrand: Integrand, x: Array) -> Array:
    """The function, which must not be negative; what is not finite counts as zero."""
    values = np.nan_to_num(np.asarray(integrand(x), dtype=np.float64), nan=0.0, posinf=0.0, neginf=0.0)
    if (values < 0).any():
        message = f"{integrand.name}: acceptance-rejection needs a function that is nowhere negative"
        raise DataError(message)
    return values
