"""What can be wrong with the numbers of a shower file; every check ends in one sentence with the remedy."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt

from hepflows.errors import ConfigError, DataError
from hepflows.io import Ragged

__all__ = ["UNITS_IN_MEV", "UnitCheck", "check_columns", "check_unit", "converted", "unit_factor"]

Array = npt.NDArray[Any]

UNITS_IN_MEV: dict[str, float] = {"eV": 1e-6, "keV": 1e-3, "MeV": 1.0, "GeV": 1e3, "TeV": 1e6}
RATIO_LIMITS = (0.005, 5.0)  # deposited over incident energy: leaking pions to overweighted samplings
PLAUSIBLE_GEV = (0.1, 5000.0)  # of the median incident energy; serves to guess which unit is wrong
_PROBE = 100  # showers enough for a median
# fewer showers are judged more mildly: a single 100 GeV pion may cross without a shower and leave 0.0027 of its energy,
# and one of the CaloChallenge's dataset 1 may weigh up to 6.93 times its energy
_FEW, _FEW_LIMITS = 10, (0.002, 8.0)


def unit_factor(unit: str, into: str, option: str) -> float:
    """The factor from ``unit`` to the unit ``into``.

    Raises:
        ConfigError: the unit is unknown; the message names ``option``.

    >>> unit_factor("GeV", "MeV", "--voxel-unit")
    1000.0
    """
    check_unit(unit, option)
    return UNITS_IN_MEV[unit] / UNITS_IN_MEV[into]


def check_unit(unit: str, option: str) -> None:
    """Make sure that a unit is known.

    Raises:
        ConfigError: it is not; the message names ``option``.
    """
    if unit not in UNITS_IN_MEV:
        message = f"{option} must be one of {', '.join(UNITS_IN_MEV)}, but is {unit!r}: choose one of these"
        raise ConfigError(message)


def converted(values: Array, unit: str, into: str) -> Array:
    """Values in another unit; there and back they are the same to one unit in the last place, within one unit to the bit.

    >>> converted(np.array([256.0]), "MeV", "GeV")
    array([0.256])
    """
    factor = unit_factor(unit, into, "the unit")
    # powers of ten below one are no binary numbers, and those above are: divided by these, the result is the nearest one
    return values if factor == 1 else values * round(factor) if factor > 1 else values / round(1 / factor)


def check_columns(
    path: str | os.PathLike[str],
    columns: Mapping[str, Any],
    *,
    kind: str,
    energy: str,
    signed: Collection[str] = (),
    first_row: int,
) -> None:
    """Check that all numbers are finite and not negative, and the incident energies positive.

    Args:
        path: named in the message.
        columns: {name: (rows, ...) or `Ragged`} as they lie in the file.
        kind: what the file calls a column, "dataset" or "branch".
        energy: the column of incident energies.
        signed: columns whose numbers may be negative.
        first_row: the row of the file at which these columns begin.

    Raises:
        DataError: names the column, the first bad row (the first of the file is 0) and its value.
    """
    for name, column in columns.items():
        values = column.values if isinstance(column, Ragged) else column
        # minimum and maximum carry NaN and infinity, so that a good column costs no temporary
        low, high = (float(values.min()), float(values.max())) if values.size else (1.0, 1.0)
        if np.isfinite(low) and np.isfinite(high) and (name in signed or (low > 0 if name == energy else low >= 0)):
            continue
        allowed = name in signed or (values > 0 if name == energy else values >= 0)
        bad = ~(np.isfinite(values) & allowed)
        index = tuple(int(i) for i in np.argwhere(bad)[0])
        value = float(values[index])
        row = first_row + (column.row_of(index[0]) if isinstance(column, Ragged) else index[0])
        cell = f", cell {list(index[1:])}" if len(index) > 1 and values[0].size > 1 else ""
        message = (
            f"{os.fspath(path)}: {kind} {name!r} holds {value:g} in row {row}{cell} (counted from 0), "
            f"{_meaning(value, name == energy)}: remove these showers or make the file again"
        )
        raise DataError(message)


def _meaning(value: float, incident: bool) -> str:
    if not np.isfinite(value):
        return "which is no finite number"
    if incident:
        return "but an incident energy is positive"
    return "but an energy deposit is not negative"


OWN_UNITS = "energy GeV; layers and overflow MeV"
"""The attribute ``units`` of files whose units need not be judged: a simulation of ours wrote them."""


class UnitCheck:
    """Judge the units by the median of deposited over incident energy, once enough showers of a file were seen.

    Args:
        path: named in the message.
        energy_unit: the unit in which the file's incident energies were taken.
        voxel_unit: the unit in which its voxels and overflow were taken.

    Attributes:
        judged: whether the units were found right, and no more showers are wanted.
    """

    def __init__(self, path: str | os.PathLike[str], energy_unit: str, voxel_unit: str) -> None:
        self._path = os.fspath(path)
        self._units = (energy_unit, voxel_unit)
        self._energies: list[Array] = []
        self._deposits: list[Array] = []
        self._seen = 0
        self.judged = False

    def add(self, energies_gev: Array, deposits_mev: Array) -> None:
        """Take note of (n,) incident energies and (n,) sums of voxels.

        Raises:
            DataError: enough showers were seen, and their unit looks wrong.
        """
        if self.judged:
            return
        self._energies.append(energies_gev[:_PROBE])
        self._deposits.append(np.asarray(deposits_mev[:_PROBE], np.float64))
        self._seen += len(energies_gev)
        if self._seen >= _PROBE:
            self.judge()

    def judge(self) -> None:
        """Judge by the showers seen so far; call it at the end of a short file.

        Raises:
            DataError: the unit looks wrong, or no shower deposits anything.
        """
        if self.judged or not self._energies:
            return
        self.judged = True
        energies, deposits = np.concatenate(self._energies), np.concatenate(self._deposits)
        hit = deposits > 0
        if not hit.any():
            message = (
                f"{self._path}: all voxels of its first {len(hit)} showers are zero: give a file with showers in it"
            )
            raise DataError(message)
        self._judge_ratio(
            float(np.median(deposits[hit] / (1e3 * energies[hit]))), float(np.median(energies[hit])), len(hit)
        )

    def _judge_ratio(self, ratio: float, energy_gev: float, showers: int) -> None:
        low, high = RATIO_LIMITS if showers >= _FEW else _FEW_LIMITS
        if low <= ratio <= high:
            return
        energy_unit, voxel_unit = self._units
        remedy = _remedy(ratio, energy_gev, energy_unit, voxel_unit)
        message = (
            f"{self._path}: a unit looks wrong, since the voxels in {voxel_unit} sum to {ratio:.3g} times the incident "
            f"energy in {energy_unit} (median of {showers} showers): {remedy}"
        )
        raise DataError(message)


def _remedy(ratio: float, energy_gev: float, energy_unit: str, voxel_unit: str) -> str:
    """The likeliest units: those that give plausible incident energies, then those that change one option only."""
    ranked: dict[tuple[bool, int], list[str]] = {}
    for energy_try, voxel_try in product(UNITS_IN_MEV, UNITS_IN_MEV):
        energy_scale = UNITS_IN_MEV[energy_try] / UNITS_IN_MEV[energy_unit]
        voxel_scale = UNITS_IN_MEV[voxel_try] / UNITS_IN_MEV[voxel_unit]
        if RATIO_LIMITS[0] <= ratio * voxel_scale / energy_scale <= RATIO_LIMITS[1]:
            changes = []
            if voxel_try != voxel_unit:
                changes.append(f"say --voxel-unit {voxel_try} if the voxels are in {voxel_try}")
            if energy_try != energy_unit:
                changes.append(f"say --energy-unit {energy_try} if the incident energies are in {energy_try}")
            plausible = PLAUSIBLE_GEV[0] <= energy_gev * energy_scale <= PLAUSIBLE_GEV[1]
            ranked.setdefault((not plausible, len(changes)), []).append(" and ".join(changes))
    return ", or ".join(ranked[min(ranked)]) if ranked else "no unit explains this, make the file again"
