"""What the flows of a model can be told; each kind of CaloFlow has a class of its own."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, PositiveInt, ValidationInfo, field_validator, model_validator

from hepflows.training.config import Count, TrainingConfig
from hepflows.training.presets import Section


class DiscriminatorConfig(Section):
    """A discriminator that learns beside the flow and weighs its likelihood (`hepflows.training.DiscFlow`, arXiv:2110.13632).

    Attributes:
        alpha: power of the weights.
        start: first epoch with a discriminator.
        fade: epochs over which the power grows from zero.
        clip: a weight lies between ``1 / clip`` and ``clip``.
        rate: learning rate of the discriminator.
        hidden: widths of its hidden layers.
    """

    alpha: float = Field(0.5, ge=0)
    start: int = Field(0, ge=0)
    fade: int = Field(0, ge=0)
    clip: float = Field(10.0, gt=1)
    rate: float = Field(1e-3, gt=0)
    hidden: list[PositiveInt] = Field([64, 64])


class SplineConfig(Section):
    """What all flows have: spline blocks and how they are trained.

    Attributes:
        blocks: number of bijections.
        bins: bins of the rational-quadratic splines.
        bound: the splines act on [-bound, bound].
        minimum: smallest width, height and derivative of a spline bin, below ``1 / bins``.
        dropout: in the hidden layers, in training.
        discriminator: weighs the likelihood where given, see `DiscriminatorConfig`.
        training: epochs, optimiser and schedule.
    """

    blocks: int = Field(8, ge=1)
    bins: int = Field(8, ge=2)
    bound: float = Field(14.0, gt=0)
    minimum: float = Field(1e-6, gt=0)
    dropout: float = Field(0.0, ge=0, lt=1)
    discriminator: DiscriminatorConfig | None = None
    training: TrainingConfig = TrainingConfig()

    @field_validator("minimum")
    @classmethod
    def _so_that_all_bins_fit(cls, value: float, info: ValidationInfo) -> float:
        bins = info.data.get("bins")  # not there where it is itself wrong
        if bins is not None and value * bins >= 1:
            message = f"must be below 1/bins = {1 / bins:.3g}"
            raise ValueError(message)
        return value


class FlowConfig(SplineConfig):
    """A flow of perceptrons, masked or in couplings.

    Attributes:
        hidden: widths of the hidden layers of each block.
    """

    hidden: list[PositiveInt] = Field([378, 378])


class TeacherConfig(FlowConfig):
    """A masked autoregressive flow (CaloFlow v1, arXiv:2106.05285)."""

    kind: Literal["teacher"] = "teacher"


class CouplingConfig(FlowConfig):
    """A flow of spline couplings (arXiv:2312.09290)."""

    kind: Literal["coupling"] = "coupling"


class InductiveConfig(FlowConfig):
    """One flow a layer, conditioned on the layers before it (iCaloFlow, arXiv:2305.11934).

    Attributes:
        window: how many layers before it a layer sees; with ``joint`` the layer energies are the first of them, and later layers see these
            only through a window that reaches back to them.
        share: whether all layers but the first have one flow in common, and all with ``joint``, where the layer energies stand first;
            the layers must then have as many cells each. Where null they share if they have.
        coupling: couplings instead of masked autoregressive flows: sampling is faster then.
    """

    kind: Literal["inductive"] = "inductive"
    window: int = Field(1, ge=1)
    share: bool | None = None
    coupling: bool = False


class TransformerConfig(SplineConfig):
    """Causal transformers over patches of voxels (TarFlow, arXiv:2412.06329).

    Attributes:
        patch: how many voxels, next to each other in the order of their layer, make a patch; one number, or one a layer. At most the
            square root of the voxels of the layer: in every other block a patch stands across those rows of neighbours, and two voxels
            must not share both. What is left at the end of a layer is a smaller patch: none crosses the border of a layer.
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


class StudentConfig(Section):
    """A flow that samples in one pass, distilled from a teacher (CaloFlow v2, arXiv:2110.11377).

    Everything but Flow II is the teacher's: layer energies, preprocessing, conditions. Its blocks and splines are those of the
    teacher, too.

    Attributes:
        teacher: folder or ``model.safetensors`` of a trained model of kind ``teacher``.
        taught_by: Flow II of that teacher; found out from it.
        hidden: widths of the hidden layers of each block; the teacher's where null.
        dropout: in the hidden layers, in training.
        from_teacher: begin as the teacher's networks; ``hidden`` must then be as many layers, and none narrower.
        objective: ``blocks``, each block on its own (`hepflows.BlockDistillation`), or ``guided``, as published
            (`hepflows.Distillation`).
        beta: where guided, share of the loss on showers, the rest is on noise.
        intermediate: where guided, weight of what stands between the blocks.
        parameters: where guided, weight of the spline parameters that the networks give.
        training: epochs, optimiser and schedule.
    """

    kind: Literal["student"] = "student"
    teacher: str = ""
    taught_by: TeacherConfig | None = None
    hidden: list[PositiveInt] | None = None
    dropout: float = Field(0.0, ge=0, lt=1)
    from_teacher: bool = False
    objective: Literal["blocks", "guided"] = "guided"
    beta: float = Field(0.5, ge=0, le=1)
    intermediate: float = Field(1.0, ge=0)
    parameters: float = Field(1.0, ge=0)
    training: TrainingConfig = TrainingConfig()


ShowerFlowConfig = Annotated[
    TeacherConfig | CouplingConfig | InductiveConfig | TransformerConfig | StudentConfig, Field(discriminator="kind")
]
