"""What a reader must know before quoting a number."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from hepflows.applications.calorimeter.particles import hadrons, in_words, species
from hepflows.applications.calorimeter.report_text import FEW_EVENTS, Metrics, classifier_events, count, flag, number
from hepflows.applications.calorimeter.showers import Showers
from hepflows.report.html import Tone

_UNLIKELY = 1e-4  # of two equal spectra that differ so much
_ONLY = "Generators can be judged against each other on it; published AUCs are context, never a ranking."


class Notice(NamedTuple):
    """How it is to be taken, a title, a text, and whether a terminal shall say it too, by the title and the first sentence."""

    tone: Tone
    title: str
    text: str
    loud: bool = False

    @property
    def line(self) -> str:
        """For a terminal."""
        return f"{self.title} {self.text.split('. ')[0].removesuffix('.')}."


def all_notices(metrics: Mapping[str, Metrics], showers: Mapping[str, Showers]) -> list[Notice]:
    """Of the samples, then of their numbers; each is said once.

    Args:
        metrics: by name of the sample.
        showers: samples by name, the reference first.
    """
    of_numbers = ((name, notice) for name, one in metrics.items() for notice in _of_numbers(one))
    of_files = ((name, notice) for name, one in showers.items() for notice in _approximations(one))
    return [
        *_generated_reference(showers),
        *_spectra(showers),
        *_few_events(metrics),
        *_together(of_numbers, len(metrics)),
        *_together(of_files, len(showers)),
    ]


def _together(found: Iterable[tuple[str, Notice]], samples: int) -> list[Notice]:
    """What several samples say is said once, with their names where not all say it."""
    names: dict[Notice, list[str]] = {}
    for name, notice in found:
        names.setdefault(notice, []).append(name)
    return [
        notice if len(of) == samples else notice._replace(title=f"{', '.join(of)}: {notice.title}")
        for notice, of in names.items()
    ]


def _of_numbers(metrics: Metrics) -> list[Notice]:
    """What the numbers of one sample say about themselves."""
    found: list[Notice] = []
    if number(metrics, "auc") is not None and flag(metrics, "power_ok") is None:
        text = "A low AUC may come from a weak classifier; no check of its power was made."
        found.append(Notice("warning", "No power check.", text))
    shared = number(metrics, "n_shared")
    if shared:
        text = f"{count(shared)} showers stood in both samples; half of them were left to each, so that no shower is compared with itself."
        found.append(Notice("note", "Samples overlap.", text))
    return found


def _few_events(metrics: Mapping[str, Metrics]) -> list[Notice]:
    """Of all classifiers of all samples, since any of their AUCs may be quoted."""
    few: dict[int, list[str]] = {}
    for sample, one in metrics.items():
        events = classifier_events(one)
        alike = len(set(events.values())) == 1
        for name, found in events.items():
            label = sample if alike else f"{sample}, {name}"
            if found < FEW_EVENTS and label not in few.setdefault(found, []):
                few[found].append(label)
    if not few:
        return []
    if list(few.values()) == [list(metrics)]:
        numbers = count(next(iter(few)))
    else:
        numbers = ", ".join(f"{count(found)} ({'; '.join(labels)})" for found, labels in few.items())
    text = (
        f"An AUC counts with {count(FEW_EVENTS)} showers a class or more to train, select and score; here there are {numbers}. With more "
        "the classifier would find more, so this AUC holds for this sample size only and must not be compared with results from larger "
        "ones (CaloFlow, arXiv:2106.05285, trained with 60,000 a class), nor with those of another protocol."
    )
    return [Notice("warning", "Small sample.", text, loud=True)]


def _generated_reference(showers: Mapping[str, Showers]) -> list[Notice]:
    name, reference = next(iter(showers.items()))
    engine = reference.attributes.get("engine", "")
    if not re.search(r"hepflows \S+ CaloFlow", engine):
        return []
    text = (
        f"The file of {name} says that a model made it ({engine}). What follows compares models with one another, not with true showers: "
        "give true ones as the last argument."
    )
    return [Notice("bad", "The reference is generated.", text, loud=True)]


def _spectra(showers: Mapping[str, Showers]) -> list[Notice]:
    """Samples whose incident energies are not those of the reference, by a Kolmogorov-Smirnov test; weights are not counted."""
    from scipy.stats import ks_2samp

    name, reference = next(iter(showers.items()))
    found = []
    for sample, one in list(showers.items())[1:]:
        if ks_2samp(one.energies, reference.energies, method="asymp").pvalue >= _UNLIKELY:
            continue
        ranges = _range_gev(one), _range_gev(reference)
        compared = f"{ranges[0]} in both" if ranges[0] == ranges[1] else f"{ranges[0]} against {ranges[1]}"
        weighted = " (weights are not counted)" if any("weight" in part.columns for part in (one, reference)) else ""
        text = (
            f"{sample} has other incident energies than {name} ({compared}), and the comparison mixes that with the model{weighted}. "
            "Compare samples of one spectrum."
        )
        found.append(Notice("warning", "The incident energies differ.", text, loud=True))
    return found


def _range_gev(showers: Showers) -> str:
    low, high = (float(f"{value:.2g}") for value in (showers.energies.min(), showers.energies.max()))
    return f"{low:g}–{high:g} GeV"


def _approximations(sample: Showers) -> list[Notice]:
    """What is approximate in a sample that no complete simulation made; the particle decides what a reader must know first."""
    return [notice for notice in (_synthesised(sample), _parametrised(sample)) if notice]


def _synthesised(sample: Showers) -> Notice | None:
    tables = synthesised([sample.attributes])
    if not tables:
        return None
    particles = species(sample)
    strong = hadrons(particles)
    if strong:
        title = f"{in_words(strong)} showers of this simulation are approximate:"
        crude = f"hadronic cross sections below 20 MeV are crude. Geant4's tables are synthesised here, not the official ones ({tables})."
        return Notice("warning", title, f"{crude} {_ONLY}", loud=True)
    if particles:
        tables = _without_hadrons(tables)
    text = (
        f"The electromagnetic tables of this Geant4 sample are synthesised, not the official ones ({tables}). {_ONLY}"
    )
    return Notice("note", "About the sample.", text)


def _parametrised(sample: Showers) -> Notice | None:
    if not any("parametrised" in sample.attributes.get(key, "") for key in ("engine", "training_engine")):
        return None
    strong = hadrons(species(sample))
    if strong:
        title = f"{in_words(strong)} showers of this simulation are approximate:"
        return Notice("warning", title, f"a parametrised shower, no Geant4, and crude for hadrons. {_ONLY}", loud=True)
    return Notice("note", "About the sample:", f"a parametrised shower, no Geant4. {_ONLY}", loud=True)


def _without_hadrons(tables: str) -> str:
    """The list of approximations without those that only hadrons see."""
    return "; ".join(part for part in tables.split("; ") if not part.startswith("hadronic"))


def synthesised(attributes: Sequence[Mapping[str, str]]) -> str:
    """What the attributes of the samples say about synthesised tables; empty where they say nothing.

    >>> synthesised([{"data_tables": "synthesised from formulas"}])
    'data_tables: synthesised from formulas'
    """
    words = ("synthesised", "synthesized", "not official")
    for one in attributes:
        for key, value in one.items():
            if any(word in str(value).lower() for word in words):
                return f"{key}: {value}"
    return ""
