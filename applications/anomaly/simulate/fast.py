r"""Analytic events, a million a second, whose likelihood ratio is known: the oracle of the tests.

Each event has latents :math:`u \in R^4`, made into features by maps of one variable each, so that ratios of densities are those of the
latents. The background is a mixture of two kinds of jets, the signal one normal distribution,

.. math:: p_b(u | m) = \sum_k f_k\, N(u;\, \mu_k + c\,t(m),\, \Sigma_k), \qquad p_s(u) = N(u;\, \mu_s, \Sigma_s),
          \qquad t(m) = (m - 3.1) / 0.7,

the resonant variable falls exponentially between 2.4 and 6.4 TeV, and the signal is a narrow peak. The four features look like the light
jet's mass, the difference of masses (TeV) and both :math:`\tau_{21}` of the LHC Olympics (arXiv:2101.08320).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hepflows.applications.anomaly.events import Array, Events
from hepflows.errors import ConfigError
from hepflows.training.seeding import numpy_generator

FEATURES = ("mJ1", "dmJ", "tau21_1", "tau21_2")
RESONANCE = "mJJ"
LOW, HIGH, FALL = 2.4, 6.4, 0.7
PEAK, WIDTH = 3.5, 0.1
SIGNAL_REGION = (3.3, 3.7)

_FRACTIONS = np.array([0.6, 0.4])
_MEANS = np.array([[-0.3, -0.2, 0.25, 0.3], [0.45, 0.3, -0.375, -0.45]])
_WIDTHS = np.array([[0.9, 0.95, 0.9, 0.85], [0.95, 0.9, 1.0, 0.95]])
_CORRELATION = np.array([[1.0, 0.25, -0.3, 0.1], [0.25, 1.0, 0.1, -0.3], [-0.3, 0.1, 1.0, 0.2], [0.1, -0.3, 0.2, 1.0]])
_SIGNAL_MEAN = np.array([0.1, 1.65, -1.4, -1.45])
_SIGNAL_WIDTHS = np.array([0.22, 0.25, 0.5, 0.5])
_SHIFTS = {"plain": np.array([0.03, 0.05, -0.02, -0.03]), "correlated": np.array([0.55, 0.55, -0.1, -0.1])}
# medians and scales of mJ1 and dmJ in TeV (log-normal), centres and slopes of the tau21 (logistic)
_LOGNORMAL = ((0.11, 0.6), (0.12, 0.9))
_LOGISTIC = ((0.4, 0.6), (0.0, 0.6))


@dataclass(frozen=True)
class FastModel:
    """The analytic events.

    Args:
        variant: "plain", or "correlated", where the two masses grow with the resonant variable (linear correlation above 0.3).

    Raises:
        ConfigError: an unknown variant.

    Example:
        >>> events = FastModel().generate(1000, signal=10, seed=1)
        >>> len(events), int(events.label.sum()), events.names
        (1010, 10, ('mJ1', 'dmJ', 'tau21_1', 'tau21_2'))
    """

    variant: str = "plain"

    def __post_init__(self) -> None:
        if self.variant not in _SHIFTS:
            message = f"there is no variant {self.variant!r} of the analytic events: choose one of {', '.join(_SHIFTS)}"
            raise ConfigError(message)

    def generate(
        self, background: int, *, signal: int = 0, seed: int, window: tuple[float, float] | None = None
    ) -> Events:
        """Draw labelled events in random order.

        Args:
            background: number of background events.
            signal: number of signal events.
            seed: repeats the sample.
            window: (low, high) in TeV: all events lie between them, background and signal.

        Raises:
            ConfigError: a negative number, or a window outside the spectrum.
        """
        if background < 0 or signal < 0 or background + signal < 1:
            message = (
                f"events to simulate must be counted from one, got {background} of background and {signal} of signal"
            )
            raise ConfigError(message)
        rng = numpy_generator(seed, "fast events", self.variant)
        low, high = (LOW, HIGH) if window is None else window
        if not LOW <= low < high <= HIGH:
            message = f"the window {low:g}:{high:g} must lie within {LOW:g}:{HIGH:g} TeV, where there are events"
            raise ConfigError(message)
        n = background + signal
        m = _falling(rng, n, low, high)
        kinds = (rng.random(n) >= _FRACTIONS[0]).astype(np.int64)
        u = rng.standard_normal((n, 4)) @ np.linalg.cholesky(_CORRELATION).T
        u *= _WIDTHS[kinds]
        u += _MEANS[kinds]
        u += self._shift(m)
        label = np.zeros(n, dtype=np.int64)
        if signal:  # in places of their own, so that no sample of a million has to be shuffled
            rows = rng.choice(n, signal, replace=False)
            label[rows], m[rows] = 1, _peak(rng, signal, low, high)
            u[rows] = _SIGNAL_MEAN + _SIGNAL_WIDTHS * rng.standard_normal((signal, 4))
        return Events(m, _features(u), FEATURES, RESONANCE, label)

    def log_likelihood_ratio(self, events: Events) -> Array:
        r"""(n,) :math:`\log p_s(x) - \log p_b(x | m)`, exactly: what no method can do better than.

        Example:
            >>> model = FastModel()
            >>> events = model.generate(1000, signal=1000, seed=1)
            >>> ratio = model.log_likelihood_ratio(events)
            >>> bool(ratio[events.label == 1].mean() > 3 > -3 > ratio[events.label == 0].mean())
            True
        """
        u = _latents(events.features)
        shift = self._shift(events.resonance)
        kinds = [
            np.log(fraction) + _log_normal(u - shift - mean, width, _CORRELATION)
            for fraction, mean, width in zip(_FRACTIONS, _MEANS, _WIDTHS, strict=True)
        ]
        signal = _log_normal(u - _SIGNAL_MEAN, _SIGNAL_WIDTHS, np.eye(4))
        return np.asarray(signal - np.logaddexp(*kinds), dtype=np.float64)

    def log_background(self, events: Events) -> Array:
        """(n,) log density of the background features at their resonant variable, per TeV^2: what a flow should learn.

        The Jacobian of the maps is that of the features, see `FEATURES`.
        """
        u, x = _latents(events.features), events.features
        scales = [scale for _, scale in (*_LOGNORMAL, *_LOGISTIC)]
        slope = np.concatenate([x[:, :2], x[:, 2:] * (1.0 - x[:, 2:])], axis=1) * scales
        signal = _log_normal(u - _SIGNAL_MEAN, _SIGNAL_WIDTHS, np.eye(4))
        return np.asarray(signal - self.log_likelihood_ratio(events) - np.log(slope).sum(axis=1), dtype=np.float64)

    def _shift(self, m: Array) -> Array:
        return np.asarray(np.multiply.outer((m - 3.1) / 0.7, _SHIFTS[self.variant]), dtype=np.float64)


def signal_events(background: int, s_over_b: float) -> int:
    """How many signal events give a signal-to-background ratio in the signal region of 3.3 to 3.7 TeV.

    >>> signal_events(1_000_000, 0.006)
    759
    """
    low, high = SIGNAL_REGION
    inside = (np.exp(-low / FALL) - np.exp(-high / FALL)) / (np.exp(-LOW / FALL) - np.exp(-HIGH / FALL))
    within = 0.9544997361  # two widths on either side of the peak
    return round(float(s_over_b * background * inside / within))


def _falling(rng: np.random.Generator, n: int, low: float, high: float) -> Array:
    return np.asarray(low - FALL * np.log1p(rng.random(n) * np.expm1(-(high - low) / FALL)), dtype=np.float64)


def _peak(rng: np.random.Generator, n: int, low: float, high: float) -> Array:
    from scipy.special import ndtr, ndtri

    below, above = ndtr((low - PEAK) / WIDTH), ndtr((high - PEAK) / WIDTH)
    return np.asarray(PEAK + WIDTH * ndtri(below + (above - below) * rng.random(n)), dtype=np.float64)


def _features(u: Array) -> Array:
    x = np.empty_like(u)
    for i, (median, scale) in enumerate(_LOGNORMAL):
        x[:, i] = median * np.exp(scale * u[:, i])
    for i, (centre, slope) in enumerate(_LOGISTIC, start=2):
        x[:, i] = 1.0 / (1.0 + np.exp(-(centre + slope * u[:, i])))
    return x


def _latents(x: NDArray[np.float64]) -> Array:
    u = np.empty_like(x)
    for i, (median, scale) in enumerate(_LOGNORMAL):
        u[:, i] = np.log(x[:, i] / median) / scale
    for i, (centre, slope) in enumerate(_LOGISTIC, start=2):
        u[:, i] = (np.log(x[:, i]) - np.log1p(-x[:, i]) - centre) / slope
    return u


def _log_normal(offset: Array, widths: Array, correlation: Array) -> Array:
    z = np.linalg.solve(np.linalg.cholesky(correlation), (offset / widths).T)
    norm = np.log(widths).sum() + 0.5 * np.linalg.slogdet(correlation)[1] + 0.5 * len(widths) * np.log(2 * np.pi)
    return np.asarray(-0.5 * np.sum(z**2, axis=0) - norm, dtype=np.float64)
