from __future__ import annotations

from pathlib import Path

import awkward as ak
import numpy as np
import pytest
import uproot

from hepflows import io
from hepflows.errors import ConfigError, DataError
from hepflows.io import Field

LAYOUT = [Field("energy"), Field("cell_0")]
GOOD = {"energy": np.arange(5.0), "cell_0": np.ones(5)}


def save(path: Path, **trees: object) -> Path:
    with uproot.recreate(path) as file:
        for name, content in trees.items():
            if isinstance(content, dict):
                tree = file.mktree(name, {key: np.asarray(values).dtype for key, values in content.items()})
                tree.extend(content)
            else:
                file[name] = content
    return path


def message(path: Path, tree: str | None = None) -> str:
    with pytest.raises(DataError) as caught:
        io.reader(path, LAYOUT, tree=tree).__enter__()
    text = str(caught.value)
    assert str(path) in text
    assert "\n" not in text
    return text


def energies(path: Path, tree: str | None = None) -> list[float]:
    with io.reader(path, LAYOUT, tree=tree) as file:
        return [float(value) for part in file.iterate(chunk=2) for value in part["energy"]]


def test_the_tree_is_found_by_its_branches_whatever_its_name(tmp_path: Path) -> None:
    path = save(tmp_path / "a.root", header={"run": np.ones(2)}, renamed_tree={**GOOD, "extra": np.zeros(5)})
    assert energies(path) == [0, 1, 2, 3, 4]


def test_a_name_chooses_between_trees(tmp_path: Path) -> None:
    path = save(tmp_path / "a.root", one=GOOD, two={**GOOD, "energy": np.arange(5.0) + 10})
    assert energies(path, "two") == [10, 11, 12, 13, 14]
    assert "has several trees with the branches asked for (one, two)" in message(path)


def test_branches_are_read_by_name_not_by_order(tmp_path: Path) -> None:
    path = save(tmp_path / "a.root", t={"cell_0": np.ones(5), "other": np.zeros(5), "energy": np.arange(5.0)})
    assert energies(path) == [0, 1, 2, 3, 4]


def test_the_last_cycle_of_a_tree_counts(tmp_path: Path) -> None:
    path = tmp_path / "a.root"
    with uproot.recreate(path) as file:
        for shift in (0.0, 10.0):
            file.mktree("t", {"energy": "f8", "cell_0": "f8"}).extend({**GOOD, "energy": np.arange(5.0) + shift})
    with uproot.open(path) as file:
        assert set(file.keys()) == {"t;1", "t;2"}
    assert energies(path) == [10, 11, 12, 13, 14]


def test_a_missing_branch_is_named_in_the_nearest_tree(tmp_path: Path) -> None:
    text = message(save(tmp_path / "a.root", header={"run": np.ones(2)}, t={"energy": np.ones(2)}))
    assert "the tree 't' has no branch 'cell_0' (it has 1: energy): give a file with this layout" in text


def test_a_file_without_trees_says_what_it_holds(tmp_path: Path) -> None:
    text = message(save(tmp_path / "a.root", note="hello", h=np.histogram([1.0, 2.0])))
    assert "has no tree (it holds: note (TObjString), h (TH1" in text
    assert "has no tree 'x'" in message(save(tmp_path / "b.root", t=GOOD), tree="x")


@pytest.mark.parametrize("bad", [ak.Array([[1.0], [], [2.0, 3.0], [], []]), np.ones((5, 2)), np.ones(5, bool)])
def test_only_columns_of_numbers_are_read(bad: object, tmp_path: Path) -> None:
    path = tmp_path / "a.root"
    with uproot.recreate(path) as file:
        kind = str(bad.type.content) if isinstance(bad, ak.Array) else (bad.dtype, bad.shape[1:])  # type: ignore[attr-defined]
        file.mktree("t", {"energy": "f8", "cell_0": kind}).extend({"energy": np.ones(5), "cell_0": bad})
    text = message(path)
    assert "branch 'cell_0' is of type" in text
    assert "instead of one number an entry: store it as double" in text


def test_attributes_are_json_in_a_string_that_root_shows(tmp_path: Path) -> None:
    path = tmp_path / "a.root"
    with io.writer(path, LAYOUT, attributes={"engine": "Geant4"}, tree="fancy_tree") as file:
        file.extend(GOOD)
    with uproot.open(path) as file:
        assert file.classnames(cycle=False) == {"fancy_tree": "TTree", "metadata": "TObjString"}
        assert str(file["metadata"]) == '{"engine": "Geant4"}'
        assert {branch.typename for branch in file["fancy_tree"].branches} == {"double"}


@pytest.mark.parametrize("content", ["not json", "[1, 2]", np.histogram([1.0])])
def test_a_foreign_object_called_metadata_does_no_harm(content: object, tmp_path: Path) -> None:
    with io.reader(save(tmp_path / "a.root", t=GOOD, metadata=content), LAYOUT) as file:
        assert file.attributes == {}


def test_wide_columns_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="column 'image' is no scalar"):
        io.writer(tmp_path / "a.root", [Field("image", (2, 3))]).__enter__()
    assert list(tmp_path.iterdir()) == []
