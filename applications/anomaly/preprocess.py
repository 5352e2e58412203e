"""Features to numbers that a flow learns well, and back, with the logarithm of the Jacobian."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hepflows.applications.anomaly.events import Array

_MARGIN = 1e-3
"""The range of the logit is wider than that of the events by this share on each side."""


@dataclass(frozen=True)
class Preprocess:
    r"""A map of each feature by itself, fitted on training events.

    With ``logit``, :math:`u = (x - a) / (b - a)` and :math:`z = (\log\frac{u}{1 - u} - \mu) / \sigma`; with ``standardise``
    :math:`z = (x - \mu) / \sigma`. Values outside the fitted range are moved to its edge, never to NaN; `outside` counts them.

    Args:
        kind: "logit" or "standardise".
        low, high: (d,) the range of the training events.
        mean, std: (d,) of the training events after the logit.

    Example:
        >>> fitted = Preprocess.fit(np.array([[0.0], [1.0], [4.0]]), "logit")
        >>> z, ladj = fitted.forward(np.array([[1.0], [9.0]]))
        >>> fitted.inverse(z).round(6).tolist(), fitted.outside(np.array([[1.0], [9.0]])).tolist()
        ([[1.0], [4.0]], [False, True])
    """

    kind: str
    low: Array
    high: Array
    mean: Array
    std: Array

    @classmethod
    def fit(cls, x: Array, kind: str) -> Preprocess:
        """Fit to (n, d) events."""
        low, high = x.min(axis=0), x.max(axis=0)
        first = cls(kind, low, high, np.zeros_like(low), np.ones_like(low))
        z = first.forward(x)[0]
        # a feature that is constant in these events stays finite
        std = z.std(axis=0)
        return cls(kind, low, high, z.mean(axis=0), np.where(std > 0, std, 1.0))

    def forward(self, x: Array) -> tuple[Array, Array]:
        """(n, d) to (n, d), and log |det J| of each event."""
        x = np.clip(x, self.low, self.high)
        if self.kind == "standardise":
            return (x - self.mean) / self.std, np.full(len(x), -np.log(self.std).sum())
        start, span = self._range()
        u = (x - start) / span
        ladj = -(np.log(u) + np.log1p(-u) + np.log(span) + np.log(self.std)).sum(axis=1)
        return (np.log(u) - np.log1p(-u) - self.mean) / self.std, ladj

    def inverse(self, z: Array) -> Array:
        """(n, d) back to features, within the fitted range."""
        y = z * self.std + self.mean
        if self.kind == "logit":
            start, span = self._range()
            y = start + span * (0.5 + 0.5 * np.tanh(0.5 * y))
        return np.asarray(np.clip(y, self.low, self.high), dtype=np.float64)

    def outside(self, x: Array) -> NDArray[np.bool_]:
        """Which events have a feature outside the fitted range."""
        return np.asarray(((x < self.low) | (x > self.high)).any(axis=1))

    def state(self) -> dict[str, Any]:
        """What `restored` takes."""
        return {"kind": self.kind, **{name: getattr(self, name).tolist() for name in ("low", "high", "mean", "std")}}

    @classmethod
    def restored(cls, state: dict[str, Any]) -> Preprocess:
        """Undo `state`."""
        return cls(state["kind"], *(np.asarray(state[name]) for name in ("low", "high", "mean", "std")))

    def _range(self) -> tuple[Array, Array]:
        width = np.where(self.high > self.low, self.high - self.low, 1.0)
        return self.low - _MARGIN * width, (1.0 + 2.0 * _MARGIN) * width
