"""What can be set: the model, its training, the split of the sample and the verdict. Presets stand in ``configs/``."""

from __future__ import annotations

from importlib import resources
from typing import Annotated, Any, Literal, get_args

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from hepflows.errors import ConfigError
from hepflows.training.config import Count, TrainingConfig


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid")


class PreprocessConfig(_Section):
    """How energies become numbers that a flow learns well; see `hepflows.applications.calorimeter.models.preprocess`.

    Attributes:
        kind: ``logit``, the preprocessing of CaloFlow, or ``log``.
        noise_mev: ``logit``: width of the uniform noise added to every voxel, in MeV.
        noise_share: ``logit``: more of it, as a share of the layer's energy.
        alpha: ``logit``: margin of the logit.
        threshold_mev: voxels below it are set to zero in what is generated; ``log`` also treats them as zero in training.
        gap: ``log``: e-folds between the threshold and where the zeros are put, so that a flow that blurs them a little
            does not lift them above the threshold.
        tail: ``log``: zeros are spread over this many e-folds below the gap.
    """

    kind: Literal["logit", "log"] = "logit"
    noise_mev: float = Field(1e-3, gt=0)
    noise_share: float = Field(0.0, ge=0, lt=0.1)
    alpha: float = Field(1e-6, gt=0, lt=0.1)
    threshold_mev: float = Field(0.01, gt=0)
    gap: float = Field(1.5, ge=0)
    tail: float = Field(2.0, gt=0)


class SplineConfig(_Section):
    """What all flows have: spline blocks and how they are trained.

    Attributes:
        blocks: number of bijections.
        bins: bins of the rational-quadratic splines.
        bound: the splines act on [-bound, bound].
        minimum: smallest width, height and derivative of a spline bin.
        dropout: in the hidden layers, in training.
        training: epochs, optimiser and schedule.
    """

    blocks: int = Field(8, ge=1)
    bins: int = Field(8, ge=2)
    bound: float = Field(14.0, gt=0)
    minimum: float = Field(1e-6, gt=0)
    dropout: float = Field(0.0, ge=0, lt=1)
    training: TrainingConfig = TrainingConfig()


class FlowConfig(SplineConfig):
    """A flow of perceptrons, masked or in couplings.

    Attributes:
        hidden: widths of the hidden layers of each block.
    """

    hidden: list[int] = [378, 378]


class TeacherConfig(FlowConfig):
    """A masked autoregressive flow (CaloFlow v1, arXiv:2106.05285)."""

    kind: Literal["teacher"] = "teacher"


class CouplingConfig(FlowConfig):
    """A flow of spline couplings (arXiv:2312.09290)."""

    kind: Literal["coupling"] = "coupling"


class InductiveConfig(FlowConfig):
    """One flow a layer, conditioned on the layers before it (iCaloFlow, arXiv:2305.11934).

    Attributes:
        window: how many layers before it a layer sees.
        share: whether all layers but the first have one flow in common; their cells must then be as many.
        coupling: couplings instead of masked autoregressive flows: sampling is faster then.
    """

    kind: Literal["inductive"] = "inductive"
    window: int = Field(1, ge=1)
    share: bool = False
    coupling: bool = False


class TransformerConfig(SplineConfig):
    """Causal transformers over patches of voxels (TarFlow, arXiv:2412.06329).

    Attributes:
        patch: how many voxels, next to each other in the order of their layer, make a patch; one number, or one a layer. What is left
            at the end of a layer is a smaller patch: none crosses the border of a layer. In every other block a patch stands across those
            rows of neighbours.
        width: of a token, a multiple of ``heads``.
        layers: depth of each transformer.
        heads: of each attention.
        univariate: what maps a voxel, ``spline`` or ``affine``, which has neither bins nor bound.
    """

    kind: Literal["transformer"] = "transformer"
    patch: Count | list[Count] = 24
    width: Count = 64
    layers: Count = 2
    heads: Count = 4
    univariate: Literal["spline", "affine"] = "spline"

    @model_validator(mode="after")
    def _shared_evenly(self) -> TransformerConfig:
        if self.width % self.heads:
            message = f"width must be a multiple of heads, got {self.width} and {self.heads}"
            raise ValueError(message)
        return self


ShowerFlowConfig = Annotated[
    TeacherConfig | CouplingConfig | InductiveConfig | TransformerConfig, Field(discriminator="kind")
]


