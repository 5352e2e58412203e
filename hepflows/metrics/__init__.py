"""Numbers that say how close two samples are, with their errors and with what could be seen at all.

The names below are imported on first use, so that importing the package does not wait for torch.
"""

from __future__ import annotations

from typing import Any

from hepflows.lazy import public_name

_PUBLIC = {
    "PROTOCOLS": "hepflows.metrics.protocol",
    "ClassifierProtocol": "hepflows.metrics.protocol",
    "ClassifierResult": "hepflows.metrics.result",
    "Measurement": "hepflows.metrics.result",
    "Reweighter": "hepflows.metrics.dctr",
    "Reweighting": "hepflows.metrics.dctr",
    "Separation": "hepflows.metrics.two_sample",
    "Unweighted": "hepflows.metrics.unweighting",
    "auc": "hepflows.metrics.roc",
    "classifier_test": "hepflows.metrics.classifier",
    "effective_size": "hepflows.metrics.unweighting",
    "jensen_shannon": "hepflows.metrics.roc",
    "permute_within": "hepflows.metrics.samples",
    "reweight": "hepflows.metrics.dctr",
    "roc_curve": "hepflows.metrics.roc",
    "separation": "hepflows.metrics.two_sample",
    "separation_of_counts": "hepflows.metrics.two_sample",
    "unweight": "hepflows.metrics.unweighting",
}

__all__ = sorted(_PUBLIC)


def __getattr__(name: str) -> Any:
    return public_name(__name__, _PUBLIC, name)


def __dir__() -> list[str]:
    return list(__all__)
