"""The verdict on generated showers: whether a classifier can tell them from Geant4, and which distributions differ."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hepflows.applications.calorimeter.features import (
    Which,
    classifier_features,
    feature_scale,
    permuted_showers,
)
from hepflows.applications.calorimeter.observables import OBSERVABLES, observables, weighted_counts
from hepflows.applications.calorimeter.shared_conditions import shared_conditions
from hepflows.applications.calorimeter.showers import Showers, weights_of
from hepflows.errors import DataError
from hepflows.metrics import classifier
from hepflows.metrics.protocol import ClassifierProtocol, named
from hepflows.metrics.result import ClassifierResult, Measurement
from hepflows.metrics.samples import two_halves
from hepflows.metrics.separations import Separations
from hepflows.training.seeding import derive, numpy_generator

if TYPE_CHECKING:
    import torch

Array = NDArray[np.float64]
Progress = Callable[[int, int, str], None]
Curves = dict[str, tuple[Array, Array]]

FEATURES: dict[str, Which] = {
    "caloflow": "voxels",
    "standardised": "both",
    "calochallenge": "calochallenge-low",
    "calochallenge-512": "calochallenge-low",
    "calochallenge-resnet-ds2": "calochallenge-low",
    "calochallenge-resnet-ds3": "calochallenge-low",
}
"""The input that belongs to each protocol."""


def features_of(protocol: ClassifierProtocol) -> Which:
    """The input that belongs to a protocol; to one of your own what suits the way it scales.

    >>> features_of(ClassifierProtocol("mine", inputs="robust"))
    'both'
    """
    return FEATURES.get(protocol.name, "voxels" if protocol.inputs == "raw" else "both")


def classifier_test(
    generated: Showers,
    reference: Showers,
    *,
    floor_reference: Showers | None = None,
    protocol: str | ClassifierProtocol = "standardised",
    features: Which | None = None,
    repeats: int = 3,
    seed: int = 0,
    floor: bool = True,
    device: torch.device | str | None = None,
    measured: dict[Hashable, Measurement] | None = None,
    progress: Progress | None = None,
) -> ClassifierResult:
    """The classifier two-sample test of CaloFlow (arXiv:2106.05285) on showers.

    Two protocols are made for these data. ``caloflow`` is the published one, a network on the voxels as they are; it was made for
    60,000 training showers a class. ``standardised`` looks at the logarithms of voxel shares and at the observables,
    regularised; choose it for small samples. Noise of 20 % on every voxel of 1,000 Geant4 showers a class gives an AUC of
    0.45(3) by the first and of 0.983(5) by the second (the slow tests repeat it). Their AUCs cannot be compared. Those of the
    CaloChallenge fix the network and its training; what it sees is up to ``features``, by default ``calochallenge-low``.

    Weights of the showers enter training, selection and scores; the power check takes all showers alike.

    What the particles differ in besides their energy (species, direction, place) is seen as well, where all samples carry it.

    The power check permutes each voxel of the reference among showers of similar energy and computes all features anew.

    Args:
        generated: showers to be judged.
        reference: true showers that the generator has not seen.
        floor_reference: more true showers, independent of ``reference``, for floor and power check; its training set
            will do. Without it both compare two halves of the reference.
        protocol: ``caloflow``, ``standardised`` or your own.
        features: what the classifier sees, by default what belongs to the protocol; see :func:`classifier_features`.
        repeats: trainings of the test and of the floor.
        seed: repeats the test.
        floor: whether the floor is measured.
        device: where to train; the processor where it is None.
        measured: see :func:`hepflows.metrics.classifier_test`.
        progress: called with (epochs done, epochs in all, text).

    Raises:
        DataError: geometries differ, samples are too small, or no shower is left after those in common are shared out.

    >>> from hepflows.applications.calorimeter import read_showers
    >>> showers = read_showers("data/calorimeter/eplus.hdf5")  # doctest: +SKIP
    >>> print(classifier_test(showers[:1500], showers[1500:]))  # doctest: +SKIP
    """
    generated, reference, _ = share_out(generated, reference, seed)
    if floor_reference is not None:
        floor_reference, reference_left, _ = share_out(floor_reference, reference, seed)
        reference = reference_left
    rules = named(protocol)
    which = features or features_of(rules)
    conditions = shared_conditions(generated, reference, floor_reference)

    def seen(showers: Showers) -> NDArray[np.float32]:
        return classifier_features(showers, which, conditions)

    right, wrong = _power_pair(reference, floor_reference, seed)
    return classifier.classifier_test(
        seen(generated),
        seen(reference),
        protocol=rules,
        repeats=repeats,
        seed=seed,
        floor=floor,
        floor_reference=None if floor_reference is None else seen(floor_reference),
        generated_weights=weights_of(generated),
        reference_weights=weights_of(reference),
        power_pair=(seen(right), seen(wrong)),
        scale=feature_scale(reference.geometry, which, conditions) if rules.inputs != "raw" else None,
        device=device,
        measured=measured,
        progress=progress,
    )


def _power_pair(reference: Showers, others: Showers | None, seed: int) -> tuple[Showers, Showers]:
    """True showers and permuted ones, which are other showers."""
    if others is None:
        first, second = two_halves(len(reference), seed)
        reference, others = reference[first], reference[second]
    return others, permuted_showers(reference, numpy_generator(seed, "permuted showers"))


def share_out(generated: Showers, reference: Showers, seed: int = 0) -> tuple[Showers, Showers, int]:
    """Make two samples independent: showers that stand in both are dealt at random to one of them, with all their copies.

    A file compared with itself so becomes one half against the other. Without it a network that remembers a shower
    from one sample gives its twin in the other the wrong label, and the AUC falls below 0.5.

    Returns:
        The two samples and the number of different showers that stood in both.

    Raises:
        DataError: the samples have different geometries.

    >>> showers = Showers(np.ones(4), np.arange(4.0)[:, None] * np.ones((1, 504)), np.zeros((4, 3)))
    >>> [len(part) for part in share_out(showers, showers)[:2]]
    [2, 2]
    """
    if generated.geometry != reference.geometry:
        message = (
            f"the samples have different geometries, {generated.geometry.name!r} and {reference.geometry.name!r}: "
            "compare showers in the same cells"
        )
        raise DataError(message)
    keys = [_keys(sample) for sample in (generated, reference)]
    known = set(keys[1])
    shared = [key for key in dict.fromkeys(keys[0]) if key in known]  # a shower may stand in a sample several times
    if not shared:
        return generated, reference, 0
    order = numpy_generator(seed, "share out").permutation(len(shared))
    half = len(shared) // 2
    parts = []
    for sample, own, places in zip((generated, reference), keys, (order[:half], order[half:]), strict=True):
        gone = {shared[place] for place in places}
        parts.append(sample[np.flatnonzero([key not in gone for key in own])])
    return parts[0], parts[1], len(shared)


def _keys(showers: Showers) -> list[bytes]:
    """What identifies a shower: its energies in float32, so that a file in lower precision is recognised."""
    rows = np.concatenate([showers.energies[:, None], showers.voxels], axis=1).astype(np.float32)
    return [blake2b(row.tobytes(), digest_size=16).digest() for row in rows]


def separations(generated: Showers, reference: Showers, *, seed: int = 0) -> Separations:
    """Separation power of every observable and of the voxel energies of each layer, with errors and floors, and their mean.

    The bins come from the reference alone, so that several generators are judged by the same ones. Sample weights are used where
    there are any.

    Raises:
        DataError: the samples have different geometries, or one is empty.
    """
    if generated.geometry != reference.geometry or min(len(generated), len(reference)) == 0:
        message = "separations need two samples of showers in the same cells, each with at least one shower"
        raise DataError(message)
    values, truths = observables(generated), observables(reference)
    weights = weights_of(generated), weights_of(reference)
    found = Separations(len(generated), len(reference), rng=numpy_generator(seed, "mean separation"))
    for name, truth in truths.items():
        if np.isfinite(truth).any():
            found.add(name, values[name], truth, edges=OBSERVABLES[name].edges(truth), weights=weights)
    for layer, where in enumerate(reference.geometry.slices):
        name, truth = f"voxel_energy_{layer}", reference.voxels[:, where]
        if (truth > 0).any() and (generated.voxels[:, where] > 0).any():
            edges = OBSERVABLES[name].edges(truth)
            counts = [weighted_counts(sample, edges, range(layer, layer + 1)) for sample in (generated, reference)]
            found.add_counts(name, *counts, rng=numpy_generator(seed, name))
    return found


def separation_keys(found: Separations) -> dict[str, dict[str, float] | float | None]:
    """Separations as they stand in ``metrics.json``."""
    fields = {"": "value", "_std": "std", "_floor": "floor", "_floor_std": "floor_std"}
    return {
        **{
            f"separation{key}": {name: getattr(one, field) for name, one in found.items()}
            for key, field in fields.items()
        },
        **{f"separation_mean{key}": getattr(found.mean, field, None) for key, field in fields.items()},
    }


def evaluate(
    generated: Showers,
    reference: Showers,
    *,
    floor_reference: Showers | None = None,
    protocol: str | ClassifierProtocol = "standardised",
    features: Which | None = None,
    repeats: int = 3,
    seed: int = 0,
    device: torch.device | str | None = None,
    progress: Progress | None = None,
) -> tuple[dict[str, Any], Curves]:
    """Everything that is known about generated showers: classifier test, floor, power check, separations.

    Args: as :func:`classifier_test`.

    Returns:
        The numbers for ``metrics.json``, and the ROC curves (false, true positive rate) by name.

    Raises:
        DataError: as :func:`classifier_test`.
    """
    n_generated, n_reference = len(generated), len(reference)
    generated, reference, shared = share_out(generated, reference, derive(seed, "evaluate"))
    result = classifier_test(
        generated,
        reference,
        floor_reference=floor_reference,
        protocol=protocol,
        features=features,
        repeats=repeats,
        seed=seed,
        device=device,
        progress=progress,
    )
    metrics = {
        **result.to_dict(),
        **separation_keys(separations(generated, reference, seed=seed)),
        "n_generated": n_generated,
        "n_reference": n_reference,
        "n_shared": shared,
        "verdict": str(result),
    }
    return metrics, curves_of(result)


def curves_of(result: ClassifierResult) -> Curves:
    """The ROC curves of a classifier test by name: generated, floor, power check."""
    parts = {"generated": result.test, "floor": result.floor, "power check": result.power}
    return {name: (part.fpr, part.tpr) for name, part in parts.items() if part is not None}
