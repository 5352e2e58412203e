"""The fixed rules of a classifier test. Two AUCs can be compared only where the protocol and the counts agree."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, get_args

from hepflows.errors import ConfigError

Inputs = Literal["raw", "standard", "robust"]
Rule = Literal["accuracy", "auc", "loss", "last"]


@dataclass(frozen=True)
class ClassifierProtocol:
    """How the classifier of a two-sample test is built, trained, chosen and calibrated.

    Args:
        name: written beside every AUC.
        hidden: widths of the hidden layers; LeakyReLU of slope 0.01 follows each, one logit ends the network.
        image: shape (n_z, n_alpha, n_r) of regular voxels: the network is then the 3-D convolutional one of
            :class:`hepflows.metrics.resnet3d.ResNet3d`, ``hidden`` is empty, and the features are the incident energy and
            the flat image.
        dropout: probability with which a hidden unit is dropped in training.
        inputs: ``raw`` uses the features as they are; ``standard`` uses (x - mean) / deviation; ``robust`` uses
            arcsinh((x - median) / half width of the central 68 %), which tames long tails. The statistics come from
            the training set.
        epochs: passes over the training set.
        batch_size: events a step.
        learning_rate: of Adam.
        cooldown: share of the epochs, the last ones, over which the learning rate falls to a hundredth, by one factor an
            epoch; zero keeps it as it is.
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
    image: tuple[int, int, int] | None = None
    dropout: float = 0.0
    inputs: Inputs = "raw"
    epochs: int = 150
    batch_size: int = 1000
    learning_rate: float = 1e-3
    cooldown: float = 0.0
    weight_decay: float = 0.0
    fractions: tuple[float, float, float] = (0.6, 0.2, 0.2)
    select: Rule = "accuracy"
    calibration_clip: float | None = 1e-6
    dtype: Literal["float32", "float64"] = "float32"

    def __post_init__(self) -> None:
        clip, image = self.calibration_clip, self.image
        rules = {
            "image": (
                image is None or (len(image) == 3 and min(image) >= 1),
                "None or three positive numbers of voxels",
            ),
            "hidden": (
                (image is None) == (len(self.hidden) > 0) and min(self.hidden, default=1) >= 1,
                "positive widths, or empty where there is an image",
            ),
            "dropout": (
                0 <= self.dropout < (1 if image is None else 1e-9),
                "in [0, 1), and zero where there is an image",
            ),
            "inputs": (self.inputs in get_args(Inputs), f"one of {', '.join(get_args(Inputs))}"),
            "epochs": (self.epochs >= 1, "at least 1"),
            "batch_size": (self.batch_size >= (1 if image is None else 2), "at least 1, or 2 where there is an image"),
            "learning_rate": (self.learning_rate > 0, "positive"),
            "cooldown": (0 <= self.cooldown <= 1, "in [0, 1]"),
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

    def rate(self, epoch: int) -> float:
        """Learning rate of an epoch, the first of which is 0.

        >>> protocol = ClassifierProtocol("example", epochs=10, learning_rate=1.0, cooldown=0.2)
        >>> [round(protocol.rate(epoch), 9) for epoch in (0, 7, 8, 9)]
        [1.0, 1.0, 0.1, 0.01]
        """
        if self.cooldown == 0:
            return self.learning_rate
        last = max(1, int(self.cooldown * self.epochs))
        return float(self.learning_rate * 0.01 ** (max(0, epoch + 1 - self.epochs + last) / last))

    def to_dict(self) -> dict[str, Any]:
        """All values, ready for JSON."""
        return {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self).items()}


# the evaluation of the CaloChallenge (arXiv:2410.21611), made for 60,000 events or more a class; the original runs in float64
_CALOCHALLENGE = ClassifierProtocol("calochallenge", hidden=(2048, 2048, 2048), epochs=50, learning_rate=2e-4)
# network: its resnet.py; training: the branch in which that network was developed, which is all that could be read of it
_RESNET = replace(_CALOCHALLENGE, hidden=(), image=(45, 16, 9), weight_decay=1e-2, cooldown=0.3)

PROTOCOLS = {
    # arXiv:2106.05285: made for 60,000 training events a class; the original runs in float64
    "caloflow": ClassifierProtocol("caloflow"),
    "calochallenge": _CALOCHALLENGE,
    # the width in older copies of the same; a wider network finds more, so that the areas differ
    "calochallenge-512": replace(_CALOCHALLENGE, name="calochallenge-512", hidden=(512, 512, 512)),
    "calochallenge-resnet-ds2": replace(_RESNET, name="calochallenge-resnet-ds2"),
    "calochallenge-resnet-ds3": replace(_RESNET, name="calochallenge-resnet-ds3", image=(45, 50, 18)),
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
"""Protocols by name. Areas of two of them can never be compared, those of one only at equal features and counts.

``caloflow``
    the network of CaloFlow (arXiv:2106.05285), for its 60,000 training events a class.
``calochallenge``
    the evaluation of the CaloChallenge (arXiv:2410.21611): three hidden layers of 2048, Adam 2e-4, 50 epochs.
``calochallenge-512``
    the same with layers of 512, as in older copies of that evaluation. The width was changed without a new name: ask which
    one stands behind a published number.
``calochallenge-resnet-ds2``, ``calochallenge-resnet-ds3``
    the 3-D residual network of the CaloChallenge for its datasets 2 and 3.
``standardised``
    regularised, for a thousand events a class.

The CaloChallenge trains, selects and scores with 0.6, 0.2 and 0.2 of datasets 2 and 3, as here, and with 80,000, 20,000 and
the rest of dataset 1: there, replace ``fractions``. It takes the AUC after its isotonic calibration, which joins neighbouring scores;
here it is that of the scores as they are (0.0007 to 0.0015 apart on equal networks).
"""


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
        message = f"there is no classifier protocol {protocol!r}: choose one of {', '.join(sorted(PROTOCOLS))}"
        raise ConfigError(message)
    return PROTOCOLS[protocol]
