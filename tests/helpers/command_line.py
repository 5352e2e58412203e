"""``hepflows ...`` in this process."""

from __future__ import annotations

import subprocess
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


def neutrino(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    """The exit code of ``hepflows neutrino ...``, whether the entry point is installed or not."""
    from hepflows.applications.neutrino.cli import app

    if "neutrino" not in {group.name for group in cli.app.registered_groups}:
        cli.app.add_typer(app, name="neutrino")
    return _run(monkeypatch, "neutrino", *arguments)


def help_without_torch(*words: str) -> str:
    """The help of a command, in a process of its own that must not have imported what takes long."""
    code = (
        f"import sys; sys.argv = ['hepflows', *{list(words)}, '--help']\n"
        "from hepflows.cli import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "heavy = {'torch', 'h5py', 'uproot', 'matplotlib', 'sklearn', 'numpy'} & set(sys.modules)\n"
        "sys.exit(str(heavy) if heavy else 0)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout
