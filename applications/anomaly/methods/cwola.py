"""CWoLa hunting: the signal region against the strips beside it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from hepflows.applications.anomaly import classifiers
from hepflows.applications.anomaly.density import Density
from hepflows.applications.anomaly.events import Array, Events
from hepflows.applications.anomaly.methods.base import Method, Task
from hepflows.errors import DataError


class CWoLa(Method):
    """CWoLa hunting (arXiv:1902.02634): a classifier tells the signal region from the adjacent strips of the sidebands.

    Each strip weighs one half. It needs features that do not depend on the resonant variable in background; where they do, the
    classifier learns the resonant variable instead.
    """

    name = "cwola"

    def _build(self, features: int) -> dict[str, Density | classifiers.Classifier]:
        return {"classifier": classifiers.build(self.config.classifier)}

    def _learn(self, signal: Events, sidebands: Events, task: Task) -> Events:
        width = self.config.strip * (self.regions.high - self.regions.low)
        m = sidebands.resonance
        below = sidebands[(m <= self.regions.low) & (m > self.regions.low - width)]
        above = sidebands[(m >= self.regions.high) & (m < self.regions.high + width)]
        weights = []
        for name, part in (("below", below), ("above", above)):
            if not len(part) or part.weights.sum() <= 0:
                message = f"the strip of width {width:g} {name} the signal region holds no events: make strip larger"
                raise DataError(message)
            weights.append(part.weights / part.weights.sum())
        strips = np.concatenate([below.features, above.features])
        self.classify(signal.features, strips, task, (signal.weights, np.concatenate(weights) * len(strips)))
        return replace(
            sidebands,
            resonance=np.concatenate([below.resonance, above.resonance]),
            features=strips,
            label=None,
            weight=None,
        )

    def score(self, events: Events) -> Array:
        """(n,) log odds of the signal region against the strips."""
        return self.classifier().log_odds(events.features)
