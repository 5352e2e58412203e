"""Neutrinos for a file of events: mode, mean, intervals and draws of each event, in the order of the file."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hepflows.applications.neutrino.data import iterate_events
from hepflows.applications.neutrino.events import Array, Events, notes
from hepflows.applications.neutrino.methods.flow import NeutrinoFlow
from hepflows.applications.neutrino.methods.quadratic import quadratic
from hepflows.applications.neutrino.quantities import Quantities
from hepflows.applications.neutrino.verdict import quietly
from hepflows.errors import ConfigError
from hepflows.io import Field, jagged, writer
from hepflows.io.paths import file_format
from hepflows.io.ragged import Ragged
from hepflows.training.seeding import derive

AT_ONCE = 1 << 19
"""Draws that are held at once."""
SHOWN = ("px", "py", "pz", "eta")
INTERVALS = {"low68": 0.16, "high68": 0.84, "low95": 0.025, "high95": 0.975}


@dataclass
class Inferred:
    """What was done: events, how many of them lie outside of the training range, and sentences on the sample."""

    events: int
    outside: int
    notes: list[str]


def infer(
    run_folder: Path,
    path: Path,
    output: Path,
    *,
    samples: int = 256,
    seed: int = 1,
    columns: str | None = None,
    units: str | None = None,
    keep_samples: bool = True,
) -> Inferred:
    """Write one row an event, in the order of the file.

    Args:
        run_folder: folder of a run, or its model.
        path: the events; true neutrinos are not looked at.
        output: ``.root``, with the draws as lists, or ``.hdf5``, with the draws as (n, samples) datasets.
        samples: draws an event.
        seed: of the draws.
        columns: ROOT: a column map.
        units: of energies in the file.
        keep_samples: whether the draws themselves are written.

    Raises:
        DataError: see `iterate_events`.
        CheckpointError: there is no model.
        ConfigError: fewer than one draw, or the output is the input.
    """
    if samples < 1:
        message = f"--samples must be at least 1, got {samples}"
        raise ConfigError(message)
    if output.resolve() == path.resolve():
        message = f"{output} is the file of the events itself: give another name to --output"
        raise ConfigError(message)
    flow, _ = NeutrinoFlow.load(run_folder)
    done, n_jets = Inferred(0, 0, []), list[Array]()

    def parts() -> Iterator[tuple[dict[str, Any], dict[str, Array]]]:
        chunk = max(1, AT_ONCE // samples)
        leptons = flow.config.leptons
        for number, events in enumerate(
            iterate_events(path, columns=columns, leptons=leptons, units=units, chunk=chunk)
        ):
            found = described(flow, events, samples, derive(seed, "infer", number))
            found[0]["row"] = done.events + np.arange(len(events))
            done.events += len(events)
            done.outside += int(found[0]["outside_training_range"].sum())
            n_jets.append(events.n_jets)
            yield found

    about = {"model": str(run_folder), "events": path.name, "samples": str(samples), "units": "GeV"}
    write = _write_root if file_format(output) == "ROOT" else _write_hdf5
    write(output, parts(), about, keep_samples)
    done.notes = notes(np.concatenate(n_jets))
    return done


def described(flow: NeutrinoFlow, events: Events, samples: int, seed: int) -> tuple[dict[str, Any], dict[str, Array]]:
    """Columns (n,) of point estimates and intervals, and draws (samples, n) by name."""
    neutrinos, log_prob = quietly(flow, events, samples, seed)
    quantities = Quantities(events).of(neutrinos)
    best = log_prob.argmax(axis=0)[None, :]
    columns: dict[str, Any] = {"row": None}
    draws: dict[str, Array] = {}
    leptons = flow.config.leptons
    for lepton in range(leptons):
        suffix = "" if leptons == 1 else str(lepton + 1)
        for name in SHOWN:
            values = quantities[name][..., lepton]
            key = f"nu{suffix}_{name}"
            columns[f"{key}_mean"] = values.mean(axis=0)
            columns[f"{key}_mode"] = np.take_along_axis(values, best, axis=0)[0]
            cuts = np.quantile(values, [0.5, *INTERVALS.values()], axis=0)
            columns |= {f"{key}_{cut}": found for cut, found in zip(("median", *INTERVALS), cuts, strict=True)}
            draws[f"{name}{suffix}"] = values
    if leptons == 1:
        roots = quadratic(events, w_mass=flow.config.quadratic.w_mass, rule=flow.config.quadratic.rule)
        columns |= {"root_near": roots.pz[:, 0], "root_far": roots.pz[:, 1], "roots_real": roots.real.astype(np.int8)}
    columns["outside_training_range"] = (flow.out_of_range(events) > 1).astype(np.int8)
    return columns, draws


Parts = Iterator[tuple[dict[str, Any], dict[str, Array]]]


def _write_root(path: Path, parts: Parts, about: dict[str, str], keep_samples: bool) -> None:
    first, draws = next(parts)
    scalars = {name: np.asarray(values).dtype for name, values in first.items()}
    collections = {"sample": dict.fromkeys(draws, np.float32)} if keep_samples else {}
    with jagged.writing(path, scalars, collections, attributes=about) as file:
        file.extend(first | _lists(draws))
        for columns, more in parts:
            file.extend(columns | _lists(more))


def _lists(draws: dict[str, Array]) -> dict[str, Any]:
    count, rows = next(iter(draws.values())).shape
    return {"sample": {name: Ragged(values.T.ravel(), np.full(rows, count)) for name, values in draws.items()}}


def _write_hdf5(path: Path, parts: Parts, about: dict[str, str], keep_samples: bool) -> None:
    first, draws = next(parts)
    fields = [Field(name, dtype=np.asarray(values).dtype) for name, values in first.items()]
    if keep_samples:
        fields += [Field(f"sample_{name}", values.shape[:1], np.float32) for name, values in draws.items()]
    with writer(path, fields, attributes=about) as file:
        part: tuple[dict[str, Any], dict[str, Array]] | None = (first, draws)
        while part is not None:
            rows = {f"sample_{name}": values.T for name, values in part[1].items()} if keep_samples else {}
            file.extend(part[0] | rows)
            part = next(parts, None)
