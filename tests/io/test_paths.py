from __future__ import annotations

from pathlib import Path

import pytest

from hepflows.errors import DataError
from hepflows.io.paths import describe_content, expand, file_format, natural_key


def make(folder: Path, *names: str) -> list[Path]:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"x")
    return [folder / name for name in names]


def names(paths: list[Path]) -> list[str]:
    return [path.name for path in paths]


def test_worker_files_come_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    make(tmp_path, *(f"plz_t{index}.root" for index in (10, 9, 0, 100, 2)))
    expected = ["plz_t0.root", "plz_t2.root", "plz_t9.root", "plz_t10.root", "plz_t100.root"]
    assert names(expand(tmp_path)) == expected
    assert names(expand(str(tmp_path / "*.root"))) == expected
    assert names(expand(sorted(tmp_path.iterdir()))) == expected


def test_natural_key_orders_where_text_and_numbers_alternate() -> None:
    # a number against a letter at the same place, and equal numbers written differently, must be comparable
    assert sorted(["a1b", "1a", "ab", "a01b", "a1"], key=natural_key) == ["1a", "a1", "a01b", "a1b", "ab"]


def test_a_folder_gives_its_visible_data_files_only(tmp_path: Path) -> None:
    make(tmp_path, "b.hdf5", "a.H5", "README.md", ".a.h5.0123.part", ".hidden.h5", "sub/c.h5")
    assert names(expand(tmp_path)) == ["a.H5", "b.hdf5"]


def test_globs_go_into_folders_and_pass_over_other_files(tmp_path: Path) -> None:
    make(tmp_path, "one/a.h5", "two/deep/b.h5", "two/notes.txt")
    assert names(expand(f"{tmp_path}/**/*")) == ["a.h5", "b.h5"]


def test_a_file_named_twice_is_read_once(tmp_path: Path) -> None:
    (path,) = make(tmp_path, "a.h5")
    (tmp_path / "link.h5").symlink_to(path)
    assert len(expand([path, str(path), f"{tmp_path}/a*", tmp_path])) == 1


def test_an_existing_name_with_glob_characters_is_that_file(tmp_path: Path) -> None:
    make(tmp_path, "run[1].h5", "run1.h5")
    assert names(expand(tmp_path / "run[1].h5")) == ["run[1].h5"]


def test_home_is_expanded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(tmp_path, "a.h5")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert names(expand("~/a.h5")) == ["a.h5"]


@pytest.mark.parametrize(
    ("given", "parts"),
    [
        ([], ["no data file was given", "name a ROOT or HDF5 file"]),
        ("absent.root", ["absent.root does not exist", "check its name"]),
        ("z*.root", ["z*.root matches no data file", ".hdf5, .h5, .hdf, .root"]),
        ("notes.txt", ["notes.txt ends in '.txt'", "no known data format"]),
        ("plain", ["plain has no suffix"]),
        ("empty", ["the folder", "holds no data file"]),
        (["a.h5", "a.root"], ["ROOT and HDF5 files are mixed", "a.h5 (HDF5)", "a.root (ROOT)", "'*.root'"]),
        (["a.h5", "gone.h5"], ["gone.h5 does not exist"]),
        (".", ["ROOT and HDF5 files are mixed"]),
    ],
)
def test_each_mistake_gets_its_sentence(
    given: str | list[str], parts: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(tmp_path, "notes.txt", "plain", "a.h5", "b.hdf5", "a.root")
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError) as caught:
        expand(given)
    for part in parts:
        assert part in str(caught.value)
    assert "\n" not in str(caught.value)


def test_format_follows_the_suffix() -> None:
    assert [file_format(name) for name in ("a.h5", "a.hdf5", "a.HDF", "b.root")] == ["HDF5", "HDF5", "HDF5", "ROOT"]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "empty (0 bytes)"),
        (b"\x89HDF\r\n\x1a\n rest", "an HDF5 file"),
        (b"root\x00\x00", "a ROOT file"),
        (b"<!DOCTYPE html><html>", "a web page"),
        (b"version https://git-lfs.github.com/spec/v1", "Git LFS"),
        (b"PK\x03\x04", "a zip archive"),
    ],
)
def test_first_bytes_tell_what_a_file_is(content: bytes, expected: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(content)
    assert expected in describe_content(tmp_path / "file")


def test_nothing_is_claimed_about_unknown_bytes(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"energy,layer")
    assert describe_content(tmp_path / "file") == ""
    assert describe_content(tmp_path / "absent") == ""
