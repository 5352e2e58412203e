"""The numbers of docs/results/simulation.md.

    python -m tests.benchmarks.simulation compare REFERENCE.hdf5 OTHER.hdf5 ...    # showers of CaloGAN, side by side
    python -m tests.benchmarks.simulation nist FOLDER                              # bremsstrahlung against files nist_brems_<Z>
    python -m tests.benchmarks.simulation rates em|em-option1|FTFP_BERT|fast       # showers a second, one process, processor time

The files of the second are tables of Seltzer and Berger, 57 energies of 30 numbers each; they are not part of this repository.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from hepflows.applications.calorimeter import Showers, read_showers
from hepflows.applications.calorimeter.simulate import (
    FastEngine,
    Geant4Engine,
    Gun,
    Spread,
    geant4_data,
    load_detector,
    particle_pdg,
)
from hepflows.applications.calorimeter.simulate.booking import Booking
from hepflows.applications.calorimeter.simulate.cross_sections import bremsstrahlung
from hepflows.applications.calorimeter.simulate.tables import _FRACTIONS, _KINETIC_MEV


def quantities(showers: Showers) -> dict[str, np.ndarray]:
    """One number a shower of everything that is compared; NaN where a shower has none."""
    mev, total = 1e3 * showers.energies, showers.voxels.sum(axis=1)
    rows = {"cells / E": total / mev, "overflow / E, 1e-3": 1e3 * showers.overflow.sum(axis=1) / mev}
    rows |= {f"share of layer {i}": values / total for i, values in enumerate(showers.layer_energies.T)}
    for index, (layer, where) in enumerate(zip(showers.geometry.layers, showers.geometry.slices, strict=True)):
        values = showers.voxels[:, where]
        rows[f"zero cells, layer {index}"] = (values == 0).mean(axis=1)
        share = values / np.where(values.sum(axis=1) > 0, values.sum(axis=1), np.nan)[:, None]
        mean = share @ layer.coordinates["y"]
        rows[f"width in y, layer {index}, mm"] = np.sqrt(np.maximum(share @ layer.coordinates["y"] ** 2 - mean**2, 0))
    return rows


def compare(paths: list[Path]) -> None:
    """A table of means with their errors, and of standard deviations."""
    samples = [quantities(read_showers(path)) for path in paths]
    print(
        "| quantity | "
        + " | ".join(f"{path.stem} ({len(next(iter(s.values())))})" for path, s in zip(paths, samples, strict=True))
        + " |"
    )
    print("|---|" + "---|" * len(paths))
    for name in samples[0]:
        cells = []
        for sample in samples:
            values = sample[name][np.isfinite(sample[name])]
            cells.append(f"{values.mean():.4g} ± {values.std() / np.sqrt(len(values)):.1g}, sd {values.std():.2g}")
        print(f"| {name} | " + " | ".join(cells) + " |")


def nist(folder: Path) -> None:
    """Radiative integral and tip of the spectrum, this formula over the tables."""
    for path in sorted(folder.glob("nist_brems_*"), key=lambda path: int(path.name.rpartition("_")[2])):
        z = int(path.name.rpartition("_")[2])
        table = np.array(path.read_text().split(), float)[: 57 * 30].reshape(57, 30)
        for kinetic in (0.1, 0.5, 1.0, 2.0, 5.0, 10.0, 50.0, 100.0, 1000.0):
            theirs = table[np.argmin(np.abs(_KINETIC_MEV - kinetic))]
            ours = bremsstrahlung(z, kinetic, _FRACTIONS)
            integral = np.trapezoid(ours, _FRACTIONS) / np.trapezoid(theirs, _FRACTIONS)
            print(
                f"Z {z:2d}  T {kinetic:7g} MeV  integral {integral:.3f}  tip, k/T = 0.99: {ours[22] / theirs[22]:.2f}"
            )


ROWS = {
    "em": [("eplus", "1", 100), ("eplus", "10", 30), ("eplus", "1:100", 30), ("gamma", "1:100", 30)],
    "em-option1": [("eplus", "1:100", 30)],
    "FTFP_BERT": [("piplus", "1:100", 60)],
    "fast": [("eplus", "1:100", 4000), ("gamma", "1:100", 4000), ("piplus", "1:100", 4000)],
}


def rates(physics: str) -> None:
    """Processor time in this process, which has one physics only; it contains the booking, whose share is given."""
    booked = 0.0

    def clocked(add: Callable[..., Any]) -> Callable[..., Any]:
        def timed(*arguments: Any) -> Any:
            nonlocal booked
            start = time.process_time()
            result = add(*arguments)
            booked += time.process_time() - start
            return result

        return timed

    Booking.add = clocked(Booking.add)  # type: ignore[method-assign]
    detector = load_detector("calogan")
    data = geant4_data({z for material in detector.resolved.values() for z in material.elements})
    engine = FastEngine(detector) if physics == "fast" else Geant4Engine(detector, physics, data.folder)
    for particle, energy, n in ROWS[physics]:
        gun = Gun(particle_pdg(particle), Spread.parse(energy, "--energy"))
        engine.shoot(gun.draw(2, np.random.default_rng(0)), 0)  # makes its tables
        primaries = gun.draw(n, np.random.default_rng(1))
        booked, start = 0.0, time.process_time()
        engine.shoot(primaries, 1)
        seconds = time.process_time() - start
        print(
            f"{physics:10s} {particle:6s} {energy:5s} GeV: {n / seconds:7.3g} showers/s, "
            f"{primaries.energies.sum() / seconds:7.3g} GeV/s, booking {100 * booked / seconds:.0f} %"
        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="what", required=True)
    commands.add_parser("compare").add_argument("paths", type=Path, nargs="+")
    commands.add_parser("nist").add_argument("folder", type=Path)
    commands.add_parser("rates").add_argument("physics", choices=ROWS)
    options = parser.parse_args()
    if options.what == "compare":
        compare(options.paths)
    elif options.what == "nist":
        nist(options.folder)
    else:
        rates(options.physics)
