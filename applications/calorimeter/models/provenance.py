"""What a file of generated showers says about itself."""

from __future__ import annotations

from collections.abc import Mapping

from hepflows import __version__
from hepflows.applications.calorimeter.models.incident import Asked

_LASTING = ("geometry", "detector", "units", "data_tables")
"""Attributes of the training files that hold for generated showers as well."""


def provenance(training: Mapping[str, str], asked: Asked, kind: str, seed: int) -> dict[str, str]:
    """The attributes of generated showers: those of this sample, and of the training files' under ``training_...``.

    Args:
        training: attributes of the training files.
        asked: what is generated.
        kind: of the model.
        seed: of the sample.
    """
    lasting = {name: text for name, text in training.items() if name in _LASTING}
    before = {f"training_{name}": text for name, text in training.items() if name not in _LASTING}
    own = {"engine": f"hepflows {__version__} CaloFlow {kind}", **asked.description, "seed": str(seed)}
    return {**own, **lasting, **before}
