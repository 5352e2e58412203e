"""Published results on official Geant4 samples: the rows to print beside one's own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

import yaml

from hepflows.errors import ConfigError

METRICS: dict[str, tuple[str, str]] = {
    "auc_low": ("area under the ROC curve of the fully connected classifier on voxels", ""),
    "auc_high": ("area under the ROC curve of the fully connected classifier on high-level features", ""),
    "auc_resnet": ("area under the ROC curve of the 3-D residual classifier on voxels", ""),
    "fpd": ("Fréchet physics distance on high-level features, with the fit of JetNet", "1e-3"),
    "kpd": ("kernel physics distance on high-level features", "1e-3"),
    "precision": ("precision on logarithms of voxel energies, k = 5", ""),
    "recall": ("recall on logarithms of voxel energies, k = 5", ""),
    "density": ("density on logarithms of voxel energies, k = 5", ""),
    "coverage": ("coverage on logarithms of voxel energies, k = 5", ""),
    "parameters": ("parameters that generation needs", ""),
    **{
        f"{device}_ms_{batch}": (
            f"time a shower on a {device.upper()} in batches of {batch}, hardware not stated",
            "ms",
        )
        for device in ("cpu", "gpu")
        for batch in (1, 100, 10_000)
    },
}
"""What is published, by name: (quantity, unit). A value of FPD 3.11 in units of 1e-3 is 0.00311 by :func:`hepflows.metrics.fpd`."""


@dataclass(frozen=True)
class PublishedRow:
    """One published number.

    Args:
        dataset: the sample in words.
        model: what was compared with Geant4; ``GEANT4`` is the floor, one Geant4 sample against another.
        metric: a key of :data:`METRICS`.
        value: in ``unit``.
        error: in ``unit``, of the repeated measurement or of the fit; None where none is given, 0 where it is below half
            of the last digit.
        unit: "1e-3", "ms" or empty.
        source: paper and table.
        caveat: what the number holds for.
        printed: value and error with the digits that were published.
    """

    dataset: str
    model: str
    metric: str
    value: float
    error: float | None
    unit: str
    source: str
    caveat: str
    printed: str

    def __str__(self) -> str:
        text = f"({self.printed}) × 10⁻³" if self.unit == "1e-3" else self.printed
        return f"{self.model}: {text}{' ms' if self.unit == 'ms' else ''}"


def datasets() -> list[str]:
    """Names of the samples with published results.

    >>> datasets()[:2]
    ['calochallenge_1_photons', 'calochallenge_1_pions']
    """
    names = (entry.name for entry in _folder().iterdir())
    return sorted(name.removesuffix(".yaml") for name in names if name.endswith(".yaml"))


def published_rows(dataset: str, metric: str) -> tuple[PublishedRow, ...]:
    """Published numbers of one metric, in the order of the table, the floor first where it is given.

    They hold for the official samples: beside numbers of another sample they are context, never a ranking.

    Args:
        dataset: one of :func:`datasets`.
        metric: a key of :data:`METRICS`; models for which it is not available are left out.

    Raises:
        ConfigError: nothing is published under these names; the message says what is.

    >>> for row in published_rows("calochallenge_2", "fpd")[:2]:
    ...     print(row)
    GEANT4: (10.78 ± 0.79) × 10⁻³
    CaloDiffusion: (146.9 ± 0.87) × 10⁻³
    """
    if dataset not in datasets():
        message = f"there are no published results for {dataset!r}: choose one of {', '.join(datasets())}"
        raise ConfigError(message)
    table = _table(dataset)
    known = [name for name in METRICS if any(_entry(table, row, name)[0] is not None for row in table["rows"])]
    if metric not in known:
        message = f"no {metric!r} is published for {dataset}: choose one of {', '.join(known)}"
        raise ConfigError(message)
    return tuple(
        PublishedRow(
            dataset=table["dataset"],
            model=row["model"],
            metric=metric,
            value=float(value),
            error=None if error is None else float(error),
            unit=METRICS[metric][1],
            source=_source(table, row),
            caveat=". ".join(text for text in (table["caveat"].removesuffix("."), row.get("remark")) if text),
            printed=value if error is None else f"{value} ± {error}",
        )
        for row in table["rows"]
        for value, error in [_entry(table, row, metric)]
        if value is not None
    )


def _entry(table: Mapping[str, Any], row: Mapping[str, Any], metric: str) -> tuple[str | None, str | None]:
    """Value and error as they were published, None where there are none."""
    entry = row.get(metric)
    name, times, batch = metric.rpartition("_ms_")
    if times and f"{name}_ms" in row:
        entry = row[f"{name}_ms"][table["batch_sizes"].index(batch)]
    value, error = entry if isinstance(entry, list) else (entry, None)
    return value, error


def _source(table: Mapping[str, Any], row: Mapping[str, Any]) -> str:
    paper = row.get("arxiv", table["arxiv"])
    return f"{f'arXiv:{paper}' if paper else 'paper not known'}, {table['table']}"


class _AsWritten(yaml.SafeLoader):
    """Numbers stay texts: 0.70 is not 0.7."""


_AsWritten.yaml_implicit_resolvers = {
    letter: [(tag, pattern) for tag, pattern in known if tag.rpartition(":")[2] not in ("float", "int")]
    for letter, known in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


@cache
def _table(dataset: str) -> Mapping[str, Any]:
    text = (_folder() / f"{dataset}.yaml").read_text(encoding="utf-8")
    table: Mapping[str, Any] = yaml.load(text, Loader=_AsWritten)  # a safe loader
    return table


def _folder() -> Any:
    return resources.files("hepflows.applications.calorimeter") / "published"
