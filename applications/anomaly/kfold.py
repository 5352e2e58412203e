"""Scores of all events by models that have not seen them: folds, their models in one file, and scoring of other files."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from hepflows.applications.anomaly.config import SearchConfig, validate
from hepflows.applications.anomaly.events import Array, Events
from hepflows.applications.anomaly.methods import Method, build
from hepflows.applications.anomaly.parallel import in_processes
from hepflows.applications.anomaly.regions import Regions
from hepflows.errors import CheckpointError, ConfigError, DataError
from hepflows.training.checkpoint import load_tensors, restoring, save_tensors
from hepflows.training.loop import History, Progress
from hepflows.training.seeding import derive, numpy_generator


def folds_of(n: int, folds: int, seed: int) -> NDArray[np.int64]:
    """(n,) the fold of each event, in equal parts at random.

    >>> np.bincount(folds_of(7, 3, seed=1)).tolist()
    [3, 2, 2]
    """
    fold = np.arange(n) % folds
    return numpy_generator(seed, "folds").permutation(fold)


@dataclass
class Ensemble:
    """The methods of all folds.

    Args:
        config: of the search.
        methods: one a fold.
        seed: of the search; tells the fold of each event of the sample that was learnt.
        n: events of that sample.
        histories: losses of the flows, by name and fold.
    """

    config: SearchConfig
    methods: list[Method]
    seed: int
    n: int
    histories: dict[str, History] = field(default_factory=dict)

    def score(self, events: Events) -> Array:
        r"""(n,) scores of events that no model has seen: the mean over the folds of :math:`-\log_{10} P(S_b \geq s)`, see `Scale`."""
        self._check(events)
        scores = [method.scale(method.score(events)) for method in self.methods]
        return np.asarray(np.mean(scores, axis=0), dtype=np.float64)

    def score_held_out(self, events: Events, *, rows: slice | None = None) -> Array:
        """(n,) scores of the events that were learnt, each by the models of the fold that it is not part of.

        Args:
            events: the sample, or a part of it.
            rows: which part, all where not given.

        Raises:
            DataError: it is another sample.
        """
        self._check(events)
        fold, scores = self.folds(events, rows=rows), np.empty(len(events))
        for index, method in enumerate(self.methods):
            of = np.flatnonzero(fold == index)
            if len(of):
                scores[of] = method.scale(method.score(events[of]))
        return scores

    def folds(self, events: Events, *, rows: slice | None = None) -> NDArray[np.int64]:
        """(n,) the fold of each event of the sample that was learnt, or of a part of it.

        Raises:
            DataError: it is another sample.
        """
        fold = folds_of(self.n, len(self.methods), self.seed)
        fold = fold if rows is None else fold[rows]
        if len(events) != len(fold):
            message = f"the models learnt {self.n} events and these are {len(events)}: score them as a new sample"
            raise DataError(message)
        return fold

    def outside(self, events: Events) -> int:
        """How many events have a feature outside the range that the flows were fitted to; they are scored as if at its edge."""
        flows = [method.density("density") for method in self.methods if "density" in method.parts]
        if not flows:
            return 0
        return int(np.all([flow.fitted.outside(events.features) for flow in flows], axis=0).sum())

    def _check(self, events: Events) -> None:
        wanted = self.methods[0].names
        if events.names != wanted:
            message = f"the models were made for the features {', '.join(wanted)}, and these events have {', '.join(events.names)}"
            raise DataError(message)

    def save(self, path: Path, about: dict[str, Any]) -> None:
        """Write all models to one safetensors file with what is needed to use them."""
        tensors: dict[str, Tensor] = {}
        headers = []
        for index, method in enumerate(self.methods):
            values, header = method.state()
            headers.append(header)
            tensors |= {f"{index}.{name}": value for name, value in values.items()}
        common = {"kind": "anomaly", "config": self.config.model_dump(mode="json"), "seed": self.seed, "n": self.n}
        save_tensors(path, tensors, {**common, "folds": headers, "about": about})

    @classmethod
    def load(cls, path: Path) -> tuple[Ensemble, dict[str, Any]]:
        """Read what `save` wrote: the models, and what was said about them.

        Raises:
            CheckpointError: no such file, or one of another kind.
        """
        tensors, header = load_tensors(path)
        if header.get("kind") != "anomaly":
            message = f"{path}: is no model of an anomaly search; give the folder of a run of hepflows anomaly"
            raise CheckpointError(message)
        with restoring(path):
            config = validate(header["config"], str(path))
            methods = []
            for index, fold in enumerate(header["folds"]):
                method, start = build(config), f"{index}."
                method.restore({k.removeprefix(start): v for k, v in tensors.items() if k.startswith(start)}, fold)
                methods.append(method)
            return cls(config, methods, header["seed"], header["n"]), header["about"]


def cross_fit(
    events: Events,
    regions: Regions,
    config: SearchConfig,
    *,
    seed: int,
    background: Events | None = None,
    folder: Path | None = None,
    jobs: int = 1,
    progress: Progress | None = None,
) -> Ensemble:
    """Fit one method a fold, on the events of all other folds.

    Args:
        events: the sample.
        regions: the window.
        config: of the search.
        seed: repeats everything.
        background: more events known to be background, see `Method.fit`.
        folder: where a finished fold, and a flow that is being trained, keep their state: a later call goes on from there.
        jobs: processes, of one thread each, that fit folds at the same time; more than one needs a folder.
        progress: called after every step.

    Raises:
        DataError: an empty region.

    Example:
        >>> from hepflows.applications.anomaly.config import load_config
        >>> from hepflows.applications.anomaly.simulate.fast import FastModel
        >>> events = FastModel().generate(2000, seed=1)
        >>> quick = load_config("quick", ["method=cwola"])
        >>> ensemble = cross_fit(events, Regions(3.3, 3.7), quick, seed=1)
        >>> ensemble.score_held_out(events).shape
        (2000,)
    """
    learn = _Folds(events, regions, config, seed, background, folder)
    pending = [index for index in range(config.folds) if not learn.done(index)]
    if jobs > 1 and len(pending) > 1:
        if folder is None:
            message = "folds in several processes come back as files: give a folder, or jobs=1"
            raise ConfigError(message)
        in_processes(learn, pending, jobs, progress, "folds")
    methods = [learn.method(index, progress) for index in range(config.folds)]
    histories = {
        f"{name} {index + 1}": history
        for index, method in enumerate(methods)
        for name, history in method.histories.items()
    }
    return Ensemble(config, methods, seed, len(events), histories)


@dataclass(frozen=True)
class _Folds:
    """Fits single folds, and keeps each in a file of the folder, if there is one."""

    events: Events
    regions: Regions
    config: SearchConfig
    seed: int
    background: Events | None
    folder: Path | None

    def __call__(self, index: int) -> None:
        """In a process of its own."""
        self.method(index, None)

    def done(self, index: int) -> bool:
        return self.folder is not None and (self.folder / f"checkpoint_fold{index}.safetensors").exists()

    def method(self, index: int, progress: Progress | None) -> Method:
        """The method of a fold: read where it is there, else fitted."""
        method = build(self.config)
        path = None if self.folder is None else self.folder / f"checkpoint_fold{index}.safetensors"
        if path is not None and path.exists():
            tensors, header = load_tensors(path)
            with restoring(path):
                method.restore(tensors, header["method"])
                method.histories = {name: History(**values) for name, values in header["histories"].items()}
            return method
        method.fit(
            self.events[self._rows(index)],
            self.regions,
            seed=derive(self.seed, "fold", index),
            background=self.background,
            checkpoints=None if path is None else path.with_suffix(""),
            progress=None if progress is None else _Part(progress, index, self.config.folds),
        )
        if path is not None:
            tensors, state = method.state()
            kept = {name: vars(history) for name, history in method.histories.items()}
            save_tensors(path, tensors, {"method": state, "histories": kept})
            for flow in path.parent.glob(f"{path.stem}_*.safetensors"):
                flow.unlink()
        return method

    def _rows(self, index: int) -> NDArray[np.int64]:
        """Events that train a fold: those of the others, or some of them at random, in their order."""
        rows = np.flatnonzero(folds_of(len(self.events), self.config.folds, self.seed) != index)
        most = self.config.training_events
        if most is None or len(rows) <= most:
            return rows
        return np.sort(numpy_generator(self.seed, "training events", index).permutation(rows)[:most])


class _Part:
    """The progress of one fold as part of all."""

    def __init__(self, update: Progress, index: int, folds: int) -> None:
        self._update, self._index, self._folds = update, index, folds

    def __call__(self, done: int, total: int, text: str) -> None:
        self._update(
            self._index * 1000 + 1000 * done // total,
            self._folds * 1000,
            f"fold {self._index + 1}/{self._folds}, {text}",
        )
