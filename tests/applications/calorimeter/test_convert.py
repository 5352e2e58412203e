"""``convert`` and ``describe`` from the command line and in flat memory."""

from __future__ import annotations

import sys
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np
import pytest
import showerdata
import torch
import yaml
from fake_showers import RINGS, assert_same, fake_showers, save_calochallenge

from hepflows import cli
from hepflows.applications.calorimeter import (
    GEOMETRIES,
    Geometry,
    PolarLayer,
    Showers,
    file_commands,
    read_showers,
    write_showers,
)
from hepflows.applications.calorimeter.data import iterate_showers
from hepflows.applications.calorimeter.geometry import write_binning

PHOTONS = GEOMETRIES["calochallenge-1-photons"]


@pytest.fixture(autouse=True)
def single_precision() -> None:
    torch.set_default_dtype(torch.float32)


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    def call(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["hepflows", "calorimeter", *map(str, arguments)])
        code = 0
        try:
            cli.main()
        except SystemExit as stopped:
            code = int(stopped.code or 0)
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call


# ---- convert


def test_from_layout_to_layout(command, tmp_path: Path) -> None:
    showers = fake_showers(PHOTONS, 30, columns=True)
    save_calochallenge(tmp_path / "a.hdf5", showers, overflow=showers.overflow, **showers.columns)
    chain = [("b.root",), ("c.h5", "--layout", "calogan"), ("d.h5", "--layout", "pointcloud"), ("e.hdf5",)]
    previous = "a.hdf5"
    for name, *options in chain:
        assert command("convert", tmp_path / previous, "-o", tmp_path / name, *options)[:2] == (
            0,
            f"30 showers in {tmp_path / name}\n",
        )
        previous = name
    assert_same(read_showers(tmp_path / "c.h5"), showers)
    assert_same(read_showers(tmp_path / "e.hdf5"), showers, ulp=1)


def test_several_inputs_and_a_binning_file(command, tmp_path: Path) -> None:
    showers = fake_showers(RINGS, 30)
    for index in range(3):
        save_calochallenge(tmp_path / f"dataset_{index}.hdf5", showers[10 * index : 10 * index + 10])
    write_binning(tmp_path / "binning.xml", {"electron": RINGS})
    arguments = ["convert", tmp_path / "dataset_*.hdf5", "-o", tmp_path / "all.h5"]
    code, _, error = command(*arguments)
    assert code == 2
    assert "give its cells with --geometry NAME, file.yaml or binning.xml:particle" in error
    assert command(*arguments, "--geometry", f"{tmp_path}/binning.xml:electron")[0] == 0
    assert_same(read_showers(tmp_path / "all.h5"), showers)  # which now says itself what its cells are


def test_other_cells_only_when_asked_for(command, tmp_path: Path) -> None:
    showers = fake_showers(GEOMETRIES["calochallenge-2"], 20, filled=0.05)
    source = save_calochallenge(tmp_path / "a.hdf5", showers)
    code, _, error = command("convert", source, "-o", tmp_path / "b.h5", "--geometry", "calogan")
    assert code == 2
    assert (
        "has 6480 voxels a shower, where the geometry 'CaloGAN' has 504: its cells are those of --geometry calochallenge-2"
        in error
    )
    assert command("convert", source, "-o", tmp_path / "b.root", "--resample", "calogan")[0] == 0
    found = read_showers(tmp_path / "b.root")
    assert found.geometry == GEOMETRIES["calogan"]
    total = found.layer_energies.sum(1) + found.overflow.sum(1)
    np.testing.assert_allclose(total, showers.voxels.sum(1), rtol=1e-9)
    assert found.attributes["resampled"] == "from CaloChallenge 2 to CaloGAN"
    code, _, error = command("convert", source, "-o", tmp_path / "c.h5", "--resample", "calochallenge-1-pions")
    assert code == 2
    assert "add depth_mm" in error or "give it as depth_mm" in error
    assert not (tmp_path / "c.h5").exists()


def test_points_become_cells_only_when_asked_for(command, tmp_path: Path) -> None:
    points = np.array([[[3.0, -200.0, 1.0, 2.0]], [[0.0, 1.0, 0.0, 2.0]]])
    showerdata.Showers(points, [2.1, 2.1], 22).save(tmp_path / "cloud.h5")
    arguments = ["convert", tmp_path / "cloud.h5", "-o", tmp_path / "cells.h5"]
    code, _, error = command(*arguments)
    assert code == 2
    assert "is a point cloud without a description of its cells" in error
    assert "or project its points with --resample" in error
    code, _, error = command(*arguments, "--geometry", "calogan")
    assert code == 2
    assert "is not in the middle of a cell" in error
    assert command(*arguments, "--resample", "calogan")[0] == 0
    found = read_showers(tmp_path / "cells.h5")
    np.testing.assert_allclose(found.layer_energies, [[0, 2000, 0], [2000, 0, 0]])
    assert found.columns["pdg"].tolist() == [22, 22]


