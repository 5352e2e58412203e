"""Numbers that say how close two samples are, with their errors and with what could be seen at all.

The names below are imported on first use, so that importing the package does not wait for torch.
"""

from __future__ import annotations

from typing import Any

from hepflows.lazy import public_name

_PUBLIC = {
    "C2st": "hepflows.metrics.sbibm",
    "ClassifierProtocol": "hepflows.metrics.protocol",
    "ClassifierResult": "hepflows.metrics.result",
    "FrechetResult": "hepflows.metrics.frechet",
    "KernelResult": "hepflows.metrics.kernel_distance",
    "Measurement": "hepflows.metrics.result",
    "PROTOCOLS": "hepflows.metrics.protocol",
    "PrdcResult": "hepflows.metrics.coverage",
    "Separation": "hepflows.metrics.two_sample",
    "Uniformity": "hepflows.metrics.calibration",
    "WithFloor": "hepflows.metrics.floors",
    "auc": "hepflows.metrics.roc",
    "c2st": "hepflows.metrics.sbibm",
    "classifier_test": "hepflows.metrics.classifier",
    "fpd": "hepflows.metrics.frechet",
    "frechet_distance": "hepflows.metrics.frechet",
    "Reweighter": "hepflows.metrics.dctr",
    "Reweighting": "hepflows.metrics.dctr",
    "Unweighted": "hepflows.metrics.unweighting",
    "effective_size": "hepflows.metrics.unweighting",
    "hpd_ranks": "hepflows.metrics.calibration",
    "information_gain": "hepflows.metrics.calibration",
    "jensen_shannon": "hepflows.metrics.roc",
    "kpd": "hepflows.metrics.kernel_distance",
    "mmd": "hepflows.metrics.kernel_distance",
    "permute_within": "hepflows.metrics.samples",
    "prdc": "hepflows.metrics.coverage",
    "roc_curve": "hepflows.metrics.roc",
    "sbc_ranks": "hepflows.metrics.calibration",
    "separation": "hepflows.metrics.two_sample",
    "separation_of_counts": "hepflows.metrics.two_sample",
    "simultaneous_band": "hepflows.metrics.bands",
    "tarp_ranks": "hepflows.metrics.calibration",
    "uniformity": "hepflows.metrics.calibration",
    "with_floor": "hepflows.metrics.floors",
    "reweight": "hepflows.metrics.dctr",
    "unweight": "hepflows.metrics.unweighting",
}

__all__ = sorted(_PUBLIC)


def __getattr__(name: str) -> Any:
    return public_name(__name__, _PUBLIC, name)


def __dir__() -> list[str]:
    return list(__all__)
