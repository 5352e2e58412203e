"""The sample of a run: in memory or on disk the same, and divided without overlap."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from toy_calorimeter import SMALL, TOY, toy_showers

from hepflows.applications.calorimeter import CaloFlow, Showers, load_config, read_showers
from hepflows.applications.calorimeter.config import SplitConfig
from hepflows.applications.calorimeter.sample import Split, gathered
from hepflows.errors import DataError


def parts(showers: Showers, size: int = 70) -> list[Showers]:
    return [showers[start : start + size] for start in range(0, len(showers), size)]


def test_on_disk_and_in_memory_train_the_same_model(tmp_path: Path) -> None:
    config = load_config("demo", [*SMALL, "model.shower_flow.training.epochs=2", "model.energy_flow.training.epochs=2"])
    showers, states = toy_showers(400), []
    for memory_gb in (1.0, 0.0):
        sample = gathered(parts(showers), folder=tmp_path, memory_gb=memory_gb)
        assert isinstance(sample.voxels.base, np.memmap) == (memory_gb == 0.0)
        np.testing.assert_array_equal(sample.energies, showers.energies)
        np.testing.assert_array_equal(sample.voxels, showers.voxels.astype(np.float32))
        split = Split.of(len(sample), config.split, seed=1)
        model = CaloFlow(config=config.model, geometry=TOY, seed=1)
        model.fit(sample, sample, rows=split.training, validation_rows=split.validation, seed=1)
        states.append(model.state_dict())
    for name, value in states[0].items():
        assert torch.equal(value, states[1][name]), name


def test_the_split_uses_every_shower_once_and_follows_the_seed() -> None:
    shares = SplitConfig(validation=0.1, test=0.3)
    one, again, other = (Split.of(1000, shares, seed) for seed in (1, 1, 2))
    together = np.concatenate([one.training, one.validation, one.test])
    assert sorted(together) == list(range(1000))
    assert [len(one.training), len(one.validation), len(one.test)] == [600, 100, 300]
    np.testing.assert_array_equal(one.test, again.test)
    assert not np.array_equal(one.test, other.test)
    with pytest.raises(DataError, match="50 showers are too few: the split gives 30 for training, 5 for validation"):
        Split.of(50, shares, 1)


def test_no_showers_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no showers"):
        gathered([], folder=tmp_path, memory_gb=1.0)


@pytest.mark.slow
def test_sampling_takes_the_same_memory_for_any_number_of_showers(tmp_path: Path) -> None:
    torch.set_default_dtype(torch.float32)
    model = CaloFlow(
        config=load_config("demo", [*SMALL, "model.shower_flow.training.epochs=1"]).model, geometry=TOY, seed=1
    )
    model.fit(toy_showers(300), toy_showers(100, 1), seed=1)
    model.save(tmp_path / "model.safetensors")

    def peak_mb(n: int) -> float:
        code = (
            "import contextlib, resource, sys; from hepflows import cli;"
            f"sys.argv = 'hepflows calorimeter sample {tmp_path} -n {n} --energy 1:100 -o {tmp_path}/{n}.hdf5'.split()\n"
            "with contextlib.suppress(SystemExit): cli.main()\n"
            "print('peak', resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)"
        )
        said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
        return float(said.split("peak")[1])

    few, many = peak_mb(20_000), peak_mb(400_000)
    assert many < few + 30
    assert len(read_showers(tmp_path / "400000.hdf5")) == 400_000
