"""``hepflows calorimeter ...`` in this process."""

from __future__ import annotations

import sys

import pytest

from hepflows import cli


def calorimeter(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    """The exit code of a command."""
    monkeypatch.setattr(sys, "argv", ["hepflows", "calorimeter", *map(str, arguments)])
    try:
        cli.main()
    except SystemExit as stopped:
        return int(stopped.code or 0)
    return 0
