"""The folder of an evaluation: metrics.json and report.html of samples against one reference."""

from __future__ import annotations

import json
import time
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from hepflows import console
from hepflows.applications.calorimeter.data import read_showers
from hepflows.applications.calorimeter.evaluation.context import Context, published_context, published_dataset
from hepflows.applications.calorimeter.evaluation.samples import named_paths, reference_name
from hepflows.applications.calorimeter.evaluation.suites import Pair, Suite, classifiers, measure
from hepflows.applications.calorimeter.metrics import Curves
from hepflows.applications.calorimeter.pipeline import file_names, fingerprints
from hepflows.applications.calorimeter.report import FLOOR_OF, write_report
from hepflows.applications.calorimeter.report_notices import Notice, all_notices
from hepflows.errors import ConfigError
from hepflows.io.atomic import check_target
from hepflows.metrics.protocol import ClassifierProtocol, named
from hepflows.metrics.result import Measurement
from hepflows.training.runs import RunFolder


@dataclass(frozen=True)
class Evaluation:
    """What `evaluate_files` found.

    Args:
        metrics: by name of the sample.
        reference: name of the reference.
        notices: what to know before quoting a number.
        context: published numbers to print beside them.
    """

    metrics: dict[str, dict[str, Any]]
    reference: str
    notices: list[Notice]
    context: Context | None


_OF_A_RUN = ("model.safetensors", "generated.*", "history.csv", "checkpoint_*.safetensors")


def evaluate_files(
    samples: Sequence[str],
    reference: str,
    out: Path,
    *,
    suite: Suite = "standard",
    protocols: Sequence[str | ClassifierProtocol] = ("standardised",),
    repeats: int = 3,
    seed: int = 1,
    geometry: str | None = None,
    n: int | None = None,
    device: str | None = None,
) -> Evaluation:
    """Judge samples by one reference: writes ``metrics.json`` and ``report.html`` into a folder of their own.

    Args:
        samples: paths, see `named_paths`.
        reference: path of true showers.
        out: the folder; an evaluation that it holds is replaced.
        suite, protocols, repeats, seed, device: see `measure`.
        geometry: the cells of the files, as `load_geometry` takes them; found out where None.
        n: at most so many showers of each file.

    Raises:
        ConfigError, DataError: something is wrong with an option or a file; nothing has been written then.
    """
    _refuse_run(out)
    _refuse_device(device)
    paths = named_paths(samples)
    truth = read_showers(reference, geometry=geometry, n=n)
    tests = classifiers(suite, protocols, truth)
    true_name = reference_name(truth, paths)
    showers = {true_name: truth, **{name: read_showers(path, geometry=geometry, n=n) for name, path in paths.items()}}
    pairs = {name: Pair.of(showers[name], truth, suite, seed) for name in paths}
    identity = {
        "config": {
            "suite": suite,
            "verdict": {"protocols": [named(one).name for one in protocols], "repeats": repeats},
            "n": n,
            "geometry": geometry or truth.geometry.name,
            "device": device or "cpu",
        },
        "seed": seed,
        "data": [
            *({"sample": name, **one} for name, path in paths.items() for one in fingerprints(path)),
            *({"reference": true_name, **one} for one in fingerprints(reference)),
        ],
    }
    replaces, started = (out / "manifest.json").exists(), time.strftime("%Y-%m-%d %H:%M:%S %z")
    RunFolder.check(out, identity, overwrite=replaces)
    check_target(next(place for place in (out, *out.absolute().parents) if place.is_dir()) / "metrics.json")
    if len(tests) > 1:
        console.say(f"{len(tests)} classifiers, {repeats * (len(paths) + 1) + 1} trainings each: {', '.join(tests)}")
    found: dict[str, dict[str, Any]] = {}
    curves: Curves = {}
    measured: dict[Hashable, Measurement] = {}
    dataset = published_dataset(truth, reference)
    for name, pair in pairs.items():
        with console.progress("judging" if len(pairs) == 1 else f"judging {name}") as update:
            metrics, roc = measure(
                pair,
                suite=suite,
                protocols=protocols,
                repeats=repeats,
                seed=seed,
                device=device,
                measured=measured,
                progress=update,
            )
        found[name] = {**metrics, "published_dataset": dataset}
        if len(pairs) == 1:
            curves = roc
        elif roc:  # the power check stands for none
            curves |= {name: roc["generated"], **_floor_curve(name, roc["floor"], curves)}
    context = published_context(dataset, found)
    # only now: an evaluation that does not end leaves the former one
    folder = RunFolder(out, identity, overwrite=replaces)
    folder.note(started=started)
    several = {"reference": true_name, "samples": found}
    folder.write_json("metrics.json", next(iter(found.values())) if len(found) == 1 else several)
    write_report(
        folder / "report.html",
        showers=showers,
        metrics=found,
        roc=curves,
        manifest=folder.manifest,
        context=context,
        title=f"{', '.join(paths)} against {file_names(reference)}",
    )
    return Evaluation(found, true_name, all_notices(found, showers), context)


def _floor_curve(sample: str, floor: tuple[Any, Any], curves: Curves) -> Curves:
    """The floor of a sample, where it is none of those that stand there already: samples of one size share theirs."""
    if any(np.array_equal(floor, one) for key, one in curves.items() if key.startswith(FLOOR_OF)):
        return {}
    return {f"{FLOOR_OF}{sample}": floor}


def _refuse_device(device: str | None) -> None:
    """A device that is not there is known before anything is read."""
    if device is None:
        return
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = " ".join(str(error).split(".")[0].split())
        message = f"--device {device}: cannot be used here ({reason}); leave the option out to train on the processor"
        raise ConfigError(message) from None


def _refuse_run(out: Path) -> None:
    """An evaluation replaces an evaluation, never what was trained."""
    manifest = out / "manifest.json"
    trained = any(True for pattern in _OF_A_RUN for _ in out.glob(pattern))
    if manifest.exists() and not trained:
        try:
            trained = "model" in json.loads(manifest.read_text(encoding="utf-8"))["identity"]["config"]
        except (OSError, ValueError, KeyError, TypeError):
            trained = True
    if trained:
        message = f"{out}: holds a training run, which this would replace; give evaluate a folder of its own"
        raise ConfigError(message)
