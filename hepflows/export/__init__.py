"""Flows as ONNX files, for C++ and whatever else has an ONNX runtime: samplers and densities in standard operators."""

from hepflows.export.modules import Density, Sampler
from hepflows.export.onnx_file import export_onnx
from hepflows.export.verify import interface, verify

__all__ = ["Density", "Sampler", "export_onnx", "interface", "verify"]
