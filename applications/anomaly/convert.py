"""Raw particles to a features file: jets are clustered once, and searches read their columns."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from hepflows.applications.anomaly.formats import raw
from hepflows.applications.anomaly.jets import JetRules
from hepflows.errors import ConfigError, DataError
from hepflows.io.columns import open_columns, write_columns
from hepflows.training.loop import Progress

EVENT = "event"
"""Column with the number of the row in the raw file."""


def convert(
    path: Path, output: Path, rules: JetRules, *, key: str | None = None, progress: Progress | None = None
) -> tuple[int, int]:
    """Cluster raw events, a few thousand in memory at a time, and write one row for each that has a pair of jets.

    Args:
        path: events of 700 particles (pT, eta, phi) a row, as the LHC Olympics published them.
        output: the new file: the columns of a features file, in GeV, ``event`` with the row in ``path``, and ``label`` where it is known.
        rules: which events have a pair of jets.
        key: the HDF5 frame, found out where there is only one.
        progress: called after every chunk.

    Returns:
        The events written, and those left out.

    Raises:
        DataError: the file holds no raw particles, or a value is not finite, or no event has a pair of jets.
        MissingExtraError: FastJet is not installed, or blosc2, which compressed files need.
    """
    if output.resolve() == path.resolve():
        message = f"{output} is the file of the events itself: give another name to --output"
        raise ConfigError(message)
    counts = {"read": 0, "kept": 0}

    def chunks() -> Iterator[dict[str, Any]]:
        with open_columns(path, key=key) as table:
            if not raw.is_raw(table.names):
                message = f"{path} holds no raw particles (columns 0 to {len(raw.COLUMNS) - 1}): nothing to convert"
                raise DataError(message)
            labelled = raw.TRUTH in table.names
            names = [*raw.COLUMNS, *([raw.TRUTH] if labelled else [])]
            for columns in table.iterate(names, chunk=raw.CHUNK):
                first = counts["read"]
                values, passed = raw.jets(columns, rules, str(path), first=first)
                counts["read"] += len(passed)
                counts["kept"] += int(passed.sum())
                if progress is not None:
                    progress(counts["read"], table.rows or counts["read"], f"{counts['kept']} events with two jets")
                label = {"label": columns[raw.TRUTH][passed].astype(np.int64)} if labelled else {}
                if passed.any():
                    yield {EVENT: first + np.flatnonzero(passed), **values, **label}

    attributes = {"units": "GeV", "jets": f"anti-kt {rules.radius:g}", "events": path.name}
    try:
        write_columns(output, chunks(), attributes=attributes)
    except DataError:
        if counts["read"] and not counts["kept"]:
            message = f"{path}: none of {counts['read']} events has a pair of jets: lower --jet-pt or --leading-pt"
            raise DataError(message) from None
        raise
    return counts["kept"], counts["read"] - counts["kept"]
