r"""Classifiers between two samples whose odds estimate the ratio of densities.

With equal sums of weights on both sides, the best score of an event is :math:`s(x) = p_1(x) / (p_0(x) + p_1(x))`, and its log odds are
:math:`\log p_1(x) - \log p_0(x)`.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from hepflows.applications.anomaly.config import ClassifierConfig
from hepflows.applications.anomaly.events import Array

__all__ = ["Classifier", "balanced", "build"]


class Classifier(Protocol):
    """What a method asks of a classifier."""

    def fit(self, x: Array, y: NDArray[np.int64], weights: Array, *, seed: int) -> None:
        """Learn (n, d) events of the classes 0 and 1 with their weights."""

    def log_odds(self, x: Array) -> Array:
        """(n,) log odds of class 1."""

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Tensors and a header that `restore` takes."""

    def restore(self, tensors: dict[str, Tensor], header: dict[str, Any]) -> None:
        """Undo `state`."""


def build(config: ClassifierConfig) -> Classifier:
    """The classifier of a configuration, not fitted.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> x, y = np.r_[rng.normal(0, 1, (500, 1)), rng.normal(2, 1, (500, 1))], np.repeat([0, 1], 500)
        >>> trees = build(ClassifierConfig(members=2, iterations=20))
        >>> trees.fit(x, y, balanced(y), seed=1)
        >>> low, high = trees.log_odds(np.array([[-1.0], [3.0]]))  # the truth is -4 and 4
        >>> bool(low < -1 and high > 1)
        True
    """
    if config.kind == "trees":
        from hepflows.applications.anomaly.classifiers.trees import Trees

        return Trees(config)
    from hepflows.applications.anomaly.classifiers.network import Network

    return Network(config)


def balanced(y: NDArray[Any], weights: Array | None = None) -> Array:
    """(n,) weights under which both classes have the same sum, and the mean is one.

    >>> balanced(np.array([0, 0, 0, 1])).round(3).tolist()
    [0.667, 0.667, 0.667, 2.0]
    """
    given = np.ones(len(y)) if weights is None else weights
    sums = np.array([given[y == 0].sum(), given[y == 1].sum()])
    return np.asarray(given * (len(y) / 2 / sums)[y], dtype=np.float64)
