from __future__ import annotations

import fcntl
from pathlib import Path

import h5py
import numpy as np
import pytest

from hepflows import io
from hepflows.errors import DataError
from hepflows.io import Field

LAYOUT = [Field("energy", (1,)), Field("image", (2, 3))]


def save(path: Path, **datasets: object) -> Path:
    good = {"energy": np.ones((4, 1)), "image": np.ones((4, 2, 3))}
    with h5py.File(path, "w") as file:
        for name, values in (good | datasets).items():
            if values is not None:
                file[name] = values
    return path


def message(path: Path) -> str:
    with pytest.raises(DataError) as caught:
        io.reader(path, LAYOUT).__enter__()
    text = str(caught.value)
    assert str(path) in text
    assert "\n" not in text
    return text


@pytest.mark.parametrize(
    ("datasets", "parts"),
    [
        ({"image": None}, ["has no dataset 'image' (it holds: energy)", "give a file with this layout"]),
        ({"image": np.ones((4, 6))}, ["'image' has the shape (4, 6) instead of (n, 2, 3)", "reshape it"]),
        ({"image": np.float64(3)}, ["'image' has the shape () instead of (n, 2, 3)"]),
        ({"energy": np.ones((3, 1))}, ["'image' has 4 rows but 'energy' has 3", "incomplete"]),
        ({"energy": np.ones((4, 1), bool)}, ["'energy' has the type bool instead of a real number", "float64"]),
        ({"energy": np.ones((4, 1), complex)}, ["'energy' has the type complex128"]),
        ({"energy": h5py.Empty("f8")}, ["'energy' has the shape None"]),
    ],
)
def test_each_departure_from_the_layout_gets_its_sentence(
    datasets: dict[str, object], parts: list[str], tmp_path: Path
) -> None:
    text = message(save(tmp_path / "a.h5", **datasets))
    for part in parts:
        assert part in text


def test_objects_are_never_read(tmp_path: Path) -> None:
    path = save(tmp_path / "a.h5", energy=None)
    with h5py.File(path, "a") as file:
        file.create_dataset("energy", (4, 1), dtype=h5py.vlen_dtype(np.uint8))
    assert "holds objects (variable-length or pickled data), which are never read" in message(path)


def test_a_group_is_no_dataset(tmp_path: Path) -> None:
    path = save(tmp_path / "a.h5", energy=None)
    with h5py.File(path, "a") as file:
        file.create_group("energy")
    assert "'energy' is a group and not a dataset" in message(path)


def test_a_filter_that_is_not_installed_is_named(tmp_path: Path) -> None:
    path = save(tmp_path / "a.h5", energy=None)
    with h5py.File(path, "a") as file:
        properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        properties.set_chunk((4, 1))
        properties.set_filter(32001, h5py.h5z.FLAG_OPTIONAL)
        h5py.h5d.create(file.id, b"energy", h5py.h5t.IEEE_F64LE, h5py.h5s.create_simple((4, 1)), properties)
    assert "'energy' needs HDF5 filter 32001, which is not installed: repack the file" in message(path)


def test_a_dangling_link_counts_as_missing(tmp_path: Path) -> None:
    path = save(tmp_path / "a.h5", energy=None)
    with h5py.File(path, "a") as file:
        file["energy"] = h5py.ExternalLink("gone.h5", "/energy")
    assert "'energy'" in message(path)


def test_single_precision_and_integers_are_read_as_they_are(tmp_path: Path) -> None:
    path = save(tmp_path / "a.h5", image=np.ones((4, 2, 3), np.float32), energy=np.ones((4, 1), np.int32))
    with io.reader(path, LAYOUT) as file:
        (part,) = file.iterate(chunk=10)
    assert (part["image"].dtype, part["energy"].dtype) == (np.float32, np.int32)


def test_attributes_of_any_type_become_text(tmp_path: Path) -> None:
    path = save(tmp_path / "a.h5")
    with h5py.File(path, "a") as file:
        file.attrs.update(
            {"cut": 0.7, "seeds": [1, 2], "name": "e+", "raw": np.bytes_(b"old"), "none": h5py.Empty("f8")}
        )
    with io.reader(path, LAYOUT) as file:
        found = file.attributes
    assert {name: found[name] for name in ("cut", "seeds", "name", "raw")} == {
        "cut": "0.7",
        "seeds": "[1, 2]",
        "name": "e+",
        "raw": "old",
    }


def test_a_locked_file_says_so(tmp_path: Path) -> None:
    path = save(tmp_path / "a.h5")
    with open(path, "rb") as other:
        fcntl.flock(other, fcntl.LOCK_EX)  # as HDF5 does in the process that writes
        assert "is locked by another process: wait until that one has finished" in message(path)


def test_written_files_are_compressed_chunked_and_reproducible(tmp_path: Path) -> None:
    for name in ("a.h5", "b.h5"):
        with io.writer(tmp_path / name, LAYOUT, attributes={"source": "test"}) as file:
            file.extend({"energy": np.ones((3000, 1)), "image": np.zeros((3000, 2, 3))})
    assert (tmp_path / "a.h5").read_bytes() == (tmp_path / "b.h5").read_bytes()
    assert (tmp_path / "a.h5").stat().st_size < 3000 * 7 * 8 / 5
    with h5py.File(tmp_path / "a.h5") as file:
        image = file["image"]
        assert (image.compression, image.shuffle, image.dtype) == ("gzip", True, np.float64)
        assert image.maxshape == (None, 2, 3)
