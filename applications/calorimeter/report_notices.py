"""What a reader must know before quoting a number."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from hepflows.applications.calorimeter.report_text import Metrics, count, flag, number
from hepflows.report.html import Tone

SMALL_SAMPLE = 10_000
"""Training events per class below which a classifier sees coarse differences only; CaloFlow used 60,000."""


def notices(metrics: Metrics, attributes: Sequence[Mapping[str, str]]) -> list[tuple[Tone, str, str]]:
    """What a reader must know before quoting a number: (how it is to be taken, title, text)."""
    found: list[tuple[Tone, str, str]] = []
    events, judged = number(metrics, "n_classifier_train"), number(metrics, "auc") is not None
    if judged and flag(metrics, "power_ok") is None:
        text = "A low AUC may come from a weak classifier; no check of its power was made."
        found.append(("warning", "No power check.", text))
    if judged and events is not None and events < SMALL_SAMPLE:
        text = (
            f"The classifier learned from {count(events)} showers of each kind. With more it would find more, so this AUC "
            "holds for this sample size only and must not be compared with results from larger ones (CaloFlow, "
            "arXiv:2106.05285, used 60,000), nor with those of another protocol."
        )
        found.append(("warning", "Small sample.", text))
    shared = number(metrics, "n_shared")
    if shared:
        text = f"{count(shared)} showers stood in both samples; half of them were left to each, so that no shower is compared with itself."
        found.append(("note", "Samples overlap.", text))
    tables = synthesised(attributes)
    if tables:
        text = (
            f"The electromagnetic tables of this Geant4 sample are synthesised, not the official ones ({tables}). Generators "
            "can be judged against each other on it; published AUCs are context, never a ranking."
        )
        found.append(("note", "About the sample.", text))
    return found


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
