"""``hepflows calorimeter evaluate`` and ``timing``: how good generated showers are, and how fast they come."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hepflows import console
from hepflows.applications.calorimeter.file_commands import Cells
from hepflows.errors import ConfigError
from hepflows.launch import use_threads
from hepflows.options import Seed, Threads

if TYPE_CHECKING:
    from hepflows.applications.calorimeter.evaluation.context import Context
    from hepflows.applications.calorimeter.evaluation.folder import Evaluation


def evaluate(
    samples: Annotated[
        list[str],
        typer.Argument(
            help="Generated showers: files or runs' folders, each as PATH or NAME=PATH.", show_default=False
        ),
    ],
    reference: Annotated[
        str, typer.Argument(help="File of true showers that no model has seen; the last argument.", show_default=False)
    ],
    out: Annotated[
        Path,
        typer.Option(
            "--out",
            "-o",
            help="Folder for metrics.json and report.html; an earlier evaluation there is replaced.",
            show_default=False,
        ),
    ],
    geometry: Cells = None,
    suite: Annotated[
        str,
        typer.Option(
            help="quick (separations, seconds), standard (and FPD, KPD, precision and recall, the classifier; minutes), full (and all "
            "classifiers of CaloFlow and of the CaloChallenge; hours without a GPU)."
        ),
    ] = "standard",
    protocol: Annotated[
        list[str] | None,
        typer.Option(
            help="Classifier: standardised (also for a thousand showers), caloflow (as published, wants ten thousands), calochallenge, "
            "calochallenge-512, calochallenge-resnet-ds2, calochallenge-resnet-ds3 (for cells of these datasets); repeatable, the first "
            "one gives the verdict; standardised where not given.",
            show_default=False,
        ),
    ] = None,
    repeats: Annotated[int, typer.Option(help="Trainings of each classifier.", min=2)] = 3,
    n: Annotated[
        int | None, typer.Option("-n", help="At most so many showers of each file.", min=1, show_default=False)
    ] = None,
    device: Annotated[
        str | None, typer.Option(help="Where classifiers train, for example cuda; the processor where not given.")
    ] = None,
    seed: Seed = 1,
    threads: Threads = None,
) -> None:
    """Judge one or several samples by true showers, the last argument; writes metrics.json and report.html.

    Example: `hepflows calorimeter evaluate runs/demo/generated.hdf5 data/calorimeter/eplus.hdf5 --out runs/verdict`

    Several at once: `hepflows calorimeter evaluate maf=runs/maf iaf=runs/iaf test.hdf5 --out runs/comparison`
    """
    from hepflows.applications.calorimeter.evaluation.folder import evaluate_files

    use_threads(threads)
    found = evaluate_files(
        samples,
        reference,
        out,
        suite=suite,  # type: ignore[arg-type]  # a wrong one is told
        protocols=protocol or ["standardised"],
        repeats=repeats,
        seed=seed,
        geometry=geometry,
        n=n,
        device=device,
    )
    _tell(found)
    console.say(f"report: {out / 'report.html'}")


def timing(
    model: Annotated[Path, typer.Argument(help="Folder of a run, or its model.safetensors.", show_default=False)],
    batch: Annotated[
        list[int] | None,
        typer.Option(
            help="Showers in one call, generated in blocks of 1,000; repeatable; 1, 100 and 10,000 where not given.",
            show_default=False,
        ),
    ] = None,
    repeats: Annotated[int, typer.Option(help="Timed calls of each size.", min=3)] = 7,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", help="JSON file; timing.json beside the model where not given.", show_default=False
        ),
    ] = None,
    seed: Seed = 1,
    threads: Threads = None,
) -> None:
    """Measure how long a model takes for a shower, with the model loaded and without files; writes timing.json.

    Example: `hepflows calorimeter timing runs/demo --batch 1 --batch 100 --batch 10000 --threads 1`
    """
    from hepflows.applications.calorimeter.evaluation.timing import BATCHES, rows, time_model
    from hepflows.io.atomic import check_target, replacing

    use_threads(threads)
    target = output or (model if model.is_dir() else model.parent) / "timing.json"
    if target.suffix != ".json":
        message = f"{target}: give the output a name that ends in .json"
        raise ConfigError(message)
    check_target(target)
    with console.progress("timing") as update:
        found = time_model(model, batch or BATCHES, repeats=repeats, seed=seed, progress=update)
    with replacing(target) as temporary:
        temporary.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    console.table(rows(found))
    console.say(f"{found['cpu']}, {found['threads']} threads, {found['parameters']:,} parameters; {target}")
    _tell_times(found["geometry"])


def _tell(found: Evaluation) -> None:
    """All figures, what to know before quoting them, and published ones under a heading of their own."""
    from hepflows.applications.calorimeter.report_tables import figures, left_out, marks
    from hepflows.applications.calorimeter.report_text import worst_separations
    from hepflows.applications.calorimeter.report_verdict import verdict

    table = figures(found.metrics)
    if table:
        _columns([table[0], *table[1]])
        _say(marks(found.metrics))
    for name, metrics in found.metrics.items():
        console.say(f"\n{name}: {verdict(metrics, found.reference, name)[1]}")
        _say(metrics.get("verdict", ""))
        console.table(worst_separations(metrics))
        if metrics["n_shared"]:
            console.say(f"{metrics['n_shared']:,} showers stood in both files and were dealt out, half to each")
    console.say("")
    for sentence in [*left_out(found.metrics), *(notice.line for notice in found.notices if notice.loud)]:
        console.say(sentence)
    if found.context:
        _tell_context(found.context)
    console.say("")


def _tell_context(context: Context) -> None:
    console.say(
        f"\n{context.title}: published, not measured here, as context; the errors of others stand in the report"
    )
    others = [[cell.split(" ± ")[0] for cell in row] for row in context.published]
    _columns([context.header, *context.own, *others])
    _say(context.footnote)
    console.say(context.caveat)


def _tell_times(geometry: str) -> None:
    """Published sizes and times of models in these cells."""
    from hepflows.applications.calorimeter.evaluation.context import published_times
    from hepflows.applications.calorimeter.geometry import GEOMETRIES

    known = next((key for key, one in GEOMETRIES.items() if one.name == geometry), "")
    table = published_times(known.replace("-", "_"))
    if table:
        console.say(f"\n{geometry}: published milliseconds a shower by size of the batch, as context; unknown hardware")
        _columns([table[0], *table[1]])


def _say(text: str) -> None:
    if text:
        console.say(text)


def _columns(rows: Sequence[Sequence[str]]) -> None:
    """A table whose names are never cut, however narrow the terminal."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        console.say("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
