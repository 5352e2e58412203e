r"""N-subjettiness (arXiv:1011.2268) of jets whose axes are given.

.. math:: \tau_N = \frac{\sum_i p_{T,i} \min_a \Delta R(i, a)^\beta}{\sum_i p_{T,i} R_0^\beta}, \qquad
          \Delta R^2 = \Delta\eta^2 + \Delta\phi^2,

over the constituents i of a jet and its N axes a, with pseudorapidity and the azimuth wrapped to half a turn.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hepflows.applications.anomaly.events import Array


def subjettiness(
    pt: Array,
    eta: Array,
    phi: Array,
    lengths: NDArray[np.int64],
    axes: Array,
    *,
    beta: float = 1.0,
    radius: float = 1.0,
) -> Array:
    """(J,) tau_N of J jets, zero for a jet without constituents.

    Args:
        pt, eta, phi: (N,) constituents of all jets, one jet after the other.
        lengths: (J,) how many belong to each.
        axes: (J, N, 2) pseudorapidity and azimuth of the N axes of each.
        beta: power of the distance.
        radius: R0.

    Example:
        >>> one = subjettiness(np.array([3.0, 1.0]), np.array([0.0, 0.4]), np.zeros(2), np.array([2]), np.zeros((1, 1, 2)))
        >>> one.round(3).tolist()  # (3 * 0 + 1 * 0.4) / 4
        [0.1]
    """
    jet = np.repeat(np.arange(len(lengths)), lengths)
    turn = np.remainder(phi[:, None] - axes[jet, :, 1] + np.pi, 2 * np.pi) - np.pi
    distance = np.hypot(eta[:, None] - axes[jet, :, 0], turn).min(axis=1)
    above = np.bincount(jet, pt * distance**beta, minlength=len(lengths))
    below = np.bincount(jet, pt, minlength=len(lengths)) * radius**beta
    return np.asarray(np.divide(above, below, out=np.zeros(len(lengths)), where=below > 0), dtype=np.float64)
