"""Files of models: the same bytes for the same model, shared weights once, and a sentence for a header that describes nothing."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import nn

from hepflows.errors import CheckpointError, ConfigError
from hepflows.training.checkpoint import FORMAT, load_tensors, restoring, save_tensors

TENSORS = {"a": torch.arange(6.0).reshape(2, 3).T, "b": torch.zeros(0), "c": torch.zeros(0), "d": torch.tensor(3)}


def test_what_is_saved_comes_back(tmp_path: Path) -> None:
    save_tensors(tmp_path / "x.safetensors", TENSORS, {"kind": "test", "numbers": [1, 2.5]})
    tensors, header = load_tensors(tmp_path / "x.safetensors")
    assert list(header) == ["format", "same", "kind", "numbers"]
    assert header["numbers"] == [1, 2.5]
    assert tensors.keys() == TENSORS.keys()
    assert all(torch.equal(tensors[name], TENSORS[name]) for name in TENSORS)


def test_the_same_model_makes_the_same_bytes(tmp_path: Path) -> None:
    """In processes of their own: a hash may be seeded anew in each."""
    code = (
        "import sys, torch\nfrom hepflows.training.checkpoint import save_tensors\n"
        "save_tensors(sys.argv[1], {'x': torch.ones(3), 'y': torch.ones(2)}, {'kind': 'test', 'seed': 1})\n"
    )
    paths = [tmp_path / f"{i}.safetensors" for i in range(4)]
    for path in paths:
        subprocess.run([sys.executable, "-c", code, str(path)], check=True)
    assert len({path.read_bytes() for path in paths}) == 1


def test_a_module_that_repeats_is_written_once(tmp_path: Path) -> None:
    block = nn.Linear(100, 100)
    model, other = (
        nn.Sequential(block, nn.ReLU(), block),
        nn.Sequential(nn.Linear(100, 100), nn.ReLU(), nn.Linear(100, 100)),
    )
    save_tensors(tmp_path / "x.safetensors", model.state_dict(), {})
    with safe_open(tmp_path / "x.safetensors", framework="pt") as file:
        assert sorted(file.keys()) == ["0.bias", "0.weight"]
    tensors, _ = load_tensors(tmp_path / "x.safetensors")
    other.load_state_dict(tensors)
    assert torch.equal(other[2].weight, block.weight)


def test_files_that_name_the_format_beside_the_header_are_read(tmp_path: Path) -> None:
    """As they were written until December 2026."""
    save_file({"x": torch.ones(2)}, tmp_path / "x.safetensors", {"format": FORMAT, "header": '{"kind": "test"}'})
    tensors, header = load_tensors(tmp_path / "x.safetensors")
    assert header == {"kind": "test"}
    assert tensors["x"].tolist() == [1.0, 1.0]


@pytest.mark.parametrize(
    ("metadata", "said"),
    [
        ({}, "not a hepflows model"),
        ({"format": FORMAT, "header": "[1]"}, "not a hepflows model"),
        ({"header": json.dumps({"kind": "x"})}, "not a hepflows model"),
        ({"header": "{"}, "not a readable safetensors file"),
        ({"header": json.dumps({"format": FORMAT, "same": {"y": "z"}})}, "there is no 'z'"),
        ({"header": json.dumps({"format": FORMAT, "same": 3})}, "describes no model"),
    ],
)
def test_a_header_that_is_none_is_told(metadata: dict[str, str], said: str, tmp_path: Path) -> None:
    save_file({"x": torch.ones(2)}, tmp_path / "x.safetensors", metadata)
    with pytest.raises(CheckpointError, match=said):
        load_tensors(tmp_path / "x.safetensors")


@pytest.mark.parametrize(
    "error", [KeyError("config"), TypeError("not a list"), AttributeError("get"), ConfigError("a"), IndexError("b")]
)
def test_what_a_file_describes_wrongly_is_one_sentence(error: Exception) -> None:
    with (
        pytest.raises(CheckpointError, match=r"model.safetensors: its header describes no model .*; train it again"),
        restoring("model.safetensors"),
    ):
        raise error


def test_a_sentence_of_its_own_is_kept() -> None:
    with pytest.raises(CheckpointError, match=r"^the weights do not fit$"), restoring("x"):
        raise CheckpointError("the weights do not fit")
