from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import awkward as ak
import h5py
import numpy as np
import pytest
import uproot

from hepflows.applications.neutrino.data import iterate_events, read_events, write_events
from hepflows.applications.neutrino.events import Events, notes
from hepflows.applications.neutrino.formats import column_map
from hepflows.applications.neutrino.kinematics import four_momentum, mass
from hepflows.applications.neutrino.simulate.fast import Selection, top_pairs
from hepflows.errors import ConfigError, DataError

FIELDS = ("missing", "leptons", "flavour", "jets", "tags", "n_jets", "n_bjets", "neutrinos")


def same(one: Events, other: Events) -> None:
    for name in FIELDS:
        a, b = getattr(one, name), getattr(other, name)
        np.testing.assert_allclose(a, b, rtol=3e-7, atol=1e-4, err_msg=name)


@pytest.mark.parametrize("suffix", ["h5", "root"])
@pytest.mark.parametrize(("channel", "leptons"), [("semileptonic", 1), ("dilepton", 2)])
def test_files_keep_events_and_their_order(tmp_path: Path, suffix: str, channel: str, leptons: int) -> None:
    events = replace(
        top_pairs(700, channel=channel, seed=1),  # type: ignore[arg-type]
        weights=np.where(np.arange(700) % 3, 1.0, -0.5),
    )
    path = tmp_path / f"events.{suffix}"
    assert write_events(path, iter([events[:300], events[300:]])) == 700
    back = read_events(path, leptons=leptons, chunk=137)
    same(events, back)
    np.testing.assert_array_equal(back.weights, events.weights)


def test_the_layout_is_that_of_nu_flows(tmp_path: Path) -> None:
    """A file made by hand, as its reader would take it."""
    n = 4
    with h5py.File(tmp_path / "test.h5", "w") as file:
        group = file.create_group("delphes")
        group["MET"] = np.array([(50.0, 0.5)] * n, dtype=[("MET", "f4"), ("phi", "f4")])
        names = ["pt", "eta", "phi", "energy"]
        leptons = np.array([(30.0, 0.5, 1.0, 40.0, 13)] * n, dtype=[(one, "f4") for one in (*names, "type")])
        leptons["type"][0] = 0
        group["leptons"] = leptons
        jets = np.zeros((n, 12), dtype=[*[(one, "f4") for one in names], ("is_tagged", "i1")])
        jets["pt"][:, 0], jets["energy"][:, 0], jets["pt"][:, 1], jets["energy"][:, 1] = 25.0, 30.0, 60.0, 61.0
        jets["is_tagged"][:, 1] = 1
        group["jets"] = jets
        group["njets"], group["nbjets"] = np.full(n, 2), np.full(n, 1)
        group["truth_neutrinos"] = np.array([(45.0, 1.2, 0.4)] * n, dtype=[(one, "f4") for one in names[:3]])
    events = read_events(tmp_path / "test.h5")
    np.testing.assert_allclose(events.missing[0], [50 * np.cos(0.5), 50 * np.sin(0.5)], rtol=1e-6)
    assert events.flavour[:, 0].tolist() == [0, 1, 1, 1]
    assert events.jets[0, :3, 0].tolist() == [60.0, 25.0, 0.0]  # by falling transverse momentum
    assert events.tags[0, :2].tolist() == [1, 0]
    np.testing.assert_allclose(events.neutrinos[0, 0], [45 * np.cos(0.4), 45 * np.sin(0.4), 1.2], rtol=1e-6)


