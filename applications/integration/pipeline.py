"""A run of the command line: integrate, draw events, judge them, and leave all of it in a folder."""

from __future__ import annotations

import contextlib
import inspect
import json
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from hepflows import console
from hepflows.applications.integration.bounds_option import parse_bound
from hepflows.applications.integration.catalogue import built_in
from hepflows.applications.integration.domain import Domain
from hepflows.applications.integration.evaluation import Style, load
from hepflows.applications.integration.event_output import check_formats, write_sample
from hepflows.applications.integration.generation import Sample
from hepflows.applications.integration.integrand import Integrand
from hepflows.applications.integration.integrator import FlowIntegrator, Method
from hepflows.applications.integration.metrics import as_metrics, events_test
from hepflows.applications.integration.report import write_report
from hepflows.applications.integration.result import IntegrationResult, with_error
from hepflows.errors import ConfigError, DataError, HepflowsError
from hepflows.training.distributed import World, connect
from hepflows.training.runs import RunFolder, checksum, withdraw
from hepflows.training.seeding import derive

JOURNAL = "journal.bin"
"""All values of the integrand, until the run is complete."""
WORTH_KEEPING = 60.0
"""Seconds of work after which a run that fails keeps its journal."""
_JUDGED = 35_000
"""Events that the classifier sees at most: 21,000 of them to learn from."""


@dataclass(frozen=True)
class Settings:
    """What a run depends on, besides its seed and the text of the user's module.

    Args:
        integrand: ``module:function``, or the name of a built-in one where ``builtin``.
        builtin: whether it is one.
        bounds: as on the command line; those of the built-in one where empty.
        neval: evaluations of the integral.
        method, rtol, style: as of `FlowIntegrator`.
        events: number of events, 0 for none.
        weighted: whether they keep their weights.
        overweight: share of the sum of weights above the cap.
        formats: suffixes of the files of events.
        verdict: whether a classifier compares them with acceptance-rejection.
    """

    integrand: str
    builtin: bool = False
    bounds: tuple[str, ...] = ()
    neval: int = 1_000_000
    method: Method = "auto"
    rtol: float | None = None
    style: Style | None = None
    events: int = 10_000
    weighted: bool = False
    overweight: float = 1e-3
    formats: tuple[str, ...] = ("hdf5",)
    verdict: bool = False


def run(
    settings: Settings,
    out: Path,
    seed: int,
    *,
    resume: bool = False,
    overwrite: bool = False,
    tell: Callable[[str], None] = console.say,
) -> dict[str, Any]:
    """Do a run; the content of ``result.json`` in return.

    A run that has its report is not repeated with ``resume``; one that was interrupted goes on after the last values in its journal, with
    the same outcome. Started by ``torchrun``, the processes share the calls of the integrand, and the first does the rest.

    Args:
        settings: what to do.
        out: folder of the run.
        seed: of all random numbers.
        resume, overwrite: what to do with a run that is there.
        tell: is given the number as soon as it is known, and then what else there is to say.

    Raises:
        ConfigError: the settings make no sense, or the folder holds another run.
        IntegrandError: the function raised, or returned something that is no number for each point.
        DataError: a file cannot be written.
    """
    integrand = _integrand(settings)
    _check(settings, integrand)
    identity = {"config": asdict(settings), "seed": seed, "function": None if settings.builtin else _source(integrand)}
    if resume and (out / "report.html").exists():
        RunFolder.check(out, identity, resume=True)
        found: dict[str, Any] = json.loads((out / "result.json").read_text())
        _tell(found, tell)
        return found
    with connect() as world, _kept_where_it_pays(out, world):
        with world.together():
            folder = RunFolder(out, identity, resume=resume, overwrite=overwrite) if world.first else None
        with _evaluations(settings.neval, world) as progress:
            integrator = FlowIntegrator(integrand.bounds, seed=seed, world=world)
            result = integrator(
                integrand.function,
                settings.neval,
                rtol=settings.rtol,
                method=settings.method,
                style=settings.style,
                journal=out / JOURNAL,
                progress=progress,
            )
    values = _values(settings, integrand, result)
    if folder is None:
        return values
    _tell(values, tell)
    folder.write_json("result.json", values)
    sample = _sample(integrator, settings, tell)
    if sample is not None:
        values["events"] = _write_events(folder, sample, settings, integrand, result, seed)
        folder.write_json("result.json", values)
    metrics = _judge(sample, integrand, seed, tell) if settings.verdict else None
    if metrics is not None:
        folder.write_json("metrics.json", metrics)
    write_report(
        folder / "report.html",
        result,
        integrand,
        sample,
        weighted=settings.weighted,
        metrics=metrics,
        manifest=folder.manifest,
        seed=derive(seed, "reference"),
    )
    (out / JOURNAL).unlink()
    return values


