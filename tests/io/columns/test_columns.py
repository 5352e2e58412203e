from __future__ import annotations

import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
import uproot
from pandas_fixed import write_frame

from hepflows.errors import DataError, MissingExtraError
from hepflows.io.columns import format_of, open_columns, write_columns
from hepflows.io.columns.blosc import BLOSC

RNG = np.random.default_rng(7)
COLUMNS = {
    "m": RNG.normal(size=23),
    "run": RNG.integers(0, 2**60, size=23),
    "x": RNG.normal(size=23).astype(np.float32),
    "y": RNG.normal(size=23).astype(np.float32),
}


def whole(path: Path, names: list[str], *, key: str | None = None, chunk: int = 5) -> dict[str, np.ndarray]:
    with open_columns(path, key=key) as table:
        parts = list(table.iterate(names, chunk=chunk))
    assert max(len(part[names[0]]) for part in parts) <= chunk
    return {name: np.concatenate([part[name] for part in parts]) for name in names}


def test_a_frame_is_joined_by_the_names_of_its_blocks_and_keeps_its_types(tmp_path: Path) -> None:
    path = tmp_path / "frame.h5"
    write_frame(path, "df", COLUMNS, [["run"], ["y", "x"], ["m"]])
    with open_columns(path) as table:
        assert table.names == ("m", "run", "x", "y")
    found = whole(path, ["y", "m", "run", "x"])
    for name, values in found.items():
        assert values.dtype == COLUMNS[name].dtype
        np.testing.assert_array_equal(values, COLUMNS[name])


def test_integer_names_are_text(tmp_path: Path) -> None:
    write_frame(tmp_path / "raw.h5", "df", {0: np.arange(4.0), 1: np.arange(4.0) + 10}, [[1, 0]])
    np.testing.assert_array_equal(whole(tmp_path / "raw.h5", ["1"])["1"], np.arange(4.0) + 10)


@pytest.mark.parametrize("suffix", [".hdf5", ".root", ".csv", ".parquet"])
def test_what_is_written_comes_back_in_every_format(tmp_path: Path, suffix: str) -> None:
    if suffix == ".parquet":
        pytest.importorskip("pyarrow")
    path = tmp_path / f"table{suffix}"
    parts = [
        {name: values[:9] for name, values in COLUMNS.items()},
        {name: values[9:] for name, values in COLUMNS.items()},
    ]
    assert write_columns(path, iter(parts), attributes={"source": "test"}) == 23
    found = whole(path, ["x", "m"])
    np.testing.assert_array_equal(found["m"], COLUMNS["m"])
    np.testing.assert_array_equal(found["x"].astype(np.float32), COLUMNS["x"])
    if suffix != ".csv":
        np.testing.assert_array_equal(whole(path, ["run"])["run"], COLUMNS["run"])


def test_datasets_matrices_and_compound_types_are_columns(tmp_path: Path) -> None:
    path = tmp_path / "plain.hdf5"
    compound = np.array([(1.0, 2), (3.0, 4)], dtype=[("a", "f8"), ("b", "i4")])
    with h5py.File(path, "w") as file:
        file["m"], file["column"], file["table"] = np.array([1.0, 2.0]), np.array([[5.0], [6.0]]), compound
        file["jets"], file["image"] = np.arange(4.0).reshape(2, 2), np.zeros((2, 2, 2))
        file["note"] = np.array(["one", "two"], dtype=h5py.string_dtype())
    with open_columns(path) as table:
        assert set(table.names) == {"m", "column", "a", "b", "jets_0", "jets_1"}
        assert set(table.unread) == {"image", "note"}
    found = whole(path, ["b", "jets_1", "column"])
    assert found["b"].tolist() == [2, 4]
    assert found["jets_1"].tolist() == [1.0, 3.0]
    assert found["column"].tolist() == [5.0, 6.0]


def test_pickled_objects_are_never_read(tmp_path: Path) -> None:
    path = tmp_path / "objects.h5"
    write_frame(path, "df", {"m": np.arange(3.0)}, [["m"]])
    with h5py.File(path, "a") as file:
        group = file["df"]
        group.attrs["nblocks"] = 2
        del group["axis0"]
        group["axis0"], group["block1_items"] = np.array([b"m", b"o"]), np.array([b"o"])
        group.create_dataset("block1_values", shape=(1,), dtype=h5py.vlen_dtype(np.uint8))
        series = file.create_group("series")
        series.attrs["pandas_type"] = "series"
    with open_columns(path, key="df") as table:
        assert table.names == ("m",)
        assert "objects" in table.unread["o"]
    with pytest.raises(DataError, match="pandas series"), open_columns(path, key="series"):
        pass
    with pytest.raises(DataError, match=r"several tables \(df, series\)"), open_columns(path):
        pass