def nano(path: Path, n: int = 60, units: float = 1.0) -> Events:
    """A NanoAOD-like file, with an electron or a muon in turn and a soft lepton of the other kind."""
    events = top_pairs(n, selection=Selection(jets=1), seed=2)
    muon = np.arange(n) % 2 == 1
    jets = four_momentum(*np.moveaxis(events.jets, -1, 0))
    count = events.present.sum(axis=1)

    def lists(values: np.ndarray) -> ak.Array:
        return ak.unflatten(values[events.present].astype(np.float32), count)

    columns: dict[str, object] = {
        "MET_pt": units * np.hypot(*events.missing.T), "MET_phi": np.arctan2(events.missing[:, 1], events.missing[:, 0]),
        "Jet_pt": lists(units * events.jets[..., 0]), "Jet_eta": lists(events.jets[..., 1]), "Jet_phi": lists(events.jets[..., 2]),
        "Jet_mass": lists(units * mass(jets)), "Jet_btagDeepFlavB": lists(np.where(events.tags > 0, 0.9, 0.1)),
    }  # fmt: skip
    for kind, here in (("Electron", ~muon), ("Muon", muon)):
        lepton = [
            units * events.leptons[:, 0, 0],
            events.leptons[:, 0, 1],
            events.leptons[:, 0, 2],
            np.full(n, 1e-4),
            np.ones(n),
        ]
        soft = [np.full(n, 6.0 * units), np.zeros(n), np.zeros(n), np.full(n, 1e-4), -np.ones(n)]
        for name, hard, weak in zip(("pt", "eta", "phi", "mass", "charge"), lepton, soft, strict=True):
            columns[f"{kind}_{name}"] = ak.Array(
                [[w, h] if there else [w] for h, w, there in zip(hard, weak, here, strict=True)]
            )
    with uproot.recreate(path) as file:
        file.mktree("Events", columns)
    return replace(events, flavour=muon.astype(np.float64)[:, None])


def test_nanoaod_is_recognised(tmp_path: Path) -> None:
    expected = nano(tmp_path / "nano.root")
    found = read_events(tmp_path / "nano.root", chunk=17)
    assert found.neutrinos is None
    for name in ("missing", "flavour", "jets", "tags", "n_jets"):
        np.testing.assert_allclose(getattr(found, name), getattr(expected, name), rtol=1e-5, atol=2e-3, err_msg=name)
    np.testing.assert_allclose(found.leptons[..., :3], expected.leptons[..., :3], rtol=1e-6)


def test_units_are_those_that_are_stated(tmp_path: Path) -> None:
    expected = nano(tmp_path / "mev.root", units=1e3)
    with pytest.raises(DataError, match=r"no energy in GeV: state the unit with --units MeV"):
        read_events(tmp_path / "mev.root")
    found = read_events(tmp_path / "mev.root", units="MeV")
    np.testing.assert_allclose(found.leptons[..., 0], expected.leptons[..., 0], rtol=1e-6)
    np.testing.assert_allclose(found.jets[..., 3], expected.jets[..., 3], rtol=1e-4)
    with pytest.raises(ConfigError, match="no unit 'keV'"):
        read_events(tmp_path / "mev.root", units="keV")


def test_a_map_of_ones_own(tmp_path: Path) -> None:
    nano(tmp_path / "nano.root")
    text = (
        "missing: {pt: MET_pt, phi: MET_phi}\nleptons:\n"
        "  - {pt: Muon_pt, eta: Muon_eta, phi: Muon_phi, mass: Muon_mass, flavour: muon}\n"
        "jets: {pt: Jet_pt, eta: Jet_eta, phi: Jet_phi, mass: Jet_mass}\nbtag: Jet_btagDeepFlavB\nworking_point: 0.95\n"
    )
    own = tmp_path / "own.yaml"
    own.write_text(text)
    found = read_events(tmp_path / "nano.root", columns=str(own))
    assert found.flavour.all()
    assert not found.tags.any()
    own.write_text(text.replace("mass: Jet_mass", ""))
    with pytest.raises(ConfigError, match="jets need either energy or mass"):
        column_map.load(str(own))
    own.write_text(text.replace("Jet_eta", "Jet_rapidity"))
    with pytest.raises(DataError, match="no branch 'Jet_rapidity'"):
        read_events(tmp_path / "nano.root", columns=str(own))
    own.write_text(text.replace("Jet_eta", "Muon_eta"))
    with pytest.raises(DataError, match="lists of different lengths"):
        read_events(tmp_path / "nano.root", columns=str(own))
    with pytest.raises(ConfigError, match="no column map 'delphes'"):
        read_events(tmp_path / "nano.root", columns="delphes")


def broken(name: str, place: tuple[int, ...], value: float) -> Events:
    events = top_pairs(50, selection=Selection(), seed=3)
    values = np.array(getattr(events, name))
    values[place] = value
    return replace(events, **{name: values})


