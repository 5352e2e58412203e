r"""Maps between the unit hypercube and four-momenta, each with its weight and, for sums of channels, its density.

The phase space of :math:`n` particles with total momentum :math:`Q`, :math:`Q^2 = s`, is

.. math::
    d\Phi_n = (2\pi)^{4-3n}\, \delta^4\Big(Q - \sum_i p_i\Big) \prod_{i=1}^n d^4 p_i\, \delta(p_i^2 - m_i^2)\, \theta(E_i)
            = (2\pi)^4\, \delta^4\Big(Q - \sum_i p_i\Big) \prod_{i=1}^n \frac{d^3 p_i}{(2\pi)^3\, 2 E_i} .

A map :math:`u \mapsto p(u)` has the weight :math:`w(u) = d\Phi_n / du`, so that the mean of :math:`w f` over uniform
:math:`u` is :math:`\int d\Phi_n f`. Four-momenta are (E, px, py, pz) in GeV, weights in GeV to the power
:math:`2n - 4`.

===========================  =================================================================
`Rambo`                      flat in phase space: any number of particles, massless or massive
`Sequential`                 a tree of decays, each invariant mass by a map of one's choice
`BreitWigner`, `PowerLaw`    such maps: a resonance, a propagator; `PowerLaw(0)` is flat
`PartonFractions`            momentum fractions of two partons in colliding hadrons
===========================  =================================================================
"""

from hepflows.applications.integration.phasespace.base import PhaseSpace
from hepflows.applications.integration.phasespace.hadron import PartonFractions
from hepflows.applications.integration.phasespace.invariants import BreitWigner, InvariantMap, PowerLaw
from hepflows.applications.integration.phasespace.kinematics import dot, mass_squared, two_body_momentum
from hepflows.applications.integration.phasespace.rambo import Rambo, massless_volume
from hepflows.applications.integration.phasespace.sequential import Branch, Sequential

__all__ = [
    "Branch",
    "BreitWigner",
    "InvariantMap",
    "PartonFractions",
    "PhaseSpace",
    "PowerLaw",
    "Rambo",
    "Sequential",
    "dot",
    "mass_squared",
    "massless_volume",
    "two_body_momentum",
]
