"""What readers and writers of both formats promise: the same truth in HDF5 and in ROOT."""

from __future__ import annotations

import os
import subprocess
import sys
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from hepflows import io
from hepflows.errors import ConfigError, DataError, ShapeError
from hepflows.io import Field

FIELDS = [Field("a"), Field("b", dtype=np.float32), Field("count", dtype=np.int64)]


@pytest.fixture(params=["hdf5", "root"])
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return tmp_path / f"table.{request.param}"


def columns(n: int, seed: int = 0) -> dict[str, io.Array]:
    rng = np.random.default_rng(seed)
    return {
        "a": rng.normal(size=n),
        "b": rng.normal(size=n).astype(np.float32),
        "count": rng.integers(-(2**62), 2**62, size=n),
    }


def write(path: Path, table: dict[str, io.Array], pieces: int = 1, **attributes: str) -> None:
    with io.writer(path, FIELDS, attributes=attributes) as file:
        for part in range(pieces):
            file.extend({name: values[part::pieces] for name, values in table.items()})


def read(path: Path, fields: list[Field] = FIELDS, chunk: int = 7, stop: int | None = None) -> dict[str, io.Array]:
    with io.reader(path, fields) as file:
        chunks = list(file.iterate(chunk=chunk, stop=stop))
    return {name: np.concatenate([part[name] for part in chunks]) for name in chunks[0]}


@pytest.mark.parametrize("chunk", [1, 7, 5000, 20_000])
def test_every_bit_and_type_comes_back(path: Path, chunk: int) -> None:
    n = 50 if chunk == 1 else 9000  # beyond two ROOT baskets
    table = columns(n)
    table["a"][:4] = [0.1 + 0.2, 5e-324, -0.0, np.finfo(float).max]
    write(path, table)
    found = read(path, chunk=chunk)
    for name, values in table.items():
        assert found[name].dtype == values.dtype
        np.testing.assert_array_equal(found[name].view(f"u{values.itemsize}"), values.view(f"u{values.itemsize}"))


def test_rows_keep_their_order_over_many_small_pieces(path: Path) -> None:
    table = columns(9001)
    write(path, table, pieces=13)
    np.testing.assert_array_equal(read(path)["a"], np.concatenate([table["a"][part::13] for part in range(13)]))


def test_a_buffer_may_be_used_again_after_extend(path: Path) -> None:
    buffer = {name: np.zeros(3, field.dtype) for name, field in zip("ab", FIELDS, strict=False)}
    with io.writer(path, FIELDS[:2]) as file:
        for value in (1.0, 2.0):
            for values in buffer.values():
                values[:] = value
            file.extend(buffer)
    assert read(path, FIELDS[:2])["a"].tolist() == [1, 1, 1, 2, 2, 2]


def test_chunks_are_contiguous_and_stop_where_asked(path: Path) -> None:
    write(path, columns(100))
    with io.reader(path, FIELDS) as file:
        assert file.rows == 100
        sizes = [len(part["a"]) for part in file.iterate(chunk=30, stop=70)]
        assert sizes == [30, 30, 10]
        assert [len(part["a"]) for part in file.iterate(chunk=60, stop=1000)] == [60, 40]


def test_attributes_survive(path: Path) -> None:
    given = {"engine": "Geant4 11.4", "unit": 'é µ "quoted" {json}', "empty": ""}
    write(path, columns(3), **given)
    with io.reader(path, FIELDS) as file:
        assert file.attributes == given


def test_absent_columns_may_be_left_out_only_when_not_required(path: Path) -> None:
    write(path, columns(3))
    assert set(read(path, [Field("a"), Field("more", required=False)])) == {"a"}
    with pytest.raises(DataError, match=r"no (dataset|branch) 'more' \(it h(olds|as).*a.*give a file with this layout"):
        read(path, [Field("a"), Field("more")])


def test_a_refusal_names_the_file_and_sees_all_names(path: Path) -> None:
    write(path, columns(3))
    seen: list[str] = []

    def refuse(names: object) -> str:
        seen.extend(sorted(names))  # type: ignore[call-overload]
        return "is a test: use another"

    with pytest.raises(DataError, match=rf"{path.name}.* is a test: use another$"):
        io.reader(path, [Field("absent")], refuse=refuse).__enter__()
    assert seen == ["a", "b", "count"]


def test_a_table_without_rows_is_empty(path: Path) -> None:
    with io.writer(path, FIELDS):
        pass
    with pytest.raises(DataError, match=r"is empty, .* give a file with data"):
        read(path)


