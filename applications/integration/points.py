"""Points of the unit cube: randomised Sobol nets, and pseudo-random ones."""

from __future__ import annotations

import numpy as np
import torch

from hepflows.applications.integration.domain import BELOW_ONE
from hepflows.applications.integration.integrand import Array
from hepflows.training.seeding import derive, numpy_generator

MAX_SOBOL: int = torch.quasirandom.SobolEngine.MAXDIM
"""Up to so many coordinates; more are pseudo-random."""


def sobol(n: int, dimension: int, seed: int, *names: int | str) -> Array:
    r"""A scrambled Sobol net of ``n`` points, ``(n, d)``; powers of two fill the cube most evenly.

    Every point is uniform, so that a mean over a net is unbiased; two nets of different names are independent, so that the scatter of their
    means is an honest error (Owen 1997; linear scrambling of Matousek 1998). For a smooth integrand the error of a net falls like
    :math:`n^{-3/2}` up to logarithms; for none is it much worse than that of independent points.

    >>> sobol(4, 2, 1, "example").shape
    (4, 2)
    """
    if dimension > MAX_SOBOL:
        return uniform(n, dimension, seed, *names)
    part = derive(seed, "sobol", *names)
    engine = torch.quasirandom.SobolEngine(dimension, scramble=True, seed=part)  # type: ignore[no-untyped-call]
    bits = max(0, (n - 1).bit_length())
    directions, shift = (getattr(engine, name).numpy().astype(np.uint32) for name in ("sobolstate", "shift"))
    numbers = np.empty((dimension, 1 << bits), np.uint32)
    numbers[:, 0] = shift
    # the exclusive sums of the first directions: all points of the net, a power of two at a time
    for bit in range(bits):
        numbers[:, 1 << bit : 2 << bit] = numbers[:, : 1 << bit] ^ directions[:, bit : bit + 1]
    rest = numpy_generator(part, "bits").random((dimension, 1))  # below the bits that the net has
    return np.asarray(np.minimum((numbers[:, :n] + rest) * 2.0**-engine.MAXBIT, BELOW_ONE).T)


def uniform(n: int, dimension: int, seed: int, *names: int | str) -> Array:
    """Independent uniform points, ``(n, d)``.

    >>> uniform(4, 2, 1, "example").shape
    (4, 2)
    """
    return np.asfortranarray(numpy_generator(seed, "uniform", *names).random((dimension, n)).T)
