from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from hepflows.errors import ConfigError, ShapeError
from hepflows.metrics import ClassifierProtocol, classifier_test
from hepflows.metrics.network import Events, _batches, train
from hepflows.metrics.resnet3d import ResNet3d

IMAGE = (6, 4, 3)
FAST = ClassifierProtocol("fast", hidden=(), image=IMAGE, epochs=5, batch_size=40, learning_rate=2e-3, select="auc")


def network(seed: int = 0, image: tuple[int, int, int] = IMAGE) -> ResNet3d:
    return ResNet3d(image, torch.Generator().manual_seed(seed), dtype=torch.float64)


def by_hand(state: dict[str, Tensor], inputs: Tensor, image: tuple[int, int, int]) -> Tensor:
    """The network once more, from the names of its weights and torch's functions alone, with batch statistics."""

    def norm(h: Tensor, name: str) -> Tensor:
        axes = [axis for axis in range(h.dim()) if axis != 1]
        shape = [1, -1] + [1] * (h.dim() - 2)
        mean, variance = h.mean(axes, keepdim=True), h.var(axes, unbiased=False, keepdim=True)
        scale, shift = (state[f"{name}.{part}"].reshape(shape) for part in ("weight", "bias"))
        return (h - mean) / torch.sqrt(variance + 1e-5) * scale + shift

    h = inputs[:, 1:].reshape(len(inputs), 1, *image)
    h = torch.relu(norm(functional.conv3d(h, state["stem.weight"], stride=2, padding=3), "stem_norm"))
    h = functional.max_pool3d(h, 3, 2, 1)
    for block in range(8):
        name, stride = f"blocks.{block}", 2 if block in (2, 4, 6) else 1
        inner = functional.conv3d(h, state[f"{name}.first.weight"], stride=stride, padding=1)
        inner = torch.relu(norm(inner, f"{name}.first_norm"))
        inner = norm(functional.conv3d(inner, state[f"{name}.second.weight"], padding=1), f"{name}.second_norm")
        if stride == 2:
            h = norm(functional.conv3d(h, state[f"{name}.shortcut.0.weight"], stride=2), f"{name}.shortcut.1")
        h = torch.relu(inner + h)
    joined = torch.cat([h.flatten(2).mean(2), norm(inputs[:, :1], "energy_norm")], dim=1)
    return functional.linear(joined, state["last.weight"], state["last.bias"])[:, 0]


def test_the_network_is_the_one_that_its_words_say() -> None:
    image = (9, 8, 5)
    one = network(image=image)
    inputs = torch.randn(6, 1 + 9 * 8 * 5, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(one(inputs), by_hand(dict(one.named_parameters()), inputs, image))


def test_its_first_weights_are_seeded_and_of_the_right_width() -> None:
    before = torch.get_rng_state()
    one, same, other = network(3), network(3), network(4)
    assert torch.equal(before, torch.get_rng_state())
    assert torch.equal(one.stem.weight, same.stem.weight)
    assert not torch.equal(one.stem.weight, other.stem.weight)
    weights = one.blocks[7].second.weight.detach()  # 128 * 128 * 27 draws
    assert float(weights.std()) == pytest.approx(np.sqrt(2 / (128 * 27)), rel=0.01)
    assert abs(float(weights.mean())) < 5 * float(weights.std()) / np.sqrt(weights.numel())


GRADIENTS = """
import torch
from hepflows.metrics.resnet3d import Convolution
for image in ((6, 4, 3), (5, 4, 3), (3, 1, 1), (12, 9, 8)):
    stem, exact = (Convolution(1, 32, 7, 2, torch.Generator().manual_seed(1)).to(kind) for kind in (torch.float32, torch.float64))
    x = torch.rand(40, 1, *image, generator=torch.Generator().manual_seed(2))
    slopes = torch.linspace(-1, 1, stem(x).numel()).reshape(stem(x).shape)
    (wanted,) = torch.autograd.grad(exact(x.double()), exact.weight, slopes.double())
    for _ in range(60):
        y = stem(x)
        _ = [torch.full((n,), 1e4) for n in (10, 100, 1000, 5000, 11_000, 20_000, 100_000, 300_000, 1_000_000) * 3]
        (found,) = torch.autograd.grad(y, stem.weight, slopes)
        torch.testing.assert_close(found.double(), wanted, rtol=0, atol=1e-4 * float(wanted.abs().max()))
"""


def test_gradients_of_small_images_are_those_of_float64() -> None:
    """In a process of its own, whose memory is full of large numbers: what reads beyond an image finds these, or crashes."""
    done = subprocess.run([sys.executable, "-c", GRADIENTS], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_events_are_judged_one_by_one_after_the_training() -> None:
    found = train(images(40, 0), images(20, 1), replace(FAST, epochs=1), seed=1)
    unseen = images(10, 2).features
    np.testing.assert_allclose(found.logits(unseen)[:3], found.logits(unseen[:3]), rtol=1e-5, atol=1e-5)


def images(n: int, seed: int, bright: float = 1.0) -> Events:
    """Flat noise, and noise with one slice in z ``bright`` times as bright: no single voxel tells them apart well."""
    rng = np.random.default_rng(seed)
    voxels = rng.exponential(size=(2 * n, *IMAGE))
    voxels[:n, 2] *= bright
    labels = np.repeat([0.0, 1.0], n)
    return Events(np.concatenate([np.ones((2 * n, 1)), voxels.reshape(2 * n, -1)], axis=1), labels, np.ones(2 * n))


def test_it_finds_what_is_there_and_nothing_else() -> None:
    n = 180
    different, same = images(n, 0, bright=3.0).features, images(n, 1).features
    found = classifier_test(
        same[:n], same[n:], protocol=FAST, power_pair=(different[:n], different[n:]), repeats=1, seed=1, floor=False
    )
    assert abs(found.auc - 0.5) < 3 * found.auc_std
    # the best there is orders by the sum of the 12 voxels of the slice, which is a Gamma(12) of one or three
    rng = np.random.default_rng(0)
    best = float(np.mean(3 * rng.gamma(12, size=100_000) > rng.gamma(12, size=100_000)))
    assert found.power is not None
    assert 0.85 * best < found.power.auc <= best + 0.01


def test_a_single_event_is_no_batch() -> None:
    assert [len(rows) for rows in _batches(torch.arange(65), 32)] == [32, 33]
    assert torch.cat(_batches(torch.arange(65), 32)).tolist() == list(range(65))
    assert [len(rows) for rows in _batches(torch.arange(1), 32)] == [1]
    odd = images(41, 0)
    odd = Events(odd.features[:81], odd.labels[:81], odd.weights[:81])
    assert np.isfinite(train(odd, odd, replace(FAST, epochs=1), seed=1).history["train"]).all()


def test_what_is_no_image_is_refused() -> None:
    events = images(60, 0)
    short = Events(events.features[:, :-1], events.labels, events.weights)
    with pytest.raises(ShapeError, match=r"takes 1 \+ 72 features, the incident energy and an image of \(6, 4, 3\)"):
        train(short, short, FAST, seed=0)
    for changed in ({"hidden": (16,)}, {"dropout": 0.1}, {"batch_size": 1}, {"image": (4, 4)}):
        with pytest.raises(ConfigError, match=f"the {next(iter(changed))} of the classifier protocol"):
            replace(FAST, **changed)  # type: ignore[arg-type]
