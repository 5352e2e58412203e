"""The main job: from a file of events to scores, a verdict and a report, and scores of other files by the same models."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from hepflows import console
from hepflows.applications.anomaly.bumphunt import Window
from hepflows.applications.anomaly.bumphunt.workspace import workspace
from hepflows.applications.anomaly.config import SearchConfig
from hepflows.applications.anomaly.data import CHUNK, Selection, iterate_rows, read_events, settled
from hepflows.applications.anomaly.events import Array, Events
from hepflows.applications.anomaly.judge import judge
from hepflows.applications.anomaly.kfold import Ensemble, cross_fit
from hepflows.applications.anomaly.regions import Regions
from hepflows.applications.anomaly.report import write_report
from hepflows.applications.anomaly.sky import Sky
from hepflows.errors import ConfigError, DataError
from hepflows.io import Field, writer
from hepflows.io.columns import write_columns
from hepflows.training.runs import RunFolder, checksum

SCORE = "anomaly_score"
"""Name of the column that is added to a file."""


def run(
    path: Path,
    out: Path,
    selection: Selection,
    regions: Regions,
    config: SearchConfig,
    seed: int,
    *,
    background: Path | None = None,
    resume: bool = False,
    overwrite: bool = False,
    jobs: int = 1,
) -> dict[str, Any]:
    """Learn, score every event by models that have not seen it, judge and report; finished folds are not repeated.

    Args:
        path: the events.
        out: folder of the run.
        selection: which columns are what.
        regions: signal region and sidebands.
        config: see `SearchConfig`.
        seed: everything random follows from it.
        background: a file of more events, all of them background, for the idealised and the supervised detector.
        resume: go on with an interrupted run.
        overwrite: replace a run that is there.
        jobs: processes that fit folds at the same time.

    Returns:
        What stands in ``metrics.json``.

    Raises:
        DataError: the file, a column, a value or a region is not what it should be.
        ConfigError: there is a run already, or another one than the one to be resumed.
    """
    selection = settled(path, selection)
    with console.console.status("reading"):
        events = read_events(path, selection)
        # the truth of the extra file is what the user says: background
        more = None if background is None else read_events(background, selection)
    regions.check(events.resonance, selection.resonance)
    console.say(summary(events, regions, selection))
    identity = {
        "config": {
            **config.model_dump(mode="json"),
            "selection": asdict(selection),
            "regions": [regions.low, regions.high, *_finite(regions)],
        },
        "seed": seed,
        "data": [{"name": file.name, "sha256": checksum(file)} for file in (path, background) if file is not None],
    }
    folder = RunFolder(out, identity, resume=resume, overwrite=overwrite)
    ensemble = _trained(folder, events, regions, config, seed, more, selection, jobs)
    scores = ensemble.score_held_out(events)
    write_scores(folder / "scores.hdf5", scores, events, regions, ensemble)
    sky = _sky(path, selection, config)
    judged = judge(scores, events, regions, ensemble, seed, sky=sky)
    metrics = {**judged.metrics, "train_seconds": folder.manifest["train_seconds"]}
    folder.write_json("metrics.json", metrics)
    for cut, one in judged.hunts:
        if isinstance(one, Window):
            folder.write_json(f"workspace_{cut:g}.json", workspace(one))
    write_report(
        folder / "report.html",
        scores=scores,
        events=events,
        regions=regions,
        metrics=metrics,
        sample=judged.sample,
        inner=judged.inner,
        sky=sky,
        hunts=judged.hunts,
        histories=folder.read_history(),
        manifest=folder.manifest,
    )
    return metrics


def _sky(path: Path, selection: Selection, config: SearchConfig) -> Sky | None:
    """Places of the events, where the configuration names them and the file has them."""
    names = config.verdict.sky
    if names is None:
        return None
    sky = Sky.read(path, names, selection.key)
    if sky is None:
        console.say(f"no columns {names[0]} and {names[1]}, hence no sky plot: name two with --set verdict.sky=[a,b]")
    return sky


def _trained(
    folder: RunFolder,
    events: Events,
    regions: Regions,
    config: SearchConfig,
    seed: int,
    background: Events | None,
    selection: Selection,
    jobs: int,
) -> Ensemble:
    """The models of the run, or those that it has already."""
    model = folder / "model.safetensors"
    if model.exists():
        return Ensemble.load(model)[0]
    with folder.timed("train_seconds"), console.progress(f"training {config.method}") as update:
        ensemble = cross_fit(
            events, regions, config, seed=seed, background=background, folder=folder.path, jobs=jobs, progress=update
        )
    folder.write_history(ensemble.histories)
    ensemble.save(model, {"selection": asdict(selection), "data": folder.manifest["identity"]["data"]})
    for checkpoint in folder.path.glob("checkpoint_*.safetensors"):
        checkpoint.unlink()
    return ensemble


def score(run_folder: Path, path: Path, output: Path) -> tuple[int, int]:
    """Write a file with all columns of another and one score an event, in its order.

    Events of the file that the run learnt are scored by models that have not seen them; others by the mean over all folds.

    Args:
        run_folder: folder of a run.
        path: the events, with the columns that the run used.
        output: the new file; its suffix says its format.

    Returns:
        The number of events, and how many have a feature outside of the range that was learnt.

    Raises:
        DataError: a column is missing, or a value is not finite: there is no score for it.
    """
    if output.resolve() == path.resolve():
        message = f"{output} is the file of the events itself: give another name to --output"
        raise ConfigError(message)
    ensemble, about = Ensemble.load(run_folder)
    values = {**about["selection"], "features": tuple(about["selection"]["features"]), "label": "none", "weight": None}
    selection = Selection(**values)
    learnt = checksum(path) == about["data"][0]["sha256"]
    outside = 0

    def scored() -> Iterator[dict[str, Any]]:
        nonlocal outside
        first = 0
        for columns, events in iterate_rows(path, selection, chunk=CHUNK):
            if SCORE in columns:
                message = f"{path} has a column {SCORE!r} already: rename it"
                raise DataError(message)
            outside += ensemble.outside(events)
            rows = slice(first, first + len(events))
            yield {**columns, SCORE: ensemble.score_held_out(events, rows=rows) if learnt else ensemble.score(events)}
            first += len(events)

    return write_columns(output, scored(), attributes={"scored by": str(run_folder), "events": path.name}), outside


def summary(events: Events, regions: Regions, selection: Selection) -> str:
    """What was understood, for a person to check."""
    m, unit = events.resonance, f" {selection.units}" if selection.units else ""
    text = (
        f"{len(events)} events, {selection.resonance} from {m.min():.4g} to {m.max():.4g}{unit}: {int(regions.signal(m).sum())} in the "
        f"signal region {regions.low:g} to {regions.high:g}{unit}, {int(regions.sidebands(m).sum())} in the sidebands; "
        f"features {', '.join(events.names)}"
    )
    if events.label is None:
        return text
    return f"{text}; column {selection.label!r} marks {int(events.label.sum())} events as signal (for the verdict only)"


def write_scores(path: Path, scores: Array, events: Events, regions: Regions, ensemble: Ensemble) -> None:
    """Write ``scores.hdf5``: one row an event, in the order of the file."""
    columns: dict[str, Any] = {
        "score": scores,
        "fold": ensemble.folds(events),
        "in_signal_region": regions.signal(events.resonance).astype(np.int8),
        "resonance": events.resonance,
    }
    if events.label is not None:
        columns["label"] = events.label
    about = {"score": "-log10 of the share of background that scores as high"}
    with writer(path, [Field(name, dtype=values.dtype) for name, values in columns.items()], attributes=about) as table:
        table.extend(columns)


def _finite(regions: Regions) -> list[float | None]:
    return [None if np.isinf(edge) else edge for edge in (regions.start, regions.stop)]
