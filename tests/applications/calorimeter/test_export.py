"""A CaloFlow as an ONNX file makes the showers that it makes itself."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from toy_calorimeter import SMALL, TOY, toy_showers

from hepflows import cli
from hepflows.applications.calorimeter import CaloFlow, Geometry, Showers, load_config
from hepflows.applications.calorimeter.export import ShowerSampler, export_showers
from hepflows.applications.calorimeter.models.noise import shower_noise

KINDS = {
    "coupling": ["model.kind=coupling"],
    "coupling logit": ["model.kind=coupling", "model.preprocess.kind=logit"],
    "coupling joint": ["model.kind=coupling", "model.joint=true"],
    "inductive coupling": ["model.kind=inductive", "model.shower_flow.coupling=true"],
    "teacher of few voxels": [],
}
CONDITIONS = ["model.conditions=[pdg,theta,phi,x]", "model.species=[-11, 22]"]


@pytest.fixture(autouse=True)
def single_precision() -> None:
    torch.set_default_dtype(torch.float32)


def particles(n: int, seed: int) -> Showers:
    showers, rng = toy_showers(n, seed), np.random.default_rng(seed)
    columns = {
        "pdg": rng.choice([22.0, -11.0], n),
        "theta": rng.uniform(0, 0.5, n),
        "phi": rng.uniform(-np.pi, np.pi, n),
        "x": rng.normal(0, 3.0, n),
    }
    # what float32 holds exactly: the file takes no more
    columns = {name: values.astype(np.float32).astype(np.float64) for name, values in columns.items()}
    energies = showers.energies.astype(np.float32).astype(np.float64)
    return Showers(energies, showers.voxels, geometry=TOY, attributes=showers.attributes, columns=columns)


def trained(*settings: str) -> CaloFlow:
    epochs = ["model.energy_flow.training.epochs=2", "model.shower_flow.training.epochs=2"]
    model = CaloFlow(config=load_config("demo", [*SMALL, *epochs, *settings]).model, geometry=TOY, seed=1)
    model.fit(particles(1000, 1), particles(200, 2), seed=1)
    return model


def run(path: Path, inputs: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    voxels, layers = onnxruntime.InferenceSession(path).run(None, inputs)
    return voxels, layers


def check_same_showers(model: CaloFlow, path: Path) -> None:
    """Against `CaloFlow.sample`, given the noise that it draws, in units of the largest voxel of each shower."""
    asked, seed = particles(1000, 5), 7
    columns = {name: asked.columns[name] for name in model.conditions.names}
    _, _, *noise = (
        one.float().to(one.dtype) for one in shower_noise([flow for _, flow, _ in model._stages], 0, 1000, seed)
    )
    expected = model._generate(torch.as_tensor(1e3 * asked.energies), columns, noise, {})
    if model.config.precision == "float32":  # otherwise the noise has just been rounded to what the file takes
        sample = model.sample(asked.energies, seed=seed, columns=columns)
        np.testing.assert_array_equal(sample.voxels, expected.voxels)
    given = {"energy": asked.energies, "noise": torch.cat(noise, 1).numpy(), **columns}
    for rows in (slice(0, 1), slice(1, 8), slice(0, 1000)):
        voxels, layers = run(path, {name: values[rows].astype(np.float32) for name, values in given.items()})
        truth = expected[rows]
        for found, wanted in ((voxels, truth.voxels), (layers, truth.layer_energies)):
            worst = (np.abs(found - wanted) / truth.voxels.max(1, keepdims=True)).max(1)
            if model.config.precision == "float64":  # what comes out is float32
                assert worst.max() < 1e-6
            else:  # rounding times the steepest slopes: a shower in a thousand may be off by more
                assert np.quantile(worst, 0.999) < 1e-5
                assert worst.max() < 5e-5
        np.testing.assert_array_equal(voxels == 0, truth.voxels == 0)


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> tuple[CaloFlow, Path, str]:
    """A model of all conditions, saved and exported by the command; the model, the file and what was printed."""
    torch.set_default_dtype(torch.float32)
    folder = tmp_path_factory.mktemp("export")
    model = trained(*KINDS["coupling"], *CONDITIONS)
    model.save(folder / "model.safetensors")
    with pytest.MonkeyPatch.context() as patch:
        code, printed = command(patch, "export", folder, "-o", folder / "model.onnx")
    assert code == 0
    return model, folder / "model.onnx", printed


def command(patch: pytest.MonkeyPatch, *arguments: object) -> tuple[int, str]:
    from hepflows import console

    patch.setattr(sys, "argv", ["hepflows", "calorimeter", *map(str, arguments)])
    with console.console.capture() as printed, console.errors.capture() as wrong:
        try:
            cli.main()
            code = 0
        except SystemExit as stopped:
            code = int(stopped.code or 0)
    return code, printed.get() + wrong.get()


def test_the_file_makes_the_showers_of_the_model(exported: tuple[CaloFlow, Path, str]) -> None:
    model, path, _ = exported
    check_same_showers(model, path)


@pytest.mark.slow
def test_in_float64_it_agrees_to_the_precision_of_its_outputs(tmp_path: Path) -> None:
    model = trained(*KINDS["coupling"])
    assert export_showers(model, tmp_path / "model.onnx", precision="float64") < 1e-7
    assert model.config.precision == "float32"
    check_same_showers(ShowerSampler(model, "float64").model, tmp_path / "model.onnx")


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_makes_the_showers_of_the_model(kind: str, tmp_path: Path) -> None:
    model = trained("model.precision=float64", *KINDS[kind])
    assert export_showers(model, tmp_path / "model.onnx") < 1e-5
    check_same_showers(model, tmp_path / "model.onnx")


def test_there_are_empty_voxels_and_they_are_zero(exported: tuple[CaloFlow, Path, str]) -> None:
    model, path, _ = exported
    arguments = ShowerSampler(model).example(1000, torch.Generator().manual_seed(2))
    names = ShowerSampler(model).input_names
    voxels, layers = run(path, {name: values.numpy() for name, values in zip(names, arguments, strict=True)})
    assert 0.02 < (voxels == 0).mean() < 0.9
    assert (voxels >= 0).all()
    assert np.isfinite(layers).all()
    assert (layers.sum(1) / arguments[0].numpy() / 1e3 < 1.1).all()


def test_what_no_shower_can_be_made_of_gives_zeros(exported: tuple[CaloFlow, Path, str]) -> None:
    """And does not spoil the other rows: no NaN travels."""
    model, path, _ = exported
    good = ShowerSampler(model).example(8, torch.Generator().manual_seed(3))
    names = ShowerSampler(model).input_names
    inputs = {name: values.numpy().copy() for name, values in zip(names, good, strict=True)}
    before, _ = run(path, inputs)
    inputs["energy"][1], inputs["energy"][2], inputs["energy"][3] = -5.0, np.nan, 0.0
    inputs["noise"][4, 0], inputs["pdg"][5], inputs["theta"][6] = np.inf, 211.0, np.nan
    voxels, layers = run(path, inputs)
    assert (voxels[1:7] == 0).all()
    assert (layers[1:7] == 0).all()
    np.testing.assert_array_equal(voxels[[0, 7]], before[[0, 7]])


def test_the_file_says_what_it_is(exported: tuple[CaloFlow, Path, str]) -> None:
    _, path, printed = exported
    properties = {one.key: one.value for one in onnx.load(path).metadata_props}
    assert Geometry.from_description(json.loads(properties["geometry"])) == TOY
    units = json.loads(properties["units"])
    assert (units["energy"], units["voxels"], units["theta"], units["x"]) == ("GeV", "MeV", "rad", "mm")
    low, high = json.loads(properties["energy_range_gev"])
    assert 1 <= low < 1.5
    assert 99.5 < high <= 100
    assert json.loads(properties["species"]) == [-11, 22]
    assert json.loads(properties["attributes"])["engine"] == "toy"
    assert json.loads(properties["config"])["kind"] == "coupling"
    for line in ("input noise float (batch, 14)", "output voxels float (batch, 12)", "torch agree to", "in C++: "):
        assert line in " ".join(printed.split())


def test_a_model_of_many_steps_is_refused_in_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tiny = ["model.energy_flow.blocks=1", "model.shower_flow.blocks=1", "model.shower_flow.hidden=[8]"]
    CaloFlow(config=load_config("demo", tiny).model).save(tmp_path / "model.safetensors")
    code, printed = command(monkeypatch, "export", tmp_path, "-o", tmp_path / "model.onnx")
    assert code == 2
    assert "504 features takes 504 steps" in printed
    assert "take a coupling flow" in printed
    assert len(printed.strip().splitlines()) == 1
    assert [file.name for file in tmp_path.iterdir()] == ["model.safetensors"]
    code, printed = command(monkeypatch, "export", tmp_path, "-o", tmp_path / "model.onnx", "--precision", "half")
    assert (code, "choose float32 or float64" in printed) == (2, True)