@pytest.mark.parametrize(
    ("bad", "part"),
    [
        ({"a": np.zeros(3)}, r"differ from the declared ones in \['b', 'count'\]"),
        ({**columns(3), "b": np.zeros(4)}, r"column 'b' must have the shape \(3,\), but has \(4,\)"),
        ({**columns(3), "a": np.zeros((3, 2))}, r"column 'a' must have the shape \(3,\), but has \(3, 2\)"),
    ],
)
def test_wrong_columns_are_refused_and_leave_nothing(bad: dict[str, io.Array], part: str, path: Path) -> None:
    with pytest.raises(ShapeError, match=part):
        write(path, bad)
    assert os.listdir(path.parent) == []


def test_chunks_below_one_row_are_refused(path: Path) -> None:
    write(path, columns(3))
    with pytest.raises(ConfigError, match="must be at least 1 row, but is 0"):
        read(path, chunk=0)


def test_missing_files_and_unknown_suffixes(path: Path) -> None:
    with pytest.raises(DataError, match=r"does not exist: check its name"):
        read(path)
    with pytest.raises(DataError, match=r"no known data format"):
        read(path.with_suffix(".npz"))


@pytest.mark.parametrize("keep", [0.0, 0.02, 0.3, 0.7, 0.95, 0.999])
def test_a_truncated_file_is_named_with_its_remedy(keep: float, path: Path) -> None:
    write(path, columns(9000))
    whole = path.read_bytes()
    path.write_bytes(whole[: int(keep * len(whole))])
    with pytest.raises(DataError, match=rf"{path.name} .*(truncated|damaged|empty \(0 bytes\)).*again") as caught:
        read(path)
    assert "\n" not in str(caught.value)


def test_damage_inside_the_data_is_named(path: Path) -> None:
    write(
        path, {name: np.arange(9000).astype(values.dtype) % 701 for name, values in columns(1).items()}
    )  # compressible
    content = bytearray(path.read_bytes())
    for position in range(len(content) // 3, 2 * len(content) // 3, 50):
        content[position] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(DataError, match=rf"{path.name}.* cannot be read .*(rows|row) .*copy or download it again"):
        read(path)


def test_a_file_under_the_other_suffix_is_recognised(path: Path) -> None:
    write(path, columns(3))
    other = path.rename(path.with_suffix(".root" if path.suffix == ".hdf5" else ".h5"))
    with pytest.raises(
        DataError, match=r"is no (ROOT file but an HDF5|HDF5 file but a ROOT) file: give it its right name"
    ):
        read(other)


def test_a_colon_in_the_name_is_no_object_path(path: Path) -> None:
    odd = path.with_name(f"run:1 {path.name}")
    write(odd, columns(3))
    assert len(read(odd)["a"]) == 3


@pytest.mark.parametrize("error", [KeyboardInterrupt(), ValueError("generator failed")])
def test_a_failing_source_leaves_nothing(error: BaseException, path: Path) -> None:
    def source() -> Iterator[dict[str, io.Array]]:
        yield columns(5000)
        raise error

    def copy() -> None:
        with io.writer(path, FIELDS) as file:
            for part in source():
                file.extend(part)

    with pytest.raises(type(error)):
        copy()
    assert os.listdir(path.parent) == []


LIMITED = """
import resource, sys, numpy as np
from hepflows import io
from hepflows.errors import DataError
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, resource.RLIM_INFINITY))
x = np.random.default_rng(0).random(60_000)
try:
    with io.writer(sys.argv[1], [io.Field("x")]) as file:
        for start in range(0, len(x), 5000):
            file.extend({"x": x[start:start + 5000]})
except DataError as error:
    print(error)
"""


def test_when_the_system_refuses_to_write_the_process_survives(path: Path) -> None:
    # a true refusal by the kernel: HDF5 would otherwise end the process with a segmentation fault
    done = subprocess.run([sys.executable, "-c", LIMITED, str(path)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "could not be written because it passes the size allowed for a file: make room" in done.stdout
    assert os.listdir(path.parent) == []


def test_memory_is_bounded_by_the_chunk_not_by_the_file(path: Path) -> None:
    fields = [Field(f"x{index}") for index in range(8)]
    rows, total, chunk = 20_000, 400_000, 10_000  # 25.6 MB of numbers in chunks of 0.64 MB
    ramp = np.arange(rows, dtype=float)
    tracemalloc.start()
    try:
        with io.writer(path, fields) as file:
            for start in range(0, total, rows):
                file.extend({field.name: ramp + start for field in fields})
        written = tracemalloc.get_traced_memory()[1]
        tracemalloc.reset_peak()
        sums = np.zeros(len(fields))
        with io.reader(path, fields) as file:
            for part in file.iterate(chunk=chunk):
                sums += [values.sum() for values in part.values()]
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    np.testing.assert_allclose(sums, total * (total - 1) / 2)
    assert max(written, peak) < 8e6, (written, peak)
