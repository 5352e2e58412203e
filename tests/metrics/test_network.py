from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from hepflows.errors import ConfigError, TrainingError
from hepflows.metrics import PROTOCOLS, ClassifierProtocol, auc
from hepflows.metrics.network import Classifier, Events, Scaler, train
from hepflows.metrics.protocol import named

FAST = ClassifierProtocol("fast", hidden=(16,), inputs="standard", epochs=8, batch_size=64, learning_rate=1e-2)


def events(seed: int, n: int = 200, shift: float = 2.0) -> Events:
    rng = np.random.default_rng(seed)
    labels = np.repeat([0.0, 1.0], n)
    return Events(rng.normal(size=(2 * n, 3)) + shift * labels[:, None] * [1, 0, 0], labels, np.ones(2 * n))


def test_the_caloflow_protocol_is_the_published_one() -> None:
    one = PROTOCOLS["caloflow"]
    assert (one.hidden, one.dropout, one.inputs) == ((512, 512, 512), 0.0, "raw")
    assert (one.epochs, one.batch_size, one.learning_rate, one.weight_decay) == (150, 1000, 1e-3, 0.0)
    assert (one.select, one.fractions) == ("accuracy", (0.6, 0.2, 0.2))
    assert named("caloflow") is one
    assert named(FAST) is FAST


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("hidden", ()),
        ("hidden", (16, 0)),
        ("image", (4, 0, 4)),
        ("dropout", 1.0),
        ("inputs", "whitened"),
        ("epochs", 0),
        ("learning_rate", 0.0),
        ("cooldown", 1.5),
        ("weight_decay", -1.0),
        ("fractions", (0.6, 0.2, 0.3)),
        ("select", "best"),
        ("calibration_clip", 0.5),
        ("dtype", "float16"),
    ],
)
def test_a_protocol_names_the_field_that_is_wrong(field: str, value: object) -> None:
    with pytest.raises(ConfigError, match=f"the {field} of the classifier protocol 'fast' must be"):
        replace(FAST, **{field: value})  # type: ignore[arg-type]


def test_an_unknown_protocol_is_refused() -> None:
    with pytest.raises(ConfigError, match="choose one of calochallenge, calochallenge-512"):
        named("calogan")


def test_the_calochallenge_protocols_are_the_published_ones() -> None:
    wide, narrow = PROTOCOLS["calochallenge"], PROTOCOLS["calochallenge-512"]
    assert (wide.hidden, narrow.hidden) == ((2048,) * 3, (512,) * 3)
    for one in (wide, narrow):
        assert (one.dropout, one.inputs, one.image) == (0.0, "raw", None)
        assert (one.epochs, one.batch_size, one.learning_rate, one.weight_decay) == (50, 1000, 2e-4, 0.0)
        assert (one.select, one.calibration_clip, one.fractions) == ("accuracy", 1e-6, (0.6, 0.2, 0.2))
        assert {one.rate(epoch) for epoch in range(50)} == {2e-4}
    assert replace(wide, name=narrow.name, hidden=narrow.hidden) == narrow
    images = {name: one.image for name, one in PROTOCOLS.items() if one.image}
    assert images == {"calochallenge-resnet-ds2": (45, 16, 9), "calochallenge-resnet-ds3": (45, 50, 18)}
    assert all(name == one.name for name, one in PROTOCOLS.items())


def test_the_learning_rate_cools_down_at_the_end() -> None:
    protocol = replace(FAST, epochs=50, learning_rate=2e-4, cooldown=0.3)
    rates = np.array([protocol.rate(epoch) for epoch in range(50)])
    np.testing.assert_allclose(rates[:35], 2e-4)
    np.testing.assert_allclose(rates[35:], 2e-4 * 10 ** (-2 * np.arange(1, 16) / 15))
    assert replace(FAST, epochs=1, cooldown=1.0).rate(0) == pytest.approx(FAST.learning_rate / 100)
    cooled, warm = (train(events(0), events(1), replace(FAST, cooldown=share), seed=3).history for share in (0.5, 0.0))
    assert cooled["train"][:4] == warm["train"][:4]
    assert cooled["train"][4] != warm["train"][4]


