"""What can be set: the networks, their training, and how the result is judged. Presets stand in ``configs/``."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from hepflows.applications.neutrino.kinematics import W_MASS
from hepflows.errors import ConfigError
from hepflows.posterior.config import PosteriorConfig
from hepflows.training.config import Count, TrainingConfig
from hepflows.training.presets import Section, read_preset, validated

PACKAGE = "hepflows.applications.neutrino"


class NetworkConfig(Section):
    """The network that sums up an event for the flow, and for the regression; see `hepflows.applications.neutrino.network.EventNetwork`.

    Attributes:
        jet_hidden: width of the layers that see a jet.
        jet_layers: their number.
        attention: width of the layers that weigh a jet.
        heads: weights a jet.
        jets: width of the sum of the jets.
        hidden: widths of the layers that see the event.
        context: width of the summary.
    """

    jet_hidden: Count = 64
    jet_layers: Count = 2
    attention: Count = 32
    heads: Count = 1
    jets: Count = 16
    hidden: list[Count] = Field([64])
    context: Count = 32


class QuadraticConfig(Section):
    """The W-mass constraint.

    Attributes:
        w_mass: in GeV.
        rule: for negative discriminants, see `hepflows.applications.neutrino.kinematics.solve_w_constraint`.
    """

    w_mass: float = Field(W_MASS, gt=1)
    rule: Literal["real", "shrink", "raise"] = "real"


class VerdictConfig(Section):
    """How the methods are judged.

    Attributes:
        samples: draws an event, for mean, mode, intervals and ranks.
        events: at most so many test events get them; the rest gets one draw each.
        classifier_repeats: trainings of the classifier; none where zero.
        classifier_epochs: epochs of each.
    """

    samples: int = Field(256, ge=20)
    events: int = Field(20_000, ge=50)
    classifier_repeats: int = Field(2, ge=0)
    classifier_epochs: int = Field(15, ge=1)


class NeutrinoConfig(Section):
    """Everything.

    Attributes:
        preset: where the values come from.
        channel: ``semileptonic``, one lepton and neutrino, or ``dilepton``, two.
        coordinates: what the flow learns in the place of the pseudorapidity: ``w_mass``, see
            `hepflows.applications.neutrino.coordinates`, or ``plain``, the pseudorapidity itself. Densities are always those of px, py and
            pseudorapidity.
        frame: ``lepton``, each event turned and mirrored into its own, see `hepflows.applications.neutrino.frame`, or ``lab``, as it is,
            for a detector whose sides differ.
        roots: whether the two components of the quadratic solution are among the observables (one lepton only).
        test: share of the events that judge and are not learnt from.
        network: see `NetworkConfig`.
        posterior: the flow and its training, see `hepflows.posterior.PosteriorConfig`.
        regression: the training of the regression.
        quadratic: see `QuadraticConfig`.
        verdict: see `VerdictConfig`.
    """

    preset: str = "default"
    channel: Literal["semileptonic", "dilepton"] = "semileptonic"
    coordinates: Literal["w_mass", "plain"] = "w_mass"
    frame: Literal["lepton", "lab"] = "lepton"
    roots: bool = False
    test: float = Field(0.2, gt=0, lt=1)
    network: NetworkConfig = NetworkConfig()
    posterior: PosteriorConfig = PosteriorConfig(
        blocks=5, hidden=[64, 64], bins=8, dropout=0.1, training=TrainingConfig(
            epochs=15, batch_size=1024, learning_rate=3e-3, schedule="onecycle", clip_norm=5.0
        ),
    )  # fmt: skip
    regression: TrainingConfig = TrainingConfig(
        epochs=10, batch_size=1024, learning_rate=3e-3, schedule="onecycle", clip_norm=5.0
    )
    quadratic: QuadraticConfig = QuadraticConfig()
    verdict: VerdictConfig = VerdictConfig()

    @property
    def leptons(self) -> int:
        """Leptons, and neutrinos, of an event."""
        return 2 if self.channel == "dilepton" else 1


def load_config(preset: str = "default", settings: list[str] | None = None) -> NeutrinoConfig:
    """A preset, or a YAML file of your own, with single values replaced.

    Args:
        preset: one of the presets, or the path of a YAML file.
        settings: ``a.b=value`` replacements, values in YAML.

    Raises:
        ConfigError: no such preset, or a value that cannot be.

    >>> load_config("glow", ["posterior.blocks=4"]).posterior.kind
    'affine'
    """
    sections = "sections such as network and posterior"
    values = read_preset(PACKAGE, preset, settings, example="posterior.blocks=4", sections=sections)
    return validate(values, f"preset {preset}")


def validate(values: dict[str, Any], where: str) -> NeutrinoConfig:
    """Check a configuration; the message names the field.

    Raises:
        ConfigError: a value that cannot be.
    """
    config = validated(NeutrinoConfig, values, where)
    if config.roots and config.leptons > 1:
        message = f"{where}: roots=true needs one lepton an event: the missing momentum of two neutrinos does not split"
        raise ConfigError(message)
    return config
