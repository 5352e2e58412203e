"""Channels found in points that follow the integrand: one for each clump."""

from __future__ import annotations

import warnings

from hepflows.applications.integration.channel import Channel
from hepflows.applications.integration.integrand import Array
from hepflows.applications.integration.maps import Rotation, principal_axes

NUMBERS = (2, 3, 5, 8)
"""Numbers of clumps that are tried."""


def channels_of(x: Array, bins: int, seed: int) -> list[Channel]:
    """Clumps of points by a Gaussian mixture, as many as the Bayesian information criterion wants, each with axes and map of its own.

    Args:
        x: ``(n, d)`` points of about equal weight.
        bins: of each map of VEGAS.
        seed: of the mixture.

    Returns:
        The channels; none where one clump does as well.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.mixture import GaussianMixture

    d = x.shape[1]
    models = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # a rough partition will do
        for number in (1, *NUMBERS):
            model = GaussianMixture(number, max_iter=30, tol=1e-2, reg_covar=1e-7, random_state=seed & 0x7FFFFFFF)
            models.append(model.fit(x))
    best = min(models, key=lambda model: float(model.bic(x)))
    label = best.predict(x)
    parts = [x[label == k] for k in range(best.n_components)]
    parts = [part for part in parts if len(part) > 10 * d]
    if len(parts) < 2:
        return []
    return [Channel.fitted([Rotation(principal_axes(part))], part, bins) for part in parts]
