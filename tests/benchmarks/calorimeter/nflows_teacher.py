"""The baseline: a CaloFlow teacher built, trained and timed in nflows, on the showers and for the wall time of one of our runs.

    python -m tests.benchmarks.calorimeter.nflows_teacher SHOWERS --out DIR --minutes 60 --seed 1 [--set model...=value]

Hyperparameters, preprocessing, noise, schedule and split are those of the preset ``paper`` (arXiv:2106.05285), the networks and the
training step are nflows'. The last learning rates of the published schedule are reached at the end of the wall time, whatever number
of epochs that allows. Showers are drawn from the trained densities by `from_nflows`, which inverts them exactly and in seconds; nflows
itself takes hours for the same showers, and one block of one batch of it is compared. Writes ``generated.hdf5`` and ``baseline.json``.
"""

from __future__ import annotations

import argparse
import copy
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from nflows.distributions.normal import StandardNormal
from nflows.flows.base import Flow as NflowsFlow
from nflows.transforms import (
    CompositeTransform,
    MaskedPiecewiseRationalQuadraticAutoregressiveTransform,
    Permutation,
)
from torch import Tensor

from hepflows.applications.calorimeter import CaloFlow, load_config, write_showers
from hepflows.applications.calorimeter.config import FlowConfig, RunConfig
from hepflows.applications.calorimeter.models.kinds import layerwise_permutations
from hepflows.applications.calorimeter.models.training_set import TrainingSet
from hepflows.applications.calorimeter.sample import Split, load_sample
from hepflows.nflows_adapter import from_nflows
from hepflows.training.seeding import derive, generator

ENERGY_SHARE = 0.1
"""Share of the wall time that the small flow of the layer energies gets; 75 of its epochs take less."""


def nflows_maf(config: FlowConfig, features: int, context: int, orders: list[list[int]], seed: int) -> NflowsFlow:
    """Masked autoregressive blocks as CaloFlow builds them in nflows, with permutations in between."""
    torch.manual_seed(seed)
    parts: list[Any] = []
    for block in range(config.blocks):
        parts.append(
            MaskedPiecewiseRationalQuadraticAutoregressiveTransform(
                features=features,
                hidden_features=config.hidden[0],
                context_features=context,
                num_bins=config.bins,
                tails="linear",
                tail_bound=config.bound,
                num_blocks=len(config.hidden) - 1,
                use_residual_blocks=False,
                random_mask=False,
                activation=torch.nn.functional.relu,
                dropout_probability=config.dropout,
                use_batch_norm=False,
                min_bin_width=config.minimum,
                min_bin_height=config.minimum,
                min_derivative=config.minimum,
            )
        )
        if block < config.blocks - 1:
            parts.append(Permutation(torch.as_tensor(orders[block])))
    return NflowsFlow(CompositeTransform(parts), StandardNormal([features]))


