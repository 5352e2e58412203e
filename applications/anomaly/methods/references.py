"""Methods that look at the truth: how well any other could do on the same events."""

from __future__ import annotations

import numpy as np

from hepflows.applications.anomaly import classifiers
from hepflows.applications.anomaly.density import Density
from hepflows.applications.anomaly.events import Array, Events, concatenate
from hepflows.applications.anomaly.methods.base import Method, Task
from hepflows.errors import DataError
from hepflows.training.seeding import numpy_generator

FEWEST = 20
"""Events that each class needs."""


class Supervised(Method):
    """Signal against background by their labels, in the signal region: the bound for any method."""

    name = "supervised"

    def _build(self, features: int) -> dict[str, Density | classifiers.Classifier]:
        return {"classifier": classifiers.build(self.config.classifier)}

    def _learn(self, signal: Events, sidebands: Events, task: Task) -> Events:
        truth = signal.truth(f"the method {self.name}")
        return self._against(signal[truth == 1], self._more(signal[truth == 0], task), task)

    def _more(self, background: Events, task: Task) -> Events:
        """The background of the signal region, with what is known besides."""
        if task.background is None:
            return background
        inside = self.regions.signal(task.background.resonance)
        return concatenate([background, task.background[inside]])

    def _against(self, positive: Events, negative: Events, task: Task) -> Events:
        for name, part in (("the class to be found", positive), ("background", negative)):
            if len(part) < FEWEST:
                message = f"{name} has only {len(part)} events in the signal region, and the method {self.name} needs {FEWEST}: use more"
                raise DataError(message)
        self.classify(positive.features, negative.features, task, (positive.weights, negative.weights))
        return negative

    def score(self, events: Events) -> Array:
        """(n,) log odds of the two classes."""
        return self.classifier().log_odds(events.features)


class Idealised(Supervised):
    """The idealised detector: data of the signal region against true background of the same region (arXiv:2109.00546).

    The background is that which is given besides. Without any, half of the labelled background of the signal region is set aside for it,
    and half of the signal is left out to keep the share of signal: then it learns from half the data, and is no bound.
    """

    name = "idealised"

    def _learn(self, signal: Events, sidebands: Events, task: Task) -> Events:
        if task.background is not None:
            inside = self.regions.signal(task.background.resonance)
            return self._against(signal, task.background[inside], task)
        truth = signal.truth(f"the method {self.name}")
        first = np.zeros(len(signal), dtype=bool)
        first[numpy_generator(task.seed, "halves").permutation(len(signal))[: len(signal) // 2]] = True
        return self._against(signal[first], signal[~first & (truth == 0)], task)
