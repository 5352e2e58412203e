"""The showers of a simulation, a few at a time in files of their own, from which an interrupted one goes on."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hepflows.applications.calorimeter.geometry import Geometry
from hepflows.applications.calorimeter.showers import Showers
from hepflows.errors import ConfigError, DataError
from hepflows.io.atomic import replacing

__all__ = ["ShardFolder"]

_SETTINGS = "settings.json"


@dataclass(frozen=True)
class ShardFolder:
    """The folder ``<output>.shards`` beside the file that a simulation will write.

    A shard is an .npz file of numbers, which appears complete. The folder belongs to one set of settings.

    Args:
        path: the folder.
        n: number of showers in all.
        size: showers a shard; the last may have fewer.
    """

    path: Path
    n: int
    size: int

    @classmethod
    def beside(cls, output: Path, n: int, size: int) -> ShardFolder:
        """The folder for an output file."""
        return cls(output.with_name(output.name + ".shards"), n, size)

    def __len__(self) -> int:
        return -(-self.n // self.size)

    def showers_in(self, index: int) -> int:
        """Showers of a shard."""
        return min(self.size, self.n - index * self.size)

    @contextlib.contextmanager
    def opened(self, settings: dict[str, Any], *, overwrite: bool = False) -> Iterator[list[int]]:
        """Yield the shards that are missing; no other process may open the folder meanwhile.

        Args:
            settings: plain numbers and texts on which the showers depend.
            overwrite: remove what is there first.

        Raises:
            ConfigError: the folder was begun with other settings, or another process writes into it.
            DataError: it cannot be created.
        """
        try:
            self.path.mkdir(exist_ok=True)
            handle = os.open(self.path / ".lock", os.O_CREAT | os.O_RDWR)
        except OSError as error:
            message = f"{self.path} cannot be used for the shards ({error.strerror}): give another output file"
            raise DataError(message) from error
        try:
            self._lock(handle)
            self._own()
            for leftover in self.path.iterdir():
                if leftover.suffix == ".part" or (overwrite and leftover.name != ".lock"):
                    leftover.unlink()
            self._claim(settings)
            try:
                yield [index for index in range(len(self)) if not self._file(index).exists()]
            finally:
                if not any(self.path.glob("*.npz")):
                    shutil.rmtree(self.path, ignore_errors=True)  # nothing to go on from
        finally:
            os.close(handle)

    def write(self, index: int, showers: Showers) -> None:
        """Keep a shard, deposits in float32.

        Raises:
            DataError: it cannot be written.
        """
        arrays = {
            "energies": showers.energies,
            **{f"column_{name}": values for name, values in showers.columns.items()},
        }
        deposits = {"voxels": showers.voxels.astype(np.float32), "overflow": showers.overflow.astype(np.float32)}
        with replacing(self._file(index)) as temporary, open(temporary, "wb") as file:
            np.savez_compressed(file, allow_pickle=False, **arrays, **deposits)

    def showers(self, geometry: Geometry) -> Iterator[Showers]:
        """All shards in their order, one in memory at a time.

        Raises:
            DataError: a shard is damaged.
        """
        for index in range(len(self)):
            path = self._file(index)
            try:
                with np.load(path, allow_pickle=False) as stored:
                    arrays = {name: stored[name] for name in stored.files}
            except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
                message = f"{path} is damaged ({error}): remove this file and repeat the command"
                raise DataError(message) from error
            columns = {name.removeprefix("column_"): arrays[name] for name in arrays if name.startswith("column_")}
            yield Showers(arrays["energies"], arrays["voxels"], arrays["overflow"], geometry, columns=columns)

    def settings(self) -> dict[str, Any]:
        """What the folder was begun with; empty when it was not."""
        try:
            return dict(json.loads((self.path / _SETTINGS).read_text()))
        except FileNotFoundError:
            return {}
        except (ValueError, TypeError) as error:
            message = f"{self.path / _SETTINGS} is damaged ({error}): say --overwrite to begin again, or give another output file"
            raise DataError(message) from error

    def remove(self) -> None:
        """Remove the folder with all that is in it."""
        shutil.rmtree(self.path)

    def _file(self, index: int) -> Path:
        return self.path / f"{index:08d}.npz"

    def _own(self) -> None:
        """Refuse a folder of something else, before anything in it is touched."""
        inside = [file.name for file in self.path.iterdir() if file.name != ".lock" and file.suffix != ".part"]
        if inside and _SETTINGS not in inside:
            message = f"{self.path} holds {sorted(inside)[0]!r} and is no folder of shards: move it away, or give another output file"
            raise ConfigError(message)

    def _claim(self, settings: dict[str, Any]) -> None:
        begun, new = _flat(self.settings()), _flat(json.loads(json.dumps(settings)))
        different = [name for name in {**begun, **new} if begun.get(name) != new.get(name)]
        if not begun:
            with replacing(self.path / _SETTINGS) as temporary:
                temporary.write_text(json.dumps(settings, indent=1))
        elif different:
            pairs = ", ".join(f"{name} {_short(begun.get(name))}, now {_short(new.get(name))}" for name in different)
            message = (
                f"{self.path} holds shards of a simulation with other settings ({pairs}): repeat it with those to go on, say "
                "--overwrite to begin again, or give another output file"
            )
            raise ConfigError(message)

    def _lock(self, handle: int) -> None:
        try:
            import fcntl
        except ImportError:  # no such locks on this system: two simulations of one file are the user's to avoid
            return
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            message = f"another process is writing into {self.path}: wait for it, or give another output file"
            raise ConfigError(message) from error


def _flat(values: dict[str, Any], start: str = "") -> dict[str, Any]:
    """Sections to dotted names, so that what differs is what is told."""
    flat: dict[str, Any] = {}
    for name, value in values.items():
        flat |= _flat(value, f"{start}{name}.") if isinstance(value, dict) else {f"{start}{name}": value}
    return flat


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) < 40 else "..."
