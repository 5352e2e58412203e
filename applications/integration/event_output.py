"""Events of an integrand into files: points with weights, or momenta where it is a process."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from hepflows import io
from hepflows.applications.integration.event_files import write_events
from hepflows.applications.integration.events import Events
from hepflows.applications.integration.generation import Sample
from hepflows.applications.integration.integrand import Array, Integrand
from hepflows.applications.integration.lhe import INCOMING, Run
from hepflows.applications.integration.processes import initial_partons
from hepflows.errors import ConfigError
from hepflows.io.paths import file_format
from hepflows.training.seeding import numpy_generator

_PROTONS = {"drell_yan": 6500.0}
"""Processes of two protons, with the energy of each in GeV; all others collide what their energy goes into."""
_PARTONS = {"drell_yan_partonic": (2, -2)}


def check_formats(formats: Sequence[str], integrand: Integrand) -> None:
    """Whether its events can be written so.

    Raises:
        ConfigError: an LHE file of an integrand without momenta.
    """
    if integrand.momenta is None and any(one.startswith("lhe") for one in formats):
        message = (
            f"--format lhe: {integrand.name} is no process with momenta, which an LHE file holds: take hdf5 or root"
        )
        raise ConfigError(message)


def particles(integrand: Integrand, x: Array, weight: Array) -> Events:
    """The momenta of points (n, d) with weights (n,), those of weight zero left out: a process has no event there."""
    assert integrand.momenta is not None
    there = weight != 0
    return Events(integrand.momenta(x[there]), integrand.particles, weight[there])


def write_sample(
    path: Path,
    sample: Sample,
    integrand: Integrand,
    total: tuple[float, float],
    attributes: Mapping[str, str],
    *,
    weighted: bool,
    seed: int,
) -> int:
    """Write events to one file.

    HDF5 has the coordinates as ``x`` (n, d), ROOT as ``x_0``, ``x_1``, ...; processes have momenta as
    `hepflows.applications.integration.event_files` tells, and their coordinates as columns ``x_0``, ``x_1``, ...

    Args:
        path: ends in .hdf5, .root, .lhe or .lhe.gz.
        sample: events.
        integrand: where they come from.
        total: integral and error; the cross section of an LHE file.
        attributes: what the file says about itself.
        weighted: whether the weights have the integral as their mean.
        seed: draws the incoming partons of protons.

    Returns:
        The number of events in the file.
    """
    if integrand.momenta is None:
        return _write_points(path, sample, attributes)
    there = sample.weight != 0
    x = sample.x[there]
    weight = sample.weight[there] * (there.mean() if weighted else 1.0)  # so that their mean is still the integral
    momenta = integrand.momenta(x)
    columns: dict[str, NDArray[Any]] = {}
    if integrand.name in _PROTONS:
        codes = initial_partons(momenta, numpy_generator(seed, "incoming"), 2 * _PROTONS[integrand.name])
        columns = dict(zip(INCOMING, codes.T, strict=True))
    if ".lhe" in path.suffixes:
        run, weight = _run(integrand, momenta, weight, total)
        return write_events(path, Events(momenta, integrand.particles, weight, columns), attributes=attributes, run=run)
    columns |= {f"x_{i}": column for i, column in enumerate(x.T)}
    return write_events(path, Events(momenta, integrand.particles, weight, columns), attributes=attributes)


def _run(integrand: Integrand, momenta: Array, weight: Array, total: tuple[float, float]) -> tuple[Run, Array]:
    """What an LHE file says of all events, and their weights there: one each, or in units of the cross section."""
    protons = _PROTONS.get(integrand.name)
    half = float(momenta[0, :, 0].sum()) / 2 if protons is None else protons
    beams = (2212, 2212) if protons is not None else _PARTONS.get(integrand.name, (11, -11))
    alike = bool((weight == 1).all())
    if not alike:
        weight = weight * (total[0] / weight.mean())
    largest = None if alike else float(weight.max())
    return Run(beams, (half, half), *total, weighted=not alike, largest=largest), weight


def _write_points(path: Path, sample: Sample, attributes: Mapping[str, str]) -> int:
    width = sample.x.shape[1]
    if file_format(path) == "ROOT":
        columns: dict[str, Array] = {f"x_{i}": sample.x[:, i] for i in range(width)}
        fields = [io.Field(name) for name in columns]
    else:
        columns, fields = {"x": sample.x}, [io.Field("x", (width,))]
    with io.writer(path, [*fields, io.Field("weight")], attributes=attributes) as table:
        table.extend({**columns, "weight": sample.weight})
    return len(sample)
