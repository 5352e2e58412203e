"""The command line: fast help, one sentence for a mistake, exit codes."""

from __future__ import annotations

import sys

import pytest
from command_line import help_without_torch

from hepflows import cli


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    """Run the command line in this process; returns its exit code."""
    monkeypatch.setattr(sys, "argv", ["hepflows", *arguments])
    with pytest.raises(SystemExit) as stopped:
        cli.main()
    return int(stopped.value.code or 0)


def test_help_does_not_wait_for_torch() -> None:
    assert "Example" in help_without_torch("calorimeter", "run")


@pytest.mark.parametrize("command", ["run", "train", "sample", "evaluate", "convert"])
def test_every_command_shows_an_example(command: str, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    assert run(monkeypatch, "calorimeter", command, "--help") == 0
    text = capsys.readouterr().out
    assert f"hepflows calorimeter {command}" in text.split("Example")[1]


def test_info_names_versions_kernels_and_applications(monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    assert run(monkeypatch, "info") == 0
    text = capsys.readouterr().out
    for word in ("hepflows", "torch", "kernels", "calorimeter", "threads"):
        assert word in text


def test_info_says_which_kernels_and_why(monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    from hepflows.kernels import dispatch

    for name in dispatch.available():
        with dispatch.using(name):
            assert run(monkeypatch, "info") == 0
        text = capsys.readouterr().out
        assert f"kernels: {name} (available: {', '.join(dispatch.available())})" in text
        if name != "reference":
            assert "OpenMP" in text
        elif dispatch.compiled is not None:
            assert "the reference was chosen by HEPFLOWS_KERNELS" in text
    monkeypatch.setattr(dispatch, "compiled", None)
    monkeypatch.setattr(dispatch, "_in_use", "reference")
    assert run(monkeypatch, "info") == 0
    text = capsys.readouterr().out
    assert "kernels: reference (available: reference)" in text
    assert "reinstall hepflows where a C++ compiler is found" in text


def test_an_unknown_command_is_exit_code_2(monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    assert run(monkeypatch, "calorimeter", "trian") == 2
    assert "trian" in capsys.readouterr().err


def test_a_broken_third_party_application_does_not_take_the_rest_down(monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    class Broken:
        name = "broken"

        def load(self) -> None:
            message = "no module named nonsense"
            raise ImportError(message)

    monkeypatch.setattr(cli, "_applications", lambda: [Broken()])
    assert run(monkeypatch, "--version") == 0
    captured = capsys.readouterr()
    assert "application 'broken' cannot be imported" in captured.err
    assert captured.out.startswith("hepflows ")