def test_what_is_left_out_is_said_once(command, tmp_path: Path) -> None:
    for index in range(2):
        save_calochallenge(tmp_path / f"{index}.hdf5", fake_showers(PHOTONS, 5), eta=np.ones(5), x=np.zeros(5))
    code, _, error = command("convert", tmp_path / "*.hdf5", "-o", tmp_path / "out.h5")
    assert code == 0
    assert error == "warning: 'eta' in the input means nothing to this command and is left out\n"
    assert set(read_showers(tmp_path / "out.h5").columns) == {"x"}


def test_no_file_is_written_over_unasked(command, tmp_path: Path) -> None:
    write_showers(tmp_path / "a.h5", fake_showers(RINGS, 5))
    write_showers(tmp_path / "b.h5", fake_showers(RINGS, 3))
    arguments = ["convert", tmp_path / "a.h5", "-o", tmp_path / "b.h5"]
    assert command(*arguments)[0::2] == (
        2,
        f"error: {tmp_path}/b.h5: is there already; add --overwrite to replace it, or give another name\n",
    )
    assert len(read_showers(tmp_path / "b.h5")) == 3
    assert command(*arguments, "--overwrite")[0] == 0
    assert len(read_showers(tmp_path / "b.h5")) == 5
    code, _, error = command("convert", tmp_path / "a.h5", "-o", tmp_path / "a.h5", "--overwrite")
    assert code == 2
    assert "is one of the files that are read" in error


def test_a_bad_number_in_the_middle_leaves_nothing(command, tmp_path: Path) -> None:
    showers = fake_showers(PHOTONS, 50)
    showers.voxels[40, 7] = np.nan
    save_calochallenge(tmp_path / "a.hdf5", showers)
    code, _, error = command("convert", tmp_path / "a.hdf5", "-o", tmp_path / "b.root")
    assert code == 2
    assert "dataset 'showers' holds nan in row 40, cell [7] (counted from 0)" in error
    assert [path.name for path in tmp_path.iterdir()] == ["a.hdf5"]


# ---- memory


