"""``hepflows ...`` in this process."""

from __future__ import annotations

import sys

import pytest

from hepflows import cli


def _run(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    """The exit code of a command."""
    monkeypatch.setattr(sys, "argv", ["hepflows", *map(str, arguments)])
    try:
        cli.main()
    except SystemExit as stopped:
        return int(stopped.code or 0)
    return 0


def calorimeter(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    """The exit code of ``hepflows calorimeter ...``."""
    return _run(monkeypatch, "calorimeter", *arguments)


def integration(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    """The exit code of ``hepflows integration ...``."""
    return _run(monkeypatch, "integration", *arguments)
