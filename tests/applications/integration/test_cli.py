"""Integration from the command line: a function in, a number with its error, events and a report out; mistakes cost one sentence."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path

import h5py
import numpy as np
import pytest
from command_line import help_without_torch
from command_line import integration as run
from file_limit import file_limit

FUNCTIONS = """
import math
import numpy as np

def gauss(x):
    return np.exp(-(x**2).sum(1))

def shell(x):  # x0 over the line, x1 from -1 to 1, x2 one of 0, 1, 2
    return np.exp(-x[:, 0] ** 2) * (1 + x[:, 1]) * (1 + x[:, 2])

def picky(x):
    if (x[:, 0] > 0.995).any():
        raise ValueError("beyond 0.995")
    return x[:, 0]

def holes(x):
    return np.where(x[:, 0] > 0.5, 1.0, np.nan)

def nothing(x):
    return 0 * x[:, 0]

def short(x):
    return np.ones(3)

def words(x):
    return "one"

def signed(x):
    return np.sin(2 * math.pi * x[:, 0]) + 0.5
"""
STOPPING = """
from pathlib import Path

def stopping(x):
    with open("calls", "a") as file:
        file.write(".")
    if Path("stop").exists() and len(Path("calls").read_text()) > 6:
        raise KeyboardInterrupt
    return gauss(x)
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a module of the user, named after it: Python keeps modules by name."""
    monkeypatch.chdir(tmp_path)
    module = "user_" + re.sub(r"\W", "_", tmp_path.name)
    (tmp_path / f"{module}.py").write_text(FUNCTIONS)
    return tmp_path / module


def said(capsys: pytest.CaptureFixture[str]) -> str:
    """What was printed, without how far the work had come."""
    lines = capsys.readouterr().out.splitlines(keepends=True)
    return "".join(line for line in lines if not line.startswith(("integrate:", "classifier:")))


def result(folder: Path) -> dict:
    return json.loads((folder / "result.json").read_text())


def test_the_command_of_the_documentation(here: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    assert (
        run(monkeypatch, "run", f"{here.name}:gauss", "--bounds", "0,1", "0,1", "--neval", "1e4", "--out", "runs/f")
        == 0
    )
    text = said(capsys).splitlines()
    assert re.match(r"0\.5577\d*\(\d+\) \[method=", text[0])
    assert text[1].split() == ["round", "points", "estimate"]
    folder = here.parent / "runs" / "f"
    names = {"result.json", "manifest.json", "config.yaml", "events.hdf5", "report.html"}
    assert names == {file.name for file in folder.iterdir()}
    found = result(folder)
    assert abs(found["mean"] - (math.sqrt(math.pi) / 2 * math.erf(1)) ** 2) < 5 * found["sdev"]
    assert 0 < found["neval"] <= 10_000
    with h5py.File(folder / "events.hdf5") as file:
        assert file["x"].shape == (10_000, 2)
        assert file.attrs["integral"] == text[0].split()[0]
        x, weight = file["x"][:], file["weight"][:]
    one = np.average(x[:, 0], weights=weight)
    truth = (1 - math.exp(-1)) / (math.sqrt(math.pi) * math.erf(1))
    assert abs(one - truth) < 5 * x[:, 0].std() / math.sqrt(len(x))


def test_infinite_negative_and_discrete_bounds(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bounds = ["--bounds", "-inf,inf", "-1,1", "3"]
    arguments = [*bounds, f"{here.name}:shell", "--neval", "2e4", "--out", "out", "--events", 500, "--format", "root"]
    assert run(monkeypatch, "run", *arguments) == 0
    found = result(Path("out"))
    assert abs(found["mean"] - math.sqrt(math.pi) * 2 * 6) < 5 * found["sdev"]
    import uproot

    with uproot.open("out/events.root") as file:
        events = file["events"].arrays(library="np")
    assert set(events) == {"x_0", "x_1", "x_2", "weight"}
    assert set(events["x_2"]) == {0.0, 1.0, 2.0}
    assert -1 <= events["x_1"].min() < events["x_1"].max() <= 1


def test_signed_functions_give_signed_events(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run(monkeypatch, "run", f"{here.name}:signed", "--bounds", "0,1", "--neval", "1e4", "--out", "out") == 0
    with h5py.File("out/events.hdf5") as file:
        x, weight = file["x"][:, 0], file["weight"][:]
    assert set(np.sign(weight)) == {-1.0, 1.0}
    assert ((np.sin(2 * math.pi * x) + 0.5 < 0) == (weight < 0)).all()


def test_values_that_are_no_numbers_are_counted(here: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    assert run(monkeypatch, "run", f"{here.name}:holes", "--bounds", "0,1", "--neval", "1e4", "--out", "out") == 0
    assert re.search(r"not finite at \d+ of \d+ points, counted as zero, the first at x = \(0\.", said(capsys))
    found = result(Path("out"))
    assert abs(found["mean"] - 0.5) < 5 * found["sdev"] + 1e-3


def test_what_is_not_reliable_says_so(here: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    assert run(monkeypatch, "run", f"{here.name}:nothing", "--bounds", "0,1", "--neval", "2e3", "--out", "zero") == 0
    text = said(capsys)
    assert "NOT RELIABLE" in text.splitlines()[0]
    assert "the integrand was zero at every point" in text
    assert "no events" in text
    assert "NOT RELIABLE" in (here.parent / "zero" / "report.html").read_text()
    assert run(monkeypatch, "run", "--builtin", "camel16", "--neval", "2e3", "--events", 0, "--out", "camel") == 0
    assert "NOT RELIABLE" in said(capsys)
    assert not list(Path("camel").glob("events*"))
    assert (
        run(monkeypatch, "run", "--builtin", "vector_pair_flat", "--neval", "1e5", "--method", "vegas", "--out", "pair")
        == 0
    )
    text = said(capsys)
    assert "NOT RELIABLE" in text
    assert re.search(r"no events: only \d+ events were kept of \d+ points", text)


def test_a_run_is_kept_resumed_or_replaced(here: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    arguments = ["run", f"{here.name}:gauss", "--bounds", "0,1", "--neval", "2e3", "--events", 10, "--out", "out"]
    assert run(monkeypatch, *arguments) == 0
    first = said(capsys)
    before = {file: file.stat().st_mtime_ns for file in Path("out").iterdir()}
    assert run(monkeypatch, *arguments) == 2
    assert "already holds a run; add --resume" in capsys.readouterr().err
    assert run(monkeypatch, *arguments, "--resume", "--seed", 2) == 2
    assert "started with another seed" in capsys.readouterr().err
    assert run(monkeypatch, *arguments, "--resume") == 0
    assert said(capsys) == first
    assert before == {file: file.stat().st_mtime_ns for file in Path("out").iterdir()}
    numbers = result(Path("out"))["rounds"]
    Path("out/report.html").unlink()  # as if it had been interrupted
    assert run(monkeypatch, *arguments, "--resume") == 0
    assert result(Path("out"))["rounds"] == numbers
    (here.parent / f"{here.name}.py").write_text(FUNCTIONS + "\n")
    assert run(monkeypatch, *arguments, "--resume") == 2
    assert "started with another function" in capsys.readouterr().err
    assert run(monkeypatch, *arguments, "--overwrite", "--format", "root") == 0
    assert not Path("out/events.hdf5").exists()


def test_ctrl_c_leaves_a_run_to_go_on_with(here: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    """The values that were computed are not computed again, and the outcome is that of a run that nobody stopped."""
    module = here.parent / f"{here.name}.py"
    module.write_text(FUNCTIONS + STOPPING)
    arguments = ["run", f"{here.name}:stopping", "--bounds", "0,1", "--neval", "5e3", "--events", 100]
    assert run(monkeypatch, *arguments, "--out", "whole") == 0
    calls = len(Path("calls").read_text())
    Path("calls").unlink()
    Path("stop").touch()
    assert run(monkeypatch, *arguments, "--out", "out") == 130
    assert "--resume" in capsys.readouterr().err
    assert {file.name for file in Path("out").iterdir()} == {"manifest.json", "config.yaml", "journal.bin"}
    Path("stop").unlink()
    Path("calls").unlink()
    assert run(monkeypatch, *arguments, "--out", "out", "--resume") == 0
    assert len(Path("calls").read_text()) < calls - 3
    assert result(Path("out"))["rounds"] == result(Path("whole"))["rounds"]
    assert not Path("out/journal.bin").exists()


def test_a_function_that_raises_while_events_are_drawn_leaves_the_number(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    from hepflows.applications.integration import FlowIntegrator
    from hepflows.errors import IntegrandError

    def raising(*_: object, **__: object) -> None:
        message = "the integrand raised ValueError at x = (0.5): late"
        raise IntegrandError(message)

    monkeypatch.setattr(FlowIntegrator, "sample", raising)
    assert run(monkeypatch, "run", f"{here.name}:gauss", "--bounds", "0,1", "--neval", "2e3", "--out", "out") == 2
    assert "late" in capsys.readouterr().err
    assert result(Path("out"))["mean"] == pytest.approx(math.sqrt(math.pi) / 2 * math.erf(1), rel=1e-3)


@pytest.mark.parametrize(("size", "left"), [(8_000, False), (40_000, True)])  # of the journal, of the events
def test_a_full_disk_costs_one_sentence(
    size: int, left: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    arguments = ["--builtin", "camel4", "--neval", "2e3", "--events", 5000, "--out", tmp_path / "run"]
    with file_limit(size):
        assert run(monkeypatch, "run", *arguments) == 2
    error = capsys.readouterr().err.strip()
    assert "passes the size allowed for a file" in error
    assert len(error.splitlines()) == 1
    assert (tmp_path / "run" / "result.json").exists() == left
    assert not (tmp_path / "run" / "events.hdf5").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["no_such_module:f", "--bounds", "0,1"], "No module named 'no_such_module'"),
        (["{module}:g", "--bounds", "0,1"], "has no attribute 'g'"),
        (["{module}", "--bounds", "0,1"], "name the integrand as module:function"),
        (["broken:f", "--bounds", "0,1"], "importing broken raised NameError"),
        (["{module}:picky", "--bounds", "0,1"], "raised ValueError at x = (0.99"),
        (["{module}:short", "--bounds", "0,1", "--style", "numpy"], "returned the shape (3,) for 6 points"),
        (["{module}:words", "--bounds", "0,1"], "instead of numbers"),
        (["{module}:gauss"], "give the --bounds"),
        (["{module}:gauss", "--bounds", "1,0"], "a lower bound must lie below the upper one, got 1 and 0"),
        (["{module}:gauss", "--bounds", "0,1", "0;1"], "--bounds 0;1: write low,high"),
        (["{module}:gauss", "--bounds", "0,1,2"], "--bounds 0,1,2: write low,high"),
        (["{module}:gauss", "--bounds", "0"], "a discrete coordinate needs at least one value, got 0"),
        (["{module}:gauss", "--bounds", "0,1", "--neval", "100"], "at least 2000 evaluations"),
        (["{module}:gauss", "--bounds", "0,1", "--neval", "nan"], "at least 2000 evaluations"),
        (["{module}:gauss", "--bounds", "0,1", "--rtol", "0"], "must be positive"),
        (["{module}:gauss", "--bounds", "0,1", "--format", "lhe"], "is no process with momenta"),
        (["{module}:gauss", "--bounds", "0,1", "--verdict"], "--verdict compares"),
        (["--builtin", "camel3"], "choose one of gauss2, gauss4"),
        (["--builtin", "camel2", "--bounds", "0,1"], "it has bounds of its own"),
        (["--builtin", "camel2", "{module}:gauss"], "give either a function"),
        ([], "give either a function"),
    ],
)
def test_mistakes_cost_one_sentence(
    arguments: list[str], words: str, here: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    (here.parent / "broken.py").write_text("f = g\n")
    filled = [argument.format(module=here.name) for argument in arguments]
    before = set(here.parent.iterdir()) | {here.parent / "__pycache__"}
    assert run(monkeypatch, "run", "--neval", "1e4", *filled, "--out", "out") == 2
    error = capsys.readouterr().err.strip()
    assert words in error
    assert len(error.splitlines()) == 1
    assert set(here.parent.iterdir()) <= before, "and nothing is left behind"


@pytest.mark.parametrize("words", [["--method", "magic"], ["--style", "c"], ["--format", "csv"], ["--events", "-1"]])
def test_wrong_choices_are_exit_code_2(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    assert run(monkeypatch, "run", "--builtin", "camel2", *words, "--out", tmp_path / "out") == 2
    assert words[0] in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_the_list_shows_every_built_in(monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    from hepflows.applications.integration import INTEGRANDS, PROCESSES

    assert run(monkeypatch, "list") == 0
    text = said(capsys)
    rows = {line.split()[0]: line.split() for line in text.splitlines() if line.strip()}
    assert set(INTEGRANDS) | set(PROCESSES) <= set(rows)
    assert rows["camel4"][1:3] == ["4", "0.96365697"]


def test_help_shows_examples_and_does_not_wait_for_torch(monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    for words in (["run"], ["list"], []):
        assert run(monkeypatch, *words, "--help") == 0
        assert " ".join(["hepflows integration", *words]) in said(capsys).split("Example")[1]
    assert "--bounds" in help_without_torch("integration", "run")