def test_branches_that_are_no_numbers_are_named(tmp_path: Path) -> None:
    path = tmp_path / "jagged.root"
    with uproot.recreate(path) as file:
        tree = file.mktree("events", {"m": "float64", "jets": "var * float64"})
        import awkward as ak

        tree.extend({"m": np.arange(2.0), "jets": ak.Array([[1.0], [2.0, 3.0]])})
    with open_columns(path) as table:
        assert "m" in table.names
        assert table.jagged == ("jets",)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1.0,2.0\n3.0,4.0\n", "first line must name the columns"),
        ("a,b\n1,2\n3,x\n", r"row 2 is '3,x'"),
        ("a,b\n1,2\n3\n", r"row 2 is '3'"),
        ("a,b\n", "no rows"),
        ("a,a\n1,2\n", "'a' twice"),
    ],
)
def test_what_is_wrong_with_a_csv_file_is_said(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "events.csv"
    path.write_text(text)
    with pytest.raises(DataError, match=message):
        whole(path, ["b"] if "a,b" in text else ["a"])


@pytest.mark.parametrize("separator", [",", ";", "\t", "  "])
def test_csv_separators(tmp_path: Path, separator: str) -> None:
    path = tmp_path / "events.csv"
    path.write_text(f"# a{separator}b\n1{separator}2\n\n3{separator}nan\n")
    found = whole(path, ["b", "a"])
    assert found["a"].tolist() == [1.0, 3.0]
    np.testing.assert_array_equal(found["b"], [2.0, np.nan])


def test_wrong_files_and_keys(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"'.xls'? is no known|\.xls is no known"):
        format_of("events.xls")
    with pytest.raises(DataError, match="does not exist"):
        open_columns(tmp_path / "none.h5")
    (tmp_path / "page.h5").write_text("<!doctype html>")
    with pytest.raises(DataError, match="web page"), open_columns(tmp_path / "page.h5"):
        pass
    write_frame(tmp_path / "a.h5", "df", {"m": np.arange(3.0)}, [["m"]])
    with pytest.raises(DataError, match=r"no table 'dg' \(it holds df\)"), open_columns(tmp_path / "a.h5", key="dg"):
        pass
    with h5py.File(tmp_path / "lengths.h5", "w") as file:
        file["a"], file["b"] = np.zeros(3), np.zeros(4)
    with pytest.raises(DataError, match="'a' has 3 rows and 'b' 4"), open_columns(tmp_path / "lengths.h5"):
        pass


def blosc_file(path: Path, values: np.ndarray, chunks: tuple[int, ...]) -> None:
    """A dataset as PyTables compresses it: chunks at the edge are stored in full size."""
    blosc2 = pytest.importorskip("blosc2")
    with h5py.File(path, "w") as file:
        properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        properties.set_chunk(chunks)
        properties.set_filter(BLOSC, h5py.h5z.FLAG_OPTIONAL, (2, 2, 8, 8, 5, 1, 0))
        space = h5py.h5s.create_simple(values.shape)
        dataset = h5py.h5d.create(file.id, b"x", h5py.h5t.NATIVE_DOUBLE, space, properties)
        for i in range(0, values.shape[0], chunks[0]):
            for j in range(0, values.shape[1], chunks[1]):
                block = np.zeros(chunks)
                part = values[i : i + chunks[0], j : j + chunks[1]]
                block[: part.shape[0], : part.shape[1]] = part
                dataset.write_direct_chunk((i, j), blosc2.compress(block.tobytes(), typesize=8))


def test_blosc_chunks_are_unpacked_whatever_the_rows(tmp_path: Path) -> None:
    values = RNG.normal(size=(23, 5))
    blosc_file(tmp_path / "b.h5", values, (4, 3))
    for chunk in (1, 4, 6, 23):
        found = whole(tmp_path / "b.h5", [f"x_{i}" for i in range(5)], chunk=chunk)
        np.testing.assert_array_equal(np.stack(list(found.values()), axis=1), values)


def test_without_blosc2_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with h5py.File(tmp_path / "b.h5", "w") as file:
        properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        properties.set_chunk((2,))
        properties.set_filter(BLOSC, h5py.h5z.FLAG_OPTIONAL, (2, 2, 8, 8, 5, 1, 0))
        dataset = h5py.h5d.create(file.id, b"x", h5py.h5t.NATIVE_DOUBLE, h5py.h5s.create_simple((2,)), properties)
        dataset.write_direct_chunk((0,), b"packed")
    monkeypatch.setitem(sys.modules, "blosc2", None)
    with pytest.raises(MissingExtraError, match=r"hepflows\[lhco\]"):
        whole(tmp_path / "b.h5", ["x"])
