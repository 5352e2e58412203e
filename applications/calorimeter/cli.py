"""``hepflows calorimeter ...``: arguments in, the functions of the package called, a few lines out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hepflows import console
from hepflows.applications.calorimeter import file_commands
from hepflows.applications.calorimeter.cli_evaluate import evaluate, timing
from hepflows.applications.calorimeter.cli_export import export
from hepflows.applications.calorimeter.cli_reweight import reweight
from hepflows.applications.calorimeter.file_commands import Cells, Inputs
from hepflows.applications.calorimeter.simulate.command import simulate
from hepflows.errors import ConfigError
from hepflows.launch import launched, use_threads
from hepflows.options import Overwrite, Resume, Seed, Threads

if TYPE_CHECKING:
    from hepflows.applications.calorimeter.config import RunConfig

app = typer.Typer(
    help="Calorimeter showers: generate them and let a classifier judge.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
)


@app.callback()
def processes(context: typer.Context) -> None:
    """Calorimeter showers: generate them and let a classifier judge."""
    rank, size = launched()
    if rank:
        console.silence()  # the first process speaks for all
    if size > 1 and context.invoked_subcommand != "train":
        message = (
            f"calorimeter {context.invoked_subcommand} was started in {size} processes, and only train shares its work among them: "
            "start it without torchrun (sample --shard i/N generates parts)"
        )
        raise ConfigError(message)


Out = Annotated[Path, typer.Option("--out", "-o", help="Folder of the run.", show_default=False)]
Preset = Annotated[
    str,
    typer.Option(help="demo (minutes), full (20,000 showers), paper (CaloFlow v1), ..., or the path of a YAML file."),
]
Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set", help="Replace one value, for example model.shower_flow.blocks=4; repeatable.", show_default=False
    ),
]
Teacher = Annotated[
    Path | None,
    typer.Option(help="Run of the teacher that a student (--preset student) learns from.", show_default=False),
]
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
    teacher: Teacher = None,
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

    use_threads(threads)
    with console.interruptible(out):
        config = _config(preset, settings, teacher)
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
    teacher: Teacher = None,
    seed: Seed = 1,
    resume: Resume = False,
    overwrite: Overwrite = False,
    memory: Memory = 4.0,
    threads: Threads = None,
) -> None:
    """Train only: writes model.safetensors and history.csv into the folder.

    Example: `hepflows calorimeter train 'showers/*_t*.root' --out runs/eplus --preset paper`

    A student of it: `hepflows calorimeter train 'showers/*_t*.root' --out runs/student --preset student --teacher runs/eplus`

    In 8 processes: `torchrun --standalone --nproc-per-node 8 -m hepflows.cli calorimeter train showers.hdf5 --out runs/eplus`
    """
    from hepflows.applications.calorimeter import pipeline
    from hepflows.training import connect

    use_threads(threads)
    config = _config(preset, settings, teacher)
    with connect() as world, console.interruptible(out):
        with world.together():
            showers, parts = pipeline.read_sample(inputs, out, config, seed, geometry=geometry, memory_gb=memory)
        folder = pipeline.open_run(inputs, out, config, seed, resume=resume, overwrite=overwrite, world=world)
        pipeline.train(showers, parts, folder, config, seed, world)
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
            help="Incident energy in GeV: 50, 1:100 (flat), log:1:1000 (flat in the logarithm), or a list 10,20,50; "
            "as in training where not given.",
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
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace files that are there.")] = False,
    threads: Threads = None,
) -> None:
    """Generate showers with a trained model.

    Example: `hepflows calorimeter sample runs/demo -n 10000 --energy 1:100 -o showers.root`

    On a batch system: `hepflows calorimeter sample runs/demo -n 10000000 --shard $JOB/100 -o part_$JOB.hdf5`
    """
    from hepflows.applications.calorimeter import CaloFlow, pipeline
    from hepflows.applications.calorimeter.spread import Spread
    from hepflows.io.paths import file_format
    from hepflows.training.checkpoint import model_file

    use_threads(threads)
    for output in outputs:
        file_format(output)
        file_commands.keep(output, [model_file(model)], overwrite)
    file_commands.different(outputs)
    particles = pipeline.Particles(
        n, None if energy is None else Spread.parse(energy, "--energy"), _conditions(condition), _shard(shard)
    )
    written, milliseconds = pipeline.generate(CaloFlow.load(model), particles, outputs, seed)
    if not written:
        console.say(
            f"shard {shard} of {n} showers is empty: there are fewer blocks of showers than shards, and no file was written"
        )
        return
    console.say(f"{written} showers in {', '.join(map(str, outputs))}, {milliseconds:.2f} ms a shower")


for command in (evaluate, timing, reweight, simulate, file_commands.convert, file_commands.describe, export):
    app.command()(command)


def _config(preset: str, settings: list[str] | None, teacher: Path | None) -> RunConfig:
    from hepflows.applications.calorimeter.config import load_config

    if teacher is None:
        return load_config(preset, settings)
    kind = load_config(preset, settings).model.kind
    if kind != "student":
        message = f"--teacher {teacher}: is for a student, but the preset {preset} makes a {kind}; add --preset student"
        raise ConfigError(message)
    return load_config(preset, [*(settings or []), f"model.shower_flow.teacher={teacher}"])


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
    if len(found) < len(texts or []):
        message = (
            f"--condition {' '.join(texts or [])}: one is given twice; a sample of several is made in several calls"
        )
        raise ConfigError(message)
    return found


def _shard(text: str) -> tuple[int, int]:
    """``3/10`` to its two numbers."""
    index, _, count = text.partition("/")
    if not (index.isdecimal() and count.isdecimal() and int(index) < int(count)):
        message = f"--shard {text}: write it as i/N with i from 0 to N - 1, for example 0/10"
        raise ConfigError(message)
    return int(index), int(count)


def _table(metrics: dict[str, Any]) -> None:
    from hepflows.applications.calorimeter.report_text import summary

    console.table(summary(metrics))
