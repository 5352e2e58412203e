"""One entry of a branch that holds several numbers a row, such as the jets of an event, as a column.

==================================  ======================================================================
``Jet_mass[0]``                     the first entry as stored; ``[-1]`` the last
``Jet_mass[1 by Jet_pt]``           the second in the order of another branch, the largest first
``Jet_mass[-1 by Jet_mass of 2]``   of the first two entries as stored, the one with the smallest mass
==================================  ======================================================================
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import awkward as ak
import numpy as np

from hepflows.errors import DataError

__all__ = ["Entry", "parse"]

_FORM = re.compile(
    r"(?P<branch>[^\[\]]+)\[\s*(?P<place>-?\d+)(\s+by\s+(?P<key>\S+))?(\s+of\s+(?P<first>[1-9]\d*))?\s*\]"
)


@dataclass(frozen=True)
class Entry:
    """What a column such as ``Jet_mass[1 by Jet_pt of 2]`` asks for.

    Args:
        branch: that is read.
        place: of the entry, from zero; negative ones count from the end.
        key: the branch in whose falling order the entries are counted; as stored where None.
        first: only so many entries, as stored, are looked at; all where None.

    >>> entry = parse("Jet_mass[1 by Jet_pt]")
    >>> values = {"Jet_mass": ak.Array([[5.0, 7.0, 6.0], [1.0]]), "Jet_pt": ak.Array([[1.0, 2.0, 3.0], [1.0]])}
    >>> entry.of(values).tolist()
    [7.0, nan]
    """

    branch: str
    place: int
    key: str | None = None
    first: int | None = None

    @property
    def branches(self) -> tuple[str, ...]:
        """Those that have to be read."""
        return (self.branch,) if self.key is None else (self.branch, self.key)

    @property
    def fewest(self) -> int:
        """Entries that a row needs."""
        return self.first or (self.place + 1 if self.place >= 0 else -self.place)

    def of(self, values: Mapping[str, Any]) -> np.ndarray[Any, np.dtype[np.float64]]:
        """(rows,) the entry of each row, NaN where a row has too few.

        Args:
            values: jagged arrays, by branch.

        Raises:
            DataError: the two branches have different numbers of entries.
        """
        chosen = values[self.branch][:, : self.first]
        if self.key is not None:
            key = values[self.key][:, : self.first]
            if not ak.all(ak.num(key) == ak.num(chosen)):
                message = f"{self.branch!r} and {self.key!r} have different numbers of entries: order by a branch of the same objects"
                raise DataError(message)
            chosen = chosen[ak.argsort(key, axis=1, ascending=False)]
        enough = ak.to_numpy(ak.num(chosen) >= self.fewest)
        found = np.full(len(chosen), np.nan)
        if enough.any():
            found[enough] = ak.to_numpy(chosen[enough][:, self.place])
        return found


def parse(name: str) -> Entry | None:
    """What a column asks for; None where it is a plain name.

    Raises:
        DataError: brackets that are not of this form, or an entry beyond the first ones that are looked at.

    >>> parse("Jet_mass[-1 by Jet_mass of 2]")
    Entry(branch='Jet_mass', place=-1, key='Jet_mass', first=2)
    """
    if "[" not in name and "]" not in name:
        return None
    match = _FORM.fullmatch(name)
    first = None if match is None or match["first"] is None else int(match["first"])
    if match is None or (first is not None and not -first <= int(match["place"]) < first):
        message = f"the column {name!r} cannot be read: write name[0], name[1 by other] or name[-1 by other of 2]"
        raise DataError(message)
    return Entry(match["branch"], int(match["place"]), match["key"], first)
