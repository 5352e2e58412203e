"""Block by block: nothing to learn where the student is the teacher, the KL divergence of its conditionals where it is not."""

from __future__ import annotations

import copy
import math

import pytest
import torch
from differences import assert_gradients

from hepflows.bijections import Affine, RationalQuadraticSpline
from hepflows.errors import ContextError, DomainError
from hepflows.flow import Flow
from hepflows.made import MADE
from hepflows.student import student_of
from hepflows.training import BlockDistillation, Distillation, MaximumLikelihood, TensorBatches, TrainingConfig, fit
from hepflows.widening import widened
from hepflows.zoo import coupling_flow, iaf, maf


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def mades(flow: Flow) -> list[MADE]:
    return [part for part in flow.modules() if isinstance(part, MADE)]


def blind(flow: Flow) -> Flow:
    """Networks that see nothing: a student that begins as the teacher is then the teacher."""
    for index, part in enumerate(mades(flow)):
        with torch.no_grad():
            part.output.weight.zero_()
            part.output.bias.copy_(0.5 * torch.randn(part.output.bias.shape, generator=rng(index)))
    return flow


@pytest.mark.parametrize("context_features", [0, 2])
def test_a_student_that_is_its_teacher_has_nothing_to_learn(context_features: int) -> None:
    teacher = blind(maf(4, context_features, blocks=3, hidden=(12,), permutations=[[2, 0, 3, 1]] * 2, seed=0))
    student = student_of(teacher, seed=1)
    context = torch.randn(20, 2, generator=rng()) if context_features else None
    objective = BlockDistillation(student, teacher)
    loss = objective(torch.zeros(20, 4), context, generator=rng())
    assert loss.item() == pytest.approx(0, abs=1e-16)
    loss.backward()
    # at the minimum the loss has no noise
    assert all(p.grad is None or p.grad.abs().max() < 1e-6 for p in student.parameters())
    assert objective.kl(10, context, generator=rng()).item() == pytest.approx(0, abs=1e-8)


def test_the_loss_is_the_divergence_of_conditionals_that_are_close() -> None:
    """Of one block of shifts and scales that sees nothing: the KL divergence of two normal densities, by hand."""
    teacher = maf(1, blocks=1, hidden=(4,), univariate=Affine(), seed=0)
    student = student_of(teacher, seed=1)
    shift, scale = 0.01, 1.01  # of the student; the teacher has 0 and 1
    for flow, (t, s) in ((teacher, (0.0, 1.0)), (student, (shift, scale))):
        (made,) = mades(flow)
        with torch.no_grad():
            made.output.weight.zero_()
            made.output.bias.copy_(torch.tensor([t, 5 * math.atanh(math.log(s) / 5)]))
    found = BlockDistillation(student, teacher)(torch.zeros(400_000, 1), generator=rng()).item()
    divergence = (scale**2 + shift**2 - 1) / 2 - math.log(scale)
    assert found == pytest.approx(divergence, rel=0.02)


def test_gradients_by_differences_and_of_the_student_alone() -> None:
    teacher = maf(3, 1, blocks=2, hidden=(8,), permutations=[[2, 0, 1]], dropout=0.2, seed=0)
    for index, part in enumerate(mades(teacher)):
        with torch.no_grad():
            part.output.weight.add_(0.3 * torch.randn(part.output.weight.shape, generator=rng(index)))
    student = student_of(teacher, hidden=(11,), dropout=0.0, seed=1)
    objective, x, context = BlockDistillation(student, teacher), torch.zeros(9, 3), torch.randn(9, 1, generator=rng())
    assert {name.split(".")[0] for name in objective.state_dict()} == {"student"}
    assert_gradients(student, lambda: objective(x, context, -context, generator=rng(4)))
    assert all(parameter.grad is None for parameter in teacher.parameters())


def bent(n: int, seed: int) -> torch.Tensor:
    """Each feature bends with the one before it."""
    x = torch.randn(n, 6, generator=rng(seed))
    for d in range(1, 6):
        x[:, d] = 0.6 * x[:, d] + 0.5 * torch.sin(1.5 * x[:, d - 1])
    return x.float()


