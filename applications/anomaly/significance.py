"""From a count to a significance, background error included."""

from __future__ import annotations

import math


def counting(observed: int, expected: float, error: float = 0.0) -> dict[str, float]:
    r"""Signed significance and one-sided p-value of a count over background that is known to an error s.

    .. math:: Z^2 = 2 \Big\{ n \ln \frac{n (b + s^2)}{b^2 + n s^2}
              - \frac{b^2}{s^2} \ln\Big[ 1 + \frac{s^2 (n - b)}{b (b + s^2)} \Big] \Big\}, \qquad
              s \to 0: \; Z^2 = 2 \Big[ n \ln \frac{n}{b} - n + b \Big],

    the profile likelihood ratio of a count with a normal control measurement in the form of arXiv:1007.1727, negative below the
    expectation, and :math:`p = 1 - \Phi(Z)`.

    Args:
        observed: events n.
        expected: background b, positive.
        error: its standard deviation s.

    Example:
        >>> found = counting(150, 100.0)
        >>> round(found["significance"], 2), round(counting(150, 100.0, 20.0)["significance"], 2), counting(100, 100.0)["p_value"]
        (4.65, 1.97, 0.5)
    """
    from scipy.stats import norm

    z = deviation(observed, expected, error)
    return {"significance": z, "p_value": float(norm.sf(z))}


def deviation(observed: float, expected: float, error: float = 0.0) -> float:
    """The significance Z of `counting` alone."""
    n, b, s2 = float(observed), float(expected), float(error) ** 2
    if s2 < 1e-12 * b:
        square = 2.0 * ((n * math.log(n / b) if n > 0 else 0.0) - n + b)
    else:
        first = n * math.log(n * (b + s2) / (b * b + n * s2)) if n > 0 else 0.0
        square = 2.0 * (first - b * b / s2 * math.log1p(s2 * (n - b) / (b * (b + s2))))
    return math.copysign(math.sqrt(max(square, 0.0)), n - b) if n != b else 0.0
