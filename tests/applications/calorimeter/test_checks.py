"""Every kind of bad shower file, with the sentence that it gets."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import uproot

from hepflows import io
from hepflows.applications.calorimeter.checks import UnitCheck, unit_factor
from hepflows.applications.calorimeter.data import Showers, iterate_showers, read_showers, write_showers
from hepflows.applications.calorimeter.geometry import CALOGAN, Geometry, GridLayer
from hepflows.errors import DataError, HepflowsError, ShapeError

SUFFIXES = ["hdf5", "root"]
# the checks follow the geometry, and uproot takes long over CaloGAN's 508 branches
SMALL = Geometry("small", (GridLayer((3, 4), (1.0, 1.0)), GridLayer((2, 2), (1.0, 1.0))))


def simulate(n: int = 30) -> Showers:
    rng = np.random.default_rng(0)
    energies = rng.uniform(1, 100, n)
    voxels = rng.exponential(size=(n, 16))
    voxels *= 990 * energies[:, None] / voxels.sum(axis=1, keepdims=True)
    return Showers(energies, voxels, np.zeros((n, 2)), SMALL)


def save(path: Path, showers: Showers, spoil: Callable[[dict[str, Any]], object] | None = None) -> Path:
    """A file in CaloGAN's layout written without hepflows, so that it can hold anything that ``spoil`` makes."""
    if path.suffix == ".root":
        cells = np.concatenate([showers.voxels, showers.overflow], axis=1)
        columns: dict[str, Any] = {f"cell_{index}": cells[:, index] for index in range(cells.shape[1])}
        columns["TotalEnergy"] = showers.energies
    else:
        columns = {f"layer_{index}": showers.layer(index) for index in range(2)}
        columns |= {"energy": showers.energies[:, None], "overflow": showers.overflow}
    columns = {name: np.array(values) for name, values in columns.items()}
    if spoil:
        spoil(columns)
    if path.suffix == ".root":
        with uproot.recreate(path) as file:
            file.mktree("fancy_tree", {name: values.dtype for name, values in columns.items()}).extend(columns)
    else:
        with h5py.File(path, "w") as file:
            for name, values in columns.items():
                file[name] = values
    return path


def message(path: Path, **options: Any) -> str:
    with pytest.raises(DataError) as caught:
        read_showers(path, geometry=SMALL, **options)
    text = str(caught.value)
    assert str(path) in text
    assert "\n" not in text
    return text


def put(name: str, index: tuple[int, ...] | int, value: float) -> Callable[[dict[str, Any]], object]:
    def spoil(columns: dict[str, Any]) -> None:
        columns[name][index] = value

    return spoil


@pytest.mark.parametrize(
    ("suffix", "spoil", "part"),
    [
        ("hdf5", put("layer_1", (17, 1, 0), np.nan), "dataset 'layer_1' holds nan in row 17, cell [1, 0]"),
        ("hdf5", put("layer_0", (3, 0, 0), np.inf), "dataset 'layer_0' holds inf in row 3, cell [0, 0]"),
        ("hdf5", put("layer_1", (0, 1, 1), -2.5), "dataset 'layer_1' holds -2.5 in row 0, cell [1, 1]"),
        ("hdf5", put("overflow", (29, 1), -1.0), "dataset 'overflow' holds -1 in row 29, cell [1]"),
        ("hdf5", put("energy", (4, 0), 0.0), "dataset 'energy' holds 0 in row 4 (counted from 0)"),
        ("hdf5", put("energy", (4, 0), -3.0), "dataset 'energy' holds -3 in row 4 (counted from 0)"),
        ("root", put("cell_7", 12, np.nan), "branch 'cell_7' holds nan in row 12 (counted from 0)"),
        ("root", put("cell_16", 1, -np.inf), "branch 'cell_16' holds -inf in row 1 (counted from 0)"),
        ("root", put("cell_0", 29, -0.5), "branch 'cell_0' holds -0.5 in row 29"),
        ("root", put("TotalEnergy", 8, 0.0), "branch 'TotalEnergy' holds 0 in row 8"),
    ],
)
@pytest.mark.parametrize("chunk", [4, 1000])
def test_bad_numbers_are_named_with_their_row(
    suffix: str, spoil: Callable[[dict[str, Any]], object], part: str, chunk: int, tmp_path: Path
) -> None:
    path = save(tmp_path / f"a.{suffix}", simulate(), spoil)
    with pytest.raises(DataError) as caught:
        list(iterate_showers(path, chunk=chunk, geometry=SMALL))
    text = str(caught.value)
    assert text.startswith(f"{path}: {part}")
    meaning = {"n": "no finite number", "i": "no finite number"}
    value = part.split("holds ")[1]
    energy = "energy" in part.lower()
    default = "an incident energy is positive" if energy else "an energy deposit is not negative"
    assert meaning.get(value.lstrip("-")[0], default) in text
    assert text.endswith("remove these showers or make the file again")


