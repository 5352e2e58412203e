"""A student that is its teacher has no loss, one that learns becomes it, and nothing moves but the student."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from differences import assert_gradients

from hepflows.bijections import Affine, Chain, Inverse, Permutation, Standardize
from hepflows.errors import ContextError, DomainError, ShapeError, TrainingError
from hepflows.flow import Flow
from hepflows.made import MADE
from hepflows.metrics import ClassifierProtocol, classifier_test
from hepflows.student import student_of
from hepflows.training import Distillation, MaximumLikelihood, TensorBatches, TrainingConfig, fit
from hepflows.zoo import coupling_flow, iaf, maf

FAST = ClassifierProtocol(
    "fast", hidden=(64, 64), inputs="standard", epochs=10, batch_size=128, learning_rate=3e-3, select="loss"
)


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def mades(flow: Flow) -> list[MADE]:
    return [part for part in flow.modules() if isinstance(part, MADE)]


def without_inputs(flow: Flow, scale: float = 0.5) -> Flow:
    """Networks that give parameters of their own for each feature and see nothing: student and teacher can then be equal exactly."""
    for index, part in enumerate(mades(flow)):
        with torch.no_grad():
            part.output.weight.zero_()
            part.output.bias.copy_(scale * torch.randn(part.output.bias.shape, generator=rng(index)))
            for module in (part.context_units, *part.context_terms.values()):
                for parameter in [] if module is None else module.parameters():
                    parameter.zero_()
    return flow


@pytest.mark.parametrize("blocks", [1, 3])
@pytest.mark.parametrize("context_features", [0, 2])
def test_a_student_that_is_its_teacher_has_no_loss(blocks: int, context_features: int) -> None:
    teacher = without_inputs(
        maf(4, context_features, blocks=blocks, hidden=(12,), permutations=[[2, 0, 3, 1]] * 2, seed=0)
    )
    student = without_inputs(student_of(teacher, seed=1))
    objective = Distillation(student, teacher)
    x = 2 * torch.randn(50, 4, generator=rng())
    context = torch.randn(50, 2, generator=rng()) if context_features else None
    assert objective(x, context, generator=rng()).item() == pytest.approx(0, abs=1e-16)
    assert objective.kl(10, context, generator=rng()).item() == pytest.approx(0, abs=1e-8)
    with torch.no_grad():
        mades(student)[0].output.bias[3] += 0.5
    assert objective(x, context, generator=rng()).item() > 0.01
    assert objective.kl(100, context, generator=rng()).item() > 1e-4


def test_the_loss_by_hand() -> None:
    """Shifts and scales that see nothing: z = s x + t in the teacher, z = u x + v in the student, two blocks of each."""
    teacher = without_inputs(maf(2, blocks=2, hidden=(4,), univariate=Affine(), permutations=[[1, 0]], seed=0))
    student = student_of(teacher, seed=1)
    for flow, values in (
        (teacher, [[0.1, 0.2, -0.3, 0.0], [0.0, 0.1, 0.4, -0.2]]),
        (student, [[0.0] * 4, [0.5, 0.0, 0.0, 0.3]]),
    ):
        for part, bias in zip(mades(flow), values, strict=True):
            with torch.no_grad():
                part.output.weight.zero_()
                part.output.bias.copy_(torch.tensor(bias))

    def scale_shift(flow: Flow, block: int) -> tuple[torch.Tensor, torch.Tensor]:
        made = mades(flow)[block]
        t, r = made.output.bias.view(2, 2).T
        return torch.exp(5 * torch.tanh(r / 5)), t

    def latents(flow: Flow, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        (s1, t1), (s2, t2) = scale_shift(flow, 0), scale_shift(flow, 1)
        middle = s1 * x + t1
        return middle, s2 * middle.flip(1) + t2

    def data(flow: Flow, z: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        (s1, t1), (s2, t2) = scale_shift(flow, 0), scale_shift(flow, 1)
        middle = ((z - t2) / s2).flip(1)
        return middle, (middle - t1) / s1

    x, z = torch.randn(30, 2, generator=rng(1)), torch.randn(30, 2, generator=rng(2))
    apart = sum(
        (a.output.bias - b.output.bias).square().sum() for a, b in zip(mades(teacher), mades(student), strict=True)
    )
    middle, end = latents(teacher, x)
    its_middle, back = data(student, end)
    on_data = [(back - x).square().sum(1).mean(), (middle - its_middle).square().sum(1).mean(), apart]
    middle, there = data(student, z)
    its_middle, end = latents(teacher, there)
    on_noise = [(end - z).square().sum(1).mean(), (middle - its_middle).square().sum(1).mean(), apart]
    for beta, v, p in ((0.5, 1.0, 1.0), (0.0, 0.0, 2.0), (1.0, 0.3, 0.0), (0.2, True, False)):
        want = sum(w * (beta * a + (1 - beta) * b) for w, a, b in zip((1.0, v, p), on_data, on_noise, strict=True))
        found = Distillation(student, teacher, beta, intermediate=v, parameters=p)(x, generator=rng(2))
        torch.testing.assert_close(found, want)


def test_gradients_reach_the_student_alone_and_are_right() -> None:
    teacher = maf(3, 1, blocks=2, hidden=(8,), dropout=0.2, seed=0)
    student = student_of(teacher, hidden=(10,), seed=1)
    objective = Distillation(student, teacher.train()).train()
    assert not teacher.training
    assert student.training
    student.eval()
    assert {name.split(".")[0] for name in objective.state_dict()} == {"student"}
    x, context = torch.randn(9, 3, generator=rng()), torch.randn(9, 1, generator=rng())
    assert_gradients(student, lambda: objective(x, context, -context, generator=rng(4)))
    assert all(parameter.grad is None for parameter in teacher.parameters())


def test_the_teacher_follows_the_objective() -> None:
    teacher = maf(2, blocks=1, hidden=(4,), seed=0).float()
    objective = Distillation(student_of(teacher, seed=0), teacher).double()
    assert next(teacher.parameters()).dtype == torch.float64
    assert objective(torch.zeros(3, 2), generator=rng()).dtype == torch.float64


def test_a_frozen_flow_learns_nothing() -> None:
    teacher = maf(2, seed=0)
    Distillation(student_of(teacher, seed=1), teacher)
    data, config = TensorBatches((torch.zeros(4, 2),), 4), TrainingConfig(epochs=1)
    with pytest.raises(TrainingError, match=r"all are frozen, .*; requires_grad_\(True\) thaws them"):
        fit(MaximumLikelihood(teacher), data, data, config, seed=0)
    fit(MaximumLikelihood(teacher.requires_grad_(True)), data, data, config, seed=0)


def test_noise_has_the_contexts_that_it_is_given() -> None:
    teacher = maf(2, 1, blocks=1, hidden=(8,), seed=0)
    student = student_of(teacher, seed=1)
    x, context, other = torch.randn(6, 2, generator=rng()), torch.zeros(6, 1), torch.ones(9, 1)
    noise, data = (Distillation(student, teacher, beta) for beta in (0.0, 1.0))
    assert data(x, context, other, generator=rng()) == data(x, context, generator=rng())
    assert noise(x, context, other, generator=rng()) == noise(x[:3], context[:3], other, generator=rng())
    assert noise(x, context, other, generator=rng()) != noise(x, context, generator=rng())


def test_kl_of_gaussians() -> None:
    teacher = without_inputs(maf(1, blocks=1, hidden=(4,), univariate=Affine(), seed=0), 0.0)
    student = student_of(teacher, seed=0)
    for flow, (t, r) in ((teacher, (0.0, 0.0)), (student, (-0.5, np.log(2.0)))):  # student: mean 0.25, deviation 0.5
        (made,) = mades(flow)
        with torch.no_grad():
            made.output.weight.zero_()
            made.output.bias.copy_(torch.tensor([t, 5 * np.arctanh(r / 5)]))
    found = Distillation(student, teacher).kl(100_000, generator=rng()).item()
    assert found == pytest.approx(np.log(2.0) + (0.25 + 0.25**2) / 2 - 0.5, abs=0.005)


def sample(n: int, features: int, seed: int) -> torch.Tensor:
    """Each feature bends with the one before it."""
    x = torch.randn(n, features, generator=rng(seed))
    for d in range(1, features):
        x[:, d] = 0.6 * x[:, d] + 0.5 * torch.sin(1.5 * x[:, d - 1])
    return x.float()


def distilled(features: int, epochs: int, hidden: tuple[int, ...], n: int) -> tuple[Flow, Flow, Distillation]:
    x, held_out = TensorBatches((sample(n, features, 0),), 200), TensorBatches((sample(1000, features, 1),), 1000)
    teacher = maf(features, blocks=2, hidden=(24, 24), seed=0).float()
    fit(MaximumLikelihood(teacher), x, held_out, TrainingConfig(epochs=15, learning_rate=1e-2), seed=1)
    objective = Distillation(student_of(teacher, hidden=hidden, seed=2), teacher)
    fit(objective, x, held_out, TrainingConfig(epochs=epochs, learning_rate=1e-2, average=0.99), seed=1)
    return objective.student, teacher, objective


def told_apart(student: Flow, teacher: Flow, n: int) -> tuple[float, float]:
    drawn = [flow.sample(n, generator=rng(seed)).numpy() for seed, flow in enumerate((student, teacher))]
    found = classifier_test(*drawn, protocol=FAST, repeats=2, seed=5, floor=False)
    return found.auc, found.auc_std


def test_a_student_becomes_its_teacher() -> None:
    student, teacher, objective = distilled(2, 25, (32, 32), 2000)
    assert abs(objective.kl(50_000, generator=rng(9)).item()) < 0.005
    area, error = told_apart(student, teacher, 4000)
    assert abs(area - 0.5) < 3 * error + 0.01


@pytest.mark.slow
def test_a_student_of_eight_features() -> None:
    student, teacher, objective = distilled(8, 60, (128, 128), 10_000)
    assert abs(objective.kl(50_000, generator=rng(9)).item()) < 0.02
    area, error = told_apart(student, teacher, 20_000)
    assert abs(area - 0.5) < 3 * error + 0.015


def test_any_two_flows_without_guidance_and_couplings_with() -> None:
    teacher, x = maf(4, blocks=2, hidden=(8,), seed=0), torch.randn(7, 4, generator=rng())
    free = Distillation(coupling_flow(4, blocks=2, seed=1), teacher, intermediate=False, parameters=False)
    assert torch.isfinite(free(x, generator=rng()))
    pair = coupling_flow(4, blocks=4, seed=1), coupling_flow(4, blocks=4, seed=1)
    assert Distillation(*pair)(x, generator=rng()).item() == pytest.approx(0, abs=1e-16)
    with torch.no_grad():
        pair[0].bijection.bijections[0].net.output.bias[0] += 1.0
    assert Distillation(*pair)(x, generator=rng()).item() > 0.5


def test_slow_directions_give_the_same_numbers() -> None:
    """A MAF can be a student as well; its parameters then come from the end of the sweep."""
    teacher, x = without_inputs(maf(3, blocks=1, hidden=(6,), seed=0)), torch.randn(7, 3, generator=rng())
    twin = copy.deepcopy(teacher)
    with torch.no_grad():
        mades(twin)[0].output.bias.mul_(0.5)
    fast = student_of(twin, seed=0)
    with torch.no_grad():
        mades(fast)[0].output.weight.zero_()
        mades(fast)[0].output.bias.copy_(mades(twin)[0].output.bias)
    losses = [Distillation(student, teacher)(x, generator=rng()) for student in (fast, twin.requires_grad_(True))]
    torch.testing.assert_close(*losses)


def test_what_is_copied_to_a_student() -> None:
    teacher = maf(3, blocks=3, hidden=(8, 9), permutations=[[2, 0, 1], [1, 0, 2]], dropout=0.3, seed=0)
    teacher = Flow(
        Chain([Standardize(torch.ones(3), torch.full((3,), 2.0)), *teacher.bijection.bijections]), teacher.base
    )
    student = student_of(teacher.float(), seed=1)
    kinds = [type(part) for part in student.bijection.bijections]
    assert kinds == [Standardize, Inverse, Permutation, Inverse, Permutation, Inverse]
    assert student.bijection.bijections[2].order.tolist() == [2, 0, 1]
    made = mades(student)[0]
    assert [len(degrees) for degrees in made.degrees] == [8, 9]
    assert made.dropout == 0.3
    assert next(student.parameters()).dtype == torch.float32
    again, other = student_of(teacher, seed=1), student_of(teacher, from_teacher=False, seed=2)
    assert torch.equal(mades(again)[0].output.weight, made.output.weight)
    assert torch.equal(made.output.weight, mades(teacher)[0].output.weight)
    assert not torch.equal(mades(other)[0].output.weight, made.output.weight)
    with pytest.raises(DomainError, match="MaskedAutoregressive blocks, but this one has none"):
        student_of(coupling_flow(3, seed=0))


def test_pairs_that_do_not_fit() -> None:
    teacher = maf(3, 1, blocks=2, hidden=(8,), seed=0)
    with pytest.raises(ShapeError, match="the student has 2 features and the teacher 3"):
        Distillation(maf(2, 1, seed=0), teacher)
    with pytest.raises(ContextError, match="a context of width 0 and the teacher of 1"):
        Distillation(maf(3, seed=0), teacher)
    with pytest.raises(DomainError, match="the student has 5 parts and the teacher 3"):
        Distillation(maf(3, 1, blocks=3, seed=0), teacher)
    with pytest.raises(DomainError, match="part 1 of the student, MaskedAutoregressive, does not correspond"):
        Distillation(iaf(3, 1, blocks=2, seed=0), teacher)  # its parameters describe the way back
    Distillation(iaf(3, 1, blocks=2, seed=0), teacher, parameters=False)
    with pytest.raises(DomainError, match="part 2 of the student, Permutation, does not correspond"):
        Distillation(maf(3, 1, blocks=2, permutations=[[0, 2, 1]], seed=0), teacher)
    other = maf(3, 1, blocks=2, hidden=(8,), univariate=Affine(), seed=0)
    with pytest.raises(DomainError, match="describe different maps"):
        Distillation(student_of(other, seed=0), teacher)
    for options in ({"beta": 1.5}, {"intermediate": -1.0}, {"parameters": float("nan")}):
        with pytest.raises(DomainError, match="beta between 0 and 1 and weights that are not negative"):
            Distillation(student_of(teacher), teacher, **options)
