"""Bands that a whole empirical distribution function leaves by chance only."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from hepflows.training.seeding import numpy_generator

Array = NDArray[np.float64]


def simultaneous_band(
    n: int, levels: Array, *, probability: float = 0.95, simulations: int = 2000, seed: int = 0
) -> tuple[Array, Array]:
    r"""The band in which the distribution function of ``n`` uniform numbers stays at all levels at once (arXiv:2103.10522).

    At each level the count is binomial; the pointwise band is widened until the given share of simulated samples stays inside everywhere.

    Args:
        n: numbers.
        levels: (K,) levels, ascending, between 0 and 1.
        probability: of a sample to stay inside.
        simulations: samples.
        seed: of these.

    Returns:
        Lower and upper ends, (K,) each, as shares of ``n``.

    >>> low, high = simultaneous_band(100, np.array([0.25, 0.5, 0.75]))
    >>> bool(low[1] < 0.4), bool(high[1] > 0.6)
    (True, True)
    """
    low, high = _band(n, tuple(np.asarray(levels, dtype=np.float64).tolist()), probability, simulations, seed)
    return low.copy(), high.copy()


@lru_cache(maxsize=64)
def _band(n: int, levels: tuple[float, ...], probability: float, simulations: int, seed: int) -> tuple[Array, Array]:
    from scipy.stats import binom

    rng, places = numpy_generator(seed, "band", n), np.array(levels)
    # counts between the levels are multinomial: no need to sort uniform numbers
    shares = np.diff(np.concatenate([[0.0], places, [1.0]]))
    counts = rng.multinomial(n, shares, size=simulations)[:, :-1].cumsum(axis=1)
    smallest = np.ones(simulations)
    for column, level in enumerate(places):
        values, where = np.unique(counts[:, column], return_inverse=True)
        tails = 2 * np.minimum(binom.cdf(values, n, level), binom.sf(values - 1, n, level))
        smallest = np.minimum(smallest, tails[where])
    gamma = min(1.0, float(np.quantile(smallest, 1 - probability)))
    return np.asarray(binom.ppf(gamma / 2, n, places) / n), np.asarray(binom.isf(gamma / 2, n, places) / n)
