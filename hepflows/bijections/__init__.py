"""Invertible maps from data to latent space."""

from hepflows.bijections.autoregressive import MaskedAutoregressive
from hepflows.bijections.base import Bijection, Chain, Inverse
from hepflows.bijections.continuous import Continuous
from hepflows.bijections.coupling import Coupling
from hepflows.bijections.elementwise import Elementwise, Logit, Standardize
from hepflows.bijections.inductive import Inductive
from hepflows.bijections.jacobi import Autoregressive
from hepflows.bijections.linear import LULinear, Permutation
from hepflows.bijections.normalization import BatchNorm
from hepflows.bijections.splines import LinearSpline, QuadraticSpline, RationalQuadraticSpline
from hepflows.bijections.tracing import Block, Trace, trace
from hepflows.bijections.transformer import TransformerAutoregressive
from hepflows.bijections.univariate import Affine, Inverted, Shift, Univariate

__all__ = [
    "Affine",
    "Autoregressive",
    "BatchNorm",
    "Bijection",
    "Block",
    "Chain",
    "Continuous",
    "Coupling",
    "Elementwise",
    "Inductive",
    "Inverse",
    "Inverted",
    "LULinear",
    "LinearSpline",
    "Logit",
    "MaskedAutoregressive",
    "Permutation",
    "QuadraticSpline",
    "RationalQuadraticSpline",
    "Shift",
    "Standardize",
    "Trace",
    "TransformerAutoregressive",
    "Univariate",
    "trace",
]
