"""What can be set: the model, its training, the split of the sample and the verdict. Presets stand in ``configs/``."""

from __future__ import annotations

from typing import Any, Literal, get_args

from pydantic import Field, model_validator

from hepflows.applications.calorimeter.flow_config import (
    FlowConfig,
    ShowerFlowConfig,
    StudentConfig,
    TeacherConfig,
)
from hepflows.errors import ConfigError, DomainError
from hepflows.training.presets import Section, read_preset, validated

PACKAGE = "hepflows.applications.calorimeter"

Condition = Literal["pdg", "theta", "phi", "x", "y"]
"""Columns of showers that a model can be conditioned on."""


class PreprocessConfig(Section):
    """How energies become numbers that a flow learns well; see `hepflows.applications.calorimeter.models.preprocess`.

    Attributes:
        kind: ``logit``, the preprocessing of CaloFlow, or ``log``.
        noise_mev: ``logit``: width of the uniform noise added to every voxel, in MeV.
        noise_share: ``logit``: more of it, as a share of the layer's energy.
        alpha: ``logit``: margin of the logit.
        threshold_mev: voxels below it are set to zero in what is generated; ``log`` also treats them as zero in training, and finds one
            in the training set where null: 1 keV, less where that would empty more than 1 % of the filled voxels, and no less than any
            of them holds.
        gap: ``log``: e-folds between the threshold and where the zeros are put, so that a flow that blurs them a little
            does not lift them above the threshold.
        tail: ``log``: zeros are spread over this many e-folds below the gap.
    """

    kind: Literal["logit", "log"] = "logit"
    noise_mev: float = Field(1e-3, gt=0)
    noise_share: float = Field(0.0, ge=0, lt=0.1)
    alpha: float = Field(1e-6, gt=0, lt=0.1)
    threshold_mev: float | None = Field(0.01, gt=0)
    gap: float = Field(1.5, ge=0)
    tail: float = Field(2.0, gt=0)

    @model_validator(mode="after")
    def _known_or_found(self) -> PreprocessConfig:
        if self.kind == "logit" and self.threshold_mev is None:
            message = "the kind logit finds no threshold by itself: give threshold_mev, or take the kind log"
            raise ValueError(message)
        return self


class CaloFlowConfig(Section):
    """The model: Flow I for the layer energies, Flow II for the voxels.

    Attributes:
        kind: what Flow II is made of: ``teacher``, ``coupling``, ``inductive``, ``transformer`` or ``student``.
        precision: of weights and arithmetic.
        preprocess: see `PreprocessConfig`.
        orient: also train on the images of the showers, for each reflection and turn under which cells and sample look the same.
        conditions: columns of the showers that the flows are conditioned on besides the energy: ``pdg``, ``theta``, ``phi``, ``x``, ``y``.
        species: PDG numbers of the particles, where ``pdg`` is among the conditions; taken from the training files where empty.
        joint: whether one flow learns layer energies and voxels together, instead of two one after the other.
        energy_flow: Flow I, p(layer energies | incident energy).
        shower_flow: Flow II, p(voxels | layer energies, incident energy); its settings depend on the kind.
    """

    kind: Literal["teacher", "coupling", "inductive", "transformer", "student"] = "teacher"
    precision: Literal["float32", "float64"] = "float32"
    preprocess: PreprocessConfig = PreprocessConfig()
    orient: bool = False
    conditions: list[Condition] = Field([])
    species: list[int] = Field([])
    joint: bool = False
    energy_flow: FlowConfig = FlowConfig()
    shower_flow: ShowerFlowConfig = TeacherConfig()

    @model_validator(mode="after")
    def _once_each(self) -> CaloFlowConfig:
        for name in ("conditions", "species"):
            values = getattr(self, name)
            if len(set(values)) < len(values):
                message = f"{name} {values} names one of them twice: leave it out"
                raise ValueError(message)
        if self.species and "pdg" not in self.conditions:
            message = (
                f"species {self.species} mean nothing to a model that is not conditioned on pdg: add it to conditions"
            )
            raise ValueError(message)
        return self

    @model_validator(mode="before")
    @classmethod
    def _of_one_kind(cls, values: Any) -> Any:
        """The kind stands once, at the model; its flow is read as one of that kind."""
        if not isinstance(values, dict) or not isinstance(values.get("shower_flow", {}), dict):
            return values
        kind, flow = values.get("kind", "teacher"), values.get("shower_flow", {})
        own = sorted(set(values) - {"kind", "shower_flow"})
        if kind == "student" and own and not flow.get("taught_by"):
            message = f"a student takes {', '.join(own)} from its teacher: leave {'them' if len(own) > 1 else 'it'} out"
            raise ValueError(message)
        return {**values, "shower_flow": {**flow, "kind": kind}}

    def taught_by(self, teacher: CaloFlowConfig) -> CaloFlowConfig:
        """The student of that teacher, with all it shares with it filled in."""
        if not isinstance(self.shower_flow, StudentConfig) or not isinstance(teacher.shower_flow, TeacherConfig):
            message = (
                f"a model of kind student learns from one of kind teacher, got the kinds {self.kind} and {teacher.kind}"
            )
            raise ConfigError(message)
        flow = self.shower_flow.model_copy(update={"taught_by": teacher.shower_flow})
        return teacher.model_copy(update={"kind": "student", "shower_flow": flow})


