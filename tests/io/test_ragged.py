"""Columns of rows of any length, columns that come late or never, numbers that belong to no row, names before columns."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest

from hepflows import io
from hepflows.errors import ConfigError, DataError, ShapeError
from hepflows.io import Field, Ragged, hdf5

CLOUDS = [Field("points", ragged=True), Field("n")]


def write(path: Path, rows: list[np.ndarray], pieces: int = 1) -> None:
    with io.writer(path, CLOUDS) as file:
        for part in np.array_split(np.arange(len(rows)), pieces):
            some = [rows[place] for place in part]
            file.extend({"points": Ragged.from_rows(some), "n": np.array([len(row) for row in some])})


@pytest.mark.parametrize("lengths", [[3, 0, 5, 1, 0], [2, 2, 2, 2], [0, 0, 0]])
@pytest.mark.parametrize("chunk", [1, 2, 100])
def test_rows_of_any_length_come_back(lengths: list[int], chunk: int, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    rows = [rng.normal(size=length) for length in lengths]
    write(tmp_path / "a.h5", rows, pieces=2)
    with io.reader(tmp_path / "a.h5", CLOUDS) as file:
        parts = [part["points"] for part in file.iterate(chunk=chunk)]
    found = [row for part in parts for row in part]
    assert [len(row) for row in found] == lengths
    for row, wanted in zip(found, rows, strict=True):
        np.testing.assert_array_equal(row, wanted)


def test_ragged_rows_know_where_a_value_belongs() -> None:
    rows = Ragged(np.arange(6.0), np.array([0, 2, 0, 3, 1]))
    owners = [index for index, row in enumerate(rows) for _ in row]
    assert [rows.row_of(place) for place in range(6)] == owners
    with pytest.raises(ShapeError, match="add up"):
        Ragged(np.arange(6.0), np.array([1, 2]))


@pytest.mark.parametrize(
    "values",
    [np.ones((3, 4)), np.ones(3), np.array([b"a", b"b", b"c"]), np.array(["a", "bb", "c"], dtype=object)],
    ids=["matrix", "flat", "bytes", "strings"],
)
def test_what_is_no_ragged_column_is_refused(values: np.ndarray, tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["points"], file["n"] = values, np.ones(3)
    with pytest.raises(DataError, match="'points' is no list of numbers for each row"):
        io.reader(tmp_path / "a.h5", CLOUDS).__enter__()


def test_ragged_columns_need_hdf5(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="'points' is no scalar"):
        io.writer(tmp_path / "a.root", CLOUDS).__enter__()


@pytest.mark.parametrize("suffix", ["h5", "root"])
def test_a_column_may_come_late(suffix: str, tmp_path: Path) -> None:
    fields = [Field("a"), Field("rest", required=False)]
    with io.writer(tmp_path / f"a.{suffix}", fields) as file:
        for part in ({"a": np.ones(3)}, {"a": np.ones(2), "rest": np.array([7.0, 8.0])}, {"a": np.ones(1)}):
            file.extend(part)
    with io.reader(tmp_path / f"a.{suffix}", fields) as file:
        (found,) = file.iterate(chunk=100)
    assert found["rest"].tolist() == [0, 0, 0, 7, 8, 0]


def test_a_column_that_never_came_is_not_there(tmp_path: Path) -> None:
    with io.writer(tmp_path / "a.h5", [Field("a"), Field("rest", required=False)]) as file:
        file.extend({"a": np.ones(3)})
    assert set(io.contents(tmp_path / "a.h5").shapes) == {"a"}


def test_numbers_that_belong_to_no_row(tmp_path: Path) -> None:
    with io.writer(tmp_path / "a.h5", [Field("a")]) as file:
        file.extend({"a": np.ones(2000)})
        file.put("shape", np.array([2, 3]))
    with io.reader(tmp_path / "a.h5", [Field("a")]) as file:
        assert file.whole("shape").tolist() == [2, 3]
        for name in ("absent", "a"):
            with pytest.raises(DataError, match=f"has no dataset '{name}' of a few numbers"):
                file.whole(name)
    with io.writer(tmp_path / "a.root", [Field("a")]) as file:
        file.extend({"a": np.ones(2)})
        with pytest.raises(ConfigError, match="write HDF5"):
            file.put("shape", np.array([2]))


def test_contents_before_columns(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["a"], file["b"], file["one"] = np.ones(3), np.ones((3, 2)), 5.0
        file.create_group("group")
        file["gone"] = h5py.SoftLink("/nowhere")
        file.attrs["source"] = "test"
    found = io.contents(tmp_path / "a.h5")
    assert found.shapes == {"a": (3,), "b": (3, 2), "one": (), "group": None, "gone": None}
    assert (found.kind, found.attributes) == ("dataset", {"source": "test"})
    with io.writer(tmp_path / "a.root", [Field("a"), Field("b")], attributes={"source": "test"}) as table:
        table.extend({"a": np.ones(4), "b": np.ones(4)})
    found = io.contents(tmp_path / "a.root")
    assert found.shapes == {"a": (4,), "b": (4,)}
    assert (found.kind, found.attributes) == ("branch", {"source": "test"})
    (tmp_path / "a.h5").write_bytes(b"nothing")
    with pytest.raises(DataError, match="no readable HDF5 file"):
        io.contents(tmp_path / "a.h5")


def test_chunks_narrower_than_a_row_are_unpacked_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """h5py cuts long rows into several chunks: all of those at the same rows must fit into the cache."""
    rows, width = 64, 4000
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("a", data=np.arange(rows * width, dtype=float).reshape(rows, width), chunks=(32, 40))
    monkeypatch.setattr(hdf5, "_CACHE_BYTES", 2**18)
    with io.reader(tmp_path / "a.h5", [Field("a", (width,))]) as file:
        cache = file._datasets["a"].id.get_access_plist().get_chunk_cache()[1]  # type: ignore[attr-defined]
        found = np.concatenate([part["a"] for part in file.iterate(chunk=7)])
    assert cache >= 32 * width * 8
    np.testing.assert_array_equal(found.ravel(), np.arange(rows * width))
