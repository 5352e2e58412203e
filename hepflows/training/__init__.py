"""Fitting a flow: objectives, batches, the loop and its checkpoints."""

from hepflows.training.batches import Batches, TensorBatches
from hepflows.training.block_distillation import BlockDistillation
from hepflows.training.config import TrainingConfig
from hepflows.training.discflow import DiscFlow
from hepflows.training.distillation import Distillation
from hepflows.training.distributed import World, connect
from hepflows.training.flow_matching import FlowMatching
from hepflows.training.loop import History, fit
from hepflows.training.objectives import MaximumLikelihood, Objective

__all__ = [
    "Batches",
    "BlockDistillation",
    "DiscFlow",
    "Distillation",
    "FlowMatching",
    "History",
    "MaximumLikelihood",
    "Objective",
    "TensorBatches",
    "TrainingConfig",
    "World",
    "connect",
    "fit",
]
