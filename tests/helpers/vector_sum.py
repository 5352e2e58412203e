"""The benchmark variables of one LHC Olympics event, by hand."""

from __future__ import annotations

import math


def benchmark(one: dict[str, float]) -> dict[str, float]:
    """Masses in TeV; J1 is the lighter jet."""
    jets = []
    for jet in (1, 2):
        p = [one[f"p{axis}j{jet}"] for axis in "xyz"]
        mass, tau1, tau2 = one[f"mj{jet}"], one[f"tau1j{jet}"], one[f"tau2j{jet}"]
        energy = math.sqrt(sum(c * c for c in p) + mass * mass)
        jets.append((mass, tau2 / (1e-5 + tau1), [energy, *p]))
    jets.sort(key=lambda jet: jet[0])
    total = [a + b for a, b in zip(jets[0][2], jets[1][2], strict=True)]
    mass = math.sqrt(total[0] ** 2 - sum(c * c for c in total[1:]))
    eta = [math.asinh(jet[2][3] / math.hypot(jet[2][1], jet[2][2])) for jet in jets]
    phi = [math.atan2(jet[2][2], jet[2][1]) for jet in jets]
    turn = abs(phi[0] - phi[1])
    return {
        "mJJ": mass / 1e3,
        "mJ1": jets[0][0] / 1e3,
        "dmJ": (jets[1][0] - jets[0][0]) / 1e3,
        "tau21_1": jets[0][1],
        "tau21_2": jets[1][1],
        "dR": math.hypot(eta[0] - eta[1], min(turn, 2 * math.pi - turn)),
    }
