"""Published numbers beside one's own: context, never a ranking."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hepflows.applications.calorimeter.challenge import challenge_dataset
from hepflows.applications.calorimeter.geometry import CALOGAN
from hepflows.applications.calorimeter.particles import species
from hepflows.applications.calorimeter.published import PublishedRow, published_rows
from hepflows.applications.calorimeter.report_text import number
from hepflows.applications.calorimeter.showers import Showers
from hepflows.errors import ConfigError
from hepflows.report.numbers import plus_minus, with_minus

Table = tuple[list[str], list[list[str]]]

_CALOGAN: dict[tuple[int, ...], str] = {(-11,): "calogan_eplus", (22,): "calogan_gamma", (211,): "calogan_piplus"}
_CHALLENGE = {  # the particles of its samples; e+ showers are as those of e-
    "calochallenge_1_photons": (22,),
    "calochallenge_1_pions": (211, -211),
    "calochallenge_2": (11, -11),
    "calochallenge_3": (11, -11),
}

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
_TIMES = {
    "parameters": "parameters",
    **{
        f"{device}_ms_{batch}": f"{device.upper()}, {batch:,}"
        for device in ("cpu", "gpu")
        for batch in (1, 100, 10_000)
    },
}
SCALED = "†"
FEWER = f"{SCALED} with fewer showers than the published scheme takes"
"""What the dagger behind a number says."""


@dataclass(frozen=True)
class Context:
    """A table of published numbers and of one's own.

    Args:
        title: which data the published numbers hold for.
        header: of the columns.
        own: rows of this evaluation.
        published: rows of others.
        caveat: what they hold for, and where they stand.
        footnote: on the marks behind one's own numbers.
        times: published sizes and times, see `published_times`.
    """

    title: str
    header: list[str]
    own: list[list[str]]
    published: list[list[str]]
    caveat: str
    footnote: str = ""
    times: Table | None = None


def published_dataset(reference: Showers, path: str = "") -> str | None:
    """The published table that belongs to a reference sample, by its cells and its particle, or None.

    Args:
        reference: the sample.
        path: of its file, whose name may say the particle where nothing else does.

    >>> published_dataset(Showers([1.0], [[1.0] * 504], attributes={"particle": "gamma"}))
    'calogan_gamma'
    """
    particles = species(reference, path)
    if reference.geometry == CALOGAN:
        return _CALOGAN.get(particles)
    dataset = (challenge_dataset(reference.geometry) or "").replace("-", "_")
    return dataset if dataset and set(particles) <= set(_CHALLENGE[dataset]) else None


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
    cells = {(row.model, key): with_minus(row.printed) for key, rows in found.items() for row in rows}
    first = next(iter(found.values()))[0]
    own = [[f"{name} (here)", *(_own(one, key, dataset) for key in found)] for name, one in metrics.items()]
    return Context(
        title=first.dataset,
        header=["", *(_COLUMNS[key] for key in found)],
        own=own,
        published=[[model, *(cells.get((model, key), "–") for key in found)] for model in models],
        caveat=f"{first.source}. {first.caveat}.",
        footnote=f"{FEWER}." if any(SCALED in cell for row in own for cell in row) else "",
        times=published_times(dataset),
    )


def published_times(dataset: str | None) -> Table | None:
    """Published numbers of parameters and milliseconds a shower, by size of the batch: a header and rows; None where there are none.

    >>> header, rows = published_times("calochallenge_2")
    >>> header[:3], rows[0][:3]
    (['', 'parameters', 'CPU, 1'], ['CaloDiffusion', '5.18e+5', '36502'])
    """
    found = {key: rows for key in _TIMES if dataset and (rows := _rows(dataset, key))}
    if dataset is None or not found:
        return None
    models = list(dict.fromkeys(row.model for rows in found.values() for row in rows))
    cells = {(row.model, key): row.printed for key, rows in found.items() for row in rows}
    header = ["", *(_TIMES[key] for key in found)]
    return header, [[model, *(cells.get((model, key), "–") for key in found)] for model in models]


def _rows(dataset: str, key: str) -> tuple[PublishedRow, ...]:
    try:
        return published_rows(dataset, key)
    except ConfigError:  # not every table has every column
        return ()


def _own(metrics: Mapping[str, Any], key: str, dataset: str) -> str:
    """One's own number by the protocol of the published one."""
    tests = metrics.get("classifiers") or {}
    if key.startswith("auc"):
        names = {"auc_low": "calochallenge_low", "auc_high": "calochallenge_high"}
        name = "caloflow" if dataset.startswith("calogan") else names.get(key, f"calochallenge-resnet-ds{dataset[-1]}")
        test = tests.get(name) or (tests.get("calochallenge") if key == "auc_low" else None)
        return _rounded(test, "auc", "auc_std")
    if key in ("fpd", "kpd"):
        return _rounded(metrics.get(key), "value", "error", 1e3) + scaled_mark(metrics.get(key))
    return _rounded(metrics.get("prdc_low"), key, f"{key}_error")


def scaled_mark(values: Mapping[str, Any] | None) -> str:
    """A dagger where batches had to be smaller than the published ones; see `FEWER`."""
    return f" {SCALED}" if (values or {}).get("scaled_down") else ""


def _rounded(values: Mapping[str, Any] | None, key: str, error: str, factor: float = 1.0) -> str:
    value, spread = number(values or {}, key), number(values or {}, error)
    return "–" if value is None else plus_minus(factor * value, None if spread is None else factor * spread)
