"""The classifier two-sample test: can a network tell generated events from reference events? It knows no detector."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hepflows.errors import ConfigError, DataError, ShapeError
from hepflows.metrics.network import Events, Trained, checked_scale, train
from hepflows.metrics.protocol import ClassifierProtocol, named
from hepflows.metrics.resampling import Scored, bootstrap, exchange, joint_error
from hepflows.metrics.result import ClassifierResult, Measurement
from hepflows.metrics.roc import auc, cross_entropies, jensen_shannon, roc_curve
from hepflows.metrics.samples import Sample, deal, join, permuted, sample, two_halves
from hepflows.training.seeding import derive, numpy_generator

if TYPE_CHECKING:
    import torch

Array = NDArray[np.float64]
Index = NDArray[np.int64]
Progress = Callable[[int, int, str], None]
"""Called with (epochs done, epochs in all, a short text)."""

FEWEST = 50  # events per class: ten in a score set of one fifth
_GRID = np.linspace(0.0, 1.0, 201)
_NAMES = {"test": "test", "floor": "floor", "power": "power check"}


def classifier_test(
    generated: ArrayLike,
    reference: ArrayLike,
    *,
    protocol: str | ClassifierProtocol = "standardised",
    repeats: int = 3,
    seed: int,
    floor: bool = True,
    floor_reference: ArrayLike | None = None,
    power_bins: ArrayLike | None = None,
    power_pair: tuple[ArrayLike, ArrayLike] | None = None,
    generated_weights: ArrayLike | None = None,
    reference_weights: ArrayLike | None = None,
    scale: ArrayLike | None = None,
    device: torch.device | str | None = None,
    measured: dict[Hashable, Measurement] | None = None,
    progress: Progress | None = None,
) -> ClassifierResult:
    r"""Train a classifier on generated against reference events, and measure how well it can tell them apart.

    The result is the area under the ROC curve of events that the classifier has not seen, 0.5 for samples that it
    cannot tell apart and 1 for samples that it never confuses, and the Jensen-Shannon divergence 1 - BCE / ln 2 after
    isotonic calibration (arXiv:2106.05285, arXiv:1610.06545). Every training has its own first weights and its own
    split into events that train, that select the epoch and calibrate, and that are scored, as many of each class; the
    score sets of successive trainings do not overlap until all events were scored once.

    With the test come its *floor*, reference against independent reference, and a *power check*: the classifier must
    reach an AUC of 0.75 on reference events whose features are permuted among each other. Where it cannot, a low AUC
    says nothing about the generator.

    Args:
        generated: (n, d) features.
        reference: (m, d) features. The smaller of n and m sets the number of events per class; they are drawn at random
            from the larger sample, whose order does not matter.
        protocol: a name in :data:`hepflows.metrics.PROTOCOLS`, or your own.
        repeats: number of trainings R of the test and of the floor; the power check takes one.
        seed: repeats the test, bit by bit for the same number of threads on a processor.
        floor: whether the floor is measured.
        floor_reference: (k, d) events that are independent of ``reference``, for floor and power check. Without it both
            compare the two halves of the reference, with half the events.
        power_bins: (m,) labels of groups of reference events; features are permuted within each group (bins of the
            energy, for example) and over the whole sample where it is None.
        power_pair: two samples, right and wrong, that replace the power check's own.
        generated_weights, reference_weights: (n,), (m,) event weights, not negative.
        scale: (d,) factors on the inputs, for protocols that scale; see :class:`hepflows.metrics.network.Scaler`.
        device: where to train; the processor where it is None.
        measured: comparisons of earlier calls by all that went into them, to which those of this call are added: samples that are judged
            by one reference share its floor and power check.
        progress: called after every epoch.

    Raises:
        DataError: a value that is not finite, too few events, different widths, or wrong weights.
        ConfigError: an unknown protocol, ``repeats`` below one, or ``scale`` where the protocol does not scale.
        TrainingError: the loss of the classifier is not finite.

    >>> rng = np.random.default_rng(0)
    >>> fast = ClassifierProtocol("fast", hidden=(16,), inputs="standard", epochs=5, batch_size=64, learning_rate=1e-2)
    >>> shifted, truth = rng.normal(1.0, 1.0, (400, 2)), rng.normal(0.0, 1.0, (400, 2))
    >>> result = classifier_test(shifted, truth, protocol=fast, seed=1)
    >>> result.auc > 0.75, abs(result.floor.auc - 0.5) < 4 * result.floor.auc_std  # shift 1 in two features: 0.84
    (True, True)
    """
    rules = named(protocol)
    if repeats < 1:
        message = f"a classifier test needs at least one training, but repeats is {repeats}: give 3 or more"
        raise ConfigError(message)
    truth = sample("reference", reference, reference_weights)
    fake = sample("generated", generated, generated_weights, like=truth)
    factors = None if scale is None else checked_scale(scale, truth.width, rules)
    size = min(len(fake), len(truth))
    touched, untouched, groups = _two_references(truth, floor_reference, power_bins, seed)
    pairs: dict[str, tuple[Sample, Sample, int]] = {"test": (fake, truth, repeats)}
    if floor:
        pairs["floor"] = (untouched, touched, repeats)
    if power_pair is not None:
        wrong, right = (sample("power check", one, None, like=truth) for one in reversed(power_pair))
        pairs["power"] = (wrong, right, 1)
    elif truth.width > 1:
        pairs["power"] = (permuted(touched, groups, numpy_generator(seed, "permutation")), untouched, 1)
    measured = {} if measured is None else measured
    keys = {name: _key(name, *pair, size, rules, seed, factors, device) for name, pair in pairs.items()}
    new = {name: pair for name, pair in pairs.items() if keys[name] not in measured}
    counter = _Counter(progress, rules.epochs * sum(number for _, _, number in new.values()))
    for name, (wrong, right, number) in new.items():
        part = derive(seed, name)
        measured[keys[name]] = _measure(name, wrong, right, size, rules, number, part, factors, device, counter)
    found = {name: measured[key] for name, key in keys.items()}
    return ClassifierResult(found["test"], found.get("floor"), found.get("power"), rules, truth.width, int(seed))


def _two_references(
    truth: Sample, floor_reference: ArrayLike | None, power_bins: ArrayLike | None, seed: int
) -> tuple[Sample, Sample, NDArray[Any] | None]:
    """Reference events that may be permuted, with their groups, and independent ones that stay untouched."""
    groups = None if power_bins is None else np.asarray(power_bins)
    if groups is not None and groups.shape != (len(truth),):
        message = f"{len(truth)} reference events need one label each, but power_bins has the shape {groups.shape}"
        raise ShapeError(message)
    if floor_reference is not None:
        return truth, sample("floor", floor_reference, None, like=truth), groups
    first, second = two_halves(len(truth), seed)
    return truth[first], truth[second], None if groups is None else groups[first]


def _key(
    name: str,
    wrong: Sample,
    right: Sample,
    repeats: int,
    size: int,
    rules: ClassifierProtocol,
    seed: int,
    scale: Array | None,
    device: torch.device | str | None,
) -> Hashable:
    """All that a comparison depends on."""
    arrays = [wrong.features, wrong.weights, right.features, right.weights, *([] if scale is None else [scale])]
    digests = tuple(blake2b(np.ascontiguousarray(one).tobytes(), digest_size=16).digest() for one in arrays)
    return name, digests, repeats, size, rules, seed, str(device)


class _Counter:
    """Counts the epochs of all trainings for the progress bar."""

    def __init__(self, progress: Progress | None, total: int) -> None:
        self._progress, self._total, self._done = progress, total, 0

    def step(self, text: str) -> None:
        self._done += 1
        if self._progress is not None:
            self._progress(self._done, self._total, text)


def _measure(
    name: str,
    wrong: Sample,
    right: Sample,
    most: int,
    rules: ClassifierProtocol,
    repeats: int,
    seed: int,
    scale: Array | None,
    device: torch.device | str | None,
    counter: _Counter,
) -> Measurement:
    """All trainings of one comparison; class 0 is ``wrong``, class 1 is ``right``, each of at most ``most`` events.

    The events are drawn by :func:`deal`, at random: a file may be sorted.
    """
    size = min(len(wrong), len(right), most)
    if size < FEWEST:
        message = (
            f"the classifier's {_NAMES[name]} has only {size} events per class, but needs {FEWEST}: use more events, "
            "or pass an independent floor_reference"
        )
        raise DataError(message)
    trainings: list[Trained] = []
    scores: list[Scored] = []
    for repeat in range(repeats):
        deals = [
            deal(len(one), size, rules.fractions, repeat, seed, str(label)) for label, one in enumerate((wrong, right))
        ]
        training, selection, scoring = (
            join(wrong, right, getattr(deals[0], part), getattr(deals[1], part))
            for part in ("train", "select", "score")
        )
        text = f"{_NAMES[name]}, training {repeat + 1} of {repeats}"
        trained = train(
            training,
            selection,
            rules,
            seed=derive(seed, "training", repeat),
            scale=scale,
            device=device or "cpu",
            after_epoch=lambda text=text: counter.step(text),  # type: ignore[misc]
        )
        trainings.append(trained)
        scores.append(_score(trained, selection, scoring, np.concatenate([one.score for one in deals]), rules))
    counts = (len(deals[0].train), len(deals[0].select), len(deals[0].score))
    return _summarise(trainings, scores, counts, numpy_generator(seed, "bootstrap"))


def _score(trained: Trained, selection: Events, scoring: Events, rows: Index, rules: ClassifierProtocol) -> Scored:
    """Calibrate on the selection set, then look at the score set, once."""
    from sklearn.isotonic import IsotonicRegression

    clip = rules.calibration_clip or 1.0 / (len(selection.labels) + 2)
    calibration = IsotonicRegression(y_min=clip, y_max=1.0 - clip, out_of_bounds="clip")
    calibration.fit(trained.logits(selection.features), selection.labels, sample_weight=selection.weights)
    logits = trained.logits(scoring.features)
    entropies = cross_entropies(calibration.predict(logits), scoring.labels)
    return Scored(rows, scoring.labels, scoring.weights, logits, entropies)


def _summarise(
    trainings: Sequence[Trained], scores: Sequence[Scored], counts: tuple[int, int, int], rng: np.random.Generator
) -> Measurement:
    areas = np.array([auc(one.logits, one.labels, one.weights) for one in scores])
    divergences = np.array([jensen_shannon(one.entropies, one.labels, one.weights) for one in scores])
    area_replicas, divergence_replicas = bootstrap(scores, rng)
    correlation = exchange(scores, counts[0], counts[1])
    curves = [roc_curve(one.logits, one.labels, one.weights, grid=_GRID) for one in scores]
    return Measurement(
        aucs=areas,
        auc_std=joint_error(areas, area_replicas, correlation),
        jsds=divergences,
        jsd_std=joint_error(divergences, divergence_replicas, correlation),
        counts=counts,
        fpr=_GRID,
        tpr=np.mean(curves, axis=0),
        histories=tuple(one.history for one in trainings),
        epochs=tuple(one.epoch for one in trainings),
    )
