"""Published numbers beside one's own: context, never a ranking."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hepflows.applications.calorimeter.challenge import challenge_dataset
from hepflows.applications.calorimeter.geometry import CALOGAN
from hepflows.applications.calorimeter.published import METRICS, PublishedRow, published_rows
from hepflows.applications.calorimeter.report_text import number
from hepflows.applications.calorimeter.showers import Showers
from hepflows.errors import ConfigError
from hepflows.report.numbers import plus_minus

_PARTICLES = {"e+": "eplus", "gamma": "gamma", "pi+": "piplus", "-11": "eplus", "22": "gamma", "211": "piplus"}

_COLUMNS = {
    "auc_low": "AUC low",
    "auc_high": "AUC high",
    "auc_resnet": "AUC 3-D",
    "fpd": "FPD × 10³",
    "kpd": "KPD × 10³",
    "precision": "precision",
    "recall": "recall",
    "density": "density",
    "coverage": "coverage",
}


@dataclass(frozen=True)
class Context:
    """A table of published numbers and of one's own.

    Args:
        title: which data the published numbers hold for.
        header: of the columns.
        own: rows of this evaluation.
        published: rows of others.
        caveat: what they hold for, and where they stand.
    """

    title: str
    header: list[str]
    own: list[list[str]]
    published: list[list[str]]
    caveat: str


def published_dataset(reference: Showers, path: str = "") -> str | None:
    """The published table that belongs to a reference sample, by its cells and its particle, or None.

    Args:
        reference: the sample.
        path: of its file, whose name may say the particle where nothing else does.

    >>> published_dataset(Showers([1.0], [[1.0] * 504], attributes={"particle": "gamma"}))
    'calogan_gamma'
    """
    if reference.geometry != CALOGAN:
        dataset = challenge_dataset(reference.geometry)
        return dataset and dataset.replace("-", "_")
    particle = reference.attributes.get("particle", "")
    if "pdg" in reference.columns:
        numbers = np.unique(reference.columns["pdg"]).astype(int)
        particle = str(numbers[0]) if len(numbers) == 1 else ""
    if particle in _PARTICLES:
        return f"calogan_{_PARTICLES[particle]}"
    stem = Path(path).stem.lower()
    known = [name for name in ("eplus", "gamma", "piplus") if name in stem and not particle]
    return f"calogan_{known[0]}" if len(known) == 1 else None


def published_context(dataset: str | None, metrics: Mapping[str, Mapping[str, Any]]) -> Context | None:
    """Published numbers of a dataset with those of an evaluation, where both have any that stand for the same.

    Numbers by another protocol than the published one are left out: a dash.

    Args:
        dataset: of `published_dataset`.
        metrics: by name of the sample, as `measure` gives them.

    >>> found = published_context("calogan_eplus", {"mine": {"suite": "standard", "classifiers": {}}})
    >>> found.own, found.published[1]
    ([['mine (here)', '–']], ['CaloFlow v1 teacher', '0.859 ± 0.010'])
    """
    if dataset is None or all(one.get("suite") == "quick" for one in metrics.values()):
        return None
    found = {key: rows for key in _COLUMNS if (rows := _rows(dataset, key))}
    models = list(dict.fromkeys(row.model for rows in found.values() for row in rows))
    cells = {(row.model, key): _text(row.value, row.error, key) for key, rows in found.items() for row in rows}
    first = next(iter(found.values()))[0]
    return Context(
        title=first.dataset,
        header=["", *(_COLUMNS[key] for key in found)],
        own=[[f"{name} (here)", *(_own(one, key, dataset) for key in found)] for name, one in metrics.items()],
        published=[[model, *(cells.get((model, key), "–") for key in found)] for model in models],
        caveat=f"{first.source}. {first.caveat}.",
    )


def _rows(dataset: str, key: str) -> tuple[PublishedRow, ...]:
    try:
        return published_rows(dataset, key)
    except ConfigError:  # not every table has every column
        return ()


def _text(value: float, error: float | None, key: str) -> str:
    """As it was printed."""
    digits = ".3f" if key.startswith("auc") else ".3g" if METRICS[key][1] == "" else ".4g"
    spread = "" if not error else f" ± {error:{digits if key.startswith('auc') else '.2g'}}"
    return f"{value:{digits}}{spread}".replace("-", "−")


def _own(metrics: Mapping[str, Any], key: str, dataset: str) -> str:
    """One's own number by the protocol of the published one."""
    tests = metrics.get("classifiers") or {}
    if key.startswith("auc"):
        names = {"auc_low": "calochallenge_low", "auc_high": "calochallenge_high"}
        name = "caloflow" if dataset.startswith("calogan") else names.get(key, f"calochallenge-resnet-ds{dataset[-1]}")
        test = tests.get(name) or (tests.get("calochallenge") if key == "auc_low" else None)
        return _rounded(test, "auc", "auc_std")
    if key in ("fpd", "kpd"):
        return _rounded(metrics.get(key), "value", "error", 1e3)
    return _rounded(metrics.get("prdc_low"), key, f"{key}_error")


def _rounded(values: Mapping[str, Any] | None, key: str, error: str, factor: float = 1.0) -> str:
    value, spread = number(values or {}, key), number(values or {}, error)
    return "–" if value is None else plus_minus(factor * value, None if spread is None else factor * spread)