KINDS: tuple[str, ...] = get_args(CaloFlowConfig.model_fields["kind"].annotation)


PRESET_OF = {
    "teacher": "demo",
    "coupling": "caloinn",
    "inductive": "icaloflow",
    "transformer": "transformer",
    "student": "student",
}
"""The preset of a kind, where none is asked for."""


class SplitConfig(Section):
    """Shares of the sample that choose the model and that judge it; the rest trains it."""

    validation: float = Field(0.1, gt=0, lt=1)
    test: float = Field(0.3, gt=0, lt=1)

    @model_validator(mode="after")
    def _some_are_left(self) -> SplitConfig:
        if self.validation + self.test >= 1:
            message = (
                f"validation {self.validation:g} and test {self.test:g} leave nothing to train with: make them smaller"
            )
            raise ValueError(message)
        return self


class VerdictConfig(Section):
    """The classifier test: protocol and number of trainings."""

    protocol: str = "caloflow"
    repeats: int = Field(3, ge=2)


class RunConfig(Section):
    """Everything that one run is made of."""

    preset: str = "paper"
    model: CaloFlowConfig = CaloFlowConfig()
    split: SplitConfig = SplitConfig()
    verdict: VerdictConfig = VerdictConfig()


def load_config(preset: str = "demo", settings: list[str] | None = None) -> RunConfig:
    """A preset, or a YAML file of your own, with single values replaced.

    Args:
        preset: ``demo``, ``paper`` or the path of a YAML file.
        settings: ``a.b=value`` replacements, values in YAML.

    >>> load_config("demo", ["model.shower_flow.blocks=2"]).model.shower_flow.blocks
    2
    """
    sections = "the sections model, split and verdict"
    values = read_preset(PACKAGE, preset, settings, example="model.shower_flow.blocks=4", sections=sections)
    return validated(RunConfig, values, f"preset {preset}")


def model_config(
    kind: str | None = None, preset: str | None = None, config: CaloFlowConfig | None = None
) -> CaloFlowConfig:
    """The model section that a kind, a preset or a configuration stands for; the configuration goes before the preset.

    Raises:
        DomainError: no such kind, or the configuration is of another one.
        ConfigError: what is given is not the model section, or there is no such preset.

    >>> model_config("coupling").kind
    'coupling'
    """
    if kind is not None and kind not in KINDS:
        message = f"there is no CaloFlow of kind {kind!r}: choose one of {', '.join(KINDS)}"
        raise DomainError(message)
    if config is not None and not isinstance(config, CaloFlowConfig):
        message = (
            f"config is the model section of a configuration, got {type(config).__name__}: give load_config(...).model"
        )
        raise ConfigError(message)
    config = config or load_config(preset or PRESET_OF[kind or "teacher"]).model
    if kind is not None and kind != config.kind:
        message = f"there is no CaloFlow of kind {kind!r} in this configuration: use kind={config.kind!r}"
        raise DomainError(message)
    return config
