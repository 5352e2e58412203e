"""Les Houches event files, version 3.0 (hep-ph/0609017, arXiv:1405.1067), plain or gzipped."""

from __future__ import annotations

import contextlib
import gzip
import math
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast
from xml.sax.saxutils import escape, quoteattr

import numpy as np
from numpy.typing import NDArray

import hepflows
from hepflows.applications.integration.events import Events
from hepflows.applications.integration.phasespace.kinematics import mass_squared
from hepflows.errors import ConfigError
from hepflows.io.atomic import replacing

__all__ = ["Run", "is_lhe", "write"]

Array = NDArray[np.float64]

INCOMING = ("incoming_1", "incoming_2")
"""Columns of events with the PDG codes of the two particles that collide."""

_ACROSS = 1e-6
"""Transverse momentum of the sum, in units of its energy, above which partons along z cannot have made the event."""

_MASSLESS = 1e-13
"""Squares of masses, in units of the energy squared, that are but rounding."""


@dataclass(frozen=True)
class Run:
    """What an LHE file says about its events as a whole.

    Args:
        beams: PDG codes of the two beams, along +z and -z.
        energies: of the beams in GeV.
        cross_section: in pb.
        error: its statistical error in pb.
        incoming: PDG codes of the two particles that collide; the beams themselves where None. Events with the columns
            ``incoming_1`` and ``incoming_2`` say it themselves.
        weighted: whether events have weights in pb whose mean is the cross section (strategy -4), or all the weight one
            (strategy 3).
        largest: the largest weight, where it is known; the cross section otherwise.
        scale: of the process in GeV; the mass of each event where None.
        alpha: electromagnetic coupling, and ``alpha_s``: strong coupling; -1 says nothing.

    Raises:
        ConfigError: an energy is not positive, or the cross section or its error is not finite.

    >>> Run((11, -11), (45.6, 45.6), cross_section=100.0, error=0.5).incoming is None
    True
    """

    beams: tuple[int, int]
    energies: tuple[float, float]
    cross_section: float
    error: float
    incoming: tuple[int, int] | None = None
    weighted: bool = False
    largest: float | None = None
    scale: float | None = None
    alpha: float = -1.0
    alpha_s: float = -1.0

    def __post_init__(self) -> None:
        if not all(0 < energy < math.inf for energy in self.energies):
            message = f"the energies of the beams must be positive, but are {self.energies} GeV: correct them"
            raise ConfigError(message)
        if not (math.isfinite(self.cross_section) and math.isfinite(self.error)):
            message = (
                f"cross section and error must be finite, but are {self.cross_section} and {self.error}: correct them"
            )
            raise ConfigError(message)


def is_lhe(path: str | os.PathLike[str]) -> bool:
    """Whether a name is that of an LHE file.

    >>> is_lhe("events.lhe.gz"), is_lhe("events.root")
    (True, False)
    """
    return os.fspath(path).lower().endswith((".lhe", ".lhe.gz"))


def write(path: str | os.PathLike[str], chunks: Iterable[Events], run: Run, attributes: Mapping[str, str]) -> int:
    """Write chunks of events to an LHE file, which appears complete or not at all; the number of events in return.

    The incoming particles are massless, along z, and carry the sum of the momenta. All particles come from both. No
    colour is written. Further columns but `INCOMING` become weights of the event by their names (``<rwgt>``).

    Raises:
        DataError: the file cannot be written.
        ConfigError: the sum of an event's momenta is not along z, so that no massless particles along z can have made it;
            or ``run`` says that events are unweighted, and they are not.
    """
    count = 0
    with replacing(path) as temporary, _opened(temporary, zipped=os.fspath(path).lower().endswith(".gz")) as file:
        for index, chunk in enumerate(chunks):
            if index == 0:
                file.write(_head(run, attributes, list(_weights(chunk))))
            file.write(_events(chunk, run))
            count += len(chunk)
        file.write(b"</LesHouchesEvents>\n")
    return count


@contextlib.contextmanager
def _opened(path: Path, *, zipped: bool) -> Iterator[IO[bytes]]:
    with open(path, "wb") as file:
        if not zipped:
            yield file
            return
        # neither name nor time in the header: equal events give equal files
        with gzip.GzipFile("", "wb", compresslevel=6, fileobj=file, mtime=0) as packed:
            yield cast("IO[bytes]", packed)


