"""From a torch module to an ONNX graph, by torch's exporter."""

from __future__ import annotations

import importlib.util
import logging
import math
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from hepflows.errors import ExportError, MissingExtraError

OPSET = 18
"""The operators of December 2022: ONNX Runtime 1.15 and 1.32 run them."""


def require_packages() -> None:
    """Raise `MissingExtraError` unless all that an export needs is installed."""
    missing = [name for name in ("onnx", "onnxscript", "onnxruntime") if importlib.util.find_spec(name) is None]
    if missing:
        message = f"the export to ONNX needs {', '.join(missing)}: pip install 'hepflows[onnx]'"
        raise MissingExtraError(message)
    if not hasattr(getattr(torch.onnx, "ops", None), "symbolic"):
        message = (
            f"the export to ONNX needs torch 2.8 or newer and this is {torch.__version__}: pip install 'hepflows[onnx]'"
        )
        raise MissingExtraError(message)


def translate(
    module: nn.Module,
    arguments: tuple[Tensor, ...],
    inputs: Sequence[str],
    outputs: Sequence[str],
    dynamic: Sequence[dict[int, str]],
) -> Any:
    """The graph of ``module``.

    Args:
        module: in eval mode, of operations that torch can export.
        arguments: an example of its inputs; axes that may have any length must be neither 0 nor 1 long.
        inputs: names of the inputs.
        outputs: names of the outputs.
        dynamic: for each input the axes that may have any length, with their names.

    Returns:
        An ``onnx.GraphProto`` of the operators of `OPSET`, and of symbols of the domain ``hepflows``.

    Raises:
        ExportError: torch cannot translate it.
    """
    # the exporter that stands on torch.export: it follows shapes as symbols, where the older one, which traces, takes len(x) for a constant
    # and writes a file for batches of one size
    sizes = {name: torch.export.Dim(name) for axes in dynamic for name in axes.values()}
    shapes = tuple({axis: sizes[name] for axis, name in axes.items()} for axes in dynamic)
    try:
        with torch.no_grad(), _quiet():
            program = torch.onnx.export(
                _Call(module), arguments, dynamo=True, input_names=list(inputs), output_names=list(outputs), verbose=False,
                dynamic_shapes=(shapes,), opset_version=OPSET, custom_translation_table=_exact(), optimize=False,
            )  # fmt: skip
            graph = None if program is None else _tidy(program)
    except torch.onnx.OnnxExporterError as error:
        cause: BaseException = error
        while cause.__cause__ is not None:
            cause = cause.__cause__
        if _interrupted(error):
            raise KeyboardInterrupt from None
        reason = next(iter(str(cause).strip().splitlines()), type(cause).__name__)
        message = (
            f"{type(module).__name__} cannot be translated to ONNX ({reason}): write its forward pass without "
            "branches or loops that depend on values, in operations that torch.onnx knows"
        )
        raise ExportError(message) from error
    return graph


def _interrupted(error: BaseException | None) -> bool:
    """Whether Ctrl-C is behind an error: torch takes it for a failure of its own."""
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__cause__ or error.__context__
    return error is not None


class _Call(nn.Module):
    """A module whose inputs are one list, whatever its signature: torch wants the shapes in the structure of the signature."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, *inputs: Tensor) -> Any:
        return self.module(*inputs)


def _tidy(program: Any) -> Any:
    """The graph of a program with its constants computed and nothing twice.

    Not by ``optimize=True``: the rewriting rules of onnxscript 0.7 compare numbers with a tolerance and take x + 1e-8 for x.
    """
    import onnxscript.optimizer
    from onnx_ir.passes import common

    onnxscript.optimizer.inline(program.model)
    onnxscript.optimizer.fold_constants(program.model)
    for tidying in (
        common.RemoveUnusedNodesPass(),
        common.LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0),
        common.DeduplicateInitializersPass(),
        common.CommonSubexpressionEliminationPass(),
        common.NameFixPass(),
    ):
        tidying(program.model)
    return program.model_proto.graph


def _exact() -> dict[Any, Any]:
    """Translations of our own where torch 2.13 rounds numbers in float64 graphs to float32."""
    import onnx
    from onnxscript import opset18

    def scalar(s: float, dtype: int = -1, layout: str = "", device: str = "", pin_memory: bool = False) -> Any:
        kind = onnx.TensorProto.FLOAT if dtype == -1 else int(dtype)
        return opset18.Constant(value=onnx.helper.make_tensor("", kind, [], [s]))

    def log10(x: Any) -> Any:
        return opset18.Mul(opset18.Log(x), scalar(1 / math.log(10.0), x.dtype))

    return {torch.ops.aten.scalar_tensor.default: scalar, torch.ops.aten.log10.default: log10}


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the warnings that torch gives of itself, and of packages that are not needed."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "onnx_ir")]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)
