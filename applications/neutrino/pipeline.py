"""The main job: from a file of events to a trained flow, the baselines, a verdict and a report; and to neutrinos of other files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hepflows import console
from hepflows.applications.neutrino.config import NeutrinoConfig
from hepflows.applications.neutrino.data import read_events
from hepflows.applications.neutrino.events import Events, notes
from hepflows.applications.neutrino.methods.feedforward import FeedForward
from hepflows.applications.neutrino.methods.flow import NeutrinoFlow
from hepflows.applications.neutrino.report import write_report
from hepflows.applications.neutrino.verdict import judge
from hepflows.errors import DataError
from hepflows.training.loop import History
from hepflows.training.runs import RunFolder, checksum
from hepflows.training.seeding import derive, numpy_generator

FEWEST_TEST = 200


def run(
    path: Path,
    out: Path,
    config: NeutrinoConfig,
    seed: int,
    *,
    columns: str | None = None,
    units: str | None = None,
    resume: bool = False,
    overwrite: bool = False,
) -> dict[str, Any]:
    """Train the flow and the regression, judge them and the W-mass constraint on events that none has seen, and report.

    Args:
        path: events with their true neutrinos.
        out: folder of the run.
        config: see `NeutrinoConfig`.
        seed: everything random follows from it.
        columns: ROOT: a column map.
        units: of energies in the file.
        resume: go on with an interrupted run.
        overwrite: replace a run that is there.

    Returns:
        What stands in ``metrics.json``.

    Raises:
        DataError: the file is not what it should be, or has no true neutrinos or too few events.
        ConfigError: there is a run already, or another one than the one to be resumed.
    """
    with console.console.status("reading"):
        events = read_events(path, columns=columns, leptons=config.leptons, units=units)
    events.truth("training")
    training, test = split(events, config.test, seed)
    console.say(summary(training, test))
    for note in notes(events.n_jets):
        console.say(note)
    identity = {
        "config": {**config.model_dump(mode="json"), "columns": columns, "units": units},
        "seed": seed,
        "data": [{"name": path.name, "sha256": checksum(path)}],
    }
    folder = RunFolder(out, identity, resume=resume, overwrite=overwrite)
    flow, regression = _trained(folder, training, config, seed)
    judged = judge(flow, regression, test, config, derive(seed, "verdict"))
    seconds = {name: folder.manifest[name] for name in ("train_seconds", "train_seconds_feedforward")}
    metrics = {"n_train": len(training), **judged.metrics, **seconds}
    folder.write_json("metrics.json", metrics)
    write_report(
        folder / "report.html",
        judged=judged,
        metrics=metrics,
        histories=folder.read_history(),
        manifest=folder.manifest,
    )
    return metrics


def split(events: Events, test: float, seed: int) -> tuple[Events, Events]:
    """Events to learn from and events to judge by, in random order.

    Raises:
        DataError: too few events.
    """
    order = numpy_generator(seed, "test events").permutation(len(events))
    size = round(test * len(events))
    if size < FEWEST_TEST or len(events) - size < FEWEST_TEST:
        message = (
            f"{len(events)} events are too few to learn from and to judge by: {FEWEST_TEST} of each are the least, "
            "and 100,000 make a model"
        )
        raise DataError(message)
    return events[order[size:]], events[order[:size]]


def summary(training: Events, test: Events) -> str:
    """What was understood, for a person to check."""
    text = (
        f"{len(training)} events to learn from and {len(test)} to judge by, {training.n_neutrinos} lepton(s) and neutrino(s) each, "
        f"{training.n_jets.mean():.2f} jets and {training.n_bjets.mean():.2f} b tags on average"
    )
    if training.weights is None:
        return text
    return (
        f"{text}; weights from {training.weights.min():.3g} to {training.weights.max():.3g} count in the training only"
    )


def _trained(
    folder: RunFolder, training: Events, config: NeutrinoConfig, seed: int
) -> tuple[NeutrinoFlow, FeedForward]:
    """The models of the run, or those that it has already."""
    model, other = folder / "model.safetensors", folder / "regression.safetensors"
    flow, regression = (
        NeutrinoFlow(config, seed=derive(seed, "flow")),
        FeedForward(config, seed=derive(seed, "regression")),
    )
    if model.exists():
        flow = NeutrinoFlow.load(model)[0]
    else:
        checkpoint = folder / "checkpoint_flow.safetensors"
        with console.progress("training the flow") as update:
            flow.fit(training, checkpoint=checkpoint, progress=update)
        _note_seconds(folder, "train_seconds", flow.estimator.history)
        flow.save(model, {"data": folder.manifest["identity"]["data"]})
        checkpoint.unlink(missing_ok=True)
    if other.exists():
        return flow, FeedForward.load(other)
    checkpoint = folder / "checkpoint_regression.safetensors"
    with console.progress("training the regression") as update:
        history = regression.fit(training, checkpoint=checkpoint, progress=update)
    _note_seconds(folder, "train_seconds_feedforward", history)
    folder.write_history({"flow": flow.estimator.history or History(), "regression": history})
    regression.save(other)
    checkpoint.unlink(missing_ok=True)
    return flow, regression


def _note_seconds(folder: RunFolder, name: str, history: History | None) -> None:
    """The time of the training, that of a killed process up to its last checkpoint included."""
    folder.note(**{name: round((history or History()).seconds, 2)})
