"""The main job from the command line: files in, files and a verdict out; mistakes cost one sentence."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import torch
from command_line import calorimeter as run

from hepflows.applications.calorimeter import CaloFlow, Showers, load_config, pipeline, read_showers, write_showers

DATA = Path(__file__).parents[3] / "data" / "calorimeter"
TINY = [
    "model.energy_flow.blocks=1", "model.energy_flow.hidden=[8]", "model.energy_flow.training.epochs=2",
    "model.shower_flow.blocks=1", "model.shower_flow.hidden=[8]", "model.shower_flow.training.epochs=3",
    "verdict.repeats=2",
]  # fmt: skip


@pytest.fixture(autouse=True)
def single_precision() -> None:
    torch.set_default_dtype(torch.float32)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two worker files of 200 showers each, as a multi-threaded simulation leaves them."""
    folder = tmp_path_factory.mktemp("showers")
    showers = read_showers(DATA / "eplus.hdf5", n=400)
    write_showers(folder / "plz_work_kthxbai_t0.root", showers[:200])
    write_showers(folder / "plz_work_kthxbai_t1.root", showers[200:])
    return folder


@pytest.fixture(scope="module")
def finished(files: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_default_dtype(torch.float32)
    out = tmp_path_factory.mktemp("runs") / "one"
    pipeline.run(str(files / "*_t*.root"), out, load_config("demo", TINY), seed=1)
    return out


def test_a_run_leaves_everything_a_user_wants(finished: Path) -> None:
    names = {"config.yaml", "model.safetensors", "metrics.json", "history.csv", "report.html", "manifest.json"}
    assert names | {"generated.hdf5", "generated.root"} == {file.name for file in finished.iterdir()}
    metrics = json.loads((finished / "metrics.json").read_text())
    wanted = {"auc", "auc_std", "auc_floor", "n_train", "train_seconds", "ms_per_shower", "separation", "power_auc"}
    assert wanted <= set(metrics)
    assert 0.4 < metrics["auc_floor"] < 0.6 or metrics["auc_floor_std"] > 0.03
    assert len(metrics["aucs"]) == 2
    assert metrics["n_train"] == 400 - round(400 * 0.07) - round(400 * 0.33)
    assert all(0 <= value <= 1 for value in metrics["separation"].values())


def test_the_two_generated_files_hold_the_same_showers_in_the_layout_of_the_input(finished: Path) -> None:
    import uproot

    one, two = read_showers(finished / "generated.hdf5"), read_showers(finished / "generated.root")
    np.testing.assert_array_equal(one.voxels, two.voxels)
    np.testing.assert_array_equal(one.energies, two.energies)
    assert len(one) == 400
    with uproot.open(finished / "generated.root") as file, uproot.open(DATA / "eplus.root") as source:
        assert file["fancy_tree"].typenames() == source["fancy_tree"].typenames()
    assert "synthesised" in one.attributes["data_tables"]
    assert "CaloFlow" in one.attributes["engine"]


def test_the_report_is_one_file_that_needs_nothing_else(finished: Path) -> None:
    class Links(HTMLParser):
        def __init__(self) -> None:
            super().__init__()
            self.links: list[str] = []

        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            self.links += [value or "" for key, value in attrs if key in ("src", "href")]

    text = (finished / "report.html").read_text()
    page = Links()
    page.feed(text)
    assert sum(link.startswith("data:image/") for link in page.links) >= 4
    assert not [link for link in page.links if not link.startswith(("data:", "#"))]
    assert "CaloGAN data, e+: published, not measured here." in text


def test_a_finished_run_is_not_repeated(finished: Path, files: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    before = (finished / "model.safetensors").stat().st_mtime_ns
    arguments = ["run", files / "plz_work_kthxbai_t0.root", files / "plz_work_kthxbai_t1.root", "--out", finished]
    settings = [word for setting in TINY for word in ("--set", setting)]
    assert run(monkeypatch, *arguments, *settings) == 2
    assert "already holds a run; add --resume" in capsys.readouterr().err
    assert run(monkeypatch, *arguments, *settings, "--resume", "--seed", "2") == 2
    assert "started with another seed" in capsys.readouterr().err
    assert run(monkeypatch, *arguments, *settings, "--resume") == 0
    captured = capsys.readouterr().out
    assert "report.html" in captured
    assert "AUC" in captured
    assert (finished / "model.safetensors").stat().st_mtime_ns == before


def test_ctrl_c_then_resume_equals_an_uninterrupted_run(
    finished: Path, files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    from hepflows.training import loop

    original, epochs = loop._Trainer.run_epoch, []

    def interrupted(self, epoch, *arguments) -> None:
        epochs.append(epoch)
        if len(epochs) == 4:  # in the second epoch of the shower flow
            raise KeyboardInterrupt
        original(self, epoch, *arguments)

    arguments = ["run", str(files / "*_t*.root"), "--out", tmp_path / "run"]
    arguments += [word for setting in TINY for word in ("--set", setting)]
    with monkeypatch.context() as patch:
        patch.setattr(loop._Trainer, "run_epoch", interrupted)
        assert run(patch, *arguments) == 130
    assert "--resume" in capsys.readouterr().err
    assert not (tmp_path / "run" / "model.safetensors").exists()
    assert run(monkeypatch, *arguments, "--resume") == 0
    one, two = (read_showers(folder / "generated.hdf5") for folder in (finished, tmp_path / "run"))
    np.testing.assert_array_equal(one.voxels, two.voxels)
    a, b = (json.loads((folder / "metrics.json").read_text()) for folder in (finished, tmp_path / "run"))
    assert a["aucs"] == b["aucs"]
    assert a["separation"] == b["separation"]


def test_sample_and_convert(finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = [tmp_path / "a.root", tmp_path / "b.hdf5"]
    assert (
        run(monkeypatch, "sample", finished, "-n", 30, "--energy", "20:40", "-o", out[0], "-o", out[1], "--seed", 3)
        == 0
    )
    showers = read_showers(out[0])
    assert len(showers) == 30
    assert 20 <= showers.energies.min() <= showers.energies.max() <= 40
    np.testing.assert_array_equal(showers.voxels, read_showers(out[1]).voxels)
    assert run(monkeypatch, "convert", out[0], "-o", tmp_path / "c.h5") == 0
    np.testing.assert_array_equal(showers.voxels, read_showers(tmp_path / "c.h5").voxels)


def test_convert_mends_units(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    import h5py

    showers = read_showers(DATA / "eplus.hdf5", n=50)
    with h5py.File(tmp_path / "gev.hdf5", "w") as file:
        file["energy"], file["overflow"] = showers.energies[:, None], showers.overflow / 1e3
        for i in range(3):
            file[f"layer_{i}"] = showers.layer(i) / 1e3
    assert run(monkeypatch, "convert", tmp_path / "gev.hdf5", "-o", tmp_path / "out.root") == 2
    error = capsys.readouterr().err
    assert "--voxel-unit" in error
    assert not (tmp_path / "out.root").exists()
    assert run(monkeypatch, "convert", tmp_path / "gev.hdf5", "-o", tmp_path / "out.root", "--voxel-unit", "GeV") == 0
    np.testing.assert_allclose(read_showers(tmp_path / "out.root").voxels, showers.voxels, rtol=1e-12)


def test_train_alone(files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = [word for setting in TINY for word in ("--set", setting)]
    assert run(monkeypatch, "train", files, "--out", tmp_path / "model", *settings) == 0
    assert len(CaloFlow.load(tmp_path / "model").sample(3, seed=0)) == 3
    assert not list((tmp_path / "model").glob("checkpoint_*"))


def test_evaluate_writes_metrics_and_protects_a_run(
    finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    showers = read_showers(DATA / "eplus.hdf5", n=600)
    rng = np.random.default_rng(0)
    write_showers(tmp_path / "true.hdf5", showers[:300])
    shuffled = rng.permuted(showers[300:].voxels, axis=1)
    write_showers(tmp_path / "shuffled.hdf5", Showers(showers.energies[300:], shuffled, showers.overflow[300:]))
    pair = [tmp_path / "shuffled.hdf5", tmp_path / "true.hdf5"]
    assert run(monkeypatch, "evaluate", *pair, "--out", tmp_path / "verdict", "--repeats", 2) == 0
    assert json.loads((tmp_path / "verdict" / "metrics.json").read_text())["auc"] > 0.95
    assert (tmp_path / "verdict" / "report.html").stat().st_size > 10_000
    assert run(monkeypatch, "evaluate", *pair, "--out", finished) == 2
    assert "holds a training run" in capsys.readouterr().err
    assert (finished / "model.safetensors").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["run", "nothing.root", "--out", "{tmp}/run"], "nothing.root"),
        (["run", "{data}/README.md", "--out", "{tmp}/run"], "README.md"),
        (
            ["run", "{data}/eplus.root", "--out", "{tmp}/run", "--preset", "fast"],
            "choose one of caloinn, demo, full, icaloflow, paper",
        ),
        (["run", "{data}/eplus.root", "--out", "{tmp}/run", "--set", "split.test=0.929"], "too few"),
        (["run", "{data}/eplus.root", "--out", "{tmp}/run", "--set", "verdict.protocol=best"], "best"),
        (["sample", "{tmp}", "-o", "{tmp}/a.root"], "no such file"),
        (["sample", "{tmp}", "-o", "{tmp}/a.txt"], "a.txt"),
        (["convert", "{data}/eplus.root", "-o", "{tmp}/nowhere/a.hdf5"], "nowhere"),
        (["convert", "{data}/eplus.root", "-o", "{tmp}/a.root", "--voxel-unit", "furlong"], "furlong"),
        (["evaluate", "{data}/eplus.root", "{data}/eplus.root", "--out", "{tmp}/v", "--protocol", "best"], "best"),
    ],
)
def test_mistakes_cost_one_sentence(
    arguments: list[str], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    filled = [argument.format(tmp=tmp_path, data=DATA) for argument in arguments]
    assert run(monkeypatch, *filled) == 2
    error = capsys.readouterr().err.strip()
    assert words in error
    assert len(error.splitlines()) == 1
    assert "Traceback" not in error
    assert not list(tmp_path.iterdir()), "and nothing is left behind"


def test_the_species_of_simulated_files_are_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    """As in the how-to: two files, one model."""
    monkeypatch.chdir(tmp_path)
    for particle, energy in (("eplus", "50:60"), ("gamma", "1:2")):
        options = f"--engine fast --particle {particle} --energy {energy} -n 200 -j 1 -o {particle}.hdf5"
        assert run(monkeypatch, "simulate", *options.split()) == 0
    both = ["eplus.hdf5", "gamma.hdf5", "--out", "em", "--set", "model.conditions=[pdg]"]
    assert run(monkeypatch, "train", *both, *(word for setting in TINY for word in ("--set", setting))) == 0
    assert run(monkeypatch, "sample", "em", "-n", "100", "--condition", "pdg=22", "-o", "photons.hdf5") == 0
    photons = read_showers("photons.hdf5")
    assert (photons.columns["pdg"] == 22).all()
    assert photons.energies.max() < 2.0
    assert photons.attributes["conditions"] == "pdg 22"
    assert photons.attributes["training_particle"] == "eplus (PDG -11) | gamma (PDG 22)"
    assert run(monkeypatch, "convert", "eplus.hdf5", "gamma.hdf5", "-o", "both.hdf5") == 0
    assert read_showers("both.hdf5").attributes["particle"] == "eplus (PDG -11) | gamma (PDG 22)"
    capsys.readouterr()
    assert run(monkeypatch, "train", "both.hdf5", "--out", "no", "--set", "model.conditions=[pdg]") == 2
    assert "conditioned on 'pdg', but there is no such column" in capsys.readouterr().err.replace("\n", " ")
    assert not Path("no").exists()


def test_files_that_are_there_are_kept(finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    model, kept = str(finished / "model.safetensors"), (finished / "model.safetensors").read_bytes()
    monkeypatch.chdir(tmp_path)
    sample = ["sample", str(finished), "-n", "5", "-o", "a.hdf5"]
    assert run(monkeypatch, *sample) == 0
    assert run(monkeypatch, *sample) == 2
    assert "a.hdf5: is there already; add --overwrite" in capsys.readouterr().err
    assert run(monkeypatch, *sample, "--overwrite") == 0
    for arguments, said in (
        (["sample", model, "-o", "b.hdf5", "-o", "b.hdf5"], "is to be written twice"),
        (["sample", model, "-o", "none/b.hdf5"], "does not exist"),
        (["export", model, "-o", model], "ends in .onnx"),
        (["timing", model, "-o", model], "ends in .json"),
        (["reweight", "a.hdf5", "a.hdf5", "-o", "w.hdf5", "--keep", "w.hdf5"], "is to be written twice"),
        (["reweight", "a.hdf5", "--with", model, "-o", "w.hdf5", "--keep", "k.safetensors"], "nothing is learnt"),
        (["reweight", "a.hdf5", "a.hdf5", "-o", "w.hdf5", "--quantile", "0.5"], "is of --unweight"),
    ):
        assert run(monkeypatch, *arguments) == 2
        assert said in " ".join(capsys.readouterr().err.split())
    assert (finished / "model.safetensors").read_bytes() == kept
    assert [path.name for path in tmp_path.iterdir()] == ["a.hdf5"]


def test_a_teacher_is_for_a_student(
    finished: Path, files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    assert (
        run(monkeypatch, "train", str(files), "--out", tmp_path / "a", "--preset", "full", "--teacher", finished) == 2
    )
    assert "is for a student, but the preset full makes a teacher; add --preset student" in " ".join(
        capsys.readouterr().err.split()
    )


def test_more_shards_than_blocks_are_no_failure(
    finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    monkeypatch.chdir(tmp_path)
    codes = [
        run(monkeypatch, "sample", str(finished), "-n", "50", "--shard", f"{i}/3", "-o", f"{i}.hdf5") for i in range(3)
    ]
    assert codes == [0, 0, 0]
    assert [path.name for path in tmp_path.iterdir()] == ["2.hdf5"]
    assert "there are fewer blocks of showers than shards" in " ".join(capsys.readouterr().out.split())
