"""What Pythia 8 is told: QCD dijets and W' -> X Y as in the R&D set of the LHC Olympics (arXiv:2101.08320).

Protons at 13 TeV. The background is all hard QCD above a transverse momentum of the hard process; the signal is a W' of 3.5 TeV whose
decay products X (500 GeV) and Y (100 GeV) go to two quarks each. The R&D set has no multi-parton interactions.
"""

from __future__ import annotations

PROCESSES = ("background", "signal")
M_HAT = (0.93, 1.25)
"""The invariant mass of the hard process for a window in the mass of the jets, as factors of its edges: what is lost in radiation
outside of the jets moves events down, what they catch moves some up."""

_COMMON = ("Print:quiet = on", "Beams:eCM = 13000.", "Random:setSeed = on")
_SIGNAL = (
    "NewGaugeBoson:ffbar2Wprime = on",
    "34:m0 = 3500.", "34:mWidth = 35.", "34:doForceWidth = on", "34:mMin = 3000.", "34:mMax = 4000.",
    # name, antiname, spin, charge, colour, mass, width, range of masses, lifetime
    "9000101:all = Xres Xresbar 1 3 0 500. 5. 400. 600. 0.",
    "9000101:isResonance = on",
    "9000101:addChannel = 1 1.0 101 2 -1",
    "9000102:all = Yres void 1 0 0 100. 1. 80. 120. 0.",
    "9000102:isResonance = on",
    "9000102:addChannel = 1 0.5 101 2 -2",
    "9000102:addChannel = 1 0.5 101 1 -1",
    "34:oneChannel = 1 1. 101 9000101 9000102",
)  # fmt: skip


def card(
    process: str, seed: int, *, mpi: bool = False, pt_hat: float = 1100.0, m_hat: tuple[float, float] | None = None
) -> list[str]:
    """Lines for ``Pythia.readString``.

    Args:
        process: "background" or "signal".
        seed: from 1 to 900,000,000.
        mpi: whether partons interact several times.
        pt_hat: background: smallest transverse momentum of the hard process in GeV.
        m_hat: background: range of the invariant mass of the hard process in GeV; no limits where None.

    >>> card("background", 7, m_hat=(3000.0, 4000.0))[-2:]
    ['PhaseSpace:mHatMin = 3000', 'PhaseSpace:mHatMax = 4000']
    """
    lines = [*_COMMON, f"Random:seed = {seed}", f"PartonLevel:MPI = {'on' if mpi else 'off'}"]
    if process == "signal":
        return [*lines, *_SIGNAL]
    lines += ["HardQCD:all = on", f"PhaseSpace:pTHatMin = {pt_hat:g}"]
    if m_hat is not None:
        lines += [f"PhaseSpace:mHatMin = {m_hat[0]:g}", f"PhaseSpace:mHatMax = {m_hat[1]:g}"]
    return lines
