"""Ensembles of histogram gradient boosting (arXiv:2309.13111), kept as plain arrays: nothing is pickled."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hepflows.applications.anomaly.config import ClassifierConfig
from hepflows.applications.anomaly.events import Array
from hepflows.errors import TrainingError
from hepflows.training.seeding import derive

_CHUNK = 50_000
_BINS = 255
"""scikit-learn's own number of bins of a feature."""
_NODES = ("feature", "threshold", "left", "right", "value", "leaf")


class Trees:
    """The mean probability of several boosted forests, each with its own seed and validation events.

    Args:
        config: see `ClassifierConfig`.
    """

    def __init__(self, config: ClassifierConfig) -> None:
        self.config = config
        self._forests: list[_Forest] = []

    def fit(self, x: Array, y: NDArray[np.int64], weights: Array, *, seed: int) -> None:
        """Learn (n, d) events of the classes 0 and 1 with their weights.

        Raises:
            TrainingError: scikit-learn keeps its trees in another way than this module knows.
        """
        from sklearn.ensemble import HistGradientBoostingClassifier

        # binned once, for all members: scikit-learn would find weighted quantiles anew in each, which takes longer than its trees
        edges = [_edges(column) for column in x.T]
        codes = np.stack([np.searchsorted(one, column) for one, column in zip(edges, x.T, strict=True)], axis=1)
        self._forests = []
        for member in range(self.config.members):
            model = HistGradientBoostingClassifier(
                learning_rate=self.config.rate or 0.05,
                max_iter=self.config.iterations,
                max_leaf_nodes=self.config.leaves,
                early_stopping=True,
                validation_fraction=self.config.validation,
                n_iter_no_change=self.config.patience,
                random_state=derive(seed, "member", member) % 2**32,
            )
            model.fit(codes, y, sample_weight=weights)
            forest = _Forest.of(model, edges)
            probe = slice(None, None, max(1, len(x) // 200))
            if not np.allclose(forest.log_odds(x[probe]), model.decision_function(codes[probe]), rtol=1e-9, atol=1e-9):
                message = (
                    "this version of scikit-learn keeps its trees in another way: install the one in constraints.txt, "
                    "or use classifier.kind=network"
                )
                raise TrainingError(message)
            self._forests.append(forest)

    def log_odds(self, x: Array) -> Array:
        """(n,) log odds of the mean probability of class 1."""
        mean = np.zeros(len(x))
        for forest in self._forests:
            mean += 1.0 / (1.0 + np.exp(-forest.log_odds(x))) / len(self._forests)
        return np.asarray(np.log(mean) - np.log1p(-mean), dtype=np.float64)

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """The nodes of all trees of all forests, one after the other."""
        tensors = {
            f"{i}.{name}": torch.as_tensor(getattr(forest, name))
            for i, forest in enumerate(self._forests)
            for name in (*_NODES, "roots")
        }
        return tensors, {"baselines": [forest.baseline for forest in self._forests]}

    def restore(self, tensors: dict[str, Tensor], header: dict[str, Any]) -> None:
        """Undo `state`."""
        self._forests = [
            _Forest(baseline, *(tensors[f"{i}.{name}"].numpy() for name in (*_NODES, "roots")))
            for i, baseline in enumerate(header["baselines"])
        ]


class _Forest:
    """Boosted trees as flat arrays of nodes; ``roots`` says where each tree begins."""

    def __init__(
        self,
        baseline: float,
        feature: NDArray[Any],
        threshold: Array,
        left: NDArray[Any],
        right: NDArray[Any],
        value: Array,
        leaf: NDArray[Any],
        roots: NDArray[Any],
    ) -> None:
        self.baseline = baseline
        self.feature, self.threshold, self.left, self.right = feature, threshold, left, right
        self.value, self.leaf, self.roots = value, leaf, roots

    @classmethod
    def of(cls, model: Any, edges: Sequence[Array]) -> _Forest:
        """The trees of a scikit-learn model that was fitted to the numbers of bins between (d,) edges of the features."""
        trees = [one.nodes for (one,) in model._predictors]
        roots = np.cumsum([0, *(len(nodes) for nodes in trees[:-1])])
        nodes = np.concatenate(trees)
        offset = np.repeat(roots, [len(one) for one in trees])
        return cls(
            float(np.ravel(model._baseline_prediction)[0]),
            nodes["feature_idx"].astype(np.int64),
            _thresholds(nodes, edges),
            nodes["left"].astype(np.int64) + offset,
            nodes["right"].astype(np.int64) + offset,
            nodes["value"].astype(np.float64),
            nodes["is_leaf"].astype(bool),
            roots.astype(np.int64),
        )

    def log_odds(self, x: Array) -> Array:
        """(n,) the baseline and the leaf of every tree, added up."""
        total = np.full(len(x), self.baseline)
        for start in range(0, len(x), _CHUNK):
            part = np.ascontiguousarray(x[start : start + _CHUNK])
            total[start : start + _CHUNK] += self._leaves(part)
        return total

    def _leaves(self, x: Array) -> Array:
        flat, width = x.ravel(), x.shape[1]
        first = np.arange(len(x)) * width
        total = np.zeros(len(x))
        for root in self.roots:
            node = np.full(len(x), root)
            rows = np.arange(len(x))
            while len(rows):
                at = node[rows]
                inner = ~self.leaf[at]
                rows, at = rows[inner], at[inner]
                below = flat[first[rows] + self.feature[at]] <= self.threshold[at]
                node[rows] = np.where(below, self.left[at], self.right[at])
            total += self.value[node]
        return total


def _edges(column: Array) -> Array:
    """Increasing edges of bins of about equal counts: of the values themselves where they are few."""
    values = np.unique(column)
    if len(values) > _BINS:
        values = np.unique(np.quantile(column, np.linspace(0, 1, _BINS + 1)[1:-1], method="lower"))
        return np.asarray(values, dtype=np.float64)
    return np.asarray(0.5 * (values[1:] + values[:-1]), dtype=np.float64)


def _thresholds(nodes: NDArray[Any], edges: Sequence[Array]) -> Array:
    """(K,) thresholds in units of the features: the number of a bin is at most k where the feature is at most edge k."""
    feature, code = nodes["feature_idx"].astype(np.int64), np.floor(nodes["num_threshold"])
    found = np.zeros(len(nodes))
    for index, one in enumerate(edges):
        at = (feature == index) & ~nodes["is_leaf"].astype(bool)
        found[at] = one[np.minimum(code[at], len(one) - 1).astype(np.int64)]
    return found
