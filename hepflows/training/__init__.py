"""Fitting a flow: objectives, batches, the loop and its checkpoints."""

from hepflows.training.batches import Batches, TensorBatches
from hepflows.training.loop import History, TrainingConfig, fit
from hepflows.training.objectives import MaximumLikelihood

__all__ = ["Batches", "History", "MaximumLikelihood", "TensorBatches", "TrainingConfig", "fit"]
