"""Which particles a sample of showers comes from, as its columns or its file say."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from hepflows.applications.calorimeter.showers import Showers

_PDG = {
    "e+": -11,
    "eplus": -11,
    "e-": 11,
    "eminus": 11,
    "gamma": 22,
    "photon": 22,
    "pi+": 211,
    "piplus": 211,
    "pi-": -211,
    "piminus": -211,
}
_WORDS = {
    -11: "e+",
    11: "e-",
    22: "gamma",
    211: "pi+",
    -211: "pi-",
    2212: "proton",
    2112: "neutron",
    321: "K+",
    -321: "K-",
}
_NO_HADRONS = (11, -11, 12, -12, 13, -13, 14, -14, 15, -15, 16, -16, 22)


def species(showers: Showers, path: str = "") -> tuple[int, ...]:
    """PDG numbers of the particles of a sample, by its column ``pdg``, its attributes, at last its file's name; empty where none says.

    Args:
        showers: the sample; generated ones are known by ``training_particle``.
        path: of its file.

    >>> species(Showers([1.0], [[1.0] * 504], attributes={"particle": "eplus (PDG -11)"}))
    (-11,)
    """
    if "pdg" in showers.columns:
        return tuple(int(number) for number in np.unique(showers.columns["pdg"]))
    for key in ("particle", "training_particle"):
        if found := _numbers(showers.attributes.get(key, "")):
            return found
    stem = Path(path).stem.lower()
    named = [name for name in ("eplus", "gamma", "piplus") if name in stem]
    return (_PDG[named[0]],) if len(named) == 1 else ()


def _numbers(text: str) -> tuple[int, ...]:
    """What an attribute names: ``eplus (PDG -11)`` as `simulate` writes it, a bare number, a name; several are joined with ``|``."""
    found: set[int] = set()
    for part in text.split("|"):
        word = part.strip().lower()
        number = re.search(r"PDG (-?\d+)", part, re.IGNORECASE) or re.fullmatch(r"\s*(-?\d+)\s*", part)
        if number:
            found.add(int(number.group(1)))
        elif word in _PDG or word.removesuffix("s") in _PDG:
            found.add(_PDG.get(word) or _PDG[word.removesuffix("s")])
    return tuple(sorted(found))


def in_words(numbers: tuple[int, ...]) -> str:
    """Particles for a person.

    >>> in_words((211,)), in_words((-11, 22)), in_words((1000020040,))
    ('pi+', 'e+ and gamma', 'PDG 1000020040')
    """
    return " and ".join(_WORDS.get(number, f"PDG {number}") for number in numbers)


def hadrons(numbers: tuple[int, ...]) -> tuple[int, ...]:
    """Those that interact strongly: neither leptons nor photons.

    >>> hadrons((-11, 22, 211))
    (211,)
    """
    return tuple(number for number in numbers if number not in _NO_HADRONS)
