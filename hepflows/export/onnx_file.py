"""The ONNX file: written whole or not at all, and compared with torch in ONNX Runtime before it gets its name."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn

from hepflows import __version__
from hepflows.bijections import Continuous, Univariate
from hepflows.errors import ExportError, ShapeError
from hepflows.export.parts import ROWS, Parts
from hepflows.export.prepare import prepare
from hepflows.export.splice import splice
from hepflows.export.translate import OPSET, require_packages, translate
from hepflows.export.verify import TOLERANCE, Example, verify
from hepflows.io.atomic import replacing
from hepflows.training.seeding import generator

FORMAT = 8
"""Version of the file format (``ir_version``): that of the operators, so that runtimes as old as these read it."""

LARGEST = 2_000_000_000
"""Bytes that a file can hold: protobuf counts them in 31 bits."""

_GRAPHS: dict[Any, Any] = {}  # translations of parts, by their keys: most come up again in the next export


def export_onnx(
    module: nn.Module,
    example: Example,
    path: str | os.PathLike[str],
    *,
    input_names: Sequence[str],
    output_names: Sequence[str],
    metadata: Mapping[str, Any] | None = None,
    tolerance: float = TOLERANCE,
) -> float:
    """Write a module as an ONNX file and make sure that ONNX Runtime computes the same.

    The first axis of every input and output is the batch and may have any length. The file holds standard operators (opset 18, format 8)
    and needs ONNX Runtime 1.15 or newer; it draws nothing, noise is an input. Before the file gets its name it is run on fresh
    inputs of 1, 7 and 100 rows.

    Args:
        module: a `Sampler`, a `Density`, or one of your own: tensors in, a tensor or a tuple of tensors out. It is exported as in eval
            mode; itself it stays as it is.
        example: draws inputs: ``example(n, generator)`` gives a tuple of tensors of ``n`` rows.
        path: the file to write.
        input_names: names of the inputs.
        output_names: names of the outputs.
        metadata: goes into the file, where every runtime reads it; what is no string is written as JSON. ``hepflows_version`` is added.
        tolerance: largest difference to torch, in units of the largest number of an output.

    Returns:
        The largest difference found.

    Raises:
        MissingExtraError: onnx, onnxscript or onnxruntime is not installed (``pip install 'hepflows[onnx]'``).
        ExportError: the module cannot be translated, is too large or not on the CPU, or ONNX Runtime computes something else; nothing is
            written then.
        DataError: the file cannot be written.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from hepflows.export import Sampler
        >>> from hepflows.zoo import realnvp
        >>> sampler = Sampler(realnvp(features=2, blocks=2))
        >>> path = Path(tempfile.mkdtemp()) / "sampler.onnx"
        >>> export_onnx(sampler, sampler.example, path, input_names=["noise"], output_names=["x"]) < 1e-5
        True
        >>> import onnxruntime
        >>> noise = torch.zeros(5, 2).numpy()
        >>> onnxruntime.InferenceSession(path).run(None, {"noise": noise})[0].shape
        (5, 2)
    """
    require_packages()
    with replacing(path) as temporary:
        temporary.write_bytes(_model(module, example, input_names, output_names, metadata or {}))
        return verify(temporary, module, example, tolerance)


def _model(
    module: nn.Module,
    example: Example,
    input_names: Sequence[str],
    output_names: Sequence[str],
    metadata: Mapping[str, Any],
) -> bytes:
    from onnx import checker, helper

    _check(module)
    parts = Parts()
    twin = prepare(module, parts)
    arguments = example(ROWS, generator(0, "export"))
    if {len(argument) for argument in arguments} != {ROWS} or len(arguments) != len(input_names):
        message = (
            f"example({ROWS}, generator) must give {len(input_names)} tensors of {ROWS} rows, one a name of an input, but gave the shapes "
            f"{[tuple(argument.shape) for argument in arguments]}"
        )
        raise ShapeError(message)
    with torch.no_grad():
        twin(*arguments)  # what cannot be exported says so better here than from inside the exporter
    graph = translate(twin, arguments, input_names, output_names, [{0: "batch"}] * len(arguments))
    splice(graph, parts.known, _translations(parts))
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=FORMAT, producer_name="hepflows", producer_version=__version__,
    )  # fmt: skip
    properties = {"hepflows_version": __version__, **metadata}
    texts = {name: value if isinstance(value, str) else json.dumps(value) for name, value in properties.items()}
    helper.set_model_props(model, texts)
    checker.check_model(model)
    return bytes(model.SerializeToString())


def _check(module: nn.Module) -> None:
    if any(isinstance(part, Continuous) for part in module.modules()):
        message = "a continuous flow is solved while it runs and is not exported: fit a coupling flow to its samples and export that"
        raise ExportError(message)
    tensors = [*module.parameters(), *module.buffers()]
    if any(not tensor.is_cpu for tensor in tensors):
        message = "a model is exported from the CPU: move it there with .cpu() first"
        raise ExportError(message)
    size = sum(tensor.numel() * tensor.element_size() for tensor in tensors)
    if size > LARGEST:
        message = (
            f"the model holds {size / 1e9:.1f} GB and an ONNX file at most {LARGEST / 1e9:.0f}: take fewer blocks or narrower hidden "
            "layers, or float32"
        )
        raise ExportError(message)


def _translations(parts: Parts) -> dict[str, Any]:
    """The graphs of all parts, of those too that come up in other parts."""
    graphs: dict[str, Any] = {}
    while waiting := [name for name in parts.known if name not in graphs]:
        for name in waiting:
            part = parts.known[name]
            if part.key in _GRAPHS:
                graphs[name] = _GRAPHS[part.key]
            else:
                arguments = tuple(torch.zeros(shape, dtype=dtype) for shape, dtype in part.arguments)
                graphs[name] = translate(part.module, arguments, part.inputs, part.outputs, part.dynamic)
    for name, part in sorted(
        parts.known.items(), key=lambda entry: entry[1].steps
    ):  # maps of one feature first: steps hold them
        if part.key not in _GRAPHS:
            splice(graphs[name], parts.known, graphs)
            if _lasts(part.key):
                _GRAPHS[part.key] = graphs[name]
    return graphs


def _lasts(key: Any) -> bool:
    """Whether a key can come up again: one that holds a model's own objects cannot, and would keep them alive."""
    return all(map(_lasts, key)) if isinstance(key, tuple) else not isinstance(key, nn.Module | Univariate)
