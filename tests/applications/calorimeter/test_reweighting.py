"""Weights bring a wrong sample back to the true one, in quantities that no network was shown as such."""

from __future__ import annotations

import signal
import subprocess
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from command_line import calorimeter
from file_limit import file_limit
from toy_calorimeter import TOY, toy_showers

from hepflows.applications.calorimeter import (
    Geometry,
    GridLayer,
    Showers,
    read_showers,
    reweight,
    unweighted,
    write_showers,
)
from hepflows.applications.calorimeter.evaluation import timing
from hepflows.applications.calorimeter.reweighting import apply_weights, selected, weights_of
from hepflows.errors import DataError
from hepflows.metrics import Reweighter, unweight


@pytest.fixture(autouse=True)
def single_precision() -> None:
    torch.set_default_dtype(torch.float32)


def wrong(n: int, seed: int) -> Showers:
    """True showers, but those with much in the first layer are rarer, in a known way: the true weight is 1 / (1.2 - share)."""
    showers = toy_showers(2 * n, seed)
    share = showers.layer_energies[:, 0] / showers.layer_energies.sum(1)
    kept = np.flatnonzero(np.random.default_rng(seed + 1).random(len(showers)) < 1.2 - share)
    return showers[kept[:n]]


def share(showers: Showers) -> np.ndarray:
    return np.asarray(showers.layer_energies[:, 0] / showers.layer_energies.sum(1))


def test_weights_know_species_apart_and_are_remembered_with_them(tmp_path: Path) -> None:
    """Half of the generated labels are wrong: those showers weigh little, whose voxels are as good as any."""
    species = np.random.default_rng(3).choice([22.0, -11.0], 3000)
    truth, generated = toy_showers(3000, 5), toy_showers(3000, 6)
    mirrored = [np.where((species == 22.0)[:, None], one.voxels[:, ::-1], one.voxels) for one in (truth, generated)]
    swapped = np.arange(3000) % 2 == 0
    truth = replace(truth, voxels=mirrored[0], columns={"pdg": species})
    wrong_labels = np.where(swapped, 11.0 - species, species)
    generated = replace(generated, voxels=mirrored[1], columns={"pdg": wrong_labels})
    weighted, found = reweight(generated, truth, folds=2, seed=2)
    assert weighted.weights[swapped].mean() < 0.2 * weighted.weights[~swapped].mean()
    found.reweighter.save(tmp_path / "weights.safetensors")
    again = Reweighter.load(tmp_path / "weights.safetensors")
    later = apply_weights(generated, again).weights
    assert later[swapped].mean() < 0.2 * later[~swapped].mean()
    with pytest.raises(DataError, match="have no 'pdg'"):
        apply_weights(replace(generated, columns={}), again)


def test_weights_undo_a_known_bias() -> None:
    generated, truth = wrong(3000, 1), toy_showers(3000, 5)
    weighted, found = reweight(generated, truth, folds=3, seed=2)
    exact = 1 / (1.2 - share(generated))
    assert np.corrcoef(weighted.weights, exact)[0, 1] > 0.8
    target = share(truth)
    before, after = (abs(np.average(share(generated), weights=w) - target.mean()) for w in (None, weighted.weights))
    error = np.sqrt(2) * target.std() / np.sqrt(3000)
    assert before > 8 * error
    assert after < 0.2 * before + 2 * error
    assert found.effective_size < len(generated)
    drawn = unweighted(weighted, seed=3, quantile=0.99)
    assert abs(
        np.average(share(drawn), weights=drawn.weights) - target.mean()
    ) < 0.2 * before + 3 * target.std() / np.sqrt(len(drawn))
    with pytest.raises(DataError, match="of geometry toy and CaloGAN"):
        reweight(generated, Showers(np.ones(3), np.ones((3, 504))), seed=1)


