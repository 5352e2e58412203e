"""Numbers as a person reads them."""

from __future__ import annotations

import math
import re


def plus_minus(value: float, error: float | None) -> str:
    """A value with its error, rounded as the Particle Data Group does: two digits of an error from 1.0 to 3.5, else one.

    >>> plus_minus(0.71436, 0.0123), plus_minus(0.50312, 0.0088), plus_minus(0.5, None)
    ('0.714 ± 0.012', '0.503 ± 0.009', '0.500')
    """
    if error is None or error <= 0:
        return with_minus(f"{value:.3f}")
    exponent = math.floor(math.log10(error))
    digits = min(max((1 if error < 3.55 * 10.0**exponent else 0) - exponent, 0), 4)
    return with_minus(f"{value:.{digits}f} ± {error:.{digits}f}")


def with_minus(text: str) -> str:
    """A true minus sign before every negative number; hyphens of words, ranges and exponents stay.

    >>> with_minus("-0.26 GeV, from -1 to 3-4, 1e-05, low-level")
    '−0.26 GeV, from −1 to 3-4, 1e-05, low-level'
    """
    return re.sub(r"(?<!\w)-(?=\.?\d)", "−", text)
