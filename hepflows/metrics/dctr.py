"""Reweighting by classification (DCTR): weights under which generated events are distributed as the reference."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import astuple, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from hepflows.errors import CheckpointError, ConfigError, DataError
from hepflows.metrics.calibrated import Calibration
from hepflows.metrics.network import Classifier, Events, Scaler, Trained, checked_scale, train
from hepflows.metrics.protocol import PROTOCOLS, ClassifierProtocol, from_dict, named
from hepflows.metrics.samples import Sample, sample
from hepflows.metrics.unweighting import effective_size
from hepflows.training.checkpoint import load_state, load_tensors, restoring, save_tensors
from hepflows.training.seeding import derive, generator, numpy_generator

Array = NDArray[np.float64]
Index = NDArray[np.int64]
Progress = Callable[[int, int, str], None]
"""Called with (epochs done, epochs in all, a short text)."""

FEWEST = 50  # events per class
RATIO = replace(
    PROTOCOLS["standardised"], name="ratio", hidden=(128, 128), dropout=0.0, epochs=20, weight_decay=0.1, select="loss"
)
"""The classifier of a reweighting: its epoch is chosen by the loss, which an estimate of odds minimises."""


@dataclass(frozen=True)
class Member:
    """One classifier, calibrated; its odds are multiplied by ``factor``, so that they average to one over events it did not see."""

    trained: Trained
    calibration: Calibration
    factor: float

    def odds(self, features: Array, clip: float | None) -> Array:
        """Odds f / (1 - f) of being reference, (n,), before the factor."""
        log_odds = self.calibration(self.trained.logits(features))
        return np.asarray(np.exp(log_odds if clip is None else np.clip(log_odds, -np.log(clip), np.log(clip))))


@dataclass(frozen=True)
class Reweighter:
    """What `reweight` learnt: weights for events that are generated later.

    Args:
        members: the classifiers of the folds.
        features: number of features d.
        clip: odds are kept in ``[1 / clip, clip]``, or None.
        protocol: of the classifiers.
        about: of what the features are, JSON-able; kept in the file.
    """

    members: tuple[Member, ...]
    features: int
    clip: float | None
    protocol: ClassifierProtocol
    about: dict[str, Any] = field(default_factory=dict)

    def weights(self, generated: ArrayLike, *, normalise: bool = False) -> Array:
        """Weights (n,) of generated events (n, d) that trained none of the classifiers: the mean of what these give.

        Args:
            generated: features of new events, computed as those of the training were.
            normalise: make these weights average to one exactly; otherwise they do so in expectation.
        """
        events = sample("generated", generated, None)
        if events.width != self.features:
            message = (
                f"the reweighter takes {self.features} features, got {events.width}: compute those it was trained with"
            )
            raise DataError(message)
        found = np.mean([one.factor * one.odds(events.features, self.clip) for one in self.members], axis=0)
        return np.asarray(found / found.mean() if normalise else found, dtype=np.float64)

    def save(self, path: Path | str) -> None:
        """Write a safetensors file, with the protocol in its header."""
        tensors: dict[str, torch.Tensor] = {}
        for index, one in enumerate(self.members):
            arrays = {"calibration": list(astuple(one.calibration)), "factor": one.factor}
            arrays |= {f"scaler.{name}": values for name, values in one.trained.scaler.state().items()}
            tensors |= {f"{index}.{name}": torch.tensor(values, dtype=torch.float64) for name, values in arrays.items()}
            tensors |= {f"{index}.network.{name}": value for name, value in one.trained.network.state_dict().items()}
        header = {"kind": "reweighter", "members": len(self.members), "features": self.features, "clip": self.clip}
        header["about"] = self.about
        save_tensors(path, tensors, {**header, "protocol": self.protocol.to_dict()})

    @classmethod
    def load(cls, path: Path | str) -> Reweighter:
        """Read what `save` wrote.

        Raises:
            CheckpointError: the file is not that of a reweighter.
        """
        tensors, header = load_tensors(path)
        if header.get("kind") != "reweighter":
            message = f"{path}: holds no reweighter; give a file that Reweighter.save wrote"
            raise CheckpointError(message)
        with restoring(path):
            protocol, members = from_dict(header["protocol"]), []
            for index in range(header["members"]):
                part = _below(tensors, str(index))
                network = Classifier(header["features"], protocol, generator(0))
                load_state(network, _below(part, "network"), path)
                scaler = Scaler.restored(
                    protocol.inputs, {key: one.numpy() for key, one in _below(part, "scaler").items()}
                )
                calibration = Calibration(*part["calibration"].tolist())
                members.append(Member(Trained(network, scaler, {}, 0), calibration, float(part["factor"])))
            return cls(tuple(members), header["features"], header["clip"], protocol, header.get("about", {}))


@dataclass(frozen=True)
class Reweighting:
    """The weights of generated events, and what gives weights to more of them.

    Args:
        weights: (n,) of mean one; of each event, by a classifier that never saw it.
        reweighter: for events that are generated later.
    """

    weights: Array
    reweighter: Reweighter

    @property
    def effective_size(self) -> float:
        """Number of unweighted events that are worth as much, see `effective_size`."""
        return effective_size(self.weights)


def reweight(
    generated: ArrayLike,
    reference: ArrayLike,
    *,
    protocol: str | ClassifierProtocol = RATIO,
    folds: int = 5,
    seed: int,
    clip: float | None = None,
    generated_weights: ArrayLike | None = None,
    reference_weights: ArrayLike | None = None,
    scale: ArrayLike | None = None,
    device: torch.device | str = "cpu",
    progress: Progress | None = None,
) -> Reweighting:
    r"""Learn weights under which generated events are distributed as the reference (DCTR, arXiv:1907.08209, arXiv:2009.03796).

    .. math:: w(x) = \frac{f(x)}{1 - f(x)} \to \frac{p_\mathrm{reference}(x)}{p_\mathrm{generated}(x)}

    where the classifier ``f``, trained on as much weight of either class and calibrated on events it did not learn from, gives the
    probability of being reference. The events are dealt into folds: those of one fold get their weights from a classifier that was trained
    and calibrated on the others, and these weights are scaled to the mean one. No event is weighted by a classifier that has seen it.

    Weights cannot create events: where the generator gives none, nothing is mended. `Reweighting.effective_size` says what they cost.

    Args:
        generated: (n, d) features; what the events were generated for, such as an incident energy, is one of them.
        reference: (m, d) features.
        protocol: of the classifiers; of its ``fractions`` the first two count, in their ratio.
        folds: number of classifiers K, at least 2.
        seed: repeats everything, for the same number of threads on a processor.
        clip: odds are kept in ``[1 / clip, clip]`` before they are scaled to mean one; as they are where None.
        generated_weights, reference_weights: (n,), (m,) event weights, not negative; those of the generated events are part of the result.
        scale: (d,) factors on the inputs of the networks, as of :func:`hepflows.metrics.classifier_test`.
        device: where to train.
        progress: called after every epoch.

    Raises:
        DataError: a value that is not finite, too few events, different widths, or wrong weights.
        ConfigError: fewer than 2 folds, a ``clip`` of 1 or less, or an unknown protocol.
        TrainingError: the loss of a classifier is not finite.

    >>> rng = np.random.default_rng(0)
    >>> fast = ClassifierProtocol("fast", hidden=(16,), inputs="standard", epochs=5, batch_size=64, learning_rate=1e-2)
    >>> found = reweight(rng.normal(0.5, 1.0, (1000, 1)), rng.normal(0.0, 1.0, (1000, 1)), protocol=fast, folds=2, seed=1)
    >>> round(float(found.weights.mean()), 6), 500 < found.effective_size < 950  # the true weights: about 1000 exp(-0.5 ** 2) = 779
    (1.0, True)
    """
    rules = named(protocol)
    if folds < 2 or (clip is not None and not clip > 1):
        message = f"a reweighting needs at least 2 folds, and a clip above 1 or none, got folds={folds} and clip={clip}"
        raise ConfigError(message)
    truth = sample("reference", reference, reference_weights)
    fake = sample("generated", generated, generated_weights, like=truth)
    if min(len(fake), len(truth)) < max(FEWEST, 4 * folds):
        message = (
            f"a reweighting in {folds} folds needs {max(FEWEST, 4 * folds)} events of each class, "
            f"got {len(fake)} generated and {len(truth)} reference events"
        )
        raise DataError(message)
    dealt = [numpy_generator(seed, "fold", i).permutation(len(one)) % folds for i, one in enumerate((fake, truth))]
    if min(np.bincount(dealt[0], fake.weights).min(), np.bincount(dealt[1], truth.weights).min()) <= 0:
        message = "a fold holds events of weight zero only: leave such events out, or take fewer folds"
        raise DataError(message)
    factors = None if scale is None else checked_scale(scale, truth.width, rules)
    weights, members, epochs = fake.weights.copy(), [], itertools.count(1)

    def after_epoch() -> None:
        done = next(epochs)
        if progress is not None:
            progress(done, folds * rules.epochs, f"reweighting, classifier {-(-done // rules.epochs)} of {folds}")

    for fold in range(folds):
        seen, held = [np.flatnonzero(numbers != fold) for numbers in dealt], np.flatnonzero(dealt[0] == fold)
        training, selection = _deal(fake, truth, seen, rules, numpy_generator(seed, "selection", fold))
        number = derive(seed, "training", fold)
        trained = train(training, selection, rules, seed=number, scale=factors, device=device, after_epoch=after_epoch)
        calibrated = Calibration.fit(trained.logits(selection.features), selection.labels, selection.weights)
        odds = Member(trained, calibrated, 1.0).odds(fake.features[held], clip)
        factor = float(fake.weights[held].sum() / (fake.weights[held] @ odds))
        members.append(Member(trained, calibrated, factor))
        weights[held] *= factor * odds
    return Reweighting(weights / weights.mean(), Reweighter(tuple(members), fake.width, clip, rules))


def _deal(
    fake: Sample, truth: Sample, seen: list[Index], rules: ClassifierProtocol, rng: np.random.Generator
) -> tuple[Events, Events]:
    """The events that train and those that select and calibrate, from the rows ``seen`` of either class."""
    share = rules.fractions[1] / (rules.fractions[0] + rules.fractions[1])
    order = [rng.permutation(rows) for rows in seen]
    cut = [max(1, round(share * len(rows))) for rows in order]
    parts = (
        [rows[n:] for rows, n in zip(order, cut, strict=True)],
        [rows[:n] for rows, n in zip(order, cut, strict=True)],
    )
    training, selection = (_balanced(fake[rows[0]], truth[rows[1]]) for rows in parts)
    return training, selection


def _balanced(fake: Sample, truth: Sample) -> Events:
    """Events of both classes, 0 generated and 1 reference: as much weight in either, a mean of one over all."""
    size = (len(fake) + len(truth)) / 2
    weights = np.concatenate([size * one.weights / one.weights.sum() for one in (fake, truth)])
    labels = np.repeat([0.0, 1.0], [len(fake), len(truth)])
    return Events(np.concatenate([fake.features, truth.features]), labels, weights)


def _below(tensors: dict[str, torch.Tensor], part: str) -> dict[str, torch.Tensor]:
    """The tensors whose names begin with ``part``, without it."""
    return {name.removeprefix(f"{part}."): one for name, one in tensors.items() if name.startswith(f"{part}.")}