def test_the_first_bad_row_is_the_one_that_is_named(tmp_path: Path) -> None:
    def spoil(columns: dict[str, Any]) -> None:
        columns["layer_0"][[20, 9], 1, 1] = np.nan

    assert "row 9, cell [1, 1]" in message(save(tmp_path / "a.h5", simulate(), spoil))


@pytest.mark.parametrize(
    ("suffix", "spoil", "part"),
    [
        ("hdf5", lambda c: c.pop("layer_1"), "has no dataset 'layer_1' (it holds: energy, layer_0, overflow)"),
        (
            "root",
            lambda c: c.pop("cell_9"),
            "the tree 'fancy_tree' has no branch 'cell_9' (it has 18: TotalEnergy, cell_0,",
        ),
        ("root", lambda c: c.pop("TotalEnergy"), "has no branch 'TotalEnergy'"),
        (
            "hdf5",
            lambda c: c.update(layer_1=c["layer_1"].reshape(-1, 4)),
            "'layer_1' has the shape (30, 4) instead of (n, 2, 2): reshape it",
        ),
        ("hdf5", lambda c: c.update(energy=c["energy"][:29]), "dataset 'layer_0' has 30 rows but 'energy' has 29"),
        (
            "hdf5",
            lambda c: c.update(layer_2=np.ones((30, 3, 96))),
            "has the dataset 'layer_2', which the geometry 'small'",
        ),
        ("root", lambda c: c.update(cell_18=np.ones(30)), "has the branch 'cell_18', which the geometry 'small'"),
        (
            "hdf5",
            lambda c: (c.clear(), c.update(incident_energies=np.ones((3, 1)), showers=np.ones((3, 368)))),
            "has 368 voxels a shower, where the geometry 'small' has 16",
        ),
        ("hdf5", lambda c: c.update(df=np.ones(3)), "is a pandas table"),
        ("hdf5", lambda c: [c.update({k: v[:0]}) for k, v in list(c.items())], "is empty, its datasets have no rows"),
    ],
)
def test_other_layouts_are_named_with_what_to_do(
    suffix: str, spoil: Callable[[dict[str, Any]], object], part: str, tmp_path: Path
) -> None:
    text = message(save(tmp_path / f"a.{suffix}", simulate(), spoil))
    assert part in text
    assert ": " in text.split(part)[1] or text.endswith("reshape it or give a file with this layout")


UNITS = [
    # factor on the energies, on the voxels, and the advice
    (1.0, 1e-3, "say --voxel-unit GeV if the voxels are in GeV"),
    (1.0, 1e3, "say --voxel-unit keV if the voxels are in keV"),
    (1e3, 1.0, "say --energy-unit MeV if the incident energies are in MeV"),
    (1e-3, 1.0, "say --energy-unit TeV if the incident energies are in TeV"),
    (
        1e3,
        1e-3,
        "say --voxel-unit GeV if the voxels are in GeV and say --energy-unit MeV if the incident energies are in MeV",
    ),
]


@pytest.mark.parametrize(("energy", "voxel", "advice"), UNITS)
@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("n", [4, 150])
def test_a_unit_off_by_1000_is_found_and_the_advice_mends_it(
    energy: float, voxel: float, advice: str, suffix: str, n: int, tmp_path: Path
) -> None:
    true = simulate(n)
    path = save(tmp_path / f"a.{suffix}", Showers(true.energies * energy, true.voxels * voxel, true.overflow, SMALL))
    text = message(path)
    assert "a unit looks wrong, since the voxels in MeV sum to" in text
    assert text.endswith(f"times the incident energy in GeV (median of {min(n, 100)} showers): {advice}") or n > 100
    assert text.endswith(f": {advice}")
    words = advice.split()
    options = {words[i][2:].replace("-", "_"): words[i + 1] for i in range(len(words)) if words[i].startswith("--")}
    np.testing.assert_allclose(read_showers(path, geometry=SMALL, **options).voxels, true.voxels, rtol=1e-13)  # type: ignore[arg-type]