def test_scalers() -> None:
    rng = np.random.default_rng(0)
    values = np.stack([rng.normal(5.0, 3.0, 20_000), np.ones(20_000), (rng.random(20_000) < 0.05) * 7.0], axis=1)
    standard, robust = (Scaler(values, kind, None)(values) for kind in ("standard", "robust"))
    np.testing.assert_allclose(standard.mean(axis=0), 0.0, atol=1e-9)
    np.testing.assert_allclose(standard.std(axis=0), [1.0, 0.0, 1.0], atol=1e-9)
    assert np.quantile(robust[:, 0], [0.16, 0.5, 0.84]) == pytest.approx(np.arcsinh([-1.0, 0.0, 1.0]), abs=0.02)
    assert np.isfinite(robust).all()
    assert robust[:, 2].max() == pytest.approx(np.arcsinh(7.0 / values[:, 2].std()))  # rarely filled: by its deviation
    assert np.abs(Scaler(values, "robust", None)(np.full((1, 3), 1e9))).max() < 25  # far outliers are tamed
    np.testing.assert_allclose(Scaler(values, "robust", np.array([1.0, 2.0, 0.5]))(values), robust * [1.0, 2.0, 0.5])


def test_the_network_is_the_one_of_torch() -> None:
    one = Classifier(3, replace(FAST, hidden=(8, 4), dtype="float64"), torch.Generator().manual_seed(0))
    plain = nn.Sequential(
        nn.Linear(3, 8), nn.LeakyReLU(0.01), nn.Linear(8, 4), nn.LeakyReLU(0.01), nn.Linear(4, 1)
    ).double()
    for mine, its in zip(one.parameters(), plain.parameters(), strict=True):
        its.data.copy_(mine.data)
    inputs = torch.randn(7, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    torch.testing.assert_close(one(inputs), plain(inputs)[:, 0])


def test_dropout_keeps_the_mean_and_draws_from_its_source() -> None:
    one = Classifier(2, replace(FAST, hidden=(50,), dropout=0.4, dtype="float64"), torch.Generator().manual_seed(0))
    inputs = torch.ones(40_000, 2, dtype=torch.float64)
    one.requires_grad_(False)
    dropped = one(inputs, torch.Generator().manual_seed(1))
    assert float(dropped.std()) > 0.01
    assert float(dropped.mean() - one(inputs[:1])[0]) == pytest.approx(0.0, abs=5 * float(dropped.std()) / 200)
    torch.testing.assert_close(dropped, one(inputs, torch.Generator().manual_seed(1)), rtol=0, atol=0)


@pytest.mark.parametrize("rule", ["accuracy", "auc", "loss", "last"])
def test_the_kept_epoch_is_the_best_by_the_rule(rule: str) -> None:
    selection = events(1)
    found = train(events(0), selection, replace(FAST, select=rule), seed=3)  # type: ignore[arg-type]
    assert found.epoch == int(np.argmax(found.history["score"]))
    logits = found.logits(selection.features)
    again = {
        "accuracy": np.mean((logits > 0) == (selection.labels > 0.5)),
        "auc": auc(logits, selection.labels),
        "loss": -np.mean(np.log1p(np.exp(np.where(selection.labels > 0.5, -logits, logits)))),
        "last": FAST.epochs - 1,
    }[rule]
    assert found.history["score"][found.epoch] == pytest.approx(again, rel=1e-6)
    assert all(len(values) == FAST.epochs for values in found.history.values())


def test_training_repeats_bit_by_bit_and_leaves_the_global_state_alone() -> None:
    before = torch.get_rng_state()
    protocol = replace(FAST, dropout=0.2)
    one, two, other = (train(events(0), events(1), protocol, seed=seed) for seed in (3, 3, 4))
    assert torch.equal(before, torch.get_rng_state())
    assert one.history == two.history
    assert one.history["train"] != other.history["train"]
    torch.set_default_dtype(torch.float32)  # restored by conftest
    assert train(events(0), events(1), protocol, seed=3).history == one.history


def test_a_loss_that_explodes_is_said() -> None:
    huge = events(0)
    huge = Events(huge.features * 1e38, huge.labels, huge.weights)
    with pytest.raises(TrainingError, match="standardise its inputs"):
        train(huge, huge, replace(FAST, inputs="raw"), seed=0)
