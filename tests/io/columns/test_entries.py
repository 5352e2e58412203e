from __future__ import annotations

from pathlib import Path

import awkward as ak
import numpy as np
import pytest
import uproot

from hepflows.errors import DataError
from hepflows.io.columns import find, open_columns
from hepflows.io.columns.entries import parse

RNG = np.random.default_rng(2)
COUNTS = RNG.integers(2, 6, size=40)
MASS, PT = (ak.unflatten(RNG.uniform(10, 500, COUNTS.sum()), COUNTS) for _ in range(2))


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("jets") / "jets.root"
    with uproot.recreate(file) as out:
        columns = {"m": np.arange(40.0), "Jet_mass": MASS, "Jet_pt": PT, "Muon_pt": PT[:, 1:]}
        tree = out.mktree("Events", {name: "float64" if name == "m" else "var * float64" for name in columns})
        tree.extend(columns)
    return file


def read(path: Path, name: str, chunk: int = 7) -> list[float]:
    with open_columns(path) as table:
        find(path, table, [name])
        return [float(x) for part in table.iterate(["m", name], chunk=chunk) for x in part[name]]


def test_entries_as_stored_and_in_the_order_of_another_branch(path: Path) -> None:
    rows = list(zip(MASS.to_list(), PT.to_list(), strict=True))
    assert read(path, "Jet_mass[0]") == [m[0] for m, _ in rows]
    assert read(path, "Jet_mass[-1]", chunk=100) == [m[-1] for m, _ in rows]
    assert read(path, "Jet_mass[1 by Jet_pt]") == [m[np.argsort(p)[-2]] for m, p in rows]
    assert read(path, "Jet_pt[-1 by Jet_mass of 2]") == [p[int(np.argmin(m[:2]))] for m, p in rows]
    with open_columns(path) as table:
        assert set(table.jagged) == {"Jet_mass", "Jet_pt", "Muon_pt"}
        parts = list(table.iterate(["Jet_mass[0]"], chunk=16))
        assert [len(part["Jet_mass[0]"]) for part in parts] == [16, 16, 8]
        assert table.rows == 40


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("Jet_mass", r"has several numbers a row: say which one, for example Jet_mass\[0\]"),
        ("Jet_mass[a]", r"'Jet_mass\[a\]' cannot be read: write name\[0\]"),
        ("Jet_mass[2 of 2]", "cannot be read"),
        ("m[0]", "no column 'm' with several numbers a row"),
        ("Jet_mass[0 by Jet_eta]", "no column 'Jet_eta' with several numbers a row"),
        ("Jet_mass[0 by Muon_pt]", "different numbers of entries"),
        ("Jet_mass[2]", r"needs 3 entries in every row, and row \d+ has 2"),
        ("Jet_mass[-1 by Jet_pt of 3]", "needs 3 entries in every row"),
    ],
)
def test_bad_columns_are_one_sentence(path: Path, name: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read(path, name)


def test_plain_names_ask_for_no_entry() -> None:
    assert parse("mJJ") is None


def test_files_without_jagged_columns_say_so(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("m,x\n1,2\n")
    with open_columns(tmp_path / "a.csv") as table, pytest.raises(DataError, match=r"\(of those it has: none\)"):
        find(tmp_path / "a.csv", table, ["x[0]"])