def test_a_student_becomes_its_teacher_sooner_than_by_the_published_loss() -> None:
    batches, held_out = TensorBatches((bent(3000, 0),), 200), TensorBatches((bent(1000, 1),), 1000, shuffle=False)
    teacher = maf(6, blocks=3, hidden=(32, 32), seed=0).float()
    fit(MaximumLikelihood(teacher), batches, held_out, TrainingConfig(epochs=10, learning_rate=1e-2), seed=1)
    config, found = TrainingConfig(epochs=8, learning_rate=3e-3), {}
    for name, loss, start in (("blocks", BlockDistillation, True), ("published", Distillation, False)):
        objective = loss(student_of(teacher, hidden=(48, 48), from_teacher=start, seed=2), teacher)
        before = objective.kl(20_000, generator=rng(9)).item()
        fit(objective, batches, held_out, config, seed=1)
        found[name] = objective.kl(20_000, generator=rng(9)).item()
        assert found[name] < before
    assert found["blocks"] < 0.01
    assert found["blocks"] < 0.3 * found["published"]


def test_a_student_may_have_other_maps_than_its_teacher() -> None:
    teacher = maf(3, blocks=2, hidden=(8,), univariate=RationalQuadraticSpline(4, 5.0), seed=0)
    other = student_of(maf(3, blocks=2, hidden=(8,), univariate=RationalQuadraticSpline(8, 5.0), seed=1), seed=1)
    assert BlockDistillation(other, teacher)(torch.zeros(50, 3), generator=rng()).item() > 0


def test_pairs_that_do_not_fit() -> None:
    teacher = maf(3, 1, blocks=2, hidden=(8,), seed=0)
    with pytest.raises(DomainError, match="whose networks see the data and a student whose networks see the latents"):
        BlockDistillation(copy.deepcopy(teacher), teacher)
    with pytest.raises(DomainError, match="the student has 4 parts and the teacher 3"):
        BlockDistillation(coupling_flow(3, 1, blocks=3, seed=0), teacher)
    with pytest.raises(DomainError, match="part 2 of the student, Permutation, does not correspond"):
        BlockDistillation(iaf(3, 1, blocks=2, permutations=[[0, 2, 1]], seed=0), teacher)
    with pytest.raises(ContextError, match="a context of width 0 and the teacher of 1"):
        BlockDistillation(student_of(maf(3, blocks=2, seed=0)), teacher)


@pytest.mark.parametrize("residual", [False, True])
@pytest.mark.parametrize("context_features", [0, 2])
def test_a_wider_network_computes_what_it_did(residual: bool, context_features: int) -> None:
    options = {
        "context_features": context_features,
        "context_hidden": 7,
        "residual": residual,
        "activation": torch.tanh,
    }
    made = MADE(9, 5, (12, 12, 12), **options, generator=rng())
    wide = widened(made, (20, 20, 20), dropout=0.0, generator=rng(1))
    x, context = (
        torch.randn(30, 9, generator=rng(2)),
        torch.randn(30, 2, generator=rng(3)) if context_features else None,
    )
    torch.testing.assert_close(wide(x, context), made(x, context))
    torch.testing.assert_close(widened(made, (12, 12, 12), dropout=0.0)(x, context), made(x, context))
    # the added units can learn, and no feature sees what it must not
    wide(x, context).square().sum().backward()
    assert (wide.output.weight.grad.abs().amax(0) > 0).all()
    inputs = x.clone().requires_grad_()
    for part in wide.parameters():
        part.data += 0.1
    (gradient,) = torch.autograd.grad(wide(inputs, context)[:, 4 * 5 : 5 * 5].sum(), inputs)
    assert (gradient[:, :4].abs().amax(0) > 0).all()
    assert (gradient[:, 4:] == 0).all()


@pytest.mark.parametrize("hidden", [(8,), (8, 8, 8), (6, 9)])
def test_layers_that_cannot_hold_the_teachers(hidden: tuple[int, ...]) -> None:
    teacher = maf(3, hidden=(8, 8), seed=0)
    with pytest.raises(DomainError, match=r"hidden layers of \[8, 8\] cannot begin one of .* or from_teacher=False"):
        student_of(teacher, hidden=hidden)
    student_of(teacher, hidden=hidden, from_teacher=False)
