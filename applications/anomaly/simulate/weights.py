r"""Weights of events from two samples of one process, one of which has limits on a variable.

.. math:: w(x) \propto \Big[ T_0 + T_1 \frac{\sigma_0}{\sigma_1} 1_\mathrm{within}(x) \Big]^{-1},

with T events tried of cross section :math:`\sigma` each: a sum of weights is that of the process without limits, wherever the limits
lie, and no event is lost or counted twice.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hepflows.applications.anomaly.events import Array


def balance(within: NDArray[np.bool_], tried: tuple[int, int], cross_section: tuple[float, float]) -> Array:
    """(n,) weights of mean one.

    Args:
        within: (n,) which events of both samples lie within the limits.
        tried: events tried, without and with limits; without any of the first kind all weigh the same.
        cross_section: of both, in one unit.

    >>> balance(np.array([True, False, True]), (100, 50), (2.0, 1.0)).round(3).tolist()
    [0.75, 1.5, 0.75]
    """
    if not tried[0]:
        return np.ones(len(within))
    more = tried[1] * cross_section[0] / cross_section[1] if tried[1] else 0.0
    weights = 1.0 / (tried[0] + np.where(within, more, 0.0))
    return np.asarray(weights / weights.mean(), dtype=np.float64)
