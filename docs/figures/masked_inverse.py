"""The picture of the masked inverse in mathematics.md, drawn from the weights of a real network."""

from __future__ import annotations

from typing import TYPE_CHECKING

import matplotlib as mpl
import numpy as np
import torch
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from hepflows import MADE

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FEATURES, HIDDEN = 8, 6


def steps_of_use(made: MADE) -> list[np.ndarray]:
    """For each weight matrix the step (from 1) in which each weight is used; 0 where the mask forbids it.

    The loop is that of `hepflows.kernels.masked_inverse.masked_inverse`, with the arithmetic left out.
    """
    staircase = made.staircase()
    used = [np.zeros(weight.shape, int) for weight in (*staircase.weights, staircase.output_weight)]
    done = [0] * len(staircase.weights)
    for step, (start, stop) in enumerate(staircase.groups, 1):
        known = start
        for layer, seen in enumerate(staircase.seen):
            used[layer][done[layer] : seen[start], :known] = step
            done[layer] = known = seen[start]
        used[-1][start:stop, :known] = step
    return used


def draw(axes: Axes, used: np.ndarray, colours: mpl.colors.Colormap, steps: int) -> None:
    """One matrix, a square a weight, with the number of its step."""
    rows, columns = used.shape
    for (row, column), step in np.ndenumerate(used):
        face = colours((step - 1) / (steps - 1)) if step else "none"
        edge = "white" if step else "0.85"
        axes.add_patch(Rectangle((column, row), 1, 1, facecolor=face, edgecolor=edge, linewidth=1.2 if step else 0.5))
        if step:
            dark = step <= steps / 2
            axes.text(column + 0.5, row + 0.5, step, ha="center", va="center", color="white" if dark else "black")
    axes.set(xlim=(0, columns), ylim=(rows, 0), aspect="equal")
    axes.set_xticks(np.arange(columns) + 0.5, [])
    axes.set_yticks(np.arange(rows) + 0.5, [])
    axes.tick_params(length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)


def figure() -> Figure:
    """The three weight matrices of a MADE with two hidden layers, coloured by the step that uses each weight."""
    made = MADE(FEATURES, 1, (HIDDEN, HIDDEN), generator=torch.Generator().manual_seed(0))
    used, steps = steps_of_use(made), len(made.staircase().groups)
    colours = mpl.colormaps["viridis"]
    picture = Figure(figsize=(9.6, 3.9), layout="constrained")
    panels = picture.subplots(1, 3, width_ratios=(FEATURES, HIDDEN, HIDDEN))
    features = [f"$x_{d + 1}$" for d in range(FEATURES)]
    degrees = [str(int(degree)) for degree in made.degrees[0]]
    outputs = [rf"$\theta_{d + 1}$" for d in range(FEATURES)]
    titles = ("input to first layer", "first to second layer", "second layer to parameters")
    labels = ((features, degrees), (degrees, degrees), (degrees, outputs))
    for axes, matrix, title, (below, left) in zip(panels, used, titles, labels, strict=True):
        draw(axes, matrix, colours, steps)
        axes.set_title(title)
        axes.set_xticklabels(below)
        axes.set_yticklabels(left)
    panels[0].set(xlabel="feature", ylabel="degree of the hidden unit")
    panels[1].set(xlabel="degree of the hidden unit")
    panels[2].set(xlabel="degree of the hidden unit")
    picture.suptitle(f"{FEATURES} features in {steps} steps: each weight is used once, in the step written on it")
    return picture
