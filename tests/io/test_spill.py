"""An array that moves to disk when it gets too large: the same rows, in bounded memory, one sentence when there is no room."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hepflows.errors import DataError
from hepflows.io.spill import Spill


@pytest.mark.parametrize("limit", [0, 1000, 10**9])
def test_rows_come_back_as_they_went_in(tmp_path: Path, limit: int) -> None:
    rng, spill = np.random.default_rng(0), Spill(7, limit=limit, folder=tmp_path)
    parts = [rng.random((n, 7), np.float32) for n in (5, 1, 30, 0, 12)]
    for part in parts:
        spill.extend(part)
    np.testing.assert_array_equal(spill.array(), np.concatenate(parts))
    assert isinstance(spill.array(), np.memmap) == (limit < 48 * 7 * 4)
    np.testing.assert_array_equal(spill.array(), np.concatenate(parts))  # a second time too


def test_the_file_has_no_name_and_its_folder_need_not_exist(tmp_path: Path) -> None:
    spill = Spill(2, limit=0, folder=tmp_path / "not" / "yet")
    spill.extend(np.ones((3, 2)))
    assert list(tmp_path.iterdir()) == []
    assert spill.array().sum() == 6


def test_a_full_disk_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class FullDisk:
        def flush(self) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

        def __getattr__(self, name: str) -> Any:
            return getattr(self.file, name)

    def full(**options: Any) -> Any:
        disk = FullDisk()
        disk.file = original(**options)
        return disk

    import tempfile

    original = tempfile.TemporaryFile
    monkeypatch.setattr(tempfile, "TemporaryFile", full)
    spill = Spill(2, limit=0, folder=tmp_path)
    with pytest.raises(
        DataError, match="because the disk is full: make room, choose another folder, or allow more memory"
    ):
        spill.extend(np.ones((3, 2)))
    spill._file.file.close()
