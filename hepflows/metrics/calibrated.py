"""From the logits of a classifier to log odds that one may believe."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Calibration:
    r"""Log odds, linear in the logit, :math:`a\, s + b` (Platt scaling, arXiv:1706.04599), kept within :math:`\pm \ln(n + 1)`.

    They go into event weights, so that a smooth map is wanted: isotonic regression, which suits a divergence, is a step function whose
    outermost steps hold a handful of events, and gives these the weight of all others together.

    Args:
        slope: a, positive, or zero where the logits tell nothing.
        offset: b.
        limit: a finite set never claims certainty.
    """

    slope: float
    offset: float
    limit: float

    def __call__(self, logits: Array) -> Array:
        """Log odds (n,) of logits (n,)."""
        return np.clip(self.slope * logits + self.offset, -self.limit, self.limit)

    @classmethod
    def fit(cls, logits: Array, labels: Array, weights: Array) -> Calibration:
        """Calibrate on events that did not train the classifier.

        Args:
            logits: (n,).
            labels: (n,) zeros and ones.
            weights: (n,) event weights, of mean one.

        >>> logits = np.linspace(-4.0, 4.0, 20_000)
        >>> labels = (np.random.default_rng(0).random(20_000) < 1 / (1 + np.exp(-logits / 2))).astype(float)
        >>> one = Calibration.fit(logits, labels, np.ones(20_000))  # the classifier is twice as sure as it should be
        >>> abs(one.slope - 0.5) < 0.05, abs(one.offset) < 0.05
        (True, True)
        """
        from sklearn.linear_model import LogisticRegression

        line = LogisticRegression().fit(logits[:, None], labels, sample_weight=weights)
        slope, offset = float(line.coef_[0, 0]), float(line.intercept_[0])
        # of a classifier that prefers the wrong class on new events nothing is believed
        return cls(max(slope, 0.0), offset if slope > 0 else 0.0, float(np.log(len(logits) + 1)))
