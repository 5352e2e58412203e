r"""Top-quark pairs from an own decay chain, 1e5 a second: what a model can be tried and tested on without a generator.

The production is a parametrisation, the decays are leading order:

- the pair: mass :math:`(m_t + m_{\bar t})(1 + e)`, e of a gamma distribution (shape 1.5, mean 0.42); scattering angle of
  :math:`1 / (1 - \beta^2\cos^2\theta)`, as gluons make it; rapidity :math:`N(0, 1.05)` within what 13 TeV allow;
- radiation: a Poisson number (mean 1.6, four at most) of jets with :math:`dN/dp_T \sim p_T^{-2.9}` above 15 GeV and
  :math:`\eta \sim N(0, 1.9)`, from which the pair recoils, with another :math:`N(0, 12\,\mathrm{GeV})` an axis; each quark radiates a
  gluon with probability 0.35, of an energy fraction :math:`\sim 1/z` in 0.05 to 0.5 and :math:`\Delta R \sim 1/\Delta R` in 0.1 to 1.2;
- :math:`t \to b W \to b f \bar f'` with Breit-Wigner masses of top and W and the angle of an unpolarised top,
  see `hepflows.applications.neutrino.simulate.decays.helicity_cosine`; electrons and muons alike, both charges; half of the hadronic W
  have a c quark;
- a third of the b quarks lose a share (Beta(1.5, 6), 20 % on average) of their momentum to neutrinos of their own;
- the detector of `hepflows.applications.neutrino.simulate.detector`.

Not in it: spins of the two tops are not correlated, there are no taus, no pile-up, no jets without a parton, no full matrix element.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from hepflows.applications.neutrino.events import Array, Events, concatenate
from hepflows.applications.neutrino.simulate.decays import (
    TOP_MASS,
    TOP_WIDTH,
    W_MASS,
    W_WIDTH,
    boost,
    breit_wigner,
    decay_top,
    momentum_in_decay,
)
from hepflows.applications.neutrino.simulate.detector import merge, reconstruct, smeared_lepton
from hepflows.errors import ConfigError
from hepflows.training.seeding import numpy_generator

Channel = Literal["semileptonic", "dilepton"]
ENERGY = 13_000.0
_CHUNK = 4096  # events whose arrays stay in the cache
_MOST_RADIATION = 4


@dataclass(frozen=True)
class Selection:
    """Which simulated events are kept.

    Args:
        lepton_pt: least transverse momentum of every lepton in GeV.
        lepton_eta: largest size of its pseudorapidity.
        jets: least number of jets.
        b_jets: least number of jets with a b tag.
    """

    lepton_pt: float = 25.0
    lepton_eta: float = 2.5
    jets: int = 4
    b_jets: int = 0

    def __call__(self, events: Events) -> NDArray[np.bool_]:
        """(n,) which are kept."""
        lepton = (events.leptons[..., 0] > self.lepton_pt) & (np.abs(events.leptons[..., 1]) < self.lepton_eta)
        return np.asarray(lepton.all(axis=1) & (events.n_jets >= self.jets) & (events.n_bjets >= self.b_jets))


ALL = Selection(lepton_pt=0.0, lepton_eta=np.inf, jets=0)
"""Every event."""


def top_pairs(n: int, *, channel: Channel = "semileptonic", selection: Selection = ALL, seed: int) -> Events:
    """Draw n events that pass a selection, with their true neutrinos.

    Args:
        n: number of events.
        channel: ``semileptonic``, one lepton, or ``dilepton``, two and two neutrinos.
        selection: which events are kept.
        seed: repeats the sample.

    Raises:
        ConfigError: an unknown channel, no events, or a selection that hardly any event passes.

    >>> events = top_pairs(1000, seed=1)
    >>> len(events), events.n_neutrinos, events.jets.shape
    (1000, 1, (1000, 10, 4))
    """
    if channel not in get_args(Channel):
        message = f"there is no channel {channel!r}: choose one of {', '.join(get_args(Channel))}"
        raise ConfigError(message)
    if n < 1:
        message = f"the number of events to simulate must be at least 1, but is {n}"
        raise ConfigError(message)
    parts: list[Events] = []
    kept = drawn = chunk = 0
    while kept < n:
        if drawn > 200_000 and kept < drawn * 1e-4:
            message = f"of {drawn} simulated events {kept} pass the selection: loosen it"
            raise ConfigError(message)
        events = _generate(numpy_generator(seed, "fast", channel, chunk), _CHUNK, channel)
        events = events[selection(events)]
        parts.append(events[: n - kept])
        kept, drawn, chunk = kept + len(parts[-1]), drawn + _CHUNK, chunk + 1
    return concatenate(parts)


def _generate(rng: np.random.Generator, n: int, channel: Channel) -> Events:
    radiation = _radiation(rng, n)
    tops, masses = _pair(rng, n, -radiation.sum(axis=1)[:2])
    w_masses = [breit_wigner(rng, n, W_MASS, W_WIDTH, 40.0, 120.0) for _ in range(2)]
    products = [decay_top(rng, *one) for one in zip(tops, masses, w_masses, strict=True)]
    quarks, flavours = [products[0][0], products[1][0]], [2, 2]
    neutrinos, seen, invisible = [], [], np.zeros((2, n))
    leptonic = range(2 if channel == "dilepton" else 1)
    for index in leptonic:
        _, lepton, neutrino = products[index]
        shown, lost = smeared_lepton(rng, lepton)
        seen.append(shown)
        neutrinos.append(neutrino)
        invisible += neutrino[1:3] + lost
    if channel == "semileptonic":
        quarks += [products[1][1], products[1][2]]
        flavours += [0, 1]
    flavour = np.repeat(np.array(flavours, dtype=np.int8)[:, None], n, axis=1)
    if channel == "semileptonic":
        flavour[3] = rng.random(n) < 0.5
    momenta = np.stack([one[1:] for one in quarks], axis=1)
    for index in range(2):
        share = np.where(rng.random(n) < 1 / 3, rng.beta(1.5, 6.0, n), 0.0)
        invisible += share * momenta[:2, index]
        momenta[:, index] *= 1 - share
    gluons = _gluons(rng, momenta)
    momenta -= gluons
    partons = np.concatenate([momenta, gluons, radiation], axis=1)
    light = np.zeros((partons.shape[1] - len(flavour), n), dtype=np.int8)
    flavour = np.concatenate([flavour, light])
    merge(partons, flavour)
    found = reconstruct(rng, partons, flavour, invisible)
    truth = [
        np.stack([one[1], one[2], np.arcsinh(one[3] / np.maximum(np.hypot(one[1], one[2]), 1e-9))], axis=1)
        for one in neutrinos
    ]
    return Events(
        missing=np.ascontiguousarray(found.missing.T),
        leptons=np.stack([one.T for one in seen], axis=1),
        flavour=rng.integers(0, 2, (n, len(seen))).astype(np.float64),
        jets=np.ascontiguousarray(np.stack([found.pt, found.eta, found.phi, found.energy]).transpose(2, 1, 0)),
        tags=np.ascontiguousarray(found.tags.T),
        n_jets=found.count,
        n_bjets=found.b_count,
        neutrinos=np.stack(truth, axis=1),
    )


def _radiation(rng: np.random.Generator, n: int) -> Array:
    """(3, 4, n) momenta of the jets from which the pair recoils."""
    number = np.minimum(rng.poisson(1.6, n), _MOST_RADIATION)
    there = np.arange(_MOST_RADIATION)[:, None] < number
    # by inversion: the share of p_T^-2.9 above a value falls with its power -1.9
    pt = np.minimum(15.0 * rng.random((_MOST_RADIATION, n)) ** (-1 / 1.9), 800.0) * there
    eta = np.clip(1.9 * rng.standard_normal(pt.shape), -4.7, 4.7)
    phi = rng.uniform(-np.pi, np.pi, pt.shape)
    return np.stack([pt * np.cos(phi), pt * np.sin(phi), pt * np.sinh(eta)])


def _pair(rng: np.random.Generator, n: int, recoil: Array) -> tuple[list[Array], list[Array]]:
    """Both tops (4, n) and their masses (n,)."""
    masses = [breit_wigner(rng, n, TOP_MASS, TOP_WIDTH, 150.0, 195.0) for _ in range(2)]
    mass = (masses[0] + masses[1]) * (1 + rng.gamma(1.5, 0.28, n))
    p = momentum_in_decay(mass, *masses)
    energy = np.sqrt(p**2 + masses[0] ** 2)
    speed = p / energy
    cos = np.tanh(rng.uniform(-1, 1, n) * np.arctanh(speed)) / speed
    phi = rng.uniform(-np.pi, np.pi, n)
    sin = np.sqrt(1 - cos**2)
    axis = np.stack([sin * np.cos(phi), sin * np.sin(phi), cos])
    transverse = recoil + 12.0 * rng.standard_normal((2, n))
    transverse_mass = np.sqrt(mass**2 + (transverse**2).sum(0))
    limit = np.maximum(np.log(ENERGY / transverse_mass), 0.0)
    rapidity = np.clip(1.05 * rng.standard_normal(n), -limit, limit)
    frame = np.stack(
        [transverse_mass * np.cosh(rapidity), transverse[0], transverse[1], transverse_mass * np.sinh(rapidity)]
    )
    first = boost(np.concatenate([energy[None], p * axis]), frame, mass)
    return [first, frame - first], masses


def _gluons(rng: np.random.Generator, quarks: Array) -> Array:
    """(3, Q, n) gluons of quarks (3, Q, n), zero where there is none."""
    shape = quarks.shape[1:]
    radiates = rng.random(shape) < 0.35
    share = 0.05 * (0.5 / 0.05) ** rng.random(shape)
    distance = 0.1 * (1.2 / 0.1) ** rng.random(shape)
    turn = rng.uniform(-np.pi, np.pi, shape)
    pt = np.hypot(quarks[0], quarks[1])
    eta = np.arcsinh(quarks[2] / pt) + distance * np.cos(turn)
    phi = np.arctan2(quarks[1], quarks[0]) + distance * np.sin(turn)
    gluon = share * pt * radiates
    return np.stack([gluon * np.cos(phi), gluon * np.sin(phi), gluon * np.sinh(eta)])
