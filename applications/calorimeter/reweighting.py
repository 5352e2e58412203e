"""Generated showers with weights under which they are distributed as true ones, or those that are left when all weigh the same."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

import numpy as np

from hepflows.applications.calorimeter.features import Which, classifier_features, feature_scale
from hepflows.applications.calorimeter.geometry import Geometry
from hepflows.applications.calorimeter.models.conditions import Conditions
from hepflows.applications.calorimeter.shared_conditions import shared_conditions
from hepflows.applications.calorimeter.showers import Showers
from hepflows.errors import DataError
from hepflows.metrics import Reweighter, Reweighting, unweight
from hepflows.metrics import reweight as reweight_features

Progress = Callable[[int, int, str], None]

FEATURES: Which = "both"


def reweight(
    generated: Showers,
    reference: Showers,
    *,
    folds: int = 5,
    clip: float | None = None,
    seed: int,
    progress: Progress | None = None,
) -> tuple[Showers, Reweighting]:
    r"""Learn the weights of generated showers from true ones (DCTR, arXiv:2009.03796); see `hepflows.metrics.reweight`.

    .. math:: w(v, E_\mathrm{inc}) \to \frac{p_\mathrm{reference}(v, E_\mathrm{inc})}{p_\mathrm{generated}(v, E_\mathrm{inc})}

    from the voxels as shares of their layers and the observables. The incident energy is among them, and what else the particles differ
    in (species, direction, place) where both samples carry it: where the two spectra differ, the weights bring them together as well.
    Showers that have weights already keep them as a factor.

    Args:
        generated: n showers of a model.
        reference: true showers; they learn the weights, so judge the result by others.
        folds: classifiers; each shower gets its weight from one that has not seen it.
        clip: the odds of a classifier stay within ``1 / clip`` and ``clip``.
        seed: repeats everything.
        progress: called after every epoch.

    Returns:
        The generated showers with the column ``weight`` of mean one, and what gives weights to more of them.

    Raises:
        DataError: other cells, too few showers, or nothing finite to learn from.
        ConfigError: fewer than two folds or a clip of at most one.
    """
    if generated.geometry != reference.geometry:
        message = f"the showers are of geometry {generated.geometry.name} and {reference.geometry.name}: weights need the same cells"
        raise DataError(message)
    conditions = shared_conditions(generated, reference)
    found = reweight_features(
        classifier_features(generated, FEATURES, conditions),
        classifier_features(reference, FEATURES, conditions),
        folds=folds,
        clip=clip,
        seed=seed,
        generated_weights=generated.weights,
        reference_weights=reference.weights,
        scale=feature_scale(generated.geometry, FEATURES, conditions),
        progress=progress,
    )
    about = {"geometry": generated.geometry.describe(), "conditions": conditions and conditions.describe()}
    learnt = replace(found.reweighter, about=about)
    return with_weights(generated, found.weights), replace(found, reweighter=learnt)


def apply_weights(generated: Showers, reweighter: Reweighter) -> Showers:
    """The showers with the weights that a `Reweighter` gives, times those that they have.

    Raises:
        DataError: it learnt from other cells, or the showers lack what it learnt from.
    """
    learnt = reweighter.about.get("geometry")
    if learnt is not None and Geometry.from_description(learnt) != generated.geometry:
        message = f"the weights were learnt in other cells, of {learnt['name']!r}, than {generated.geometry.name!r}: learn them anew"
        raise DataError(message)
    described = reweighter.about.get("conditions")
    conditions = None if described is None else Conditions.from_description(described)
    features = classifier_features(generated, FEATURES, conditions)
    return with_weights(generated, generated.weights * reweighter.weights(features))


def with_weights(showers: Showers, weights: np.ndarray) -> Showers:
    """The same showers with other weights."""
    return replace(showers, columns={**showers.columns, "weight": weights})


def unweighted(showers: Showers, *, seed: int, quantile: float = 1.0) -> Showers:
    """Showers of weight one, drawn by their weights; see `hepflows.metrics.unweight`."""
    kept = unweight(showers.weights, seed=seed, quantile=quantile)
    return with_weights(showers[kept.rows], kept.weights)


def weights_of(chunks: Iterable[Showers], reweighter: Reweighter, progress: Callable[[int], None]) -> np.ndarray:
    """The weights (n,) that `apply_weights` gives to showers that come in chunks; ``progress`` is told how many there are so far."""
    parts: list[np.ndarray] = []
    done = 0
    for chunk in chunks:
        parts.append(apply_weights(chunk, reweighter).weights)
        done += len(chunk)
        progress(done)
    return np.concatenate(parts)


def selected(chunks: Iterable[Showers], rows: np.ndarray, weights: np.ndarray) -> Iterator[Showers]:
    """Of showers that come in chunks, those of the ascending rows, with their weights: memory for one chunk and for the weights."""
    start = 0
    for chunk in chunks:
        low, high = np.searchsorted(rows, [start, start + len(chunk)])
        if low < high:
            yield with_weights(chunk[rows[low:high] - start], weights[low:high])
        start += len(chunk)
