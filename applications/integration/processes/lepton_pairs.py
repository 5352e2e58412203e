r"""Lepton pairs from quark and antiquark through photon, Z and Z', which interfere.

.. math:: \frac{d\hat\sigma}{d\cos\theta} = \frac{1}{128 \pi \hat s N_c}
    \Big[(|A_{LL}|^2 + |A_{RR}|^2)(1 + \cos\theta)^2 + (|A_{LR}|^2 + |A_{RL}|^2)(1 - \cos\theta)^2\Big] ,
    \qquad \hat\sigma = \frac{1}{48 \pi \hat s N_c} \sum_{ij} |A_{ij}|^2 ,

with :math:`\theta` between quark and lepton, and the amplitudes :math:`A_{ij}` of `Electroweak`.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from hepflows.applications.integration.integrand import Integrand
from hepflows.applications.integration.phasespace.hadron import PartonFractions
from hepflows.applications.integration.phasespace.kinematics import direction
from hepflows.applications.integration.processes.couplings import FERMIONS, PICOBARN, Electroweak
from hepflows.applications.integration.processes.quadrature import panels, resonance_edges
from hepflows.errors import DomainError

__all__ = ["drell_yan", "drell_yan_partonic", "initial_partons", "parton_density", "total_rate"]

Array = NDArray[np.float64]

COLOURS = 3

CHANNELS = ((2, -2), (-2, 2), (1, -1), (-1, 1))
"""PDG codes of the partons from the first and from the second proton."""


def drell_yan_partonic(
    energy: float = 500.0, quark: str = "u", lepton: str = "mu", theory: Electroweak | None = None
) -> Integrand:
    r"""Quark and antiquark to l- l+ at fixed energy, in pb, over :math:`\cos\theta \in [-1, 1]` and :math:`\varphi \in [0, 2\pi]`.

    Args:
        energy: :math:`\sqrt{\hat s}` in GeV.
        quark: ``"u"`` or ``"d"``; it flies along +z.
        lepton: ``"e"`` or ``"mu"``.
        theory: couplings, masses and widths.

    Raises:
        DomainError: the energy is not positive, or there is no such fermion.

    >>> f = drell_yan_partonic(10.0, theory=Electroweak(strength=0.0))
    >>> photon = 4 * math.pi / 128**2 * (2 / 3) ** 2 / (9 * 10.0**2) * PICOBARN
    >>> abs(f.truth / photon - 1) < 0.02  # the photon alone, but for the tail of the Z
    True
    """
    theory = theory or Electroweak()
    _check(quark, lepton)
    if not 0 < energy < math.inf:
        message = f"the energy must be positive, but is {energy} GeV: correct it"
        raise DomainError(message)
    s = np.array([energy**2])
    same, other = _by_chirality(theory, quark, lepton, s)

    def function(x: Array) -> Array:
        return (same * (1 + x[:, 0]) ** 2 + other * (1 - x[:, 0]) ** 2) / (2 * np.pi)

    def momenta(x: Array) -> Array:
        return _pair(np.full(len(x), energy), x[:, 0], x[:, 1])

    summary = f"{quark} {quark}bar -> gamma, Z, Z' -> l- l+ at {energy:g} GeV, in pb"
    box = ((-1.0, 1.0), (0.0, 2 * math.pi))
    truth = float(total_rate(theory, quark, lepton, s)[0])
    return Integrand("drell_yan_partonic", function, box, truth, summary, momenta, _leptons(lepton))


def drell_yan(
    energy: float = 13000.0,
    low: float = 60.0,
    high: float = 1500.0,
    lepton: str = "mu",
    theory: Electroweak | None = None,
    fractions: PartonFractions | None = None,
) -> Integrand:
    r"""Lepton pairs from two protons, in a window of mass, in pb, with the toy densities of `parton_density`.

    .. math:: \frac{d\sigma}{dx_1\, dx_2\, d\cos\theta} = \sum_{q = u, d}
        q(x_1)\, \bar q(x_2)\, \frac{d\hat\sigma_q(\cos\theta)}{d\cos\theta}
        + \bar q(x_1)\, q(x_2)\, \frac{d\hat\sigma_q(-\cos\theta)}{d\cos\theta}

    Coordinates in the unit hypercube: mass and rapidity of the pair as `PartonFractions` maps them, the cosine of the
    l- to the first proton in the rest frame of the pair, its azimuth. Momenta are in the frame of the protons.

    Args:
        energy: :math:`\sqrt S` in GeV.
        low: smallest mass of the pair in GeV.
        high: largest one.
        lepton: ``"e"`` or ``"mu"``.
        theory: couplings, masses and widths.
        fractions: another map of the first two coordinates, with the same window.

    Raises:
        DomainError: the window is not one, or there is no such lepton.

    >>> f = drell_yan()
    >>> f.dimension, f.momenta(np.full((1, 4), 0.5)).shape
    (4, (1, 2, 4))
    """
    theory = theory or Electroweak()
    _check("u", lepton)
    window = fractions or PartonFractions(energy, low, high)
    if (window.energy, window.low, window.high) != (energy, low, high):
        message = f"the map of the fractions is for {window.energy:g}, {window.low:g}, {window.high:g} GeV: give it these limits"
        raise DomainError(message)

    def function(u: Array) -> Array:
        x1, x2, weight = window.forward(u[:, :2])
        return np.asarray(2 * weight * _channels(theory, lepton, energy, x1, x2, 2 * u[:, 2] - 1).sum(axis=0))

    def momenta(u: Array) -> Array:
        x1, x2, _ = window.forward(u[:, :2])
        rest = _pair(energy * np.sqrt(x1 * x2), 2 * u[:, 2] - 1, 2 * np.pi * u[:, 3])
        # along z the light-cone components scale, which no large boost can blur
        stretch = np.sqrt(x1 / x2)[:, None]
        plus, minus = (rest[..., 0] + rest[..., 3]) * stretch, (rest[..., 0] - rest[..., 3]) / stretch
        return np.stack([(plus + minus) / 2, rest[..., 1], rest[..., 2], (plus - minus) / 2], axis=-1)

    summary = (
        f"p p -> gamma, Z, Z' -> l- l+ at {energy / 1000:g} TeV from {low:g} to {high:g} GeV, toy densities, in pb"
    )
    truth = _hadronic_truth(theory, lepton, energy, low, high)
    return Integrand("drell_yan", function, ((0.0, 1.0),) * 4, truth, summary, momenta, _leptons(lepton))


def initial_partons(
    momenta: Array,
    generator: np.random.Generator,
    energy: float = 13000.0,
    lepton: str = "mu",
    theory: Electroweak | None = None,
) -> NDArray[np.int32]:
    """Which partons made events of `drell_yan`, drawn with the probabilities that each event leaves them.

    Args:
        momenta: (n, 2, 4) of l- and l+ in the frame of the protons, GeV.
        generator: of the random numbers.
        energy: as of the process; so are the others.

    Returns:
        PDG codes (n, 2) of the partons from the first and from the second proton. As the columns ``incoming_1`` and
        ``incoming_2`` of `Events` they go into LHE files.

    >>> p = drell_yan().momenta(np.full((1, 4), 0.5))
    >>> initial_partons(p, np.random.default_rng(0)).shape
    (1, 2)
    """
    plus, minus = momenta[..., 0] + momenta[..., 3], momenta[..., 0] - momenta[..., 3]
    x1, x2 = (np.minimum(part.sum(axis=1) / energy, 1.0) for part in (plus, minus))
    # the cosine in the rest frame of a pair without transverse momentum, from light-cone components
    cosine = (plus[:, 0] * minus[:, 1] - minus[:, 0] * plus[:, 1]) / (x1 * x2 * energy**2)
    summed = _channels(theory or Electroweak(), lepton, energy, x1, x2, np.clip(cosine, -1.0, 1.0)).cumsum(axis=0)
    chosen = (generator.uniform(size=len(x1)) * summed[-1] > summed[:-1]).sum(axis=0)
    return np.asarray(np.array(CHANNELS, dtype=np.int32)[chosen])


def parton_density(flavour: str, x: Array) -> Array:
    r"""A toy density q(x) of partons in the proton, without evolution.

    .. math:: x\,u = \tfrac{35}{16} \sqrt{x}\, (1-x)^3 + x\,\bar u , \qquad
        x\,d = \tfrac{315}{256} \sqrt{x}\, (1-x)^4 + x\,\bar d , \qquad
        x\,\bar u = x\,\bar d = 0.2\, x^{-0.2} (1-x)^7

    Args:
        flavour: ``"u"``, ``"d"``, ``"ubar"`` or ``"dbar"``.
        x: momentum fractions (n,).

    >>> x = (np.arange(20000) + 0.5) / 20000
    >>> valence = [(parton_density(q, x**2) - parton_density(q + "bar", x**2)) @ (2 * x) / len(x) for q in ("u", "d")]
    >>> [round(float(number), 3) for number in valence]  # two u quarks, one d
    [2.0, 1.0]
    """
    rest = np.maximum(1 - x, 0.0)
    sea = 0.2 * x**-1.2 * rest**7
    if flavour.endswith("bar"):
        return np.asarray(sea)
    number, power = (35 / 16, 3) if flavour == "u" else (315 / 256, 4)
    return np.asarray(number * x**-0.5 * rest**power + sea)


def total_rate(theory: Electroweak, quark: str, lepton: str, s: Array) -> Array:
    r"""The partonic cross section :math:`\hat\sigma` in pb at :math:`\hat s` (n,) in GeV^2."""
    return np.asarray(PICOBARN / (48 * np.pi * COLOURS * s) * theory.chiral_rates(quark, lepton, s).sum(axis=(0, 1)))


def _channels(theory: Electroweak, lepton: str, energy: float, x1: Array, x2: Array, cosine: Array) -> Array:
    """The differential cross section of each of `CHANNELS` (4, n), in pb."""
    parts = []
    for quark in ("u", "d"):
        same, other = _by_chirality(theory, quark, lepton, x1 * x2 * energy**2)
        forward, backward = _luminosities(quark, x1, x2)
        parts.append(forward * (same * (1 + cosine) ** 2 + other * (1 - cosine) ** 2))
        parts.append(backward * (same * (1 - cosine) ** 2 + other * (1 + cosine) ** 2))
    return np.stack(parts)


def _by_chirality(theory: Electroweak, quark: str, lepton: str, s: Array) -> tuple[Array, Array]:
    """The factors of (1 + cos)^2 and of (1 - cos)^2 in the angular distribution, in pb."""
    rates = theory.chiral_rates(quark, lepton, s) * (PICOBARN / (128 * np.pi * COLOURS * s))
    return rates[0, 0] + rates[1, 1], rates[0, 1] + rates[1, 0]


def _luminosities(quark: str, x1: Array, x2: Array) -> tuple[Array, Array]:
    """Products of densities with the quark in the first and in the second proton."""
    (q1, q2), (a1, a2) = ([parton_density(name, x) for x in (x1, x2)] for name in (quark, f"{quark}bar"))
    return q1 * a2, a1 * q2


def _pair(mass: Array, cosine: Array, azimuth: Array) -> Array:
    """Massless back-to-back momenta (n, 2, 4) in the rest frame of the pair."""
    ray = direction(cosine, azimuth)
    both = np.stack([ray, -ray], axis=1)
    return np.asarray(mass[:, None, None] / 2 * np.concatenate([np.ones((len(ray), 2, 1)), both], axis=2))


def _hadronic_truth(theory: Electroweak, lepton: str, energy: float, low: float, high: float) -> float:
    """The integral over mass and rapidity of the rate in which the angles are integrated."""
    s, s_weight = panels(resonance_edges(low**2, high**2, theory.poles))
    node, node_weight = np.polynomial.legendre.leggauss(80)
    largest = -0.5 * np.log(s / energy**2)
    rapidity = largest[:, None] * node
    x1, x2 = (np.sqrt(s)[:, None] / energy * np.exp(sign * rapidity) for sign in (1, -1))
    total = 0.0
    for quark in ("u", "d"):
        forward, backward = _luminosities(quark, x1, x2)
        luminosity = largest * ((forward + backward) @ node_weight)
        total += float(s_weight @ (luminosity * total_rate(theory, quark, lepton, s))) / energy**2
    return total


def _leptons(lepton: str) -> tuple[int, int]:
    code = FERMIONS[lepton][2]
    return code, -code


def _check(quark: str, lepton: str) -> None:
    if quark not in ("u", "d") or lepton not in ("e", "mu"):
        message = f"the process needs a quark u or d and a lepton e or mu, but got {quark!r} and {lepton!r}: choose among these"
        raise DomainError(message)
