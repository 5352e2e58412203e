"""A window as a HistFactory workspace, for pyhf and what reads its JSON (CERN-OPEN-2012-016, arXiv:2109.04981)."""

from __future__ import annotations

from typing import Any

import numpy as np

from hepflows.applications.anomaly.bumphunt.hunt import Window


def workspace(window: Window, *, name: str = "window") -> dict[str, Any]:
    r"""One channel of one bin: the events of the window over the background that the fit beside it predicts.

    .. math:: L(\mu, \gamma) = \mathrm{Pois}(n | \mu + \gamma b)\, \mathrm{Pois}(\tau | \gamma \tau), \qquad \tau = (b / s)^2,

    so that the sidebands are the control measurement of the background b with its error s (a ``shapesys``), and ``mu`` is the number of
    signal events that pass the cut. To write it takes no package; ``pyhf.infer.hypotest(0.0, data, model, test_stat="q0")`` gives the
    p-value of the window up to the shape of the likelihood of the sidebands.

    Args:
        window: what a bump hunt found.
        name: of the channel.

    Returns:
        What ``pyhf.Workspace`` takes, ready for JSON.

    Example:
        >>> from hepflows.applications.anomaly.bumphunt import BumpHunt
        >>> from hepflows.applications.anomaly.regions import Regions
        >>> m = 2.0 + np.random.default_rng(0).exponential(0.7, 20_000)
        >>> workspace(BumpHunt().test(m, Regions(3.3, 3.7)))["measurements"][0]["config"]["poi"]
        'mu'
    """
    spread = float(np.sqrt(window.expected + window.expected_std**2))
    signal = {"name": "signal", "data": [1.0], "modifiers": [{"name": "mu", "type": "normfactor", "data": None}]}
    background = {
        "name": "background",
        "data": [window.expected],
        "modifiers": [{"name": "sidebands", "type": "shapesys", "data": [window.expected_std]}],
    }
    mu = {"name": "mu", "bounds": [[0.0, 5.0 * max(window.limit, spread)]], "inits": [max(spread, 1.0)]}
    return {
        "channels": [{"name": name, "samples": [signal, background]}],
        "observations": [{"name": name, "data": [float(window.observed)]}],
        "measurements": [{"name": "bump hunt", "config": {"poi": "mu", "parameters": [mu]}}],
        "version": "1.0.0",
    }