@pytest.mark.parametrize("layout", ["calochallenge", "pointcloud", "calogan"])
@pytest.mark.parametrize("resampled", [False, True])
def test_a_file_larger_than_the_memory_goes_through(
    layout: str, resampled: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Chunks of 64 kB: 6 MB go in and out with a peak of a quarter of it."""
    block, repeats = fake_showers(PHOTONS, 200, filled=0.1), 10
    block = Showers(block.energies, np.round(block.voxels), geometry=PHOTONS)  # quick to compress
    small = save_calochallenge(tmp_path / "small.hdf5", block[:10])
    large = save_calochallenge(tmp_path / "large.hdf5", Showers.concatenate([block] * repeats))
    wider = [
        PolarLayer((0, *layer.r_edges_mm[2:]), layer.n_alpha)
        for layer in PHOTONS.layers
        if isinstance(layer, PolarLayer)
    ]
    (tmp_path / "wider.yaml").write_text(yaml.safe_dump(Geometry("wider", tuple(wider)).describe()))
    monkeypatch.setattr("hepflows.applications.calorimeter.data.CHUNK_BYTES", 2**16)
    target = str(tmp_path / "wider.yaml") if resampled else None

    def convert(source: Path) -> None:
        file_commands.convert([str(source)], tmp_path / "out.h5", layout, resample=target, overwrite=True)

    convert(small)  # modules are imported, and matrices made
    tracemalloc.start()
    try:
        convert(large)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < repeats * block.voxels.nbytes / 4, peak
    assert sum(map(len, iterate_showers(tmp_path / "out.h5"))) == 200 * repeats


def test_large_showers_are_read_in_bounded_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """200 showers of the third set, 65 MB, in the chunks that h5py makes of such, read with a peak of 16 MB."""
    cells = GEOMETRIES["calochallenge-3"]
    with h5py.File(tmp_path / "dataset_3_1.hdf5", "w") as file:
        data = file.create_dataset("showers", (200, cells.n_voxels), "f8", compression="gzip", compression_opts=1)
        incident = file.create_dataset("incident_energies", (200, 1), "f8")
        for start in range(0, 200, 50):
            part = fake_showers(cells, 50, start, filled=0.01)
            data[start : start + 50], incident[start : start + 50] = part.voxels, 1e3 * part.energies[:, None]
    monkeypatch.setattr("hepflows.applications.calorimeter.data.CHUNK_BYTES", 2**22)

    def energies() -> Iterator[float]:
        for part in iterate_showers(tmp_path / "dataset_3_1.hdf5"):
            assert part.voxels.nbytes <= 2**22
            yield part.voxels.sum()

    tracemalloc.start()
    try:
        total = sum(energies())
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 16e6, peak
    wanted = sum(fake_showers(cells, 50, start, filled=0.01).voxels.sum() for start in range(0, 200, 50))
    np.testing.assert_allclose(total, wanted)


# ---- describe


def test_describe_says_what_a_newcomer_asks(command, tmp_path: Path) -> None:
    showers = fake_showers(PHOTONS, 30)
    energies = np.where(np.arange(30) < 10, 0.256, 0.512)
    voxels = showers.voxels * (energies / showers.energies)[:, None]
    save_calochallenge(
        tmp_path / "a.hdf5", Showers(energies, voxels, geometry=PHOTONS), theta=np.full(30, 0.25), other=np.ones(30)
    )
    code, out, _ = command("describe", tmp_path / "a.hdf5", "-n", 20)
    assert code == 0
    rows = dict(line.split(maxsplit=1) for line in out.splitlines() if len(line.split()) > 1)
    assert rows["layout"].strip() == "calochallenge (HDF5)"
    assert "known as calochallenge-1-photons" in rows["geometry"]
    assert "368 in 5 layers: 1 x 8, 10 x 16, 10 x 19, 2 times 1 x 5" in rows["cells"]
    assert rows["showers"].strip() == "30"
    assert "incident energies in MeV, deposits in MeV" in rows["units"]
    assert "the first 20" in out
    assert "0.256 to 0.512 GeV, 2 different ones" in out
    assert "median 0.99" in rows["response"]
    empty = 100 * np.mean(voxels[:20] == 0)
    assert f"{empty:.1f} %" in out
    assert rows["theta"].strip() == "0.25 to 0.25 rad"
    assert "other" in rows["not"]


def test_describe_helps_with_what_is_not_known(command, tmp_path: Path) -> None:
    showerdata.Showers(np.ones((2, 3, 4)), [2.1, 2.1], 22).save(tmp_path / "cloud.h5")
    save_calochallenge(tmp_path / "own.h5", fake_showers(RINGS, 3))
    code, out, _ = command("describe", tmp_path)
    assert code == 0
    text = " ".join(out.split())
    assert "is a point cloud without a description of its cells" in text
    assert "num_points 2" in text
    assert "has 15 voxels a shower, which no known calorimeter has" in text
    assert "showers 3 x 15" in text


# ---- mistakes


def hostile(folder: Path) -> None:
    save_calochallenge(folder / "good.h5", fake_showers(PHOTONS, 5))
    whole = (folder / "good.h5").read_bytes()
    (folder / "cut.h5").write_bytes(whole[: len(whole) // 2])
    entities = "".join(f'<!ENTITY e{i + 1} "{f"&e{i};" * 10}">' for i in range(9))
    (folder / "bomb.xml").write_text(
        f'<?xml version="1.0"?><!DOCTYPE b [<!ENTITY e0 "ha">{entities}]><Bins>&e9;</Bins>'
    )
    with h5py.File(folder / "objects.h5", "w") as file:
        file["incident_energies"] = np.ones((2, 1))
        file.create_dataset("showers", (2, 368), dtype=h5py.vlen_dtype(np.uint8))
    with h5py.File(folder / "strings.h5", "w") as file:
        file["incident_energies"] = np.array([[b"1 GeV"]] * 2)
        file["showers"] = np.ones((2, 368))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["convert", "{tmp}/good.h5", "-o", "{tmp}/a.h5", "--layout", "xml"], "choose one of calogan, calochallenge"),
        (
            ["convert", "{tmp}/good.h5", "-o", "{tmp}/a.root", "--layout", "pointcloud"],
            "give a name that ends in .hdf5",
        ),
        (["convert", "{tmp}/good.h5", "-o", "{tmp}/a.h5", "--geometry", "{tmp}/bomb.xml"], "has no entities"),
        (["convert", "{tmp}/good.h5", "-o", "{tmp}/a.h5", "--resample", "{tmp}/bomb.xml:pion"], "has no entities"),
        (["convert", "{tmp}/good.h5", "-o", "{tmp}/a.h5", "--resample", "hcal"], "there is no geometry 'hcal': choose"),
        (
            ["convert", "{tmp}/good.h5", "-o", "{tmp}/a.h5", "--energy-unit", "J"],
            "--energy-unit (energy_unit) must be one of",
        ),
        (["convert", "{tmp}/good.h5", "-o", "{tmp}/a.h5", "--voxel-unit", "TeV"], "say --voxel-unit MeV"),
        (["convert", "{tmp}/cut.h5", "-o", "{tmp}/a.h5"], "truncated"),
        (["convert", "{tmp}/objects.h5", "-o", "{tmp}/a.h5"], "holds objects (variable-length or pickled data)"),
        (["convert", "{tmp}/strings.h5", "-o", "{tmp}/a.h5"], "has the type |S5 instead of a real number"),
        (["describe", "{tmp}/cut.h5"], "truncated"),
        (["describe", "{tmp}/absent.h5"], "does not exist"),
        (
            ["run", "{tmp}/good.h5", "--out", "{tmp}/run", "--geometry", "calogan"],
            "where the geometry 'CaloGAN' has 504",
        ),
    ],
)
def test_mistakes_cost_one_sentence(arguments: list[str], words: str, command, tmp_path: Path) -> None:
    hostile(tmp_path)
    before = sorted(tmp_path.iterdir())
    code, _, error = command(*(argument.format(tmp=tmp_path) for argument in arguments))
    assert code == 2
    assert words in error
    assert len(error.strip().splitlines()) == 1
    assert sorted(tmp_path.iterdir()) == before, "and nothing is left behind"
