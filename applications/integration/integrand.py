"""What is integrated: a function on a box with what is known about it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Bound = tuple[float, float] | int
"""Lower and upper edge of a coordinate, or the number of values of a discrete one."""


@dataclass(frozen=True)
class Integrand:
    r"""A named integrand :math:`f` on a box, as ``--builtin`` and the benchmarks use it.

    Attributes:
        name: what it is called.
        function: ``(n, d)`` points to ``(n,)`` values.
        bounds: lower and upper edge of every coordinate, or the number of values of a discrete one.
        truth: the integral over the box where it is known independently, else None.
        summary: one line of text.
        momenta: for a process, ``(n, d)`` points to four-momenta ``(n, particles, 4)`` as (E, px, py, pz) in GeV.
        particles: PDG codes of ``momenta``'s particles, in their order.

    Example:
        >>> flat = Integrand("flat", lambda x: np.ones(len(x)), ((0.0, 2.0),), truth=2.0)
        >>> flat.dimension, flat.function(np.zeros((3, 1)))
        (1, array([1., 1., 1.]))
    """

    name: str
    function: Callable[[Array], Array]
    bounds: tuple[Bound, ...]
    truth: float | None = None
    summary: str = ""
    momenta: Callable[[Array], Array] | None = None
    particles: Sequence[int] = field(default=())

    @property
    def dimension(self) -> int:
        """Number of coordinates."""
        return len(self.bounds)

    def __call__(self, x: Array) -> Any:
        """The values at ``x``."""
        return self.function(x)
