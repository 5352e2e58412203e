"""Processes that share a training find what one process finds; what goes wrong in one of them leaves none waiting."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import shared_training
import torch
from safetensors.torch import load_file
from shared_training import CASES, CONFIG, REFUSED, N, context, discflow, distillation, likelihood, sample, signs, train

from hepflows.errors import ConfigError, TrainingError
from hepflows.launch import launched
from hepflows.training import DiscFlow, MaximumLikelihood, Objective, World, connect
from hepflows.zoo import maf

PATIENCE = 300  # seconds: a process that waits for ever fails the test, a busy machine does not
PATHS = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"}


def torchrun(*arguments: object, check: bool = True) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    done = subprocess.run([*command, *map(str, arguments)], capture_output=True, text=True, timeout=PATIENCE, env=PATHS)
    assert done.returncode == 0 or not check, done.stderr
    return done


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What two processes leave of all cases."""
    folder = tmp_path_factory.mktemp("two")
    torchrun(shared_training.__file__, "cases", folder)
    return folder


def state(objective: torch.nn.Module, history: object) -> dict[str, torch.Tensor]:
    losses = {name: torch.tensor(getattr(history, name)) for name in ("train", "validation")}
    return {**objective.state_dict(), **losses}


@pytest.mark.parametrize("name", list(CASES))
def test_two_processes_find_what_one_finds(two: Path, name: str) -> None:
    here = state(*train(CASES[name]))
    assert len(set(here["train"].tolist())) == CONFIG.epochs  # it learns
    for rank in (0, 1):
        there = load_file(two / f"{list(CASES).index(name)}_{rank}.safetensors")
        for key, value in here.items():
            tolerance = 1e-10 if value.dtype == torch.float64 else 1e-5
            torch.testing.assert_close(there[key], value, rtol=tolerance, atol=tolerance)


def test_nothing_keeps_the_connection_after_the_block(two: Path) -> None:
    """Its threads would run while the interpreter ends, and abort it now and then."""
    assert [(two / f"connected_{rank}.txt").read_text() for rank in (0, 1)] == ["False", "False"]


def test_a_parameter_without_gradient_is_left_alone(two: Path) -> None:
    """AdamW would shrink it, had its missing gradient become one of zeros."""
    assert load_file(two / "0_0.safetensors")["idle"].tolist() == [1.0, 1.0, 1.0]


def test_each_process_draws_its_own_numbers(two: Path) -> None:
    first, second = (load_file(two / f"{list(CASES).index('draws')}_{rank}.safetensors")["drawn"] for rank in (0, 1))
    assert len(torch.cat([first, second]).unique()) == len(first) + len(second)
    alone, _ = train(CASES["draws"])
    assert torch.equal(torch.cat(alone.drawn), first)  # those of one process


def test_an_error_in_one_process_is_one_in_all(two: Path) -> None:
    said = {
        "batch norm": "learns from its own batch",
        "not finite": "the loss is nan in epoch 1, batch",
        "bad data": "epoch 1, batch 2 of the training data: the input holds 2 values that are not finite",
        "uneven tensors": "the tensors of a batch have the lengths [10, 1]",
    }
    for name in REFUSED:
        first, second = ((two / f"{name}_{rank}.txt").read_text() for rank in (0, 1))
        assert first == second
        assert said[name] in first


@pytest.mark.slow
def test_a_killed_training_goes_on_to_the_same_result(two: Path, tmp_path: Path) -> None:
    killed = torchrun(shared_training.__file__, "killed", tmp_path, check=False)
    assert killed.returncode != 0
    assert "SIGKILL" in killed.stderr
    assert [file.name for file in tmp_path.iterdir()] == ["state.safetensors"]
    (alone := tmp_path / "alone").mkdir()
    (alone / "state.safetensors").write_bytes((tmp_path / "state.safetensors").read_bytes())
    torchrun(shared_training.__file__, "resumed", tmp_path)
    case = CASES["weights, averages, accumulation"]
    whole = state(*train(case))
    single = state(*train(case, checkpoint=alone / "state.safetensors"))  # one process may go on with what two began
    for key, value in whole.items():
        torch.testing.assert_close(single[key], value, rtol=1e-10, atol=1e-10)
    for rank in (0, 1):
        resumed, uninterrupted = (
            load_file(tmp_path / f"resumed_{rank}.safetensors"),
            load_file(two / f"0_{rank}.safetensors"),
        )
        assert resumed.keys() == uninterrupted.keys()
        assert all(torch.equal(resumed[key], uninterrupted[key]) for key in resumed)


@pytest.mark.parametrize(
    ("make", "weighted"),
    [(likelihood, False), (likelihood, True), (discflow, False), (discflow, True), (distillation, False)],
)
def test_sums_of_parts_are_sums_of_the_whole(make: Callable[[], Objective], weighted: bool) -> None:
    """For each loss that the loop minimises, with draws that can be shared as the data are."""
    objective, x, given = make().eval(), sample(N, 0), context(N)
    keywords = {"weights": signs(N)} if weighted else {}

    def parts(function: Callable[..., tuple[torch.Tensor, object]], rank: int, size: int) -> tuple[torch.Tensor, float]:
        rows = slice(rank, None, size)
        numerator, denominator = function(
            x[rows], given[rows], generator=None, **{k: v[rows] for k, v in keywords.items()}
        )
        return numerator, float(denominator)

    losses = [(objective.sums, objective)]
    if isinstance(objective, DiscFlow):
        losses.append((objective.auxiliary_sums, objective.auxiliary_loss))
    for sums, loss in losses:
        shared = [parts(sums, rank, 3) for rank in range(3)]
        numerator, denominator = (sum(values) for values in zip(*shared, strict=True))
        torch.testing.assert_close(numerator / denominator, loss(x, given, generator=None, **keywords))


def test_weighted_sums_are_those_of_repeated_events() -> None:
    objective, x = MaximumLikelihood(maf(2, seed=0)), sample(50, 0)
    weights = torch.ones(50)
    weights[:10] = 2.0
    weighted, repeated = objective.sums(x, None, weights), objective.sums(torch.cat([x, x[:10]]))
    torch.testing.assert_close(weighted[0], repeated[0])
    assert float(weighted[1]) == repeated[1] == 60


def test_a_loss_of_ones_own_is_what_is_minimised() -> None:
    class Penalised(MaximumLikelihood):
        def forward(self, *batch: torch.Tensor, **keywords: object) -> torch.Tensor:
            return super().forward(*batch, **keywords) + 1.0

    flow, x = maf(2, seed=0), sample(50, 0)
    numerator, denominator = Penalised(flow).sums(x, generator=torch.Generator())
    torch.testing.assert_close(numerator / denominator, MaximumLikelihood(flow)(x) + 1.0)


def test_without_torchrun_nothing_is_set_up(monkeypatch: pytest.MonkeyPatch) -> None:
    with connect() as world:
        assert type(world) is World
        assert not torch.distributed.is_initialized()
    monkeypatch.setenv("WORLD_SIZE", "8")  # a batch system's, not torchrun's
    assert launched() == (0, 1)
    for name, value in {"MASTER_ADDR": "localhost", "MASTER_PORT": "1", "RANK": "8"}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError, match="RANK=8 of WORLD_SIZE=8"), connect():
        pass
    monkeypatch.setenv("WORLD_SIZE", "1")
    monkeypatch.setenv("RANK", "0")
    with connect() as world:
        assert world.size == 1


def test_one_process_raises_its_own_error_together() -> None:
    with pytest.raises(TrainingError, match="mine"), World().together():
        raise TrainingError("mine")
