from __future__ import annotations

import errno
import os
import signal
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import h5py
import numpy as np
import pytest

from hepflows.errors import DataError, ShapeError
from hepflows.io.atomic import SteadyFile, check_target, replacing, uninterrupted


def test_the_file_appears_only_when_complete_and_replaces_the_old_one(tmp_path: Path) -> None:
    target = tmp_path / "a.txt"
    target.write_text("old")
    with replacing(target) as temporary:
        assert temporary.parent == tmp_path
        temporary.write_text("new")
        assert target.read_text() == "old"
    assert target.read_text() == "new"
    assert os.listdir(tmp_path) == ["a.txt"]


def fail(target: Path, error: BaseException, cause: BaseException | None = None) -> None:
    with replacing(target) as temporary:
        temporary.write_text("half")
        raise error from cause


@pytest.mark.parametrize("error", [ValueError("x"), KeyboardInterrupt(), SystemExit(1), ShapeError("bad")])
def test_nothing_is_left_after_a_failure(error: BaseException, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("old")
    with pytest.raises(type(error)):
        fail(tmp_path / "a.txt", error)
    assert os.listdir(tmp_path) == ["a.txt"]
    assert (tmp_path / "a.txt").read_text() == "old"


HDF5_TEXT = "Unable to write (file write failed: time = now, errno = 28, error message = 'No space left on device')"


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "the disk is full"),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), "the disk quota is used up"),
        (RuntimeError(HDF5_TEXT), "the disk is full"),
    ],
)
def test_a_full_disk_is_one_sentence(error: Exception, reason: str, tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        fail(tmp_path / "a.h5", RuntimeError("can't close the file"), cause=error)
    assert str(caught.value) == (
        f"{tmp_path}/a.h5 could not be written because {reason}: make room or choose another folder, "
        "then run again (nothing half-written was left)"
    )
    assert os.listdir(tmp_path) == []


def test_other_system_errors_keep_their_type(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="Input/output"):
        fail(tmp_path / "a.h5", OSError(errno.EIO, "Input/output error"))
    assert os.listdir(tmp_path) == []


def test_a_missing_folder_and_a_folder_as_target_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"absent/a\.h5 cannot be written because the folder .*absent does not exist"):
        replacing(tmp_path / "absent" / "a.h5").__enter__()
    with pytest.raises(DataError, match="is no ordinary file: choose another name"):
        replacing(tmp_path).__enter__()


def test_a_closed_folder_is_known_before_the_work() -> None:
    with tempfile.TemporaryDirectory() as closed:
        os.chmod(closed, 0o555)
        root = os.geteuid() == 0
        if root:
            os.seteuid(65534)  # nobody: root may write everywhere
        try:
            with pytest.raises(DataError, match="permission denied"):
                replacing(Path(closed) / "a.h5").__enter__()
        finally:
            if root:
                os.seteuid(0)


def test_permissions_are_those_of_an_ordinary_file(tmp_path: Path) -> None:
    (tmp_path / "ordinary").touch()
    with replacing(tmp_path / "a.txt") as temporary:
        temporary.write_text("x")
    assert stat.S_IMODE((tmp_path / "a.txt").stat().st_mode) == stat.S_IMODE((tmp_path / "ordinary").stat().st_mode)


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "real.txt").write_text("old")
    (tmp_path / "link.txt").symlink_to(tmp_path / "store" / "real.txt")
    with replacing(tmp_path / "link.txt") as temporary:
        temporary.write_text("new")
    assert (tmp_path / "link.txt").is_symlink()
    assert (tmp_path / "store" / "real.txt").read_text() == "new"


def test_hdf5_closes_in_peace_on_a_steady_file_that_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    steady = SteadyFile(tmp_path / "a.h5")
    real_write = steady._file.write
    written = 0

    class Full:
        def __getattr__(self, name: str) -> object:
            return getattr(real, name)

        def write(self, data: memoryview) -> int:
            nonlocal written
            written += len(data)
            if written > 20_000:
                raise OSError(errno.ENOSPC, "No space left on device")
            return real_write(data)

    real = steady._file
    monkeypatch.setattr(steady, "_file", Full())
    with h5py.File(steady, "w") as file:  # closing must not raise, or HDF5 keeps the handle for good
        file["x"] = np.random.default_rng(0).random(10_000)
    with pytest.raises(OSError, match="No space left"):
        steady.raise_error()
    steady.close()


def test_a_steady_file_that_works_holds_what_hdf5_wrote(tmp_path: Path) -> None:
    values = np.random.default_rng(0).random((100, 7))
    steady = SteadyFile(tmp_path / "a.h5")
    with h5py.File(steady, "w") as file:
        file.create_dataset("x", data=values, chunks=(10, 7), compression="gzip")
    steady.raise_error()
    steady.close()
    with h5py.File(tmp_path / "a.h5") as file:
        np.testing.assert_array_equal(file["x"][:], values)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_waits_until_the_end_of_what_must_not_be_interrupted(
    number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    came: list[int] = []
    before = signal.signal(number, lambda number, _: came.append(number))
    try:
        with uninterrupted():
            signal.raise_signal(number)
            assert came == []
        assert came == [number]
    finally:
        signal.signal(number, before)


def test_a_target_that_cannot_be_written_is_known_before_the_work(tmp_path: Path) -> None:
    check_target(tmp_path / "a.hdf5")
    assert not list(tmp_path.iterdir())
    for path in (tmp_path / "none" / "a.hdf5", tmp_path):
        with pytest.raises(DataError):
            check_target(path)


def test_a_batch_system_that_ends_a_command_leaves_no_half_file(tmp_path: Path) -> None:
    code = (
        "import os, signal, sys\nfrom hepflows import cli\nfrom hepflows.io.atomic import replacing\n"
        "def work():\n"
        "    with replacing(sys.argv[1]):\n"
        "        os.kill(os.getpid(), signal.SIGTERM)\n"
        "cli.app = work\ncli._mount = lambda: None\ncli.main()\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path / "a.txt")], check=False)
    assert done.returncode == 128 + signal.SIGTERM
    assert not list(tmp_path.iterdir())
