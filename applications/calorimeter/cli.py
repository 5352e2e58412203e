"""``hepflows calorimeter ...``: arguments in, the functions of the package called, a few lines out."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from hepflows import console
from hepflows.applications.calorimeter import file_commands
from hepflows.applications.calorimeter.cli_evaluate import Seed, Threads, evaluate, timing, use_threads
from hepflows.applications.calorimeter.cli_export import export
from hepflows.applications.calorimeter.file_commands import Cells, Inputs
from hepflows.applications.calorimeter.simulate.command import simulate
from hepflows.errors import ConfigError

app = typer.Typer(
    help="Calorimeter showers: generate them and let a classifier judge.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
)

Out = Annotated[Path, typer.Option("--out", "-o", help="Folder of the run.", show_default=False)]
Preset = Annotated[str, typer.Option(help="demo (minutes), paper (CaloFlow v1), or the path of a YAML file.")]
Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set", help="Replace one value, for example model.shower_flow.blocks=4; repeatable.", show_default=False
    ),
]
Resume = Annotated[bool, typer.Option("--resume", help="Go on with the run in the folder, if there is one.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace the run in the folder.")]
Memory = Annotated[
    float, typer.Option(help="GB of showers that may stay in memory; more are read from disk as needed.", min=0.0)
]


@app.command()
def run(
    inputs: Inputs,
    out: Out,
    geometry: Cells = None,
    preset: Preset = "demo",
    settings: Settings = None,
    seed: Seed = 1,
    resume: Resume = False,
    overwrite: Overwrite = False,
    memory: Memory = 4.0,
    threads: Threads = None,
) -> None:
    """Train on showers, generate new ones, judge them and write a report.

    Example: `hepflows calorimeter run data/calorimeter/eplus.root --out runs/demo --preset demo`
    """
    from hepflows.applications.calorimeter import pipeline
    from hepflows.applications.calorimeter.config import load_config

    use_threads(threads)
    with _interruptible(out):
        config = load_config(preset, settings)
        options: dict[str, Any] = {"geometry": geometry, "resume": resume, "overwrite": overwrite, "memory_gb": memory}
        metrics = pipeline.run(inputs, out, config, seed, **options)
    _table(metrics)
    console.say(f"report: {out / 'report.html'}")


@app.command()
def train(
    inputs: Inputs,
    out: Out,
    geometry: Cells = None,
    preset: Preset = "demo",
    settings: Settings = None,
    seed: Seed = 1,
    resume: Resume = False,
    overwrite: Overwrite = False,
    memory: Memory = 4.0,
    threads: Threads = None,
) -> None:
    """Train only: writes model.safetensors and history.csv into the folder.

    Example: `hepflows calorimeter train 'showers/*_t*.root' --out runs/eplus --preset paper`
    """
    from hepflows.applications.calorimeter import pipeline
    from hepflows.applications.calorimeter.config import load_config
    from hepflows.applications.calorimeter.sample import Split, load_sample

    use_threads(threads)
    config = load_config(preset, settings)
    with _interruptible(out):
        showers = load_sample(inputs, folder=out, memory_gb=memory, geometry=geometry)
        parts = Split.of(len(showers), config.split, seed)
        folder = pipeline.open_run(inputs, out, config, seed, resume=resume, overwrite=overwrite)
        pipeline.train(showers, parts, folder, config, seed)
    console.say(f"model: {out / 'model.safetensors'}; next: hepflows calorimeter sample {out} -n 1000 -o showers.root")


@app.command()
def sample(
    model: Annotated[Path, typer.Argument(help="Folder of a run, or its model.safetensors.", show_default=False)],
    outputs: Annotated[
        list[Path],
        typer.Option("--output", "-o", help="File to write, .root or .hdf5; repeatable.", show_default=False),
    ],
    n: Annotated[int, typer.Option("-n", help="Number of showers.", min=1)] = 1000,
    energy: Annotated[
        str | None,
        typer.Option(
            help="Incident energy in GeV: 50, or 1:100 for a flat spectrum; as in training where not given.",
            show_default=False,
        ),
    ] = None,
    condition: Annotated[
        list[str] | None,
        typer.Option(
            help="What the model is conditioned on, for example pdg=22 or theta=0.1; as in training where not given; repeatable.",
            show_default=False,
        ),
    ] = None,
    shard: Annotated[
        str, typer.Option(help="i/N: generate the i-th of N parts, counted from 0; together they are the whole sample.")
    ] = "0/1",
    seed: Seed = 1,
    threads: Threads = None,
) -> None:
    """Generate showers with a trained model.

    Example: `hepflows calorimeter sample runs/demo -n 10000 --energy 1:100 -o showers.root`

    On a batch system: `hepflows calorimeter sample runs/demo -n 10000000 --shard $JOB/100 -o part_$JOB.hdf5`
    """
    from hepflows.applications.calorimeter import CaloFlow, pipeline
    from hepflows.io.paths import file_format

    use_threads(threads)
    for output in outputs:
        file_format(output)
    particles = pipeline.Particles(n, _energies(energy, n, seed), _conditions(condition), _shard(shard))
    written, milliseconds = pipeline.generate(CaloFlow.load(model), particles, outputs, seed)
    console.say(f"{written} showers in {', '.join(map(str, outputs))}, {milliseconds:.2f} ms a shower")


for command in (evaluate, timing, simulate, file_commands.convert, file_commands.describe, export):
    app.command()(command)


def _energies(text: str | None, n: int, seed: int) -> Any:
    """``50`` or ``1:100`` to (n,) incident energies in GeV."""
    import numpy as np

    from hepflows.training.seeding import numpy_generator

    if text is None:
        return None
    try:
        bounds = [float(part) for part in text.split(":")]
    except ValueError:
        bounds = []
    if len(bounds) not in (1, 2) or not 0 < bounds[0] <= bounds[-1] < float("inf"):
        message = f"--energy {text}: give a positive energy in GeV such as 50, or a range such as 1:100"
        raise ConfigError(message)
    return (
        numpy_generator(seed, "incident").uniform(bounds[0], bounds[-1], n)
        if len(bounds) == 2
        else np.full(n, bounds[0])
    )


def _conditions(texts: list[str] | None) -> dict[str, float]:
    """``pdg=22`` to a number by name."""
    found = {}
    for text in texts or []:
        name, _, value = text.partition("=")
        try:
            found[name.strip()] = float(value)
        except ValueError:
            message = f"--condition {text}: write it as name=number, for example pdg=22"
            raise ConfigError(message) from None
    return found


def _shard(text: str) -> tuple[int, int]:
    """``3/10`` to its two numbers."""
    index, _, count = text.partition("/")
    if not (index.isdecimal() and count.isdecimal() and int(index) < int(count)):
        message = f"--shard {text}: write it as i/N with i from 0 to N - 1, for example 0/10"
        raise ConfigError(message)
    return int(index), int(count)


@contextmanager
def _interruptible(out: Path) -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt:
        console.errors.print(f"\ninterrupted: repeat the command with --resume to go on with {out}", markup=False)
        raise typer.Exit(130) from None


def _table(metrics: dict[str, Any]) -> None:
    from hepflows.applications.calorimeter.report_text import summary

    console.table(summary(metrics))
