r"""n massless particles with nested massless propagators, in every cyclic order: many peaks, and a closed form.

.. math:: f = V_n^{-1} \frac{1}{n} \sum_{\text{cyclic}} \prod_{i=2}^{n-1}
    \Big(\frac{s}{(p_i + p_{i+1} + \dots + p_n)^2}\Big)^{a} ,
    \qquad \int d\Phi_n\, f = \prod_{k=1}^{n-2} \frac{k + 1}{(1 - a)\,(1 + k (1 - a))} .

In flat phase space the ratios :math:`v_k` of successive masses squared follow independent Beta(k, 2) distributions
(arXiv:1308.2922); the product of a term is :math:`\prod_k v_k^{-a k}`, and its mean the product above. The flat volume
:math:`V_n` is divided out.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from hepflows.applications.integration.integrand import Integrand
from hepflows.applications.integration.phasespace.kinematics import mass_squared
from hepflows.applications.integration.phasespace.rambo import Rambo, massless_volume
from hepflows.errors import DomainError

__all__ = ["cascade"]

Array = NDArray[np.float64]


def cascade(n: int = 5, power: float = 0.4, energy: float = 91.1876) -> Integrand:
    """e+e- -> n gluons as a cascade whose propagators have the power ``power``; see the module for the formula.

    On flat phase space, 3n - 4 coordinates as `Rambo` takes them. From a power of 1/2 on the variance of flat sampling
    is infinite, although the integral is not: no error that is estimated from such a sample can be trusted.

    Args:
        n: number of particles, three or more.
        power: a, from 0 to below 1.
        energy: total energy in GeV.

    Raises:
        DomainError: a number is outside its range.

    >>> f = cascade(5, power=0.5)
    >>> f.dimension, round(f.truth, 9)
    (11, 25.6)
    """
    if not (n >= 3 and 0 <= power < 1):
        message = f"a cascade needs n of 3 or more and a power from 0 to below 1, but got {n} and {power}: correct them"
        raise DomainError(message)
    space = Rambo(energy, [0.0] * n)
    volume = massless_volume(n, energy)

    def function(u: Array) -> Array:
        p, weight = space.forward(u)
        return weight / volume * _mean_of_orders(p / energy, power)

    truth = math.prod((k + 1) / ((1 - power) * (1 + k * (1 - power))) for k in range(1, n - 1))
    summary = (
        f"e+e- -> {n} gluons at {energy:g} GeV with nested propagators of power {power:g}, flat phase space divided out"
    )
    unit = ((0.0, 1.0),) * space.dimension
    return Integrand(f"cascade_{n}", function, unit, truth, summary, lambda u: space.forward(u)[0], (21,) * n)


def _mean_of_orders(p: Array, power: float) -> Array:
    """The mean over cyclic orders of the product of propagators, for momenta (n_points, n, 4) of total energy one."""
    n = p.shape[1]
    total = np.zeros(len(p))
    for shift in range(n):
        ordered = np.roll(p, -shift, axis=1)
        system = ordered[:, -1]
        product = np.ones(len(p))
        for i in range(n - 2, 0, -1):
            system = system + ordered[:, i]
            # rounding leaves no invariant at zero
            product *= np.maximum(mass_squared(system), _LEAST) ** -power
        total += product
    return np.asarray(total / n)


_LEAST = 1e-18
"""Invariants over s below which rounding decides."""
