"""Whether an ONNX file computes what its module does, in ONNX Runtime."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from hepflows.bijections.implicit import evaluating
from hepflows.errors import ExportError
from hepflows.export.translate import require_packages
from hepflows.training.seeding import generator

Example = Callable[[int, torch.Generator], tuple[Tensor, ...]]
"""``(n, generator)`` to the inputs of a module, ``n`` rows each: its first axis is the batch."""

TOLERANCE = 1e-5
"""Largest difference between ONNX Runtime and torch, in units of the largest number of the output."""

BATCHES = 1, 7, 100
"""Numbers of rows that are tried."""


def verify(path: str | os.PathLike[str], module: nn.Module, example: Example, tolerance: float = TOLERANCE) -> float:
    """Run an ONNX file and the module that it was made of on fresh inputs of 1, 7 and 100 rows.

    Args:
        path: the file.
        module: what it should compute; it is run in eval mode.
        example: draws inputs, as of `export_onnx`.
        tolerance: largest difference in units of the largest number of an output.

    Returns:
        The largest difference found.

    Raises:
        ExportError: it is larger than ``tolerance``, or ONNX Runtime cannot run the file.
    """
    session = _session(path, f"the exported {type(module).__name__}")
    names = [entry.name for entry in session.get_inputs()]
    worst = 0.0
    with evaluating(module), torch.no_grad():
        for n in BATCHES:
            arguments = example(n, generator(1, "verify", n))
            outputs = module(*arguments)
            expected = [outputs] if isinstance(outputs, Tensor) else list(outputs)
            try:
                found = session.run(None, dict(zip(names, [argument.numpy() for argument in arguments], strict=True)))
            except Exception as error:  # of a class of its own for every cause
                message = f"ONNX Runtime cannot run the exported {type(module).__name__} on {n} rows: {_line(error)}"
                raise ExportError(message) from error
            for ours, theirs in zip(expected, found, strict=True):
                worst = max(worst, _difference(ours, torch.as_tensor(theirs)))
    if not worst <= tolerance:
        message = (
            f"ONNX Runtime and torch differ by {worst:.2g} of the largest number, more than the {tolerance:g} allowed: "
            "export it in float64 (.double(), --precision float64), or allow more with tolerance="
        )
        raise ExportError(message)
    return worst


def _difference(ours: Tensor, theirs: Tensor) -> float:
    """In units of the largest number; infinite where shapes or what is not finite differ."""
    if ours.shape != theirs.shape or not torch.equal(ours.isfinite(), theirs.isfinite()):
        return float("inf")
    ours, theirs = ours.double().nan_to_num(), theirs.double().nan_to_num()
    return float((ours - theirs).abs().max() / ours.abs().max().clamp_min(1e-30))


def interface(path: str | os.PathLike[str]) -> list[tuple[str, str, str]]:
    """Inputs and outputs of an ONNX file: ``input`` or ``output``, name, element type and shape, one a row.

    Raises:
        MissingExtraError: onnx, onnxscript or onnxruntime is not installed.
        ExportError: ONNX Runtime cannot load the file.
    """
    session = _session(path, os.fspath(path))
    rows = [("input", entry) for entry in session.get_inputs()] + [("output", entry) for entry in session.get_outputs()]
    return [(role, entry.name, f"{entry.type[7:-1]} ({', '.join(map(str, entry.shape))})") for role, entry in rows]


def _session(path: str | os.PathLike[str], what: str) -> Any:
    require_packages()
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(Path(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:
        message = f"{what}: ONNX Runtime {onnxruntime.__version__} does not load it ({_line(error)}): give an ONNX file that it knows"
        raise ExportError(message) from error


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]
