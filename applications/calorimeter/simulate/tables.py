"""The data files that Geant4 11.4 opens for electromagnetic and FTFP_BERT physics: official ones, or synthesised.

The formats are plain text. A vector: the first and last energy and the number of nodes, that number again, then one "energy value"
pair a line, in MeV. ``brem_SB/br<Z>``, a table in two variables: its type and sizes, the fractions k/T, the logarithms of T/MeV, then a
line of chi in millibarn for every T. ``pe-high`` and ``pe-low``: one pseudo-shell, its edge, its binding energy, six coefficients.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np

from hepflows.applications.calorimeter.simulate import cross_sections
from hepflows.errors import ConfigError, DataError
from hepflows.io.atomic import replacing

__all__ = ["APPROXIMATIONS", "FOLDERS", "TABLES_VERSION", "Geant4Data", "default_cache", "geant4_data"]

TABLES_VERSION = "geant4-11.4.0-v1"
FOLDERS = (
    "G4NDL4.7.1", "G4EMLOW8.8", "PhotonEvaporation6.1.2", "RadioactiveDecay6.1.2", "G4PARTICLEXS4.2", "G4PII1.3", "RealSurface2.2",
    "G4SAIDDATA2.0", "G4ABLA3.3", "G4INCL1.3", "G4ENSDFSTATE3.0", "G4CHANNELING2.0",
)  # fmt: skip
"""What calzone 1.2.2 asks of ``GEANT4_DATA_DIR``; most may be empty."""

APPROXIMATIONS = (
    "bremsstrahlung below 1 GeV from Tsai's formula, its radiated energy low by 3 % at 5 MeV and 22 % at 1 MeV in lead",
    "the tip of the bremsstrahlung spectrum low by up to a factor 3 below 100 MeV in lead",
    "photoelectric effect of one pseudo-shell, without fluorescence; above 0.7 MeV a fit with an ad-hoc constant",
    "no photonuclear reactions below 130 MeV",
    "hadronic cross sections below 20 MeV crude, nuclear level data absent",
)
"""What is approximate in synthesised tables; written into every file."""

_MARK = "SYNTHESISED.txt"  # who finds it in a folder knows that it is not official
_KINETIC_MEV = np.array([value * 10.0**power for power in range(-3, 4) for value in (1, 1.5, 2, 3, 4, 5, 6, 8)] + [1e4])
_FRACTIONS = np.array(
    [*np.arange(0, 0.901, 0.05), 0.925, 0.95, 0.97, 0.99, 0.995, 0.999, 0.9995, 0.9999, 0.99995, 0.99999, 1.0]
)
_BARN_MM2 = 1e-22
_CHARGED = ("proton", "deuteron", "triton", "He3", "alpha")

Array = Any


@dataclass(frozen=True)
class Geant4Data:
    """A folder for ``GEANT4_DATA_DIR``, and what to say about it.

    Attributes:
        folder: absolute path.
        official: whether it is the user's own, taken as official data.
        notes: what is approximate.
    """

    folder: Path
    official: bool
    notes: tuple[str, ...]

    @property
    def description(self) -> str:
        """For metadata: one line."""
        if self.official:
            return f"{self.folder.name}, the folder that GEANT4_DATA_DIR named, used as it was ({_fingerprint(self.folder)})"
        return f"synthesised ({TABLES_VERSION}), not official G4EMLOW: " + "; ".join(self.notes)


def _fingerprint(folder: Path) -> str:
    """Tells one set of files from another by their names and sizes; to read gigabytes would take minutes."""
    files = sorted((str(file.relative_to(folder)), file.stat().st_size) for file in folder.rglob("*") if file.is_file())
    return (
        f"{len(files)} files, sha256 of their names and sizes {hashlib.sha256(repr(files).encode()).hexdigest()[:12]}"
    )


def default_cache() -> Path:
    """Where synthesised tables are kept: ``$XDG_CACHE_HOME/hepflows`` or ``~/.cache/hepflows``."""
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "hepflows"


def geant4_data(elements: Iterable[int], cache: Path | None = None) -> Geant4Data:
    """The data for a detector: the folder that ``GEANT4_DATA_DIR`` names, unchanged, or else synthesised tables.

    Tables are kept and shared by later runs; those of a further element are added. Every file appears complete, and its content
    depends on its name only, so that any number of processes may do this at once.

    Args:
        elements: atomic numbers in the detector and its world, for the electromagnetic tables.
        cache: where synthesised tables are kept; `default_cache` where not given.

    Raises:
        ConfigError: ``GEANT4_DATA_DIR`` names no folder.
        MissingExtraError: the tables must be made, and xraylib is not installed.
        DataError: the cache cannot be written.
    """
    named = os.environ.get("GEANT4_DATA_DIR")
    if named and not Path(named).is_dir() and Path(named).parts[-2:] == ("calzone", "data"):
        named = None  # calzone's own default, which its import puts there
    if named and not (Path(named) / _MARK).exists():
        if not Path(named).is_dir():
            message = (
                f"GEANT4_DATA_DIR names {named}, which is no folder: set it to a folder with {FOLDERS[1]} and the others of "
                "Geant4 11.4, or unset it for synthesised tables"
            )
            raise ConfigError(message)
        if not (Path(named) / FOLDERS[1]).is_dir():
            message = (
                f"GEANT4_DATA_DIR names {named}, which holds no {FOLDERS[1]}: set it to a folder with the data of Geant4 11.4 "
                "('calzone download' fetches them), or unset it for synthesised tables"
            )
            raise ConfigError(message)
        return Geant4Data(Path(named).resolve(), official=True, notes=())
    folder = Path(named).resolve() if named else (cache or default_cache()).resolve() / TABLES_VERSION
    try:
        _make(folder, sorted(set(elements)))
    except OSError as error:
        message = f"{folder} cannot hold the tables for Geant4 ({error.strerror}): set XDG_CACHE_HOME to a folder that can be written to"
        raise DataError(message) from error
    return Geant4Data(folder, official=False, notes=APPROXIMATIONS)


def _make(folder: Path, elements: list[int]) -> None:
    if not folder.exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".tables-") as scratch:
            _common(Path(scratch) / "tables")
            with contextlib.suppress(OSError):  # another process was faster; its tables are the same
                os.rename(Path(scratch) / "tables", folder)
    for z in elements:
        _electromagnetic(folder / "G4EMLOW8.8", z)


def _common(folder: Path) -> None:
    """What every detector needs, in a folder that becomes visible when it is complete."""
    for name in FOLDERS:
        (folder / name).mkdir(parents=True)
    (folder / "G4ENSDFSTATE3.0" / "ENSDFSTATE.dat").write_text("")
    _hadronic(folder / "G4PARTICLEXS4.2")
    notes = f"Synthesised by hepflows, {TABLES_VERSION}. Not official Geant4 data.\n"
    (folder / _MARK).write_text(notes + "".join(f"- {note}\n" for note in APPROXIMATIONS))


def _electromagnetic(folder: Path, z: int) -> None:
    last = folder / "brem_SB" / f"br{z}"
    if last.exists():
        return
    for name in ("brem_SB", "epics2017/phot", "epics2017/rayl"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    edge = cross_sections.PHOTOELECTRIC_EDGE_MEV
    coefficients = " ".join(f"{value:.9g}" for value in cross_sections.photoelectric_tail(z))
    for kind in ("high", "low"):
        _write(folder / f"epics2017/phot/pe-{kind}-{z}.dat", f"1 1 {edge}\n0.0001 {coefficients}\n")
    energy = np.geomspace(1.1e-4, 1.01 * edge, 400)
    values = energy**3 * cross_sections.photoelectric(z, energy)
    _write(folder / f"epics2017/phot/pe-cs-{z}.dat", _vector(energy, values))
    energy = np.geomspace(1.1e-4, 0.79, 300)
    values = energy**2 * _BARN_MM2 * cross_sections.rayleigh(z, energy)
    _write(folder / f"epics2017/rayl/re-cs-{z}.dat", _vector(energy, values))
    text = StringIO()
    text.write(f"0 {len(_FRACTIONS)} {len(_KINETIC_MEV)}\n")
    np.savetxt(text, [_FRACTIONS], "%.7g")
    np.savetxt(text, [np.log(_KINETIC_MEV)], "%.7g")
    np.savetxt(text, [cross_sections.bremsstrahlung(z, kinetic, _FRACTIONS) for kinetic in _KINETIC_MEV], "%.6g")
    _write(last, text.getvalue())


def _hadronic(folder: Path) -> None:
    for name in ("gamma", "neutron", *_CHARGED):
        (folder / name).mkdir(exist_ok=True)
    for z in range(1, 95):
        (folder / f"gamma/inel{z}").write_text(_vector(np.linspace(1, 130, 10), np.zeros(10)))
    slow, fast = np.geomspace(1e-11, 20, 200), np.geomspace(0.1, 20, 60)
    for z in range(1, 93):
        for kind, barn in cross_sections.neutron_cross_sections(z, slow).items():
            (folder / f"neutron/{kind}{z}").write_text(_vector(slow, _BARN_MM2 * barn))
        for name in _CHARGED:
            barn = cross_sections.charged_inelastic(z, fast)
            (folder / f"{name}/inel{z}").write_text(_vector(fast, _BARN_MM2 * barn))


def _vector(energy: Array, values: Array) -> str:
    text = StringIO()
    text.write(f"{energy[0]:.10g} {energy[-1]:.10g} {len(energy)}\n{len(energy)}\n")
    np.savetxt(text, np.stack([energy, values], axis=1), "%.10g")
    return text.getvalue()


def _write(path: Path, text: str) -> None:
    with replacing(path) as temporary:
        temporary.write_text(text)