def _head(run: Run, attributes: Mapping[str, str], columns: list[str]) -> bytes:
    largest = run.cross_section if run.largest is None else run.largest
    notes = "".join(f"{name}: {value}\n" for name, value in attributes.items())
    groups = ""
    if columns:
        weights = "".join(f"<weight id={quoteattr(name)}>{escape(name)}</weight>\n" for name in columns)
        groups = f"<initrwgt>\n<weightgroup name='columns'>\n{weights}</weightgroup>\n</initrwgt>\n"
    beams = f"{run.beams[0]} {run.beams[1]} {run.energies[0]:.14e} {run.energies[1]:.14e}"
    return (
        '<LesHouchesEvents version="3.0">\n'
        f"<header>\n{escape(notes)}{groups}</header>\n"
        f"<init>\n{beams} 0 0 0 0 {-4 if run.weighted else 3} 1\n"
        f"{run.cross_section:.14e} {run.error:.14e} {largest:.14e} 1\n"
        f"<generator name='hepflows' version={quoteattr(hepflows.__version__)}>hepflows</generator>\n</init>\n"
    ).encode()


def _events(events: Events, run: Run) -> bytes:
    """The text of some events, one template for all, since they differ in numbers only."""
    n, particles = len(events), events.momenta.shape[1]
    if not run.weighted and np.any(events.weight != 1):
        message = (
            "readers ignore the weights of an LHE file of unweighted events, but some are not one: give weighted=True"
        )
        raise ConfigError(message)
    plus, minus = _incoming(events)
    zero = np.zeros(n)
    total = np.sqrt(4 * plus * minus)
    scale = total if run.scale is None else np.full(n, run.scale)
    number = "% .14e"
    four = " ".join([number] * 4)
    body = [f"<event>\n{particles + 2} 1 {number} {number} {run.alpha:.8e} {run.alpha_s:.8e}"]
    body += [f"%9d -1 0 0 0 0 {four} {number} 0.0 9.0"] * 2
    body += [f"%9d 1 1 2 0 0 {four} {number} 0.0 9.0"] * particles
    weights = _weights(events)
    if weights:
        names = (quoteattr(name).replace("%", "%%") for name in weights)
        body += ["<rwgt>", *(f"<wgt id={name}>{number}</wgt>" for name in names), "</rwgt>"]
    template = "\n".join(body) + "\n</event>\n"
    columns: list[Array] = [events.weight, scale]
    for name, code, energy, sign in zip(INCOMING, run.incoming or run.beams, (plus, minus), (1, -1), strict=True):
        codes = np.broadcast_to(np.asarray(events.columns.get(name, code), dtype=np.float64), n)
        columns += [codes, zero, zero, sign * energy, energy, zero]
    squared = mass_squared(events.momenta)
    mass = np.sqrt(np.where(squared > _MASSLESS * events.momenta[..., 0] ** 2, squared, 0.0))
    for i in range(particles):
        p = events.momenta[:, i]
        columns += [events.pdg[:, i].astype(np.float64), p[:, 1], p[:, 2], p[:, 3], p[:, 0], mass[:, i]]
    columns += [np.asarray(values, dtype=np.float64) for values in weights.values()]
    return "".join(template % tuple(row) for row in np.stack(columns, axis=1).tolist()).encode()


def _weights(events: Events) -> dict[str, Array]:
    """The columns that are written as weights."""
    return {name: values for name, values in events.columns.items() if name not in INCOMING}


def _incoming(events: Events) -> tuple[Array, Array]:
    """Energies of two massless particles along +z and -z that carry the sum of an event's momenta."""
    total = events.momenta.sum(axis=1)
    if np.any(np.hypot(total[:, 1], total[:, 2]) > _ACROSS * total[:, 0]):
        message = "the momenta of an LHE event must add up to a momentum along z, but some do not: turn them so"
        raise ConfigError(message)
    return (total[:, 0] + total[:, 3]) / 2, np.maximum((total[:, 0] - total[:, 3]) / 2, 0.0)
