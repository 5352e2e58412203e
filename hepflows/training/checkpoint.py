"""Models and training states in safetensors files with a JSON header: nothing that is loaded can run code."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from hepflows import __version__
from hepflows.errors import CheckpointError
from hepflows.io.atomic import replacing

FORMAT = "hepflows-1"


def save_tensors(path: Path | str, tensors: dict[str, Tensor], header: dict[str, Any]) -> None:
    """Write named tensors and a JSON header in one go: the file is complete or the old one is still there.

    A tensor that has several names, as in a block that repeats, is written once. What is the same makes the same bytes.
    """
    contiguous = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    places = {
        name: (tensor.data_ptr(), tensor.shape) if tensor.numel() else name for name, tensor in contiguous.items()
    }
    first = {place: name for name, place in reversed(places.items())}
    same = {name: first[place] for name, place in places.items() if first[place] != name}
    contiguous = {name: tensor for name, tensor in contiguous.items() if name not in same}
    # one entry, since safetensors writes several in an order that changes from call to call
    metadata = {"header": json.dumps({"format": FORMAT, "same": same, **header})}
    with replacing(Path(path)) as temporary:
        mode = temporary.stat().st_mode
        try:
            save_file(contiguous, temporary, metadata=metadata)
        except SafetensorError as error:
            # safetensors gives the number of the system's error in its text only
            number = re.search(r"os error (\d+)", str(error))
            if number is None:
                raise
            raise OSError(int(number[1]), os.strerror(int(number[1])), str(path)) from error
        temporary.chmod(mode)  # safetensors makes a private file; colleagues shall read the model


def model_file(path: Path | str) -> Path:
    """The file of a model: a folder means its ``model.safetensors``.

    >>> model_file("runs/demo.safetensors").name
    'demo.safetensors'
    """
    path = Path(path)
    return path / "model.safetensors" if path.is_dir() else path


def load_tensors(path: Path | str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read what `save_tensors` wrote: ``(tensors, header)``; a folder means its ``model.safetensors``."""
    path = model_file(path)
    if not path.is_file():
        message = f"{path}: no such file; give a model.safetensors or the folder of a run"
        raise CheckpointError(message)
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            header = json.loads(metadata.get("header", "{}"))
            if not isinstance(header, dict) or FORMAT not in (header.get("format"), metadata.get("format")):
                message = f"{path}: not a hepflows model (its header lacks 'format: {FORMAT}'); train one with hepflows"
                raise CheckpointError(message)
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, json.JSONDecodeError) as error:
        message = f"{path}: not a readable safetensors file ({error}); it may be truncated, restore or train it again"
        raise CheckpointError(message) from None
    with restoring(path):
        return tensors | {name: tensors[first] for name, first in header.get("same", {}).items()}, header


@contextmanager
def restoring(path: Path | str) -> Iterator[None]:
    """Where a model is built from what a file says of it: a file that describes none is told in a sentence."""
    try:
        yield
    except CheckpointError:
        raise
    except (LookupError, TypeError, AttributeError, ValueError) as error:
        reason = f"there is no {error}" if isinstance(error, KeyError) else " ".join(str(error).split())
        message = f"{path}: its header describes no model that hepflows {__version__} knows ({reason}); train it again"
        raise CheckpointError(message) from None


def load_state(module: nn.Module, tensors: dict[str, Tensor], path: Path | str) -> None:
    """Put tensors into a module, every one of them, or say what does not fit."""
    try:
        module.load_state_dict(tensors)
    except RuntimeError as error:
        first = str(error).strip().splitlines()[-1].strip()
        message = f"{path}: the weights do not fit the model its header describes ({first}); the file is damaged or from another version"
        raise CheckpointError(message) from None


def flatten_optimizer(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """The tensors of an optimiser's state under flat names."""
    return {
        f"{index}.{name}": torch.as_tensor(value)
        for index, state in optimizer.state_dict()["state"].items()
        for name, value in state.items()
    }


def restore_optimizer(optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    """Undo `flatten_optimizer`."""
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        index, name = key.split(".", 1)
        state.setdefault(int(index), {})[name] = value
    optimizer.load_state_dict({**optimizer.state_dict(), "state": state})
