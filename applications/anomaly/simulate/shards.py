"""Shards of a simulation: some hundred dijet events each, made by themselves, from which an interrupted one goes on."""

from __future__ import annotations

import json
import shutil
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hepflows.applications.anomaly.events import Array
from hepflows.applications.anomaly.formats import lhco
from hepflows.applications.anomaly.jets import JetRules, find_dijets, jet_columns
from hepflows.applications.anomaly.simulate.cards import M_HAT, card
from hepflows.applications.anomaly.simulate.pythia import Batch, generate
from hepflows.applications.anomaly.simulate.smearing import smear
from hepflows.errors import ConfigError, DataError, SimulationError
from hepflows.io.atomic import replacing
from hepflows.training.seeding import derive, numpy_generator

SIZE = 500
"""Events a shard."""
_HOPELESS = 200
"""Batches without any event that passes, after which a shard gives up."""


@dataclass(frozen=True)
class Shower:
    """How events are made.

    Args:
        seed: everything random follows from it.
        mpi: whether partons interact several times.
        smeared: whether particles pass the detector of `hepflows.applications.anomaly.simulate.smearing`.
        pt_hat: smallest transverse momentum of the hard process of the background, in GeV.
        window: edges in TeV; only events whose two jets have a mass between them are kept, all where None.
        enriched: edges in TeV, see `m_hat`.
        rules: which events have a pair of jets.
    """

    seed: int
    mpi: bool = False
    smeared: bool = False
    pt_hat: float = 1100.0
    window: tuple[float, float] | None = None
    enriched: tuple[float, float] = (3.3, 3.7)
    rules: JetRules = field(default_factory=JetRules)

    @property
    def m_hat(self) -> tuple[float, float]:
        """The range of the mass of the hard process, in GeV, of shards that are enriched in the signal region."""
        return 1e3 * M_HAT[0] * self.enriched[0], 1e3 * M_HAT[1] * self.enriched[1]


@dataclass(frozen=True)
class Shard:
    """One of them.

    Args:
        kind: "background", "enriched" (background with limits on the mass of the hard process) or "signal".
        index: its number among those of its kind.
        events: how many.
    """

    kind: str
    index: int
    events: int

    @property
    def name(self) -> str:
        """Of its file."""
        return f"{self.kind}_{self.index:05d}.npz"


Source = Callable[[list[str]], Iterator[Batch]]
"""Settings of Pythia to events without end."""


def make(shard: Shard, shower: Shower, source: Source = generate) -> dict[str, Array]:
    """The columns of a features file and ``m_hat`` of the events of a shard, ``tried`` events and their ``cross_section`` in mb.

    Raises:
        SimulationError: no event passes.
    """
    seed = derive(shower.seed, shard.kind, shard.index)
    limits = shower.m_hat if shard.kind == "enriched" else None
    process = "signal" if shard.kind == "signal" else "background"
    lines = card(process, 1 + seed % 899_999_999, mpi=shower.mpi, pt_hat=shower.pt_hat, m_hat=limits)
    rng, parts, tried, kept = numpy_generator(seed, "smearing"), [], 0, 0
    for number, batch in enumerate(source(lines), start=1):
        particles = smear(batch.particles, batch.pdg, rng) if shower.smeared else batch.particles
        jets = find_dijets(particles, shower.rules)
        columns = {**jet_columns(jets), "m_hat": batch.m_hat[jets.passed]}
        inside = _inside(columns, shower.window)
        places = np.flatnonzero(jets.passed)[inside]
        last = kept + len(places) >= shard.events
        taken = slice(0, shard.events - kept)
        # the events after the last one that is kept were not tried
        tried += int(places[taken][-1]) + 1 if last else len(jets.passed)
        kept += len(places[taken])
        parts.append({name: values[inside][taken] for name, values in columns.items()})
        if last:
            joined = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
            return {**joined, "tried": np.array(tried), "cross_section": np.array(batch.cross_section)}
        if kept == 0 and number == _HOPELESS:
            break
    message = f"none of {tried} events of the {shard.kind} passes: widen --window, or lower --pt-hat"
    raise SimulationError(message)


def _inside(columns: dict[str, Array], window: tuple[float, float] | None) -> NDArray[np.bool_]:
    if window is None:
        return np.ones(len(columns["m_hat"]), dtype=bool)
    mass = lhco.derive("mJJ", columns, "TeV")
    return np.asarray((mass > window[0]) & (mass < window[1]))


@dataclass(frozen=True)
class ShardFolder:
    """The folder ``<output>.shards`` beside the file that a simulation will write; it belongs to one `Shower`."""

    path: Path
    shower: Shower

    @classmethod
    def beside(cls, output: Path, shower: Shower) -> ShardFolder:
        """Open or begin the folder of an output file.

        Raises:
            ConfigError: it was begun with other settings.
        """
        path = output.with_name(f"{output.name}.shards")
        settings, begun = json.dumps(asdict(shower), indent=1), path / "settings.json"
        path.mkdir(parents=True, exist_ok=True)
        if any(path.glob("*.npz")) and begun.exists() and begun.read_text() != settings:
            message = f"{path} holds a simulation with other settings: repeat its command, remove the folder, or give another --output"
            raise ConfigError(message)
        with replacing(begun) as temporary:
            Path(temporary).write_text(settings)
        return cls(path, shower)

    def missing(self, shards: list[Shard]) -> list[Shard]:
        """Those that have not been made."""
        return [one for one in shards if not (self.path / one.name).exists()]

    def write(self, shard: Shard) -> None:
        """Make one and keep it."""
        values = make(shard, self.shower)
        with replacing(self.path / shard.name) as temporary, open(temporary, "wb") as file:
            np.savez(file, allow_pickle=False, **values)

    def read(self, shard: Shard) -> dict[str, Array]:
        """What `make` returned.

        Raises:
            DataError: the file is damaged.
        """
        path = self.path / shard.name
        try:
            with np.load(path, allow_pickle=False) as stored:
                return {name: stored[name] for name in stored.files}
        except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
            message = f"{path} is damaged ({error}): remove this file and repeat the command"
            raise DataError(message) from error

    def remove(self) -> None:
        """Remove all."""
        shutil.rmtree(self.path)
