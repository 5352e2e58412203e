"""Events with leptons, jets and missing momentum, and the neutrinos that are to be found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hepflows.applications.neutrino.kinematics import momentum
from hepflows.errors import DataError, ShapeError

Array = NDArray[Any]
Rows = slice | NDArray[Any]

MOST_JETS = 10
"""So many jets of largest transverse momentum are used."""

_LARGEST = 7000.0  # GeV: no transverse momentum at a collider of 14 TeV is larger
_SMALLEST = 1.0  # GeV: the median lepton of collider events is harder by far


@dataclass(frozen=True)
class Events:
    """A table of n events, in GeV.

    Args:
        missing: (n, 2) missing transverse momentum, px and py.
        leptons: (n, L, 4) transverse momentum, pseudorapidity, azimuth, energy; one lepton, or two, the positive one first.
        flavour: (n, L) 0 for an electron, 1 for a muon.
        jets: (n, J, 4) the same of the jets, by falling transverse momentum, J at most 10; rows of zeros where there is none.
        tags: (n, J) 1 for a jet with a b tag.
        n_jets: (n,) number of jets, also of those that are not kept.
        n_bjets: (n,) of those with a b tag.
        neutrinos: (n, L, 3) true px, py and pseudorapidity, or None.
        weights: (n,) of any sign, or None for one each.

    Raises:
        ShapeError: columns that do not go together.

    >>> jets = np.zeros((5, 10, 4))
    >>> one = Events(np.ones((5, 2)), np.ones((5, 1, 4)), np.zeros((5, 1)), jets, jets[..., 0], np.zeros(5), np.zeros(5))
    >>> len(one[1:3]), one.n_neutrinos
    (2, 1)
    """

    missing: Array
    leptons: Array
    flavour: Array
    jets: Array
    tags: Array
    n_jets: Array
    n_bjets: Array
    neutrinos: Array | None = None
    weights: Array | None = None

    def __post_init__(self) -> None:
        n, leptons, jets = len(self.missing), self.leptons.shape[1:2], self.jets.shape[1:2]
        wanted: dict[str, tuple[int, ...]] = {
            "missing": (n, 2), "leptons": (n, *leptons, 4), "flavour": (n, *leptons), "jets": (n, *jets, 4), "tags": (n, *jets),
            "n_jets": (n,), "n_bjets": (n,), "neutrinos": (n, *leptons, 3), "weights": (n,),
        }  # fmt: skip
        for name, shape in wanted.items():
            values = getattr(self, name)
            if values is not None and values.shape != shape:
                message = f"{n} events need {name} of the shape {shape}, but it is {values.shape}"
                raise ShapeError(message)

    def __len__(self) -> int:
        return len(self.missing)

    def __getitem__(self, rows: Rows) -> Events:
        values: dict[str, Any] = {one.name: getattr(self, one.name) for one in fields(self)}
        kept: dict[str, Any] = {name: None if value is None else value[rows] for name, value in values.items()}
        return replace(self, **kept)

    @property
    def n_neutrinos(self) -> int:
        """One for each lepton."""
        return int(self.leptons.shape[1])

    @property
    def present(self) -> NDArray[np.bool_]:
        """(n, J) which rows of ``jets`` hold a jet."""
        return np.asarray(self.jets[..., 0] > 0)

    def truth(self, why: str) -> Array:
        """(n, L, 3) the true neutrinos.

        Raises:
            DataError: there are none; ``why`` says who needs them.
        """
        if self.neutrinos is None:
            message = f"{why} needs the true neutrinos, and the file has none: give simulated events with their truth"
            raise DataError(message)
        return self.neutrinos


def concatenate(parts: Sequence[Events]) -> Events:
    """One sample of several; truth and weights are kept where all have them."""

    def joined(name: str) -> Any:
        values = [getattr(part, name) for part in parts]
        return None if any(one is None for one in values) else np.concatenate(values)

    return Events(**{one.name: joined(one.name) for one in fields(Events)})


def from_jets(
    jets: Array, tags: Array, n_jets: Array | None = None, n_bjets: Array | None = None
) -> tuple[Array, Array, Array, Array]:
    """Sort (n, J, 4) jets by falling transverse momentum and keep ten; numbers of jets and b jets are counted where not given.

    Returns:
        Jets and tags of ten places, and both numbers.
    """
    order = np.argsort(-jets[..., 0], axis=1, kind="stable")[:, :MOST_JETS]
    present = jets[..., 0] > 0
    count = present.sum(axis=1).astype(np.float64) if n_jets is None else n_jets
    b_count = (tags * present).sum(axis=1).astype(np.float64) if n_bjets is None else n_bjets
    room = MOST_JETS - order.shape[1]
    kept = np.pad(np.take_along_axis(jets, order[..., None], axis=1), ((0, 0), (0, room), (0, 0)))
    kept_tags = np.pad(np.take_along_axis(tags, order, axis=1), ((0, 0), (0, room)))
    there = kept[..., 0] > 0
    return kept * there[..., None], kept_tags * there, count, b_count


def check(events: Events, where: str, *, first: int = 0, sample: bool = True) -> None:
    """Refuse values that no method can use.

    Args:
        events: the sample, or a chunk of it.
        where: the file, for the message.
        first: number of its first row in the file.
        sample: whether to look at the sizes of the sample as well, which tell its unit.

    Raises:
        DataError: a value is missing or not finite, an energy or a momentum is negative, or the unit is not GeV.
    """
    columns: dict[str, Array | None] = {
        "the missing momentum": events.missing, "a lepton": events.leptons, "a lepton's flavour": events.flavour,
        "a jet": events.jets, "a b tag": events.tags, "the number of jets": events.n_jets, "the number of b jets": events.n_bjets,
        "a true neutrino": events.neutrinos, "an event weight": events.weights,
    }  # fmt: skip

    def refuse(bad: NDArray[np.bool_], what: str, remedy: str) -> None:
        rows = np.flatnonzero(bad.reshape(len(bad), -1).any(axis=1))
        if len(rows):
            message = f"{where}: {what} in {len(rows)} events, the first is row {first + rows[0]}: {remedy}"
            raise DataError(message)

    for name, values in columns.items():
        if values is not None:
            refuse(~np.isfinite(values), f"{name} is not a finite number", "remove or repair these events")
    jets, present = events.jets, events.present
    for name, objects, there in (
        ("lepton", events.leptons, np.ones(events.flavour.shape, dtype=bool)),
        ("jet", jets, present),
    ):
        refuse(
            (objects[..., 3] < 0) & there, f"a {name} has a negative energy", "remove these events or repair the column"
        )
        refuse((objects[..., 0] < 0), f"a {name} has a negative transverse momentum", "remove these events")
        size = objects[..., 0] * np.cosh(np.clip(objects[..., 1], -50, 50))
        refuse(
            (objects[..., 3] < 0.98 * size - 1e-3) & there,
            f"a {name} has less energy than momentum",
            "check that energy, transverse momentum and pseudorapidity have one unit and their right columns",
        )
    refuse(events.leptons[..., 0] == 0, "a lepton is missing", "select events with as many leptons as neutrinos")
    refuse(
        ~np.isin(events.flavour, (0, 1)), "a flavour is neither 0 (electron) nor 1 (muon)", "map it to these numbers"
    )
    refuse(~np.isin(events.tags, (0, 1)), "a b tag is neither 0 nor 1", "give its working point")
    if sample:
        _check_unit(events, where)


def _check_unit(events: Events, where: str) -> None:
    """GeV, by the sizes that collider events have."""
    pt = events.leptons[..., 0]
    typical, largest = float(np.median(pt)), float(np.quantile(pt, 0.99))
    if largest > _LARGEST or typical < _SMALLEST:
        guess = "MeV" if typical > 1 else "TeV"
        message = (
            f"{where}: the median transverse momentum of the leptons is {typical:.3g}, which is no energy in GeV: "
            f"state the unit with --units {guess}, if that is what it is"
        )
        raise DataError(message)


def notes(n_jets: Array) -> list[str]:
    """What a person should know of a sample with so many jets an event, a sentence each: none of them, and more than are used.

    >>> notes(np.array([4.0, 11.0]))
    ['1 events have more than 10 jets: the 10 of largest transverse momentum are used']
    """
    found = []
    without, many = int((n_jets == 0).sum()), int((n_jets > MOST_JETS).sum())
    if without:
        found.append(f"{without} events have no jet: their neutrinos rest on lepton and missing momentum alone")
    if many:
        found.append(
            f"{many} events have more than {MOST_JETS} jets: the {MOST_JETS} of largest transverse momentum are used"
        )
    return found


def lepton_momenta(events: Events) -> Array:
    """(n, L, 4) energy, px, py, pz of the leptons."""
    pt, eta, phi, energy = np.moveaxis(events.leptons, -1, 0)
    return np.concatenate([energy[..., None], momentum(pt, eta, phi)], axis=-1)
