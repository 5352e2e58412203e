"""What can be set in a search: the density, the classifier, the method and the verdict. Presets stand in ``configs/``."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from hepflows.errors import ConfigError
from hepflows.training.config import Count, TrainingConfig
from hepflows.training.presets import Section, read_preset, validated

PACKAGE = "hepflows.applications.anomaly"


class DensityConfig(Section):
    """A conditional spline flow p(features | resonant variable).

    Attributes:
        kind: ``coupling``, which trains and samples in one pass each, or ``maf``.
        blocks: number of bijections.
        hidden: widths of the hidden layers of each.
        bins: bins of the rational-quadratic splines.
        preprocess: ``logit`` (range to (0, 1), logit, standardise) or ``standardise``.
        validation: share of the events that choose the epoch.
        training: epochs, optimiser and schedule.
    """

    kind: Literal["coupling", "maf"] = "coupling"
    blocks: int = Field(6, ge=1)
    hidden: list[Count] = Field([64, 64])
    bins: int = Field(8, ge=2)
    preprocess: Literal["logit", "standardise"] = "logit"
    validation: float = Field(0.1, gt=0, lt=1)
    training: TrainingConfig = TrainingConfig(
        epochs=12, batch_size=1024, learning_rate=2e-3, average=0.995, clip_norm=5.0
    )


class ClassifierConfig(Section):
    """What tells data from background.

    Attributes:
        kind: ``trees`` (histogram gradient boosting, arXiv:2309.13111) or ``network``.
        members: trainings, each with its own seed and validation events, whose probabilities are averaged.
        validation: share of the events that stops each training.
        iterations: trees: largest number of boosting steps.
        leaves: trees: largest number of leaves of one tree.
        patience: trees: steps without improvement before it stops.
        rate: learning rate; 0.05 for trees and 0.001 for a network where null.
        hidden: network: widths of the hidden layers.
        epochs: network: passes over the events.
        averaged: network: epochs of lowest validation loss whose probabilities are averaged.
        batch_size: network: events a step.
    """

    kind: Literal["trees", "network"] = "trees"
    members: int = Field(8, ge=1)
    validation: float = Field(0.2, gt=0, lt=1)
    iterations: int = Field(150, ge=1)
    leaves: int = Field(31, ge=2)
    patience: int = Field(10, ge=1)
    rate: float | None = Field(None, gt=0)
    hidden: list[Count] = Field([64, 64, 64])
    epochs: int = Field(30, ge=1)
    averaged: int = Field(10, ge=1)
    batch_size: int = Field(512, ge=1)


class SignalConfig(Section):
    """R-ANODE's density of the signal.

    Attributes:
        fraction: first value of the signal fraction of the signal region.
        learn: whether it is learnt, or stays as it is.
    """

    fraction: float = Field(0.01, gt=0, lt=1)
    learn: bool = True


class VerdictConfig(Section):
    """How the result is judged.

    Attributes:
        efficiencies: background efficiencies of the cuts, the first one gives ``p_value`` and ``significance``.
        function: of the spectrum, ``exponential`` or ``dijet``, see `hepflows.applications.anomaly.bumphunt.functions`.
        scale: ``dijet``: the collision energy in the unit of the data.
        likelihood: ``binned``, or ``unbinned``: of every event beside the window.
        bins: of the spectrum.
        toys: pseudo-experiments of each cut, none where zero.
        closure_events: at most so many events a class in the classifier tests of sampled against real background.
        closure_repeats: trainings of each of these tests.
        sky: two features that are places in the sky, such as [phi1, phi2]; the report then shows a sky plot, and the profile of the
            second one.
    """

    efficiencies: list[float] = Field([1e-2, 1e-3])
    function: Literal["exponential", "dijet"] = "exponential"
    scale: float = Field(13.0, gt=0)
    likelihood: Literal["binned", "unbinned"] = "binned"
    bins: int = Field(40, ge=8)
    toys: int = Field(500, ge=0)
    closure_events: int = Field(20_000, ge=100)
    closure_repeats: int = Field(2, ge=1)
    sky: tuple[str, str] | None = None


class SearchConfig(Section):
    """A search.

    Attributes:
        preset: where the values come from.
        method: see ``hepflows.applications.anomaly.methods``.
        density: of the background, learnt in the sidebands.
        inner: of the events in the signal region (ANODE), or of the signal (R-ANODE).
        inner_start: ANODE: ``density``, where the inner flow has the form and the first weights of that of the background and only the
            training of ``inner``; or ``fresh``.
        classifier: see `ClassifierConfig`.
        signal: see `SignalConfig`.
        oversampling: background samples for each event in the signal region.
        training_events: at most so many events, drawn at random, train each fold; all where null.
        null_events: at most so many background samples whose scores make the scale (ten for each event in the signal region, but 20,000),
            see `hepflows.applications.anomaly.scale.Scale`.
        strip: CWoLa: width of each adjacent strip, in widths of the signal region.
        folds: parts of the events, each scored by models that have not seen it.
        verdict: see `VerdictConfig`.
    """

    preset: str = "default"
    method: str = "cathode"
    density: DensityConfig = DensityConfig()
    inner: DensityConfig = DensityConfig(
        blocks=4, training=TrainingConfig(epochs=30, batch_size=512, learning_rate=1e-3, average=0.995, clip_norm=5.0)
    )
    inner_start: Literal["density", "fresh"] = "density"
    classifier: ClassifierConfig = ClassifierConfig()
    signal: SignalConfig = SignalConfig()
    oversampling: float = Field(4.0, ge=1)
    training_events: int | None = Field(None, ge=1000)
    null_events: int = Field(100_000, ge=100)
    strip: float = Field(0.5, gt=0)
    folds: int = Field(5, ge=2)
    verdict: VerdictConfig = VerdictConfig()


def load_config(preset: str = "default", settings: list[str] | None = None) -> SearchConfig:
    """A preset, or a YAML file of your own, with single values replaced.

    Args:
        preset: one of `presets`, or the path of a YAML file.
        settings: ``a.b=value`` replacements, values in YAML.

    Raises:
        ConfigError: no such preset, or a value that cannot be.

    >>> load_config("default", ["density.blocks=2", "method=anode"]).density.blocks
    2
    """
    sections = "sections such as density and classifier"
    values = read_preset(PACKAGE, preset, settings, example="density.blocks=4", sections=sections)
    return validate(values, f"preset {preset}")


def validate(values: dict[str, Any], where: str) -> SearchConfig:
    """Check a configuration; the message names the field.

    Raises:
        ConfigError: a value that cannot be.
    """
    from hepflows.applications.anomaly.methods import METHODS

    config = validated(SearchConfig, values, where)
    if config.method not in METHODS:
        message = f"{where}: there is no method {config.method!r}: choose one of {', '.join(METHODS)}"
        raise ConfigError(message)
    if not config.verdict.efficiencies or not all(0 < one < 1 for one in config.verdict.efficiencies):
        message = f"{where}: verdict.efficiencies must lie between 0 and 1, got {config.verdict.efficiencies}"
        raise ConfigError(message)
    return config
