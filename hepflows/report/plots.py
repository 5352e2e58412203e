"""Plots of a report: arrays in, matplotlib figures out.

Every function returns a `matplotlib.figure.Figure` that pyplot does not know, so nothing has to be closed and nothing
global changes. `Figure.savefig`, or `to_svg` and `to_png` of `hepflows.report.style`, turn it into a file.
"""

from __future__ import annotations

from hepflows.report.curves import losses, roc
from hepflows.report.histograms import comparison
from hepflows.report.images import image_grid

__all__ = ["comparison", "image_grid", "losses", "roc"]
