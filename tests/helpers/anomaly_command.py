"""``hepflows anomaly ...`` in this process, whether the entry point is installed or not."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from hepflows import cli
from hepflows.applications.anomaly.cli import app
from hepflows.applications.anomaly.simulate.fast import FEATURES, SIGNAL_REGION


def anomaly(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    """The exit code of a command."""
    monkeypatch.setattr(sys, "argv", ["hepflows", "anomaly", *map(str, arguments)])
    monkeypatch.setattr(cli, "_mount", lambda: None)
    monkeypatch.setattr(cli.app, "registered_groups", [])
    cli.app.add_typer(app, name="anomaly")
    try:
        cli.main()
    except SystemExit as stopped:
        return int(stopped.code or 0)
    return 0


def search(path: Path, out: Path, *more: object, features: str = ",".join(FEATURES)) -> list[object]:
    """Arguments of a small run on analytic events."""
    return [
        "run", path, "--out", out, "--units", "TeV", "--resonance", "mJJ", "--features", features,
        "--signal-region", ":".join(map(str, SIGNAL_REGION)), "--preset", "quick",
        "--jobs", 1, "--set", "density.training.epochs=2", "--set", "classifier.iterations=20", *more,
    ]  # fmt: skip
