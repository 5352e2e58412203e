"""Several samples in one folder, published context, mistakes, times."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from command_line import calorimeter as command
from fake_showers import RINGS, fake_showers
from toy_calorimeter import TOY, toy_showers

from hepflows.applications.calorimeter import report, write_showers
from hepflows.applications.calorimeter.evaluation import timing
from hepflows.applications.calorimeter.evaluation.folder import evaluate_files
from hepflows.applications.calorimeter.evaluation.samples import named_paths
from hepflows.errors import ConfigError
from hepflows.metrics import PROTOCOLS

ROOT = Path(__file__).parents[3]
QUICK = replace(PROTOCOLS["standardised"], name="quick", hidden=(32, 32), epochs=8, batch_size=64)
PRDC = ("precision", "recall", "density", "coverage")


def test_names_of_samples(tmp_path: Path) -> None:
    folder = tmp_path / "runs" / "maf"
    folder.mkdir(parents=True)
    (folder / "generated.hdf5").touch()
    file = str(folder / "generated.hdf5")
    odd = tmp_path / "a=b.hdf5"
    odd.touch()
    assert named_paths([str(folder)]) == {"generated": file}
    assert named_paths([str(folder), "x/test.root", f"my flow={folder}"]) == {
        "maf": file, "test": "x/test.root", "my flow": file,
    }  # fmt: skip
    assert named_paths([str(odd), "c.hdf5"]) == {"a=b": str(odd), "c": "c.hdf5"}
    with pytest.raises(ConfigError, match="two samples are called 'c'"):
        named_paths(["c.hdf5", "d/c.hdf5"])
    with pytest.raises(ConfigError, match="nothing to judge: give one or several samples"):
        named_paths([])
    assert len(named_paths([f"{number}.hdf5" for number in range(20)])) == 20


@pytest.fixture
def without_plots(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report, "_write_images", lambda *anything: None)
    monkeypatch.setattr(report, "_write_distributions", lambda *anything: None)


@pytest.mark.usefixtures("without_plots")
def test_several_samples_in_one_folder(tmp_path: Path) -> None:
    for number, name in enumerate(("one", "two", "truth")):
        write_showers(tmp_path / f"{name}.hdf5", fake_showers(RINGS, 120, seed=number))
    samples = [str(tmp_path / "one.hdf5"), f"<b>second</b>={tmp_path / 'two.hdf5'}"]
    out = tmp_path / "out"
    options: dict[str, Any] = {"protocols": [QUICK], "repeats": 2}
    evaluate_files(samples, str(tmp_path / "truth.hdf5"), out, **options)
    assert sorted(file.name for file in out.iterdir()) == [
        "config.yaml",
        "manifest.json",
        "metrics.json",
        "report.html",
    ]
    metrics = json.loads((out / "metrics.json").read_text())
    assert metrics["reference"] == "reference"
    assert list(metrics["samples"]) == ["one", "<b>second</b>"]
    assert len({one["auc_floor"] for one in metrics["samples"].values()}) == 1
    page = (out / "report.html").read_text()
    assert "<h1>one, &lt;b&gt;second&lt;/b&gt; against truth.hdf5</h1>" in page
    assert "&lt;b&gt;second&lt;/b&gt;: " in page
    assert "<b>second" not in page
    assert "KPD × 10³" not in page  # too few showers
    assert "kpd not measured" in page
    assert "one half of reference against the other" in page
    assert "one, &lt;b&gt;second&lt;/b&gt;: 120 showers against 120 of reference; classifiers train, " in page
    assert "score with 72 + 24 + 24 a class" in page
    identity = json.loads((out / "manifest.json").read_text())["identity"]
    assert identity["config"]["geometry"] == RINGS.name
    assert identity["config"]["device"] == "cpu"
    assert [(one.get("sample"), one.get("reference"), one["name"]) for one in identity["data"]] == [
        ("one", None, "one.hdf5"),
        ("<b>second</b>", None, "two.hdf5"),
        (None, "reference", "truth.hdf5"),
    ]
    # one alone, into the same folder: an evaluation may be replaced, and its numbers do not depend on company
    evaluate_files(samples[:1], str(tmp_path / "truth.hdf5"), out, **options)
    alone = json.loads((out / "metrics.json").read_text())
    assert alone == metrics["samples"]["one"]


@pytest.mark.usefixtures("without_plots")
def test_samples_of_other_sizes_have_curves_of_their_own_floors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: dict[str, Any] = {}
    monkeypatch.setattr(report, "_write_curves", lambda _, curves, *rest: drawn.update(curves))
    for name, n in (("one", 120), ("two", 120), ("few", 60), ("truth", 240)):
        write_showers(tmp_path / f"{name}.hdf5", fake_showers(RINGS, n, seed=len(name) + n))
    samples = [str(tmp_path / f"{name}.hdf5") for name in ("one", "two", "few")]
    found = evaluate_files(samples, str(tmp_path / "truth.hdf5"), tmp_path / "out", protocols=[QUICK], repeats=2)
    assert list(drawn) == ["one", "floor of one", "two", "few", "floor of few"]
    assert found.metrics["few"]["auc_floor"] != found.metrics["one"]["auc_floor"] == found.metrics["two"]["auc_floor"]
    assert [notice.title for notice in found.notices] == ["Small sample."]
    assert found.reference == "reference"


@pytest.mark.usefixtures("without_plots")
def test_every_key_is_documented(tmp_path: Path) -> None:
    write_showers(tmp_path / "a.hdf5", fake_showers(RINGS, 110, seed=1))
    write_showers(tmp_path / "b.hdf5", fake_showers(RINGS, 110, seed=2))
    evaluate_files([str(tmp_path / "a.hdf5")], str(tmp_path / "b.hdf5"), tmp_path / "out", protocols=[QUICK], repeats=2)
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
    section = (ROOT / "docs" / "conventions.md").read_text(encoding="utf-8").split("(metrics-json)=")[1]
    rows = re.findall(r"^\| (`.*?) \|", section, re.MULTILINE)
    documented = {key for row in rows for key in re.findall(r"`(\w+)`", row)}
    assert set(metrics) <= documented, set(metrics) - documented


@pytest.fixture
def wrong(tmp_path: Path) -> Path:
    write_showers(tmp_path / "toy.hdf5", toy_showers(300))
    write_showers(tmp_path / "rings.hdf5", fake_showers(RINGS, 300))
    write_showers(tmp_path / "few.hdf5", toy_showers(20))
    signed = replace(toy_showers(300, seed=2), columns={"weight": np.r_[-1.0, np.ones(299)]})
    write_showers(tmp_path / "signed.hdf5", signed)
    with h5py.File(tmp_path / "empty.hdf5", "w") as file:
        file["energy"] = np.ones((5, 1))
    (tmp_path / "training").mkdir()
    manifest = {"identity": {"config": {"model": {}}}}
    (tmp_path / "training" / "manifest.json").write_text(json.dumps(manifest))
    assert TOY.n_layers == 2
    return tmp_path


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["toy.hdf5", "rings.hdf5"], "different geometries"),
        (["few.hdf5", "toy.hdf5"], "has 20 showers, but the suite 'standard' needs 50"),
        (["toy.hdf5", "toy.hdf5", "-n", "150"], "those in both samples are dealt out"),
        (["empty.hdf5", "toy.hdf5"], "empty.hdf5"),
        (["missing.hdf5", "toy.hdf5"], "missing.hdf5"),
        (["signed.hdf5", "toy.hdf5"], "negative weights"),
        (["toy.hdf5", "few.hdf5", "--suite", "best"], "choose one of quick, standard, full"),
        (["toy.hdf5", "few.hdf5", "--protocol", "best"], "'best'"),
        (["toy.hdf5", "few.hdf5", "--device", "abacus"], "--device abacus"),
        (["a=toy.hdf5", "a=few.hdf5", "toy.hdf5"], "two samples are called 'a'"),
    ],
)
def test_mistakes_cost_one_sentence_and_no_folder(
    arguments: list[str], words: str, wrong: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(wrong)
    assert command(monkeypatch, "evaluate", *arguments, "--out", "out") == 2
    error = capsys.readouterr().err.strip()
    assert words in error
    assert len(error.splitlines()) == 1
    assert not (wrong / "out").exists()


def test_a_training_that_has_no_model_yet_is_not_replaced(
    wrong: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(wrong)
    assert command(monkeypatch, "evaluate", "toy.hdf5", "toy.hdf5", "--out", "training") == 2
    assert "holds a training run" in capsys.readouterr().err
    assert [file.name for file in (wrong / "training").iterdir()] == ["manifest.json"]


def test_times_are_medians_of_a_warm_generator(monkeypatch: pytest.MonkeyPatch) -> None:
    """By a clock that only the generator moves: the first call of each size takes ten times as long, one later call is disturbed."""
    now, calls = 0.0, []

    def sample(n: int) -> None:
        nonlocal now
        first = n not in calls
        calls.append(n)
        now += (0.1 if first else 0.01) + 0.002 * n + (5.0 if calls.count(n) == 3 else 0.0)

    monkeypatch.setattr(timing.time, "perf_counter", lambda: now)
    one, many = timing.time_batches(sample, [1, 100], repeats=5)
    assert one["ms_per_shower"] == pytest.approx(12.0)
    assert many["ms_per_shower"] == pytest.approx(2.1)
    assert (one["repeats"], len(many["milliseconds"])) == (5, 5)
    # what takes long is given up on after three
    (slow,) = timing.time_batches(sample, [100_000], repeats=7, seconds=60.0)
    assert slow["repeats"] == 3
    assert slow["ms_per_shower"] == pytest.approx(2.0001)
    with pytest.raises(ConfigError, match="3 or more repeats"):
        timing.time_batches(sample, [0])


def test_an_evaluation_that_does_not_end_leaves_the_former_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, seed in (("a", 1), ("b", 2)):
        write_showers(tmp_path / f"{name}.hdf5", toy_showers(200, seed))
    ask = [str(tmp_path / "a.hdf5")], str(tmp_path / "b.hdf5"), tmp_path / "out"
    evaluate_files(*ask, suite="quick")
    before = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    monkeypatch.setattr("hepflows.applications.calorimeter.evaluation.folder.measure", _interrupted)
    with pytest.raises(KeyboardInterrupt):
        evaluate_files(*ask, suite="quick", seed=5)
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == before


def _interrupted(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


def test_a_run_without_showers_says_how_to_make_some(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").touch()
    with pytest.raises(ConfigError, match=r"is a run without showers; generate some: hepflows calorimeter sample"):
        named_paths([str(tmp_path)])
