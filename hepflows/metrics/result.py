"""What a classifier test found, and the only way to write it: with its error, its counts, its floor and its power."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hepflows.metrics.protocol import ClassifierProtocol

Array = NDArray[np.float64]

POWER_NEEDED = 0.75
"""AUC on permuted reference events below which a classifier is too weak to judge."""

PARTS = ("train", "select", "score")


@dataclass(frozen=True)
class Measurement:
    """One sample against another, over several trainings.

    Args:
        aucs: (R,) area under the ROC curve of each training, on its score set.
        auc_std: error of their mean, see :func:`hepflows.metrics.resampling.joint_error`.
        jsds: (R,) Jensen-Shannon divergences in bits.
        jsd_std: error of their mean.
        counts: events per class that trained, selected and were scored, in each training.
        fpr: (G,) false positive rates, a fixed grid.
        tpr: (G,) true positive rates, mean over the trainings.
        histories: losses by epoch ("train", "selection", in nats) and the "score" that chose the epoch, by training.
        epochs: the epoch that each training kept, from zero.
    """

    aucs: Array
    auc_std: float
    jsds: Array
    jsd_std: float
    counts: tuple[int, int, int]
    fpr: Array
    tpr: Array
    histories: tuple[dict[str, list[float]], ...]
    epochs: tuple[int, ...]

    @property
    def auc(self) -> float:
        """Mean over the trainings."""
        return float(np.mean(self.aucs))

    @property
    def jsd(self) -> float:
        """Mean over the trainings, in bits."""
        return float(np.mean(self.jsds))

    def __str__(self) -> str:
        return f"{self.auc:.3f} ± {self.auc_std:.3f}"


@dataclass(frozen=True)
class ClassifierResult:
    """The verdict on a generated sample.

    Args:
        test: generated against reference.
        floor: reference against independent reference by the same protocol, what a perfect generator would get; None
            where it was not asked for.
        power: reference against a sample that is known to be wrong; None where no such sample can be made (a single
            feature, whose permutation changes nothing).
        protocol: the rules of the classifier.
        features: number of input features.
        seed: repeats the test.
    """

    test: Measurement
    floor: Measurement | None
    power: Measurement | None
    protocol: ClassifierProtocol
    features: int
    seed: int

    @property
    def auc(self) -> float:
        """Area under the ROC curve, generated against reference, mean over the trainings."""
        return self.test.auc

    @property
    def auc_std(self) -> float:
        """Its error: score statistics and seeds."""
        return self.test.auc_std

    @property
    def jsd(self) -> float:
        """Jensen-Shannon divergence in bits."""
        return self.test.jsd

    @property
    def power_ok(self) -> bool | None:
        """Whether the classifier is strong enough to judge; None without a power check."""
        return None if self.power is None else self.power.auc >= POWER_NEEDED

    def to_dict(self) -> dict[str, Any]:
        """All numbers, ready for ``metrics.json``; what was not measured is None."""
        test, floor, power = self.test, self.floor, self.power
        return {
            "auc": test.auc,
            "auc_std": test.auc_std,
            "aucs": test.aucs.tolist(),
            "jsd": test.jsd,
            "jsd_std": test.jsd_std,
            "auc_floor": floor and floor.auc,
            "auc_floor_std": floor and floor.auc_std,
            "jsd_floor": floor and floor.jsd,
            "jsd_floor_std": floor and floor.jsd_std,
            "power_auc": power and power.auc,
            "power_auc_std": power and power.auc_std,
            "power_ok": self.power_ok,
            **{f"n_classifier_{part}": count for part, count in zip(PARTS, test.counts, strict=True)},
            "n_classifier_floor": floor and list(floor.counts),
            "n_classifier_power": power and list(power.counts),
            "classifier_repeats": len(test.aucs),
            "classifier_features": self.features,
            "classifier_seed": self.seed,
            "classifier_epochs": list(test.epochs),
            "protocol": self.protocol.to_dict(),
        }

    def __str__(self) -> str:
        """One line; an AUC is never written with less."""
        trainings = "1 training" if len(self.test.aucs) == 1 else f"{len(self.test.aucs)} trainings"
        floor = "not measured" if self.floor is None else f"{self.floor}{self._other_counts(self.floor)}"
        return (
            f"AUC {self.test} (events per class: {_counts(self.test)}; {trainings}; protocol {self.protocol.name}), "
            f"floor {floor}, power check {self._power()}"
        )

    def _power(self) -> str:
        if self.power is None:
            return "not possible with one feature"
        text = f"{self.power.auc:.3f}{self._other_counts(self.power)}"
        if self.power_ok:
            return f"{text} (passed, needs {POWER_NEEDED})"
        return (
            f"{text} (FAILED, needs {POWER_NEEDED}): the classifier is too weak to judge: a low AUC is no evidence of "
            "a good sample, use more events or a stronger protocol"
        )

    def _other_counts(self, part: Measurement) -> str:
        return "" if part.counts == self.test.counts else f" (with {_counts(part)})"


def _counts(part: Measurement) -> str:
    train, select, score = part.counts
    return f"{train:,} train + {select:,} select + {score:,} score"
