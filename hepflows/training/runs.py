"""A run is a folder: what was asked for, on which data, with which versions and seeds, and what came out."""

from __future__ import annotations

import csv
import hashlib
import json
import math
import platform
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
import yaml

from hepflows import __version__
from hepflows.errors import ConfigError
from hepflows.io.atomic import replacing
from hepflows.training.loop import History

FILES = (
    "manifest.json", "config.yaml", "model.safetensors", "regression.safetensors", "metrics.json", "history.csv", "report.html",
    "generated.hdf5", "generated.root", "scores.hdf5", "posterior.hdf5", "timing.json", "checkpoint_*.safetensors",
    "result.json", "events.hdf5", "events.root", "events.lhe", "events.lhe.gz", "journal.bin",
    "workspace_*.json",
)  # fmt: skip
"""What a run writes, and all that `overwrite` ever removes."""


class RunFolder:
    """The folder of one run.

    Args:
        path: where it is or shall be.
        identity: what the results depend on (configuration, seed, checksums of the data), JSON-able; a run goes on only
            with the identity it started with.
        resume: go on with the run that is there, if there is one.
        overwrite: replace the run that is there.

    Raises:
        ConfigError: there is a run already, or another one than the one to be resumed.
    """

    def __init__(self, path: Path, identity: dict[str, Any], *, resume: bool = False, overwrite: bool = False) -> None:
        self.path = path
        identity = json.loads(json.dumps(identity))
        self.check(path, identity, resume=resume, overwrite=overwrite)
        manifest = path / "manifest.json"
        if overwrite:
            self._clear()
        path.mkdir(parents=True, exist_ok=True)
        for leftover in path.glob(".*.part"):  # of a process that was killed
            leftover.unlink()
        self.manifest: dict[str, Any] = _read(manifest) if manifest.exists() else _start(identity)
        self.write_json("manifest.json", self.manifest)
        with replacing(path / "config.yaml") as temporary:
            Path(temporary).write_text(yaml.safe_dump(identity["config"], sort_keys=False))

    @classmethod
    def joined(cls, path: Path, identity: dict[str, Any]) -> RunFolder:
        """The run that the first of several processes has opened, for another one: nothing is written.

        Raises:
            ConfigError: this process sees another run there, or none.
        """
        folder = cls.__new__(cls)
        folder.path = path
        if not (path / "manifest.json").exists():
            message = (
                f"{path}: not every process sees the run; choose an --out that is on a disk which all of them share"
            )
            raise ConfigError(message)
        cls._compare(path, json.loads(json.dumps(identity)), resume=True)
        folder.manifest = _read(path / "manifest.json")
        return folder

    @classmethod
    def check(cls, path: Path, identity: dict[str, Any], *, resume: bool = False, overwrite: bool = False) -> None:
        """Whether a run may begin or go on there; nothing is written.

        Raises:
            ConfigError: as for the class.
        """
        if path.exists() and not path.is_dir():
            message = f"{path}: is a file; give the name of a folder for the run"
            raise ConfigError(message)
        if overwrite:
            return
        if (path / "manifest.json").exists():
            cls._compare(path, json.loads(json.dumps(identity)), resume)
        elif path.exists() and any(file.suffix != ".part" for file in path.iterdir()):
            message = f"{path}: the folder holds files but no run; choose another --out"
            raise ConfigError(message)

    @staticmethod
    def _compare(path: Path, identity: dict[str, Any], resume: bool) -> None:
        if not resume:
            message = f"{path}: already holds a run; add --resume to go on with it or --overwrite to replace it"
            raise ConfigError(message)
        there = _read(path / "manifest.json")["identity"]
        different = [key for key in identity if identity[key] != there.get(key)]
        if different:
            message = (
                f"{path}: the run there was started with another {' and '.join(different)}; "
                "repeat its command exactly, or choose another --out, or add --overwrite"
            )
            raise ConfigError(message)

    def _clear(self) -> None:
        for pattern in FILES:
            for file in self.path.glob(pattern):
                file.unlink()

    def __truediv__(self, name: str) -> Path:
        return self.path / name

    def write_json(self, name: str, values: dict[str, Any]) -> None:
        """Write a JSON file, complete or not at all; a number that is not finite becomes null."""
        with replacing(self.path / name) as temporary:
            Path(temporary).write_text(json.dumps(_finite(values), indent=2) + "\n")

    def write_history(self, histories: dict[str, History]) -> None:
        """Write ``history.csv``: flow, epoch, training and validation loss, whether its weights were kept."""
        with replacing(self.path / "history.csv") as temporary, open(temporary, "w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["flow", "epoch", "train_loss", "validation_loss", "kept"])
            for name, history in histories.items():
                rows = zip(history.train, history.validation, strict=True)
                writer.writerows([name, i + 1, a, b, int(i == history.best_epoch)] for i, (a, b) in enumerate(rows))

    def read_history(self) -> dict[str, History]:
        """Read what `write_history` wrote (the time of training stands in the manifest)."""
        histories: dict[str, History] = {}
        kept: dict[str, int] = {}
        with open(self.path / "history.csv", newline="") as file:
            for row in csv.DictReader(file):
                history = histories.setdefault(row["flow"], History())
                history.train.append(float(row["train_loss"]))
                history.validation.append(float(row["validation_loss"]))
                if row["kept"] == "1":
                    kept[row["flow"]] = len(history.validation) - 1
        for name, epoch in kept.items():
            histories[name].keep = "best" if epoch == histories[name].best_epoch else "last"
        return histories

    def note(self, **values: Any) -> None:
        """Add to the manifest."""
        self.manifest.update(values)
        self.write_json("manifest.json", self.manifest)

    @contextmanager
    def timed(self, name: str) -> Iterator[None]:
        """Add the seconds of what is done to ``name`` in the manifest, also where it is interrupted and done in several runs."""
        started = time.monotonic()
        try:
            yield
        finally:
            self.note(**{name: round(self.manifest.get(name, 0.0) + time.monotonic() - started, 2)})


def withdraw(path: Path, names: tuple[str, ...] = ("manifest.json", "config.yaml")) -> None:
    """Take away a run that holds nothing but these files: what was asked for, and nothing to go on with."""
    if path.is_dir() and {file.name for file in path.iterdir()} <= set(names):
        for name in names:
            (path / name).unlink(missing_ok=True)
        path.rmdir()


def _read(manifest: Path) -> dict[str, Any]:
    """A manifest as it was written.

    Raises:
        ConfigError: it is damaged.
    """
    try:
        found: dict[str, Any] = json.loads(manifest.read_text())
        _ = found["identity"].keys()
    except (ValueError, LookupError, TypeError, AttributeError):
        message = f"{manifest}: is damaged, and what the run was is not known; choose another --out, or add --overwrite"
        raise ConfigError(message) from None
    return found


def _start(identity: dict[str, Any]) -> dict[str, Any]:
    packages = ("torch", "numpy", "h5py", "uproot", "scikit-learn")
    return {
        "hepflows": __version__,
        "command": " ".join(["hepflows", *sys.argv[1:]]),
        "started": time.strftime("%Y-%m-%d %H:%M:%S %z"),
        "versions": {"python": platform.python_version(), **{name: version(name) for name in packages}},
        "machine": {"platform": platform.platform(), "threads": torch.get_num_threads()},
        "identity": identity,
    }


def checksum(path: Path) -> str:
    """The sha256 of a file."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