def _integrand(settings: Settings) -> Integrand:
    if settings.builtin:
        return built_in(settings.integrand)
    bounds = tuple(parse_bound(text) for text in settings.bounds)
    return Integrand(settings.integrand, load(settings.integrand), Domain(bounds).bounds)


def _check(settings: Settings, integrand: Integrand) -> None:
    check_formats(settings.formats, integrand)
    if settings.verdict and (not settings.builtin or settings.weighted or not settings.events):
        message = (
            "--verdict compares unweighted events of a built-in integrand with acceptance-rejection: "
            "give --builtin and --events, and no --weighted"
        )
        raise ConfigError(message)
    if settings.rtol is not None and not settings.rtol > 0:
        message = f"--rtol {settings.rtol:g}: a relative error must be positive, for example 1e-3"
        raise ConfigError(message)


def _source(integrand: Integrand) -> str | None:
    """Checksum of the file that holds the user's function: another text is another run."""
    with contextlib.suppress(TypeError, OSError):
        file = inspect.getsourcefile(inspect.unwrap(integrand.function))
        if file is not None:
            return checksum(Path(file))
    return None


@contextlib.contextmanager
def _kept_where_it_pays(out: Path, world: World) -> Iterator[None]:
    """Leave a folder to go on with after an interruption or much work; nothing after what a user did wrong at once."""
    new, started = not (out / "manifest.json").exists(), time.monotonic()
    try:
        yield
    except (HepflowsError, OSError):
        if new and world.first and time.monotonic() - started < WORTH_KEEPING:
            withdraw(out, ("manifest.json", "config.yaml", JOURNAL))
        raise


@contextlib.contextmanager
def _evaluations(neval: int, world: World) -> Iterator[Callable[[int], None] | None]:
    """A progress bar over the evaluations, in the first process."""
    if not world.first:
        yield None
        return
    with console.progress("integrate") as update:
        yield lambda done: update(done, neval, "evaluations")


def _values(settings: Settings, integrand: Integrand, result: IntegrationResult) -> dict[str, Any]:
    values = {
        "integrand": integrand.name,
        "dimension": integrand.dimension,
        **result.as_dict(),
        "text": str(result),
        "summary": result.summary(),
    }
    if settings.builtin:
        sdev = math.sqrt(result.variances[0])
        values["truth"] = integrand.truth
        values["pull"] = (
            None if integrand.truth is None or sdev == 0 else float(result.means[0] - integrand.truth) / sdev
        )
    return values


def _tell(values: dict[str, Any], tell: Callable[[str], None]) -> None:
    """The number in one line, the rounds, and the truth."""
    tell(values["text"])
    tell(values["summary"])
    if values.get("truth") is not None:
        pull = "" if values["pull"] is None else f", pull {values['pull']:+.2f}"
        tell(f"truth {values['truth']:.10g}{pull}")


def _sample(integrator: FlowIntegrator, settings: Settings, tell: Callable[[str], None]) -> Sample | None:
    if not settings.events:
        return None
    try:
        return integrator.sample(settings.events, unweighted=not settings.weighted, overweight=settings.overweight)
    except DataError as error:  # the number stands nevertheless
        tell(f"no events: {error}")
        return None


def _write_events(
    folder: RunFolder,
    sample: Sample,
    settings: Settings,
    integrand: Integrand,
    result: IntegrationResult,
    seed: int,
) -> dict[str, Any]:
    mean, sdev = float(result.means[0]), math.sqrt(result.variances[0])
    attributes = {
        "integrand": integrand.name + (f": {integrand.summary}" if integrand.summary else ""),
        "integral": with_error(mean, sdev),
        "reliable": "yes" if result.reliable else "no: " + "; ".join(result.warnings),
        "weights": (
            "their mean is the integral"
            if settings.weighted
            else f"one, or above it for a share {sample.overweight:.2g} of the rate"
        ),
        "seed": str(seed),
    }
    written = {}
    for suffix in dict.fromkeys(settings.formats):
        path = folder / f"events.{suffix}"
        written[path.name] = write_sample(
            path, sample, integrand, (mean, sdev), attributes, weighted=settings.weighted, seed=seed
        )
    return {
        "files": written,
        "weighted": settings.weighted,
        "efficiency": sample.efficiency,
        "overweight": sample.overweight,
        "neval": sample.neval,
    }


def _judge(
    sample: Sample | None, integrand: Integrand, seed: int, tell: Callable[[str], None]
) -> dict[str, Any] | None:
    if sample is None:
        return None
    part = replace(sample, x=sample.x[:_JUDGED], weight=sample.weight[:_JUDGED])
    try:
        with console.progress("classifier") as update:
            result, truth = events_test(part, integrand, seed=derive(seed, "verdict"), progress=update)
    except DataError as error:
        tell(f"no verdict: {error}")
        return None
    tell(str(result))
    return as_metrics(result, truth)