def test_from_the_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = partial(calorimeter, monkeypatch, "reweight")
    generated, truth, more, output, learnt = (
        tmp_path / name for name in ("generated.hdf5", "truth.hdf5", "more.hdf5", "weighted.hdf5", "learnt.safetensors")
    )
    for path, showers in ((generated, wrong(300, 1)), (truth, toy_showers(300, 5)), (more, wrong(200, 9))):
        write_showers(path, showers)
    assert run(generated, "-o", output) == 2
    assert "give either a file of true showers or, with --with" in capsys.readouterr().err
    assert run(generated, truth, "-o", output, "--folds", 2, "--keep", learnt) == 0
    weights = read_showers(output).weights
    assert weights.mean() == pytest.approx(1.0)
    assert weights.std() > 0.01
    assert run(generated, truth, "-o", output) == 2
    assert "is there already; add --overwrite" in capsys.readouterr().err
    assert run(more, "--with", learnt, "-o", output, "--overwrite", "--unweight") == 0
    drawn = read_showers(output)
    assert 0 < len(drawn) < 200
    assert (drawn.weights == 1).all()
    assert drawn.voxels.shape[1] == TOY.n_voxels
    assert run(generated, truth, "-o", tmp_path / "b.hdf5", "--keep", learnt) == 2
    assert "learnt.safetensors: is there already" in capsys.readouterr().err
    assert run(more, "--with", learnt, "-o", learnt.with_suffix(".txt")) == 2
    assert not learnt.with_suffix(".txt").exists()


def test_chunks_give_what_the_whole_gives() -> None:
    generated = wrong(500, 1)
    whole, found = reweight(generated, toy_showers(300, 5), folds=2, seed=2)
    chunks = [generated[start : start + 120] for start in range(0, 500, 120)]
    seen: list[int] = []
    weights = weights_of(chunks, found.reweighter, seen.append)
    np.testing.assert_allclose(weights, apply_weights(generated, found.reweighter).weights, rtol=1e-6)
    assert seen == [120, 240, 360, 480, 500]
    drawn, rows = unweighted(whole, seed=3, quantile=0.9), unweight(whole.weights, seed=3, quantile=0.9)
    parts = list(selected(chunks, rows.rows, rows.weights))
    np.testing.assert_array_equal(np.concatenate([part.voxels for part in parts]), drawn.voxels)
    np.testing.assert_array_equal(np.concatenate([part.weights for part in parts]), drawn.weights)
    assert not list(selected(chunks, np.array([], dtype=int), np.array([])))


KILLED = """
import os, signal, sys
from hepflows import cli
from hepflows.applications.calorimeter import reweighting
original = reweighting.selected
def dying(*arguments):
    for part in original(*arguments):
        yield part
        os.kill(os.getpid(), signal.SIGKILL)
reweighting.selected = dying
cli.main()
"""


def test_a_full_disk_or_a_kill_leaves_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = partial(calorimeter, monkeypatch, "reweight")
    generated, output, learnt = (tmp_path / name for name in ("generated.hdf5", "weighted.hdf5", "learnt.safetensors"))
    showers = wrong(1500, 1)
    write_showers(generated, showers)
    reweight(showers, toy_showers(300, 5), folds=2, seed=2)[1].reweighter.save(learnt)
    write_showers(output, showers[:7])
    command = [generated, "--with", learnt, "-o", output, "--overwrite"]
    with file_limit(20_000):
        assert run(*command) == 2
    error = capsys.readouterr().err.strip()
    assert "weighted.hdf5 could not be written because it passes the size allowed for a file" in error
    assert len(error.splitlines()) == 1
    assert len(read_showers(output)) == 7
    words = ["calorimeter", "reweight", *map(str, command)]
    died = subprocess.run([sys.executable, "-c", KILLED, *words], capture_output=True, text=True, check=False)
    assert died.returncode == -signal.SIGKILL, died.stderr
    assert len(read_showers(output)) == 7
    assert run(*command) == 0
    assert len(read_showers(output)) == 1500


def test_timing_on_a_full_disk_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(timing, "time_model", lambda *_, **__: {"batches": [], "milliseconds": [0.125] * 10_000})
    (tmp_path / "timing.json").write_text("old")
    with file_limit(20_000):
        assert calorimeter(monkeypatch, "timing", tmp_path) == 2
    error = capsys.readouterr().err.strip()
    assert "timing.json could not be written because it passes the size allowed for a file" in error
    assert len(error.splitlines()) == 1
    assert (tmp_path / "timing.json").read_text() == "old"


def test_weights_belong_to_their_cells(tmp_path: Path) -> None:
    generated = wrong(300, 1)
    _, found = reweight(generated, toy_showers(300, 5), folds=2, seed=2)
    found.reweighter.save(tmp_path / "w.safetensors")
    again = Reweighter.load(tmp_path / "w.safetensors")
    np.testing.assert_array_equal(
        apply_weights(generated, again).weights, apply_weights(generated, found.reweighter).weights
    )
    wider = Geometry("wider", (GridLayer((2, 3), (11.0, 10.0)), TOY.layers[1]))
    with pytest.raises(DataError, match="learnt in other cells, of 'toy', than 'wider'"):
        apply_weights(replace(generated, geometry=wider), again)
