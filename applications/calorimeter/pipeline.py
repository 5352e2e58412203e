"""The main job: from a file of showers to new showers, the classifier's verdict and a report."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from hepflows import console
from hepflows.applications.calorimeter.config import RunConfig
from hepflows.applications.calorimeter.data import iterate_showers, read_showers, write_showers
from hepflows.applications.calorimeter.formats.calogan_root import MOST_CELLS
from hepflows.applications.calorimeter.showers import Showers
from hepflows.errors import ConfigError, DataError
from hepflows.io.paths import expand
from hepflows.metrics.protocol import named
from hepflows.training.loop import History
from hepflows.training.runs import RunFolder, checksum
from hepflows.training.seeding import numpy_generator

Paths = Path | str | Sequence[Path | str]


def open_run(
    inputs: Paths, out: Path, config: RunConfig, seed: int, *, resume: bool = False, overwrite: bool = False
) -> RunFolder:
    """The folder of a run on these files, new or to be gone on with."""
    identity = {"config": config.model_dump(), "seed": seed, "data": _fingerprints(inputs)}
    return RunFolder(out, identity, resume=resume, overwrite=overwrite)


def split(showers: Showers, config: RunConfig, seed: int) -> tuple[Showers, Showers, Showers]:
    """Training, validation and test showers, drawn without overlap from the seed."""
    n = len(showers)
    n_validation, n_test = round(n * config.split.validation), round(n * config.split.test)
    n_train = n - n_validation - n_test
    if min(n_train, n_validation, n_test) < 20:
        message = (
            f"{n} showers are too few: the split gives {n_train} for training, {n_validation} for validation and {n_test} "
            "for the test, and each needs at least 20; give a larger file or set split.validation and split.test"
        )
        raise DataError(message)
    order = numpy_generator(seed, "split").permutation(n)
    return (
        showers[order[:n_train]],
        showers[order[n_train : n_train + n_validation]],
        showers[order[n_train + n_validation :]],
    )


def train(
    training: Showers, validation: Showers, run: RunFolder, config: RunConfig, seed: int
) -> tuple[Any, dict[str, History]]:
    """Train, or take the model that the run has already; returns it with its loss histories."""
    from hepflows.applications.calorimeter.model import CaloFlow

    if (run / "model.safetensors").exists():
        return CaloFlow.load(run.path), run.read_history()
    model = CaloFlow(config=config.model, geometry=training.geometry, seed=seed)
    with console.progress("training") as update:
        histories = model.fit(training, validation, seed=seed, checkpoints=run.path, progress=update)
    run.write_history(histories)
    run.note(
        n_train=len(training),
        n_validation=len(validation),
        train_seconds=round(sum(history.seconds for history in histories.values()), 2),
    )
    model.save(run / "model.safetensors")
    for checkpoint in run.path.glob("checkpoint_*.safetensors"):
        checkpoint.unlink()
    return model, histories


def generate(model: Any, n: int, outputs: Sequence[Path], seed: int, energies: Any = None) -> float:
    """Generate ``n`` showers into one or more files of the same content; returns the milliseconds a shower took."""
    seconds = 0.0

    def timed(update: console.Update) -> Iterator[Showers]:
        nonlocal seconds
        blocks = model.iterate_samples(n if energies is None else energies, seed=seed, progress=update)
        while True:
            started = time.perf_counter()
            block = next(blocks, None)
            seconds += time.perf_counter() - started
            if block is None:
                return
            yield block

    first, *others = outputs
    with console.progress("sampling") as update:
        write_showers(first, timed(update))
    for other in others:
        write_showers(other, iterate_showers(first))
    return 1e3 * seconds / n


def run(
    inputs: Paths,
    out: Path,
    config: RunConfig,
    seed: int,
    *,
    geometry: str | None = None,
    resume: bool = False,
    overwrite: bool = False,
) -> dict[str, Any]:
    """Train, generate, judge and report; every stage that a run has behind it is not repeated.

    Args:
        inputs: files of showers, see `read_showers`: one, several, a folder or a glob.
        out: folder of the run.
        config: see `RunConfig`.
        seed: everything random follows from it.
        geometry: the cells of the files, as `load_geometry` takes them; found out where None.
        resume: go on with an interrupted run.
        overwrite: replace a run that is there.

    Returns:
        What stands in ``metrics.json``.
    """
    named(config.verdict.protocol)  # a wrong name is known before the training, not after it
    with console.console.status("reading"):
        showers = read_showers(inputs, geometry=geometry)
    # a sample that is too small is known before anything is written
    training, validation, test = split(showers, config, seed)
    folder = open_run(inputs, out, config, seed, resume=resume, overwrite=overwrite)
    console.say(f"{len(showers)} showers from {_names(inputs)}")
    model, histories = train(training, validation, folder, config, seed)
    generated_files = [folder / "generated.hdf5"]
    if showers.geometry.n_voxels <= MOST_CELLS:
        generated_files.append(folder / "generated.root")
    if not all(file.exists() for file in generated_files) or "ms_per_shower" not in folder.manifest:
        milliseconds = generate(model, len(showers), generated_files, seed)
        folder.note(ms_per_shower=round(milliseconds, 4))
    return judge(folder, training, test, histories, config, seed)


def judge(
    folder: RunFolder, training: Showers, test: Showers, histories: dict[str, History], config: RunConfig, seed: int
) -> dict[str, Any]:
    """The verdict on what a run generated, against test showers that its model has never seen."""
    from hepflows.applications.calorimeter.metrics import evaluate
    from hepflows.applications.calorimeter.report import write_report

    generated = read_showers(folder / "generated.hdf5")[: len(test)]
    with console.progress("judging") as update:
        metrics, curves = evaluate(
            generated,
            test,
            floor_reference=training,
            protocol=config.verdict.protocol,
            repeats=config.verdict.repeats,
            seed=seed,
            progress=update,
        )
    known = ("n_train", "n_validation", "train_seconds", "ms_per_shower")
    metrics = {**metrics, **{key: folder.manifest[key] for key in known}}
    folder.write_json("metrics.json", metrics)
    write_report(
        folder / "report.html",
        showers={"Geant4": test, "CaloFlow": generated},
        metrics=metrics,
        histories={
            name: {"train": history.train, "validation": history.validation} for name, history in histories.items()
        },
        roc=curves,
        manifest=folder.manifest,
        title=f"CaloFlow on {', '.join(file['name'] for file in folder.manifest['identity']['data'])}",
    )
    return metrics


def evaluate_files(
    generated: Paths,
    reference: Paths,
    out: Path,
    protocol: str,
    repeats: int,
    seed: int,
    *,
    geometry: str | None = None,
) -> dict[str, Any]:
    """Judge one file by another: writes ``metrics.json`` and ``report.html`` into a folder."""
    from hepflows.applications.calorimeter.metrics import evaluate
    from hepflows.applications.calorimeter.report import write_report

    named(protocol)
    truth = read_showers(reference, geometry=geometry)
    true_name = "Geant4" if truth.attributes.get("engine", "").startswith("Geant4") else "reference"
    samples = {true_name: truth, "generated": read_showers(generated, geometry=geometry)}
    identity = {
        "config": {"verdict": {"protocol": protocol, "repeats": repeats}},
        "seed": seed,
        "data": [*_fingerprints(generated), *_fingerprints(reference)],
    }
    if any((out / name).exists() for name in ("model.safetensors", "generated.hdf5")):
        message = f"{out}: holds a training run, which this would replace; give evaluate a folder of its own"
        raise ConfigError(message)
    folder = RunFolder(out, identity, overwrite=(out / "manifest.json").exists())
    with console.progress("judging") as update:
        metrics, curves = evaluate(
            samples["generated"], truth, protocol=protocol, repeats=repeats, seed=seed, progress=update
        )
    folder.write_json("metrics.json", metrics)
    title = f"{_names(generated)} against {_names(reference)}"
    write_report(
        folder / "report.html", showers=samples, metrics=metrics, roc=curves, manifest=folder.manifest, title=title
    )
    return metrics


def _names(paths: Paths) -> str:
    return ", ".join(file.name for file in expand(paths))


def _fingerprints(paths: Paths) -> list[dict[str, str]]:
    return [{"name": file.name, "sha256": checksum(file)} for file in expand(paths)]
