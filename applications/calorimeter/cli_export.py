"""``hepflows calorimeter export``: a trained model for C++."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from hepflows import console
from hepflows.errors import ConfigError

if TYPE_CHECKING:
    from hepflows.applications.calorimeter.export import Precision


def export(
    model: Annotated[Path, typer.Argument(help="Folder of a run, or its model.safetensors.", show_default=False)],
    output: Annotated[Path, typer.Option("--output", "-o", help="File to write, .onnx.", show_default=False)],
    precision: Annotated[
        str | None,
        typer.Option(
            help="float32 or float64, of the flows inside; that of the model where not given.", show_default=False
        ),
    ] = None,
) -> None:
    """Write a trained model as an ONNX file for C++: energies and noise in, voxels in MeV out.

    For the same noise its showers are those of the model; the file is compared with torch before it gets its name. Models that
    sample in one pass can be exported: those of the kind coupling, and students.

    Example: `hepflows calorimeter export runs/demo -o model.onnx`
    """
    from hepflows.applications.calorimeter import CaloFlow
    from hepflows.applications.calorimeter.export import export_showers
    from hepflows.export import interface
    from hepflows.io.atomic import check_target

    if precision not in (None, "float32", "float64"):
        message = f"--precision {precision}: choose float32 or float64"
        raise ConfigError(message)
    if output.suffix != ".onnx":
        message = f"{output}: give the output a name that ends in .onnx"
        raise ConfigError(message)
    check_target(output)
    difference = export_showers(CaloFlow.load(model), output, precision=cast("Precision | None", precision))
    console.table(interface(output))
    console.say(f"{output}: {output.stat().st_size / 1e6:.1f} MB, ONNX Runtime and torch agree to {difference:.1g}")
    console.say(
        "energy in GeV, noise standard normal, voxels and layer_energies in MeV; the rest is in the metadata of the file"
    )
    console.say(f"in C++: docs/examples/onnx_cpp, then: showers {output} 10 50")