class CaloFlowConfig(_Section):
    """The model: Flow I for the layer energies, Flow II for the voxels.

    Attributes:
        kind: what Flow II is made of: ``teacher``, ``coupling``, ``inductive`` or ``transformer``.
        precision: of weights and arithmetic.
        preprocess: see `PreprocessConfig`.
        orient: also train on the images of the showers, for each reflection and turn under which cells and sample look the same.
        conditions: columns of the showers that the flows are conditioned on besides the energy: ``pdg``, ``theta``, ``phi``, ``x``, ``y``.
        species: PDG numbers of the particles, where ``pdg`` is among the conditions; taken from the training files where empty.
        joint: whether one flow learns layer energies and voxels together, instead of two one after the other.
        energy_flow: Flow I, p(layer energies | incident energy).
        shower_flow: Flow II, p(voxels | layer energies, incident energy); its settings depend on the kind.
    """

    kind: Literal["teacher", "coupling", "inductive", "transformer"] = "teacher"
    precision: Literal["float32", "float64"] = "float32"
    preprocess: PreprocessConfig = PreprocessConfig()
    orient: bool = False
    conditions: list[Literal["pdg", "theta", "phi", "x", "y"]] = []
    species: list[int] = []
    joint: bool = False
    energy_flow: FlowConfig = FlowConfig()
    shower_flow: ShowerFlowConfig = TeacherConfig()

    @model_validator(mode="before")
    @classmethod
    def _of_one_kind(cls, values: Any) -> Any:
        """The kind stands once, at the model; its flow is read as one of that kind."""
        if not isinstance(values, dict) or not isinstance(values.get("shower_flow", {}), dict):
            return values
        kind = values.get("kind", "teacher")
        return {**values, "shower_flow": {**values.get("shower_flow", {}), "kind": kind}}


KINDS: tuple[str, ...] = get_args(CaloFlowConfig.model_fields["kind"].annotation)


class SplitConfig(_Section):
    """Shares of the sample that choose the model and that judge it; the rest trains it."""

    validation: float = Field(0.1, gt=0, lt=1)
    test: float = Field(0.3, gt=0, lt=1)


class VerdictConfig(_Section):
    """The classifier test: protocol and number of trainings."""

    protocol: str = "caloflow"
    repeats: int = Field(3, ge=2)


class RunConfig(_Section):
    """Everything that one run is made of."""

    preset: str = "paper"
    model: CaloFlowConfig = CaloFlowConfig()
    split: SplitConfig = SplitConfig()
    verdict: VerdictConfig = VerdictConfig()


def presets() -> list[str]:
    """Names of the presets that come with the package."""
    folder = resources.files("hepflows.applications.calorimeter") / "configs"
    return sorted(entry.name.removesuffix(".yaml") for entry in folder.iterdir() if entry.name.endswith(".yaml"))


def load_config(preset: str = "demo", settings: list[str] | None = None) -> RunConfig:
    """A preset, or a YAML file of your own, with single values replaced.

    Args:
        preset: ``demo``, ``paper`` or the path of a YAML file.
        settings: ``a.b=value`` replacements, values in YAML.

    >>> load_config("demo", ["model.shower_flow.blocks=2"]).model.shower_flow.blocks
    2
    """
    values = _read(preset)
    for setting in settings or []:
        path, separator, text = setting.partition("=")
        if not separator:
            message = f"--set {setting}: write it as section.name=value, for example model.shower_flow.blocks=4"
            raise ConfigError(message)
        section = values
        *parents, name = path.strip().split(".")
        for parent in parents:
            section = section.setdefault(parent, {})
            if not isinstance(section, dict):
                message = f"--set {setting}: {parent} is a value, not a section"
                raise ConfigError(message)
        section[name] = yaml.safe_load(text)
    return validate(values, f"preset {preset}")


def validate(values: dict[str, Any], where: str) -> RunConfig:
    """Check a configuration; the message names the field."""
    try:
        return RunConfig.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        # pydantic names the kind of a flow as if it were a level of its own
        parts = [str(part) for part in first["loc"]]
        field = ".".join(
            part
            for before, part in zip(["", *parts], parts, strict=False)
            if before != "shower_flow" or part not in KINDS
        )
        message = f"{where}: {field}: {first['msg']} (got {first['input']!r})"
        raise ConfigError(message) from None


def _read(preset: str) -> dict[str, Any]:
    if preset in presets():
        folder = resources.files("hepflows.applications.calorimeter") / "configs"
        text = (folder / f"{preset}.yaml").read_text()
        return {"preset": preset, **yaml.safe_load(text)}
    if not preset.endswith((".yaml", ".yml")):
        message = (
            f"there is no preset {preset!r}: choose one of {', '.join(presets())}, or give the path of a YAML file"
        )
        raise ConfigError(message)
    try:
        with open(preset) as file:
            values = yaml.safe_load(file)
    except (OSError, yaml.YAMLError) as error:
        message = f"{preset}: cannot be read as YAML ({error})"
        raise ConfigError(message) from None
    if not isinstance(values, dict):
        message = f"{preset}: expected a YAML mapping with the sections model, split and verdict"
        raise ConfigError(message)
    return {"preset": preset, **values}
