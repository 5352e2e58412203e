"""What can be set in a posterior estimator."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from hepflows.training.config import Count, TrainingConfig
from hepflows.training.presets import Section


class PosteriorConfig(Section):
    """The flow of a posterior, the network in front of it, and how both are trained.

    Attributes:
        kind: ``spline`` (couplings, the neural spline flow of arXiv:1906.04032), ``autoregressive`` (splines in a masked autoregressive
            flow, arXiv:1705.07057: the last coordinate first, each other one given those; sharper for a few that hang together)
            or ``affine`` (Glow-type affine couplings, the cINN of arXiv:1907.02392).
        blocks: number of coupling or autoregressive blocks.
        hidden: widths of the hidden layers of each conditioner.
        bins: of the rational-quadratic splines.
        dropout: in the conditioners, in training.
        summary: widths of the layers of a network that sums up the observables, the last one the width of the summary; none where empty,
            the couplings then see the standardised observables themselves.
        validation: share of the rows that choose the epoch and stop the training.
        training: epochs, optimiser, schedule, patience.

    >>> PosteriorConfig(kind="affine", blocks=6, hidden=[256, 256, 256]).kind
    'affine'
    """

    kind: Literal["spline", "autoregressive", "affine"] = "spline"
    blocks: int = Field(5, ge=1)
    hidden: list[Count] = Field([64, 64])
    bins: int = Field(8, ge=2)
    dropout: float = Field(0.0, ge=0, lt=1)
    summary: list[Count] = Field([])
    validation: float = Field(0.1, gt=0, lt=1)
    training: TrainingConfig = TrainingConfig(
        epochs=60, batch_size=256, learning_rate=2e-3, schedule="cosine", clip_norm=5.0, patience=15
    )
