"""A student learns to be its teacher, and takes from it all that is not Flow II."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from command_line import calorimeter
from toy_calorimeter import SMALL, TOY, toy_showers

from hepflows.applications.calorimeter import CaloFlow, load_config, write_showers
from hepflows.errors import ConfigError
from hepflows.training import Distillation

STUDENT = [
    "model.shower_flow.hidden=[32,32]",
    "model.shower_flow.dropout=0",
    "model.shower_flow.training.accumulate=[]",
]
QUICK = [
    f"model.shower_flow.training.{setting}" for setting in ("learning_rate=2e-3", "schedule=onecycle", "batch_size=100")
]


@pytest.fixture(scope="module")
def teacher() -> CaloFlow:
    torch.set_default_dtype(torch.float32)
    model = CaloFlow(config=load_config("demo", SMALL).model, geometry=TOY, seed=1)
    model.fit(toy_showers(3000), toy_showers(500, 1), seed=1)
    return model


@pytest.fixture(autouse=True)
def single_precision() -> None:
    torch.set_default_dtype(torch.float32)


def student_of(teacher: CaloFlow, *settings: str, preset: str = "student") -> CaloFlow:
    config = load_config(preset, [*STUDENT, *QUICK, *settings]).model
    return CaloFlow("student", config=config, teacher=teacher, seed=2)


def distance(student: CaloFlow, teacher: CaloFlow) -> float:
    """KL divergence of the student's Flow II from the teacher's, in nats."""
    objective = Distillation(student.shower_flow, teacher.shower_flow)
    rng = torch.Generator().manual_seed(3)
    context = 0.3 * torch.randn(2000, 1 + TOY.n_layers, generator=rng, dtype=torch.float32)
    return objective.kl((), context, generator=torch.Generator().manual_seed(4)).item()


@pytest.mark.parametrize("preset", ["student", "paper_student"])
def test_a_student_comes_close_to_its_teacher(preset: str, teacher: CaloFlow, tmp_path: Path) -> None:
    epochs = 5 if preset == "student" else 15
    student = student_of(teacher, f"model.shower_flow.training.epochs={epochs}", preset=preset)
    before = distance(student_of(teacher, preset="paper_student"), teacher)
    histories = student.fit(toy_showers(3000), toy_showers(500, 1), seed=1)
    assert list(histories) == ["shower_flow"]
    assert distance(student, teacher) < 0.1 * before
    truth, imitation = teacher.sample(4000, seed=9), student.sample(4000, seed=9)
    np.testing.assert_array_equal(truth.energies, imitation.energies)
    # Flow I is the teacher's, and so are its random numbers
    np.testing.assert_allclose(truth.layer_energies, imitation.layer_energies, rtol=1e-5, atol=1e-3)
    for part in TOY.slices:
        shares = [
            (one.voxels[:, part] / (one.voxels[:, part].sum(1, keepdims=True) + 1e-9)) for one in (truth, imitation)
        ]
        assert np.abs(shares[0].mean(0) - shares[1].mean(0)).max() < 0.03
        assert np.abs(shares[0].std(0) - shares[1].std(0)).max() < 0.05
    student.save(tmp_path / "model.safetensors")
    again = CaloFlow.load(tmp_path)
    np.testing.assert_array_equal(again.sample(20, seed=1).voxels, student.sample(20, seed=1).voxels)
    with pytest.raises(ConfigError, match="without its teacher and cannot learn"):
        again.fit(toy_showers(100), toy_showers(50, 1))


@pytest.mark.parametrize("preset", ["student", "paper_student"])
def test_a_student_has_the_permutations_of_its_teacher_whatever_its_seed(preset: str, tmp_path: Path) -> None:
    deep = CaloFlow(config=load_config("demo", [*SMALL, "model.shower_flow.blocks=4"]).model, geometry=TOY, seed=1)
    student = student_of(deep, preset=preset)
    Distillation(student.shower_flow, deep.shower_flow)
    student.save(tmp_path / "model.safetensors")
    context = torch.zeros(50, 1 + TOY.n_layers)
    drawn = [
        model.shower_flow.sample((), context, generator=torch.Generator().manual_seed(0))
        for model in (student, CaloFlow.load(tmp_path))
    ]
    assert torch.equal(*drawn)


def test_a_teacher_can_learn_on() -> None:
    """And a student learns from what its teacher was."""
    short = [*SMALL, "model.shower_flow.training.epochs=1", "model.energy_flow.training.epochs=1"]
    teacher = CaloFlow(config=load_config("demo", short).model, geometry=TOY, seed=1)
    teacher.fit(toy_showers(200), toy_showers(100, 1), seed=1)
    one, other = (student_of(teacher, "model.shower_flow.training.epochs=1") for _ in range(2))
    one.fit(toy_showers(200), toy_showers(100, 1), seed=1)
    before = [parameter.detach().clone() for parameter in teacher.shower_flow.parameters()]
    teacher.fit(toy_showers(200), toy_showers(100, 1), seed=2)
    after = teacher.shower_flow.parameters()
    assert not all(torch.equal(a, b) for a, b in zip(before, after, strict=True))
    other.fit(toy_showers(200), toy_showers(100, 1), seed=1)
    for (name, a), b in zip(one.state_dict().items(), other.state_dict().values(), strict=True):
        assert torch.equal(a, b), name


def test_what_is_not_a_student_or_not_a_teacher(teacher: CaloFlow) -> None:
    with pytest.raises(ConfigError, match="a student needs its teacher"):
        CaloFlow("student")
    with pytest.raises(ConfigError, match="got the kinds teacher and teacher"):
        CaloFlow(config=teacher.config, teacher=teacher)
    with pytest.raises(ConfigError, match="a student takes orient from its teacher: leave it out"):
        load_config("student", ["model.orient=true"])


def test_from_the_command_line(
    teacher: CaloFlow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    teacher.save(tmp_path / "model.safetensors")
    write_showers(tmp_path / "toy.hdf5", toy_showers(400))
    settings = [
        word for setting in (*STUDENT, *QUICK, "model.shower_flow.training.epochs=2") for word in ("--set", setting)
    ]
    command = ["train", tmp_path / "toy.hdf5", "--preset", "student", *settings]
    assert calorimeter(monkeypatch, *command, "--out", tmp_path / "none") == 2
    assert (
        "a student needs a teacher; train a model of kind teacher, and give its folder with --teacher"
        in capsys.readouterr().err
    )
    assert not (tmp_path / "none" / "manifest.json").exists()
    assert calorimeter(monkeypatch, *command, "--out", tmp_path / "student", "--teacher", tmp_path) == 0
    assert CaloFlow.load(tmp_path / "student").config.kind == "student"
    capsys.readouterr()
    narrow = [*command, "--set", "model.shower_flow.hidden=[8,8]", "--teacher", tmp_path]
    assert calorimeter(monkeypatch, *narrow, "--out", tmp_path / "narrow") == 2
    assert "cannot begin one of [8, 8]: give as many layers and none narrower" in capsys.readouterr().err
    assert not (tmp_path / "narrow").exists()


def test_a_student_of_two_particles_finds_them_where_its_teacher_did(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Simulated files have no column pdg, but an attribute; the conditions are the teacher's, not in the student's settings."""
    monkeypatch.chdir(tmp_path)
    for seed, particle in enumerate(("eplus (PDG -11)", "gamma (PDG 22)")):
        write_showers(f"{seed}.hdf5", toy_showers(200, seed), attributes={"particle": particle})
    shorter = ["model.shower_flow.training.epochs=1", "model.energy_flow.training.epochs=1", "model.conditions=[pdg]"]
    settings = [word for setting in (*SMALL, *shorter) for word in ("--set", setting)]
    assert calorimeter(monkeypatch, "train", "0.hdf5", "1.hdf5", "--out", "teacher", *settings) == 0
    student = ["--preset", "student", "--teacher", "teacher", "--set", "model.shower_flow.training.epochs=1"]
    assert calorimeter(monkeypatch, "train", "0.hdf5", "1.hdf5", "--out", "student", *student) == 0
    config = CaloFlow.load("student").config
    assert (config.kind, config.conditions, config.species) == ("student", ["pdg"], [-11, 22])
    write_showers("both.hdf5", toy_showers(200))
    capsys.readouterr()
    assert calorimeter(monkeypatch, "train", "both.hdf5", "--out", "none", *student) == 2
    assert "conditioned on 'pdg', but there is no such column" in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "none").exists()
