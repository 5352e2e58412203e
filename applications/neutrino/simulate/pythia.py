"""Top-quark pairs from Pythia 8 (extra ``pythia``), clustered by fastjet and smeared like those of the fast simulation.

Proton-proton collisions at 13 TeV, both leading-order processes, showers, hadronisation and multiparton interactions. Jets are clustered
from all final particles within a pseudorapidity of 4.9 but neutrinos and the leptons of the W bosons. All neutrinos are missing, also
those of hadrons.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from hepflows.applications.neutrino.events import Array, Events, concatenate
from hepflows.applications.neutrino.kinematics import eta_of
from hepflows.applications.neutrino.simulate.clustering import MOST, cluster
from hepflows.applications.neutrino.simulate.detector import reconstruct, smeared_lepton
from hepflows.applications.neutrino.simulate.fast import ALL, Channel, Selection
from hepflows.errors import MissingExtraError, SimulationError
from hepflows.training.seeding import derive, numpy_generator

_COMMON = (
    "Beams:eCM = 13000.",
    "Top:gg2ttbar = on",
    "Top:qqbar2ttbar = on",
    "24:onMode = off",
    "Random:setSeed = on",
    "Print:quiet = on",
)
_DECAYS = {
    "dilepton": (("24:onIfAny = 11 13",),),
    # the lepton of either charge in turn
    "semileptonic": (
        ("24:onPosIfAny = 11 13", "24:onNegIfAny = 1 2 3 4 5"),
        ("24:onPosIfAny = 1 2 3 4 5", "24:onNegIfAny = 11 13"),
    ),
}
_REACH = 4.9


@dataclass(frozen=True)
class Record:
    """One event before the detector: leptons and their neutrinos (L, 4) by falling charge, jets, their flavours, all neutrinos' momentum.

    Momenta are px, py, pz, energy in GeV.
    """

    leptons: Array
    flavour: list[int]
    neutrinos: Array
    jets: Array
    jet_flavours: Array
    invisible: Array


def pythia_pairs(
    n: int,
    *,
    channel: Channel = "semileptonic",
    selection: Selection = ALL,
    seed: int,
    multiparton: bool = True,
    extra: tuple[str, ...] = (),
) -> Events:
    """Generate n events that pass a selection, with their true neutrinos.

    Args:
        n: number of events.
        channel: ``semileptonic`` or ``dilepton``.
        selection: which events are kept.
        seed: repeats the sample.
        multiparton: whether there are multiparton interactions; without them it is faster.
        extra: more lines for Pythia.

    Raises:
        MissingExtraError: pythia8mc or fastjet is not installed.
        SimulationError: Pythia refuses a setting or stops.
    """
    generators = [
        _generator(lines, channel, seed, number, multiparton, extra) for number, lines in enumerate(_DECAYS[channel])
    ]
    parts: list[Events] = []
    kept = chunk = 0
    while kept < n:
        records = list(_records(generators, 200, 2 if channel == "dilepton" else 1))
        events = detected(records, numpy_generator(seed, "detector", chunk))
        events = events[selection(events)]
        parts.append(events[: n - kept])
        kept, chunk = kept + len(parts[-1]), chunk + 1
    return concatenate(parts)


def _generator(
    lines: tuple[str, ...], channel: str, seed: int, number: int, multiparton: bool, extra: tuple[str, ...]
) -> Any:
    try:
        import pythia8mc as library
    except ImportError:
        try:
            import pythia8 as library
        except ImportError as error:
            message = "Pythia 8 is not installed: pip install 'hepflows[pythia]', or use --engine fast"
            raise MissingExtraError(message) from error
    generator = library.Pythia("", False)
    own = derive(seed, "pythia", channel, number) % 900_000_000
    switch = f"PartonLevel:MPI = {'on' if multiparton else 'off'}"
    for line in (*_COMMON, *lines, switch, f"Random:seed = {own + 1}", *extra):
        if not generator.readString(line):
            message = f"Pythia does not take the setting {line!r}"
            raise SimulationError(message)
    if not generator.init():
        message = "Pythia could not be initialised: look at its messages above"
        raise SimulationError(message)
    return generator


def _records(generators: list[Any], n: int, leptons: int) -> Iterator[Record]:
    failures = made = 0
    while made < n:
        generator = generators[made % len(generators)]
        record = _record(generator.event, leptons) if generator.next() else None
        if record is None:
            failures += 1
            if failures > 10 + n // 10:
                message = f"Pythia failed in {failures} of {made + failures} events"
                raise SimulationError(message)
            continue
        made += 1
        yield record


def _record(event: Any, leptons: int) -> Record | None:
    found, flavour, neutrinos, particles, hadrons, flavours = [], [], [], [], [], []
    invisible = np.zeros(2)
    for i in range(event.size()):
        p = event[i]
        kind = abs(p.id())
        momentum = (p.px(), p.py(), p.pz(), p.e())
        if not p.isFinal():
            heavy = quark_of(kind)
            if heavy and not any(quark_of(abs(event[d].id())) == heavy for d in p.daughterList()):
                hadrons.append(momentum)
                flavours.append(heavy)
            continue
        from_w = kind in (11, 12, 13, 14) and abs(event[event[p.iTopCopyId()].mother1()].id()) == 24
        if kind in (12, 14, 16):
            invisible += momentum[:2]
            if from_w:
                neutrinos.append((p.id() > 0, momentum))
        elif from_w:
            found.append((p.id() < 0, momentum))
            flavour.append((p.id() < 0, int(kind == 13)))
        elif abs(p.eta()) < _REACH:
            particles.append(momentum)
    if len(found) != leptons or len(neutrinos) != leptons:
        return None

    # that of the W+ first: a positive lepton, a neutrino and no antineutrino
    def ordered(values: list[Any]) -> list[Any]:
        return [one for _, one in sorted(values, key=lambda pair: not pair[0])]

    jets, jet_flavours = cluster(np.array(particles), np.array(hadrons).reshape(-1, 4), flavours)
    return Record(
        np.array(ordered(found)),
        ordered(flavour),
        np.array(ordered(neutrinos)),
        jets,
        jet_flavours.astype(np.float64),
        invisible,
    )


def quark_of(kind: int) -> int:
    """2 for a hadron with a bottom quark, 1 with charm, 0 otherwise, by the size of its particle number.

    >>> quark_of(511), quark_of(4122), quark_of(211), quark_of(5)
    (2, 1, 0, 0)
    """
    if kind < 100:
        return 0
    heaviest = max(kind // 100 % 10, kind // 1000 % 10)
    return {5: 2, 4: 1}.get(heaviest, 0)


def detected(records: list[Record], rng: np.random.Generator) -> Events:
    """What the detector makes of them."""
    n, leptons = len(records), len(records[0].leptons)
    p, masses = np.zeros((3, MOST, n)), np.zeros((MOST, n))
    flavour = np.zeros((MOST, n), dtype=np.int8)
    invisible = np.stack([one.invisible for one in records], axis=1)
    for i, one in enumerate(records):
        count = len(one.jets)
        p[:, :count, i] = one.jets[:, :3].T
        masses[:count, i] = np.sqrt(np.maximum(one.jets[:, 3] ** 2 - (one.jets[:, :3] ** 2).sum(1), 0.0))
        flavour[:count, i] = one.jet_flavours
    seen = []
    for index in range(leptons):
        momenta = np.stack([one.leptons[index] for one in records], axis=1)
        shown, lost = smeared_lepton(rng, momenta[[3, 0, 1, 2]])
        seen.append(shown)
        invisible = invisible + lost
    found = reconstruct(rng, p, flavour, invisible, masses=masses)
    truth = np.stack([one.neutrinos for one in records])
    px, py, pz, _ = np.moveaxis(truth, -1, 0)
    return Events(
        missing=np.ascontiguousarray(found.missing.T),
        leptons=np.stack([one.T for one in seen], axis=1),
        flavour=np.array([one.flavour for one in records], dtype=np.float64),
        jets=np.ascontiguousarray(np.stack([found.pt, found.eta, found.phi, found.energy]).transpose(2, 1, 0)),
        tags=np.ascontiguousarray(found.tags.T),
        n_jets=found.count,
        n_bjets=found.b_count,
        neutrinos=np.stack([px, py, eta_of(px, py, pz)], axis=-1),
    )
