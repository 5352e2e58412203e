"""The fixed rules of a classifier test. Two AUCs can be compared only where the protocol and the counts agree."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

from hepflows.errors import ConfigError

Inputs = Literal["raw", "standard", "robust"]
Rule = Literal["accuracy", "auc", "loss", "last"]


@dataclass(frozen=True)
class ClassifierProtocol:
    """How the classifier of a two-sample test is built, trained, chosen and calibrated.

    Args:
        name: written beside every AUC.
        hidden: widths of the hidden layers; LeakyReLU follows each, one logit ends the network.
        dropout: probability with which a hidden unit is dropped in training.
        inputs: ``raw`` uses the features as they are; ``standard`` uses (x - mean) / deviation; ``robust`` uses
            arcsinh((x - median) / half width of the central 68 %), which tames long tails. The statistics come from
            the training set.
        epochs: passes over the training set.
        batch_size: events a step.
        learning_rate: of Adam.
        weight_decay: decoupled from the gradient (AdamW); zero makes it Adam.
        fractions: shares of the events that train, that select and calibrate, and that are scored; they sum to one.
        select: the epoch that is kept, by ``accuracy``, ``auc`` or ``loss`` on the selection set, or the ``last``.
        calibration_clip: calibrated probabilities are kept this far from 0 and 1; ``None`` takes 1 / (n + 2) with n
            events in the selection set, so that a finite set never claims certainty.
        dtype: of weights and arithmetic, ``float32`` or ``float64``.

    Raises:
        ConfigError: a value outside its range.

    >>> PROTOCOLS["caloflow"].hidden, PROTOCOLS["caloflow"].epochs
    ((512, 512, 512), 150)
    """

    name: str
    hidden: tuple[int, ...] = (512, 512, 512)
    dropout: float = 0.0
    inputs: Inputs = "raw"
    epochs: int = 150
    batch_size: int = 1000
    learning_rate: float = 1e-3
    weight_decay: float = 0.0
    fractions: tuple[float, float, float] = (0.6, 0.2, 0.2)
    select: Rule = "accuracy"
    calibration_clip: float | None = 1e-6
    dtype: Literal["float32", "float64"] = "float32"

    def __post_init__(self) -> None:
        clip = self.calibration_clip
        rules = {
            "hidden": (len(self.hidden) > 0 and min(self.hidden, default=0) >= 1, "positive widths"),
            "dropout": (0 <= self.dropout < 1, "in [0, 1)"),
            "inputs": (self.inputs in get_args(Inputs), f"one of {', '.join(get_args(Inputs))}"),
            "epochs": (self.epochs >= 1, "at least 1"),
            "batch_size": (self.batch_size >= 1, "at least 1"),
            "learning_rate": (self.learning_rate > 0, "positive"),
            "weight_decay": (self.weight_decay >= 0, "zero or positive"),
            "fractions": (
                len(self.fractions) == 3 and min(self.fractions) > 0 and abs(sum(self.fractions) - 1) < 1e-9,
                "three positive numbers that sum to one",
            ),
            "select": (self.select in get_args(Rule), f"one of {', '.join(get_args(Rule))}"),
            "calibration_clip": (clip is None or 0 < clip < 0.5, "None or in (0, 0.5)"),
            "dtype": (self.dtype in ("float32", "float64"), "float32 or float64"),
        }
        for field, (right, wanted) in rules.items():
            if not right:
                got = getattr(self, field)
                message = f"the {field} of the classifier protocol {self.name!r} must be {wanted}, but is {got!r}"
                raise ConfigError(message)

    def to_dict(self) -> dict[str, Any]:
        """All values, ready for JSON."""
        return {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self).items()}


PROTOCOLS = {
    # arXiv:2106.05285: made for 60,000 training events a class; the original runs in float64
    "caloflow": ClassifierProtocol("caloflow"),
    # for a thousand events a class: tamed inputs, small steps, regularised
    "standardised": ClassifierProtocol(
        "standardised",
        hidden=(256, 256, 256),
        dropout=0.3,
        inputs="robust",
        epochs=40,
        batch_size=128,
        weight_decay=1e-2,
        select="auc",
        calibration_clip=None,
    ),
}


def from_dict(values: Mapping[str, Any]) -> ClassifierProtocol:
    """Undo `ClassifierProtocol.to_dict`.

    >>> from_dict(PROTOCOLS["caloflow"].to_dict()) == PROTOCOLS["caloflow"]
    True
    """
    given: dict[str, Any] = {key: tuple(one) if isinstance(one, list) else one for key, one in values.items()}
    return ClassifierProtocol(**given)


def named(protocol: str | ClassifierProtocol) -> ClassifierProtocol:
    """The protocol itself, or the one of that name.

    Raises:
        ConfigError: there is none of that name.

    >>> named("standardised").inputs
    'robust'
    """
    if isinstance(protocol, ClassifierProtocol):
        return protocol
    if protocol not in PROTOCOLS:
        message = f"there is no classifier protocol {protocol!r}: choose {' or '.join(sorted(PROTOCOLS))}"
        raise ConfigError(message)
    return PROTOCOLS[protocol]
