"""The main job: from a file of showers to new showers, the classifier's verdict and a report."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hepflows import console
from hepflows.applications.calorimeter.config import CaloFlowConfig, RunConfig
from hepflows.applications.calorimeter.data import iterate_showers, read_showers, write_showers
from hepflows.applications.calorimeter.flow_config import StudentConfig
from hepflows.applications.calorimeter.formats.calogan_root import MOST_CELLS
from hepflows.applications.calorimeter.models.noise import part_of
from hepflows.applications.calorimeter.models.training_set import counted
from hepflows.applications.calorimeter.sample import Paths, Split, load_sample, megabytes
from hepflows.applications.calorimeter.showers import Showers
from hepflows.applications.calorimeter.spread import Spread
from hepflows.errors import ConfigError, DataError
from hepflows.io.paths import expand
from hepflows.metrics.protocol import named
from hepflows.training.checkpoint import model_file
from hepflows.training.distributed import World
from hepflows.training.loop import History
from hepflows.training.runs import RunFolder, checksum


def read_sample(
    inputs: Paths, out: Path, config: RunConfig, seed: int, *, geometry: str | None = None, memory_gb: float = 4.0
) -> tuple[Showers, Split]:
    """The showers of a run, and which of them are for what; a sample that cannot be used is known before anything is written.

    Raises:
        DataError: too few showers, no column that the model is conditioned on, or weights that cannot be learned from.
        ConfigError: a student without its teacher.
    """
    conditions = conditions_of(config.model)
    showers = load_sample(inputs, folder=out, memory_gb=memory_gb, geometry=geometry, conditions=conditions)
    missing = [name for name in conditions if name not in showers.columns]
    if missing:
        message = f"{file_names(inputs)}: the model is to be conditioned on {missing[0]!r}, but there is no such column: give files with it"
        raise DataError(message)
    parts = Split.of(len(showers), config.split, seed)
    for rows in (parts.training, parts.validation):
        counted(showers, rows)
    return showers, parts


def open_run(
    inputs: Paths,
    out: Path,
    config: RunConfig,
    seed: int,
    *,
    resume: bool = False,
    overwrite: bool = False,
    world: World | None = None,
) -> RunFolder:
    """The folder of a run on these files, new or to be gone on with; the first of several processes makes it, and the others join."""
    world = World() if world is None else world
    with world.together():
        identity = {"config": config.model_dump(), "seed": seed, "data": fingerprints(inputs)}
        teacher = teacher_of(config.model)
        if teacher is not None:
            identity["teacher"] = checksum(teacher)
        if world.first:
            folder = RunFolder(out, identity, resume=resume, overwrite=overwrite)
    with world.together():
        return folder if world.first else RunFolder.joined(out, identity)


def train(
    showers: Showers, parts: Split, run: RunFolder, config: RunConfig, seed: int, world: World | None = None
) -> tuple[Any, dict[str, History]]:
    """Train, alone or in several processes, or take the model that the run has already; returns it with its loss histories."""
    from hepflows.applications.calorimeter.models.caloflow import CaloFlow

    if (run / "model.safetensors").exists():
        return CaloFlow.load(run.path), run.read_history()
    path = teacher_of(config.model)
    teacher = None if path is None else CaloFlow.load(path)
    model = CaloFlow(config=with_species(config.model, showers), geometry=showers.geometry, teacher=teacher, seed=seed)
    with console.progress("training") as update:
        histories = model.fit(
            showers,
            showers,
            rows=parts.training,
            validation_rows=parts.validation,
            seed=seed,
            checkpoints=run.path,
            progress=update,
            world=world,
        )
    if world is not None and not world.first:
        return model, histories
    run.write_history(histories)
    run.note(
        processes=1 if world is None else world.size,
        n_train=len(parts.training),
        n_validation=len(parts.validation),
        train_seconds=round(sum(history.seconds for history in histories.values()), 2),
    )
    model.save(run / "model.safetensors")
    for checkpoint in run.path.glob("checkpoint_*.safetensors"):
        checkpoint.unlink()
    return model, histories


def teacher_of(model: CaloFlowConfig) -> Path | None:
    """The file of the teacher of a student.

    Raises:
        ConfigError: there is none.
    """
    if not isinstance(model.shower_flow, StudentConfig):
        return None
    path = model_file(model.shower_flow.teacher)
    if not model.shower_flow.teacher or not path.is_file():
        where = f"{path}: no such file" if model.shower_flow.teacher else "a student needs a teacher"
        message = f"{where}; train a model of kind teacher, and give its folder with --teacher"
        raise ConfigError(message)
    return path


def conditions_of(model: CaloFlowConfig) -> list[str]:
    """The columns that a model is conditioned on; a student has those of its teacher."""
    from hepflows.applications.calorimeter.models.caloflow import CaloFlow

    path = teacher_of(model)
    return list(model.conditions if path is None else CaloFlow.load(path).config.conditions)


def with_species(model: CaloFlowConfig, showers: Showers) -> CaloFlowConfig:
    """The configuration with the species that a sample holds, where it is conditioned on them and names none."""
    if "pdg" not in model.conditions or model.species or "pdg" not in showers.columns:
        return model
    return model.model_copy(update={"species": sorted({int(number) for number in showers.columns["pdg"]})})


@dataclass(frozen=True)
class Particles:
    """What is to be generated.

    Attributes:
        n: showers, in all shards together.
        energies: incident energies in GeV, or None for those of the training set.
        conditions: what a conditional model is given, by name.
        shard: (i, N): only the i-th of N parts, counted from 0.
    """

    n: int
    energies: Spread | None = None
    conditions: Mapping[str, float] = field(default_factory=dict)
    shard: tuple[int, int] = (0, 1)


def generate(model: Any, particles: Particles, outputs: Sequence[Path], seed: int) -> tuple[int, float]:
    """Generate showers into one or more files of the same content; returns how many, and the milliseconds a shower took.

    Where a shard holds none, there being fewer blocks than shards, nothing is written.
    """
    from hepflows.applications.calorimeter.models.caloflow import BLOCK

    seconds = 0.0
    asked = model.incident.asked(particles.n, particles.conditions, particles.energies)
    for text in model.incident.beyond(asked):
        console.errors.print(f"warning: the model extrapolates: {text}", markup=False)
    if len(set(part_of(particles.n, particles.shard, BLOCK))) == 1:
        return 0, 0.0

    def timed(update: console.Update) -> Iterator[Showers]:
        nonlocal seconds
        blocks = model.iterate_samples(
            particles.n,
            seed=seed,
            energies=particles.energies,
            columns=particles.conditions,
            shard=particles.shard,
            progress=update,
        )
        while True:
            started = time.perf_counter()
            block = next(blocks, None)
            seconds += time.perf_counter() - started
            if block is None:
                return
            yield block

    first, *others = outputs
    with console.progress("sampling") as update:
        written = write_showers(first, timed(update))
    for other in others:
        write_showers(other, iterate_showers(first))
    return written, 1e3 * seconds / written


def run(
    inputs: Paths,
    out: Path,
    config: RunConfig,
    seed: int,
    *,
    geometry: str | None = None,
    resume: bool = False,
    overwrite: bool = False,
    memory_gb: float = 4.0,
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
        memory_gb: showers that may stay in memory; more of them are read from disk as they are needed.

    Returns:
        What stands in ``metrics.json``.
    """
    named(config.verdict.protocol)  # a wrong name is known before the training, not after it
    with console.console.status("reading"):
        showers, parts = read_sample(inputs, out, config, seed, geometry=geometry, memory_gb=memory_gb)
    if showers.weights.min() < 0:
        message = (
            f"{file_names(inputs)}: some weights are negative, with which the classifier of the verdict cannot learn: use 'hepflows "
            "calorimeter train', 'sample' and 'evaluate --suite quick'"
        )
        raise DataError(message)
    folder = open_run(inputs, out, config, seed, resume=resume, overwrite=overwrite)
    console.say(f"{len(showers)} showers from {file_names(inputs)}")
    model, histories = train(showers, parts, folder, config, seed)
    generated_files = [folder / "generated.hdf5"]
    if showers.geometry.n_voxels <= MOST_CELLS:
        generated_files.append(folder / "generated.root")
    if not all(file.exists() for file in generated_files) or "ms_per_shower" not in folder.manifest:
        _, milliseconds = generate(model, Particles(len(showers)), generated_files, seed)
        folder.note(ms_per_shower=round(milliseconds, 4))
    # what is judged is held in memory, several times over
    most = max(1000, megabytes(memory_gb) * 25_000 // showers.geometry.n_voxels)
    return judge(folder, showers[parts.training[:most]], showers[parts.test[:most]], histories, config, seed)


def judge(
    folder: RunFolder, training: Showers, test: Showers, histories: dict[str, History], config: RunConfig, seed: int
) -> dict[str, Any]:
    """The verdict on what a run generated, against test showers that its model has never seen."""
    from hepflows.applications.calorimeter.evaluation.context import published_context, published_dataset
    from hepflows.applications.calorimeter.evaluation.samples import reference_name
    from hepflows.applications.calorimeter.metrics import evaluate
    from hepflows.applications.calorimeter.report import write_report

    generated = read_showers(folder / "generated.hdf5", n=len(test))
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
    names = [file["name"] for file in folder.manifest["identity"]["data"]]
    dataset = published_dataset(test, names[0])
    write_report(
        folder / "report.html",
        showers={reference_name(test, ["CaloFlow"]): test, "CaloFlow": generated},
        metrics={"CaloFlow": metrics},
        histories={
            name: {"train": history.train, "validation": history.validation} for name, history in histories.items()
        },
        roc=curves,
        manifest=folder.manifest,
        context=published_context(dataset, {"CaloFlow": {"classifiers": {config.verdict.protocol: metrics}}}),
        title=f"CaloFlow on {', '.join(names)}",
    )
    return metrics


def file_names(paths: Paths) -> str:
    """The names of files, for a person."""
    return ", ".join(file.name for file in expand(paths))


def fingerprints(paths: Paths) -> list[dict[str, str]]:
    """Names and checksums of files, for a manifest."""
    return [{"name": file.name, "sha256": checksum(file)} for file in expand(paths)]