def test_when_two_units_explain_it_both_are_named() -> None:
    check = UnitCheck("a.h5", "GeV", "MeV")
    check.add(np.full(20, 1000.0), np.full(20, 990.0))  # 1 GeV in MeV, or 1 TeV with voxels in GeV
    with pytest.raises(DataError, match=r": say --energy-unit MeV if .*, or say --voxel-unit GeV if"):
        check.judge()


def test_leaking_showers_and_single_pions_are_not_suspected() -> None:
    energies = np.full(40, 100.0)
    leaking = UnitCheck("a.h5", "GeV", "MeV")
    leaking.add(energies, 1e5 * np.linspace(0.002, 0.6, 40))
    leaking.judge()
    crossing = UnitCheck("a.h5", "GeV", "MeV")
    crossing.add(energies[:1], np.array([270.0]))
    crossing.judge()


def test_showers_without_any_deposit_are_refused(tmp_path: Path) -> None:
    text = message(save(tmp_path / "a.h5", Showers(np.ones(4), np.zeros((4, 16)), np.zeros((4, 2)), SMALL)))
    assert "all voxels of its first 4 showers are zero: give a file with showers in it" in text


def test_factors_between_units() -> None:
    assert unit_factor("keV", "MeV", "") == 1e-3
    assert unit_factor("MeV", "GeV", "") == 1e-3
    assert unit_factor("TeV", "GeV", "") == 1e3
    assert unit_factor("GeV", "GeV", "") == 1.0


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_truncated_and_empty_files_are_named(suffix: str, tmp_path: Path) -> None:
    path = save(tmp_path / f"a.{suffix}", simulate(200))
    whole = path.read_bytes()
    for keep in (0, 100, len(whole) // 2, len(whole) - 50):
        path.write_bytes(whole[:keep])
        assert "again" in message(path)


# ---- writing: all or nothing


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize(
    ("spoiled", "part"),
    [
        ({"voxels": np.nan}, r"holds nan in row 2500"),
        ({"overflow": -1.0}, r"holds -1 in row 2500"),
        ({"energies": 0.0}, r"holds 0 in row 2500"),
    ],
)
def test_what_no_reader_would_take_is_not_written(
    suffix: str, spoiled: dict[str, float], part: str, tmp_path: Path
) -> None:
    good, bad = simulate(2400), simulate(300)
    for name, value in spoiled.items():
        getattr(bad, name)[100, ...] = value
    with pytest.raises(DataError, match=part):
        write_showers(tmp_path / f"a.{suffix}", iter([good, bad]))
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize(
    "error",
    [KeyboardInterrupt(), RuntimeError("the generator failed"), OSError(errno.ENOSPC, "No space left on device")],
)
def test_an_interrupted_write_keeps_the_old_file(suffix: str, error: BaseException, tmp_path: Path) -> None:
    path = tmp_path / f"a.{suffix}"
    write_showers(path, simulate(3))
    before = path.read_bytes()

    def source() -> Iterator[Showers]:
        yield simulate(2500)
        raise error

    expected = DataError if isinstance(error, OSError) else type(error)
    with pytest.raises(expected) as caught:
        write_showers(path, source())
    if isinstance(error, OSError):
        assert "a." in str(caught.value)
        assert "could not be written because the disk is full: make room or choose another folder" in str(caught.value)
    assert os.listdir(tmp_path) == [path.name]
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("name", "showers", "part"),
    [
        ("a.h5", [], "there are no showers to write"),
        ("a.h5", [simulate()[:0]], "there are no showers to write"),
        ("a.npz", simulate(2), "no known data format: give a file that ends in .hdf5"),
        ("absent/a.root", simulate(2), "does not exist: create it first"),
    ],
)
def test_impossible_writes_leave_nothing(name: str, showers: Any, part: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=part):
        write_showers(tmp_path / name, showers)
    assert os.listdir(tmp_path) == []


def test_geometries_do_not_mix_in_a_file(tmp_path: Path) -> None:
    moved = Showers(np.ones(1), np.ones((1, 504)), np.ones((1, 3)), CALOGAN)
    with pytest.raises(ShapeError, match="'small' and 'CaloGAN', cannot be joined"):
        write_showers(tmp_path / "a.h5", [simulate(1), moved])
    assert os.listdir(tmp_path) == []


def test_user_errors_share_one_base_so_that_the_command_line_ends_with_two() -> None:
    assert issubclass(DataError, HepflowsError)
    assert io.Field("x").required
