"""hepflows: normalizing flows for particle physics.

A flow is a bijection plus a base density. The public names below are imported on first use, so that
``hepflows --help`` does not wait for torch.

>>> import hepflows
>>> flow = hepflows.maf(features=2, context_features=1, seed=0)
>>> flow.features, flow.context_features
(2, 1)
"""

from __future__ import annotations

import os
from typing import Any

from hepflows.lazy import public_name

# A thread that waits may spin a little and must then sleep. Left alone, GNU OpenMP spins for long, and the threads take the
# cores from each other as soon as anything else runs on them. Measured on 2 cores, training steps a second beside one
# busy process: 6 as it is, 4 with 10000 spins, 10 with 1000; alone 20 with 1000 and with 10000. It counts if it is set before
# torch is imported; OMP_WAIT_POLICY and GOMP_SPINCOUNT of your own are left as they are.
if "OMP_WAIT_POLICY" not in os.environ:
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")

__version__ = "0.1.0.dev0"

_BIJECTIONS = (
    "Affine", "Autoregressive", "BatchNorm", "Bijection", "Chain", "Continuous", "Coupling", "Elementwise", "Inductive", "Inverse",
    "Inverted", "LULinear", "LinearSpline", "Logit", "MaskedAutoregressive", "Permutation", "QuadraticSpline", "RationalQuadraticSpline",
    "Shift", "Standardize", "TransformerAutoregressive",
)  # fmt: skip

_TRAINING = (
    "BlockDistillation",
    "DiscFlow",
    "Distillation",
    "FlowMatching",
    "MaximumLikelihood",
    "Objective",
    "TensorBatches",
    "TrainingConfig",
    "fit",
)

_ZOO = (
    "continuous_flow",
    "coupling_flow",
    "iaf",
    "inductive_flow",
    "maf",
    "nice",
    "realnvp",
    "transformer_flow",
)

_PUBLIC: dict[str, str] = {
    **dict.fromkeys(_BIJECTIONS, "hepflows.bijections"),
    **dict.fromkeys(("Gaussian", "UniformBox"), "hepflows.bases"),
    **dict.fromkeys(("MLP", "ResidualNet"), "hepflows.nets"),
    "MADE": "hepflows.made",
    "CausalTransformer": "hepflows.transformer",
    **dict.fromkeys(_ZOO, "hepflows.zoo"),
    **dict.fromkeys(("from_nflows", "to_nflows"), "hepflows.nflows_adapter"),
    **dict.fromkeys(_TRAINING, "hepflows.training"),
    "student_of": "hepflows.student",
    "DeepSet": "hepflows.sets",
    "Flow": "hepflows.flow",
    **dict.fromkeys(("PosteriorConfig", "PosteriorEstimator"), "hepflows.posterior"),
}

__all__ = [*_PUBLIC, "__version__"]


def __getattr__(name: str) -> Any:
    return public_name(__name__, _PUBLIC, name)


def __dir__() -> list[str]:
    return sorted(__all__)
