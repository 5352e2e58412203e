"""Which samples are to be judged: files or folders of runs, with or without a name of their own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from pathlib import Path

from hepflows.applications.calorimeter.showers import Showers
from hepflows.errors import ConfigError


def named_paths(texts: Sequence[str]) -> dict[str, str]:
    """Paths by the names under which a report shows them.

    ``NAME=PATH`` names a sample; otherwise a run's folder or a file gives its own name, ``generated.hdf5`` that of its folder. The
    folder of a run means its ``generated.hdf5``. One sample alone is called ``generated``.

    Args:
        texts: as on a command line.

    Raises:
        ConfigError: none, or two of one name.

    >>> named_paths(["runs/a/generated.hdf5", "flow=b.hdf5"])
    {'a': 'runs/a/generated.hdf5', 'flow': 'b.hdf5'}
    """
    if not texts:
        message = "there is nothing to judge: give one or several samples, and the reference as the last argument"
        raise ConfigError(message)
    pairs = [_named_path(text, alone=len(texts) == 1) for text in texts]
    twice = [name for name, number in Counter(name for name, _ in pairs).items() if number > 1]
    if twice:
        message = f"two samples are called {twice[0]!r}: name them apart, for example first={pairs[0][1]}"
        raise ConfigError(message)
    return dict(pairs)


def path_of(sample: str) -> str:
    """The file of a sample: the folder of a run means its ``generated.hdf5``.

    Raises:
        ConfigError: a run that has generated nothing.
    """
    inside, place = Path(sample) / "generated.hdf5", Path(sample)
    if not inside.exists() and (place / "model.safetensors").exists():
        message = f"{sample}: is a run without showers; generate some: hepflows calorimeter sample {sample} -n 1000 -o {inside}"
        raise ConfigError(message)
    return str(inside) if inside.exists() else sample


def _named_path(text: str, *, alone: bool) -> tuple[str, str]:
    name, separator, path = text.partition("=")
    if not separator or Path(text).exists():
        name, path = "", text
    place = Path(path)
    if path_of(path) != path:
        return name or ("generated" if alone else place.resolve().name), path_of(path)
    parent = place.parent.name if place.stem == "generated" else ""
    return name or ("generated" if alone else parent or place.stem), path


def reference_name(showers: Showers, others: Collection[str]) -> str:
    """What the reference is called: Geant4 where its file says so."""
    name = "Geant4" if showers.attributes.get("engine", "").startswith("Geant4") else "reference"
    return name if name not in others else f"{name} (reference)"
