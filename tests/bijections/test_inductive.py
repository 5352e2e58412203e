"""Blocks conditioned on those before them: what each sees, and that sharing changes nothing but the weights."""

from __future__ import annotations

import pytest
import torch

from hepflows.bijections import Inductive
from hepflows.errors import ContextError, ShapeError
from hepflows.zoo import inductive_flow, maf

WIDTHS = [2, 3, 1, 2]


def sees(window: int, widths: list[int], *, share: bool) -> torch.Tensor:
    """(blocks, blocks) whether the latents of the first depend on the data of the second."""
    flow = inductive_flow(widths, 1, window=window, share=share, blocks=2, hidden=(16,), seed=3).double()
    for parameter in flow.parameters():
        parameter.data += 0.2 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1))
    x = torch.randn(1, sum(widths), dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    context = torch.ones(1, 1, dtype=torch.float64)
    back = flow.bijection.inverse(flow.bijection(x, context)[0], context)[0]
    torch.testing.assert_close(back, x, atol=1e-4, rtol=0)  # the splines are steep
    jacobian = torch.autograd.functional.jacobian(lambda x: flow.bijection(x, context)[0][0], x)[:, 0]
    blocks = [block.split(widths, 1) for block in jacobian.split(widths, 0)]
    return torch.tensor([[bool((part != 0).any()) for part in row] for row in blocks])


@pytest.mark.parametrize(
    ("widths", "share"), [(WIDTHS, False), ([2, 2, 2, 2], True), ([1, 3, 3, 3], True), ([4, 2, 2, 2], True)]
)
@pytest.mark.parametrize("window", [1, 2, 3])
def test_a_block_sees_itself_and_the_window_before_it(window: int, widths: list[int], share: bool) -> None:
    distance = torch.arange(4)[:, None] - torch.arange(4)
    assert torch.equal(sees(window, widths, share=share), (distance >= 0) & (distance <= window))


def test_the_density_is_the_product_of_the_steps() -> None:
    flow = inductive_flow([2, 2, 2], 1, share=True, blocks=1, hidden=(8,), seed=5)
    first, other, same = flow.bijection.bijections
    assert other is same
    x, context = torch.randn(4, 6), torch.randn(4, 1)
    total, latents = torch.zeros(4), []
    for block, bijection in enumerate((first, other, other)):
        given = [context]
        if block:
            place = torch.zeros(4, 3)
            place[:, block] = 1
            given += [x[:, 2 * block - 2 : 2 * block], place]
        z, ladj = bijection(x[:, 2 * block : 2 * block + 2], torch.cat(given, 1))
        latents.append(z)
        total = total + ladj
    torch.testing.assert_close(flow.log_prob(x, context), total + flow.base.log_prob(torch.cat(latents, 1)))


def test_shared_weights_hardly_grow_with_the_number_of_blocks() -> None:
    def weights(blocks: int, share: bool) -> int:
        flow = inductive_flow([3] * blocks, 1, share=share, blocks=1, hidden=(8,))
        return sum(parameter.numel() for parameter in flow.parameters())

    assert weights(12, True) - weights(8, True) == weights(8, True) - weights(4, True)  # inputs that tell the place
    assert weights(12, True) < 1.1 * weights(4, True)
    assert weights(12, False) > 2.5 * weights(4, False)


def test_bijections_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ContextError, match="block 1 of 2 is conditioned on 3 numbers but its bijection takes 2"):
        Inductive([maf(2, 1).bijection, maf(2, 2).bijection], 1)
    with pytest.raises(ShapeError, match="at least one bijection and window >= 1"):
        Inductive([], 1)
    with pytest.raises(ShapeError, match=r"must be of one width, got \[3, 4\]: make them equal, or set share=False"):
        inductive_flow([3, 3, 4], share=True)
