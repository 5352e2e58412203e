"""What stands between Pythia and events, with particles made by hand; and Pythia itself where it is installed."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field

import numpy as np
import pytest

from hepflows.applications.neutrino.events import check
from hepflows.applications.neutrino.quantities import Quantities
from hepflows.applications.neutrino.simulate import pythia
from hepflows.applications.neutrino.simulate.clustering import cluster
from hepflows.applications.neutrino.simulate.fast import Selection
from hepflows.errors import MissingExtraError


@dataclass
class Particle:
    """As Pythia shows one."""

    kind: int
    p: tuple[float, float, float, float]
    mother: int = 0
    final: bool = True
    top: int = -1
    daughters: list[int] = field(default_factory=list)

    def id(self) -> int:
        return self.kind

    def isFinal(self) -> bool:  # noqa: N802 - Pythia's names
        return self.final

    def iTopCopyId(self) -> int:  # noqa: N802
        return self.top

    def mother1(self) -> int:
        return self.mother

    def daughterList(self) -> list[int]:  # noqa: N802
        return self.daughters

    def px(self) -> float:
        return self.p[0]

    def py(self) -> float:
        return self.p[1]

    def pz(self) -> float:
        return self.p[2]

    def e(self) -> float:
        return self.p[3]

    def eta(self) -> float:
        return float(np.arcsinh(self.p[2] / np.hypot(self.p[0], self.p[1])))


class Event(list):  # type: ignore[type-arg]
    """A list of particles, each its own top copy unless it says so."""

    def __init__(self, particles: list[Particle]) -> None:
        super().__init__(particles)
        for i, one in enumerate(particles):
            one.top = i if one.top < 0 else one.top

    def size(self) -> int:
        return len(self)


def massless(x: float, y: float, z: float) -> tuple[float, float, float, float]:
    return (x, y, z, float(np.sqrt(x * x + y * y + z * z)))


def made_by_hand() -> Event:
    """A W- to a muon (which radiates) and its antineutrino, a B meson with a soft neutrino, a light jet, a particle far forward."""
    return Event(
        [
            Particle(90, (0, 0, 0, 1), final=False),
            Particle(-24, massless(1, 1, 1), final=False),
            Particle(13, massless(42, 0, 5), mother=1, final=False),
            Particle(13, massless(40, 0, 5), mother=2, top=2),  # after radiation
            Particle(-14, massless(30, 10, -20), mother=1),
            Particle(511, massless(-62, 5, 0), final=False, daughters=[6, 7, 8]),
            Particle(12, massless(-4, 0, 0), mother=5),
            Particle(211, massless(-50, 5, 0), mother=5),
            Particle(-11, massless(-8, 0, 0), mother=5),
            Particle(22, massless(5, -45, 10), mother=0),
            Particle(211, massless(0.1, 0.1, 500), mother=0),
        ]
    )


def test_leptons_neutrinos_and_hadrons_are_found() -> None:
    pytest.importorskip("fastjet")
    record = pythia._record(made_by_hand(), 1)
    assert record is not None
    assert record.flavour == [1]
    np.testing.assert_allclose(record.leptons, [massless(40, 0, 5)])
    np.testing.assert_allclose(record.neutrinos, [massless(30, 10, -20)])
    np.testing.assert_allclose(record.invisible, [26, 10])  # both neutrinos
    np.testing.assert_allclose(record.jets[:, :3], [[-58, 5, 0], [5, -45, 10]], atol=1e-9)
    assert record.jet_flavours.tolist() == [2, 0]
    assert pythia._record(made_by_hand(), 2) is None


def test_records_become_events() -> None:
    record = pythia.Record(
        np.array([massless(40, 0, 5)]), [1], np.array([massless(30, 10, -20)]), np.array([massless(-58, 5, 0), massless(5, -45, 10)]),
        np.array([2.0, 0.0]), np.array([26.0, 10.0]),
    )  # fmt: skip
    events = pythia.detected([record] * 4000, np.random.default_rng(1))
    check(events, "by hand")
    np.testing.assert_allclose(events.neutrinos[0, 0, :2], [30, 10])
    np.testing.assert_allclose(Quantities(events).of(events.neutrinos)["pz"][0], -20, rtol=1e-9)
    # what is missing is right on average, and as wide as jets, lepton and noise make it
    assert np.abs(events.missing.mean(axis=0) - [26, 10]).max() < 1.0
    assert abs(events.missing[:, 0].std() - np.hypot(58 * np.sqrt(0.05**2 + 1 / 58), 8)) < 1.0
    assert abs(events.n_bjets.mean() - 0.71) < 0.03
    assert abs(events.leptons[:, 0, 0].std() / 40 - 0.015) < 0.001


def test_jets_are_those_of_anti_kt() -> None:
    pytest.importorskip("fastjet")
    particles = np.array([massless(50, 0, 10), massless(10, 1, 2), massless(-30, 0, 5), massless(0, 3, 0)])
    jets, flavours = cluster(particles, np.array([massless(-29, 1, 5), massless(52, 0, 10)]), [1, 2])
    np.testing.assert_allclose(jets, [particles[0] + particles[1], particles[2]], rtol=1e-9, atol=1e-12)
    assert flavours.tolist() == [2, 1]


def test_numbers_of_hadrons_tell_their_quarks() -> None:
    assert [pythia.quark_of(kind) for kind in (511, 5122, 10531, 411, 4122, 2212, 211, 5, 443)] == [
        2,
        2,
        2,
        1,
        1,
        0,
        0,
        0,
        1,
    ]


def test_without_pythia_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pythia8mc", None)
    monkeypatch.setitem(sys.modules, "pythia8", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'hepflows\[pythia\]'"):
        pythia.pythia_pairs(1, seed=1)


def test_pythia_makes_top_pairs() -> None:
    pytest.importorskip("fastjet")
    pytest.importorskip("pythia8mc")
    events = pythia.pythia_pairs(40, selection=Selection(jets=2), seed=1, multiparton=False)
    check(events, "pythia")
    w = Quantities(events).of(events.neutrinos)["m_w"]
    assert abs(np.median(w) - 80.4) < 3.0
    assert events.n_jets.min() >= 2
