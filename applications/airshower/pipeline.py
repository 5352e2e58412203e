"""The main job: from counts to a posterior of the sources that was checked, with a report."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from hepflows import console
from hepflows.applications.airshower.config import AirshowerConfig
from hepflows.applications.airshower.detector import OBSERVABLES
from hepflows.applications.airshower.forward import ForwardModel
from hepflows.applications.airshower.inference import SourcePosterior
from hepflows.applications.airshower.observations import Observation
from hepflows.applications.airshower.prior import NAMES
from hepflows.applications.airshower.report import write_report
from hepflows.applications.airshower.universes import Universes
from hepflows.applications.airshower.verdict import Inferred, calibrate, infer, predictive, pseudo_data
from hepflows.io import Field, writer
from hepflows.training.loop import History
from hepflows.training.runs import RunFolder, checksum
from hepflows.training.seeding import derive, generator


def run(
    observation: Observation,
    out: Path,
    config: AirshowerConfig,
    seed: int,
    *,
    source: Path | None = None,
    resume: bool = False,
    overwrite: bool = False,
) -> dict[str, Any]:
    """Simulate, learn, check on new universes, infer, compare and report; what is finished is not repeated.

    Args:
        observation: the counts.
        out: folder of the run.
        config: see `AirshowerConfig`.
        seed: everything random follows from it.
        source: the file of the observation, for the manifest.
        resume: go on with an interrupted run.
        overwrite: replace a run that is there.

    Returns:
        What stands in ``metrics.json``.
    """
    data = [] if source is None else [{"name": source.name, "sha256": checksum(source)}]
    identity = {
        "config": config.model_dump(mode="json"),
        "seed": seed,
        "data": data,
        "observation": {"name": observation.name, "counts": observation.counts.int().tolist()},
    }
    folder = RunFolder(out, identity, resume=resume, overwrite=overwrite)
    posterior = _trained(folder, config, seed)
    with console.console.status("calibration on new universes"):
        calibration = calibrate(posterior, config, seed=derive(seed, "calibration"))
    toys = pseudo_data(posterior, config, seed=derive(seed, "pseudo-data"))
    chain = config.chain if config.chain.observation else None
    found = infer(
        posterior, observation.counts, config.verdict, seed=derive(seed, "observation"), chain=chain,
        title="chain of the observation",
    )  # fmt: skip
    again = predictive(
        posterior, found.resampled[: config.verdict.predictive], observation.counts, seed=derive(seed, "again")
    )
    metrics = {
        **calibration.metrics,
        "observation": {"name": observation.name, **found.metrics, "parameters": _parameters(found)},
        "predictive_p_value": again.p_value,
        "predictive_outside_95": again.outside,
        "pseudo_data": toys,
        "n_universes": config.universes,
        "train_seconds": folder.manifest["train_seconds"],
    }
    write_posterior(folder / "posterior.hdf5", found)
    folder.write_json("metrics.json", metrics)
    write_report(
        folder / "report.html",
        observation=observation,
        found=found,
        again=again,
        calibration=calibration,
        metrics=metrics,
        histories=folder.read_history(),
        manifest=folder.manifest,
    )
    return metrics


def _trained(folder: RunFolder, config: AirshowerConfig, seed: int) -> SourcePosterior:
    """The flow of the run, or the one that it has already."""
    model = folder / "model.safetensors"
    if model.exists():
        return SourcePosterior.load(model)[0]
    with folder.timed("train_seconds"):
        posterior, histories = _taught(folder, config, seed)
    folder.write_history(histories)
    posterior.save(model, config)
    for checkpoint in folder.path.glob("checkpoint_*.safetensors"):
        checkpoint.unlink()
    return posterior


def _taught(folder: RunFolder, config: AirshowerConfig, seed: int) -> tuple[SourcePosterior, dict[str, History]]:
    """A flow that has learnt from simulated universes, and how."""
    console.say(f"{config.universes} universes, {config.response}, {config.xmax}")
    with console.progress("simulation") as update:
        universes = Universes.simulate(config, seed, folder=folder.path, progress=update)
    histories = {}
    if config.observables == "fit" and config.refresh:
        first, histories["first"] = _learnt(universes, config, seed, folder, "first")
        with console.progress("refreshing") as update:
            universes = universes.refreshed(first.estimator, config, seed, folder=folder.path, progress=update)
    posterior, histories["posterior"] = _learnt(universes, config, seed, folder, "posterior")
    return posterior, histories


def _learnt(
    universes: Universes, config: AirshowerConfig, seed: int, folder: RunFolder, name: str
) -> tuple[SourcePosterior, History]:
    """A flow that has learnt; the checkpoint of one that is through gives it back at once."""
    checkpoint = folder / f"checkpoint_{name}.safetensors"
    with console.progress("training" if name == "posterior" else "first training") as update:
        return SourcePosterior.learn(universes, config, seed=seed, checkpoint=checkpoint, progress=update)


def _parameters(found: Inferred) -> dict[str, dict[str, float]]:
    """Mean and standard deviation of each parameter, of the flow and of the exact posterior."""
    weights = found.exact.weights.unsqueeze(-1)
    mean = (weights * found.exact.theta).sum(0)
    std = (weights * (found.exact.theta - mean).square()).sum(0).sqrt()
    return {
        name: {
            "mean": float(found.draws[:, i].mean()), "std": float(found.draws[:, i].std()),
            "exact_mean": float(mean[i]), "exact_std": float(std[i]),
        }
        for i, name in enumerate(NAMES)
    }  # fmt: skip


def write_posterior(path: Path, found: Inferred) -> None:
    """Write draws: one column a parameter and ``weight`` (mean 1) of the exact posterior, and ``flow_...``, draws of the flow."""
    columns = {name: found.exact.theta[:, i].numpy() for i, name in enumerate(NAMES)}
    columns["weight"] = (found.exact.weights * len(found.draws)).numpy()
    columns |= {f"flow_{name}": found.draws[:, i].numpy() for i, name in enumerate(NAMES)}
    about = {"weight": "of the exact posterior, mean 1; the columns flow_... have none and stand in rows of their own"}
    with writer(path, [Field(name) for name in columns], attributes=about) as table:
        table.extend(columns)


def infer_file(run_folder: Path, observation: Observation, output: Path, n: int, seed: int) -> Inferred:
    """The posterior of another observation by the flow of a run, written as a table.

    Args:
        run_folder: folder of a run, or its model.
        observation: the counts.
        output: the table: .hdf5 or .root.
        n: draws.
        seed: of these.
    """
    posterior, config = SourcePosterior.load(run_folder)
    found = infer(posterior, observation.counts, config.verdict.model_copy(update={"posterior": n}), seed=seed)
    write_posterior(output, found)
    return found


def simulate(output: Path, n: int, config: AirshowerConfig, seed: int) -> None:
    """Write universes: one row each, its parameters and the 420 counts that were seen of it.

    Args:
        output: .hdf5.
        n: universes.
        config: prior, response, hadronic model.
        seed: of both.
    """
    prior, model = config.prior.prior(), ForwardModel(config.response, config.xmax)
    fields = [*(Field(name) for name in NAMES), Field("counts", shape=(OBSERVABLES,), dtype="float32")]
    about = {"response": config.response, "xmax": config.xmax, "counts": "15 of the spectrum, then 9 x 45 of Xmax"}
    with writer(output, fields, attributes=about) as table, console.progress("simulating") as update:
        for block in range(-(-n // 4096)):
            size = min(4096, n - block * 4096)
            theta = prior.draw(size, generator=generator(seed, "universes", block))
            counts = model.simulate(theta, generator=generator(seed, "counts", block))
            named = {name: theta[:, i].numpy() for i, name in enumerate(NAMES)}
            table.extend({**named, "counts": counts.to(torch.float32).numpy()})
            update(min(n, (block + 1) * 4096), n, "universes")
