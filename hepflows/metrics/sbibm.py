"""The classifier two-sample test of simulation-based inference, by the convention of its benchmark."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hepflows.errors import DataError
from hepflows.metrics.pairs import checked_pair
from hepflows.metrics.samples import drawn

Array = NDArray[np.float64]

FOLDS = 5


@dataclass(frozen=True)
class C2st:
    """How well a classifier tells two samples apart; 0.5 for samples that it cannot tell apart.

    Args:
        accuracy: mean over the folds, the number that papers quote as C2ST.
        accuracy_std: binomial standard deviation of it.
        auc: area under the ROC curve of the held-out probabilities, mean over the folds.
        n: points in both samples together.
    """

    accuracy: float
    accuracy_std: float
    auc: float
    n: int

    def __str__(self) -> str:
        return f"C2ST {self.accuracy:.3f} ± {self.accuracy_std:.3f} (AUC {self.auc:.3f}, {self.n:,} points)"


def c2st(reference: ArrayLike, other: ArrayLike, *, seed: int = 1) -> C2st:
    """Accuracy of a classifier between two samples, such as draws of two posteriors (arXiv:2101.04653, the `sbibm` convention).

    Both samples are standardised by the moments of the first. The classifier is scikit-learn's with two hidden layers of ten times the
    number of features, ReLU and Adam, at most 10,000 iterations; five shuffled folds. Other conventions (hidden layers, a single split)
    give other numbers.

    Args:
        reference: (n, d) points, such as those of a long chain.
        other: (m, d) points; of the larger sample as many are drawn at random as the smaller one has.
        seed: of folds, weights and the draw, 1 in the benchmark.

    Raises:
        DataError: a feature that never varies, values that are not finite, or fewer than 50 points in a sample.

    >>> rng = np.random.default_rng(0)
    >>> found = c2st(rng.normal(size=(200, 1)), rng.normal(2.0, 1.0, size=(200, 1)))
    >>> 0.75 < found.accuracy < 0.92  # 0.841 for infinitely many points
    True
    """
    from sklearn.metrics import roc_auc_score
    from sklearn.model_selection import KFold
    from sklearn.neural_network import MLPClassifier

    first, second = checked_pair(reference, other)
    size = min(len(first), len(second))
    spread = first.std(axis=0)
    if size < 50 or not np.all(spread > 0):
        least = spread.min()
        message = f"a C2ST needs 50 points a sample and features that vary, got {size} points and a standard deviation of {least:.3g}"
        raise DataError(message)
    rows = [drawn(len(one), size, seed, name) for one, name in ((first, "reference"), (second, "other"))]
    points = (np.concatenate([first[rows[0]], second[rows[1]]]) - first.mean(axis=0)) / spread
    labels = np.repeat([0, 1], size)
    right, areas = 0, []
    for train, test in KFold(FOLDS, shuffle=True, random_state=seed).split(points):
        width = 10 * points.shape[1]
        network = MLPClassifier((width, width), activation="relu", solver="adam", max_iter=10_000, random_state=seed)
        network.fit(points[train], labels[train])
        probability = network.predict_proba(points[test])[:, 1]
        right += int(((probability > 0.5) == labels[test]).sum())
        areas.append(float(roc_auc_score(labels[test], probability)))
    accuracy = right / len(labels)
    return C2st(accuracy, float(np.sqrt(accuracy * (1 - accuracy) / len(labels))), float(np.mean(areas)), len(labels))