@pytest.mark.parametrize(
    ("name", "place", "value", "sentence"),
    [
        ("missing", (7, 0), np.nan, "the missing momentum is not a finite number in 1 events, the first is row 7"),
        ("jets", (9, 1, 3), np.inf, "a jet is not a finite number in 1 events, the first is row 9"),
        ("leptons", (5, 0, 1), np.nan, "a lepton is not a finite number in 1 events, the first is row 5"),
        ("jets", (4, 0, 3), -50.0, "a jet has a negative energy in 1 events, the first is row 4"),
        ("leptons", (3, 0, 3), -1.0, "a lepton has a negative energy in 1 events, the first is row 3"),
        ("leptons", (2, 0, 3), 1.0, "a lepton has less energy than momentum in 1 events, the first is row 2"),
        ("leptons", (1, 0, 0), 0.0, "a lepton is missing in 1 events, the first is row 1"),
        ("neutrinos", (8, 0, 2), np.nan, "a true neutrino is not a finite number in 1 events, the first is row 8"),
    ],
)
@pytest.mark.parametrize("suffix", ["h5", "root"])
def test_bad_values_are_named_with_their_row(
    tmp_path: Path, name: str, place: tuple[int, ...], value: float, sentence: str, suffix: str
) -> None:
    path = tmp_path / f"bad.{suffix}"
    write_events(path, iter([broken(name, place, value)]))
    with pytest.raises(DataError, match=sentence) as caught:
        list(iterate_events(path, chunk=3))
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_no_jets_and_eleven_jets_are_told(tmp_path: Path) -> None:
    events = top_pairs(200, selection=Selection(), seed=4)
    jets, tags = np.zeros((200, 11, 4)), np.zeros((200, 11))
    jets[:, :10], tags[:, :10] = events.jets, events.tags
    jets[5] = [30.0, 0.1, 0.2, 31.0]
    jets[5, 10] = [90.0, 0.1, 0.2, 91.0]
    jets[6], tags[6] = 0.0, 0.0
    path = tmp_path / "jets.root"
    from hepflows.applications.neutrino.formats import tree

    every = tree._columns(events)
    from hepflows.io.ragged import Ragged

    present = jets[..., 0] > 0
    fields = np.concatenate([jets, tags[..., None]], axis=-1)
    every["jet"] = {name: Ragged(fields[..., i][present], present.sum(1)) for i, name in enumerate(tree._JET)}
    del every["event_njets"], every["event_nbjets"]
    from hepflows.io import jagged

    collections = {one: dict.fromkeys(every[one], "f8") for one in ("lepton", "jet", "neutrino")}
    with jagged.writing(path, {"met_pt": "f8", "met_phi": "f8"}, collections) as file:
        file.extend(every)
    found = read_events(path)
    assert found.n_jets[5] == 11
    assert found.jets[5, :, 0].tolist() == [90.0, *[30.0] * 9]
    assert not found.present[6].any()
    assert notes(found.n_jets) == [
        "1 events have no jet: their neutrinos rest on lepton and missing momentum alone",
        "1 events have more than 10 jets: the 10 of largest transverse momentum are used",
    ]


def test_files_that_are_something_else(tmp_path: Path) -> None:
    write_events(tmp_path / "one.h5", iter([top_pairs(30, seed=5)]))
    with pytest.raises(DataError, match="has 1 leptons an event where 2 are expected"):
        read_events(tmp_path / "one.h5", leptons=2)
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["showers"] = np.zeros(3)
    with pytest.raises(DataError, match=r"no group 'delphes' \(it holds: showers\)"):
        read_events(tmp_path / "other.h5")
    with h5py.File(tmp_path / "one.h5", "a") as file:
        del file["delphes/MET"]
    with pytest.raises(DataError, match="delphes/MET is missing"):
        read_events(tmp_path / "one.h5")
    with uproot.recreate(tmp_path / "flat.root") as file:
        file.mktree("events", {"energy": np.ones(5)})
    with pytest.raises(DataError, match=r"say with --columns map\.yaml which branch is what"):
        read_events(tmp_path / "flat.root")
    with pytest.raises(DataError, match="does not exist"):
        read_events(tmp_path / "nowhere.root")