def train(
    flow: NflowsFlow,
    name: str,
    config: RunConfig,
    sets: tuple[TrainingSet, TrainingSet],
    prepare: Any,
    seed: int,
    seconds: float,
) -> dict[str, Any]:
    """Maximum likelihood for a given wall time; the learning rate follows the published steps, scaled to that time."""
    section = getattr(config.model, name).training
    training, held_out = sets
    batches = training.batches(section.batch_size, prepare)
    validation = list(held_out.batches(1000, prepare, shuffle=False).epoch(generator(seed, name, "validation")))
    optimizer = torch.optim.Adam(flow.parameters(), lr=section.learning_rate)
    started, best, state, epoch, losses = time.monotonic(), float("inf"), flow.state_dict(), 0, []

    def done() -> float:
        return (time.monotonic() - started) / seconds

    while done() < 1:
        flow.train()
        for x, context in batches.epoch(generator(seed, name, epoch)):
            passed = sum(done() >= milestone / section.epochs for milestone in section.milestones)
            for group in optimizer.param_groups:
                group["lr"] = section.learning_rate * section.gamma**passed
            optimizer.zero_grad(set_to_none=True)
            loss = -flow.log_prob(x, context).mean()
            loss.backward()
            optimizer.step()
            if done() >= 1:
                break
        flow.eval()
        with torch.no_grad():
            found = float(torch.cat([-flow.log_prob(x, context) for x, context in validation]).mean())
        losses.append(found)
        if found < best:
            best, state = found, copy.deepcopy(flow.state_dict())
        epoch += 1
        print(f"{name}: epoch {epoch}, validation loss {found:.3f}, {time.monotonic() - started:.0f} s", flush=True)
    flow.load_state_dict(state)
    flow.eval()
    return {"epochs": epoch, "validation": losses, "seconds": time.monotonic() - started}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("showers", nargs="+")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, required=True)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--set", dest="settings", action="append", default=[])
    parser.add_argument("-n", type=int, help="showers to generate; as many as there are where not given")
    options = parser.parse_args()
    config = load_config("paper", options.settings)
    options.out.mkdir(parents=True, exist_ok=True)
    showers = load_sample(options.showers, folder=options.out)
    split = Split.of(len(showers), config.split, options.seed)
    model = CaloFlow(config=config.model, geometry=showers.geometry, seed=options.seed)
    # what is not a network of the baseline is that of the model: energies to targets, contexts, particles to draw
    sets = (
        TrainingSet.of(showers, model.geometry, model.conditions, split.training),
        TrainingSet.of(showers, model.geometry, model.conditions, split.validation),
    )
    model.preprocess.fit(sets[0].chunks, generator(options.seed, "preprocess"))
    model.incident.fit(showers, split.training, generator(options.seed, "incident"))
    model.attributes = dict(showers.attributes)
    geometry = model.geometry
    n_layers, n_voxels = geometry.n_layers, geometry.n_voxels
    rng = generator(options.seed, "permutations")
    random_orders = [
        torch.randperm(n_layers, generator=rng).tolist() for _ in range(config.model.energy_flow.blocks - 1)
    ]
    orders = layerwise_permutations(geometry, 0, config.model.shower_flow.blocks - 1, rng)
    flows = {
        "energy_flow": nflows_maf(
            config.model.energy_flow, n_layers, 1, random_orders, derive(options.seed, "energy") % 2**31
        ),
        "shower_flow": nflows_maf(
            config.model.shower_flow, n_voxels, 1 + n_layers, orders, derive(options.seed, "shower") % 2**31
        ),
    }
    prepare: dict[str, Callable[..., Any]] = {
        "energy_flow": model.targets.energies,
        "shower_flow": model.targets.voxels,
    }
    dtype = model.targets.dtype
    record: dict[str, Any] = {
        "config": config.model_dump(),
        "seed": options.seed,
        "minutes": options.minutes,
        "threads": torch.get_num_threads(),
    }
    shares = {"energy_flow": ENERGY_SHARE, "shower_flow": 1 - ENERGY_SHARE}
    torch.manual_seed(options.seed)  # nflows' dropout
    for name, flow in flows.items():
        flow.to(dtype)
        record[name] = train(flow, name, config, sets, prepare[name], options.seed, 60 * options.minutes * shares[name])
    model.energy_flow, model.shower_flow = from_nflows(flows["energy_flow"]), from_nflows(flows["shower_flow"])
    n = options.n or len(showers)
    started = time.monotonic()
    write_showers(options.out / "generated.hdf5", model.iterate_samples(n, seed=options.seed))
    record["ms_per_shower_from_nflows"] = 1e3 * (time.monotonic() - started) / n
    record["inverse"] = compare_inverse(flows["shower_flow"], model.shower_flow, 1 + n_layers, dtype)
    (options.out / "baseline.json").write_text(json.dumps(record, indent=2) + "\n")
    np.save(options.out / "test_rows.npy", split.test)


def compare_inverse(theirs: Any, ours: Any, width: int, dtype: torch.dtype, n: int = 10) -> dict[str, float]:
    """One block of one batch inverted by nflows and by the converted flow."""
    rng = torch.Generator().manual_seed(0)
    z: Tensor = torch.randn(n, ours.features, generator=rng, dtype=dtype)
    context = torch.randn(n, width, generator=rng, dtype=dtype)
    block, ours_block = theirs._transform._transforms[0], ours.bijection.bijections[0]
    with torch.no_grad():
        started = time.monotonic()
        x = block.inverse(z, context)[0]
        seconds = time.monotonic() - started
        difference = (x - ours_block.inverse(z, context)[0]).abs().max()
    return {"seconds_nflows_one_block": seconds, "largest_difference": float(difference), "batch": n}


if __name__ == "__main__":
    main()
