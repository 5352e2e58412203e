"""Networks of sets: order and padding change nothing, the number of items is not lost."""

from __future__ import annotations

import pytest
import torch

from hepflows.errors import ShapeError
from hepflows.sets import DeepSet


def net(**more):
    return DeepSet(3, 4, 2, hidden=16, attention=8, heads=2, generator=torch.Generator().manual_seed(0), **more)


def batch():
    rng = torch.Generator().manual_seed(1)
    items, context = torch.randn(6, 5, 3, generator=rng), torch.randn(6, 2, generator=rng)
    mask = torch.arange(5) < torch.tensor([0, 1, 2, 3, 4, 5])[:, None]
    return items, mask, context


def test_order_and_padding_change_nothing():
    items, mask, context = batch()
    model = net()
    expected = model(items, mask, context)
    order = torch.tensor([3, 0, 4, 2, 1])
    torch.testing.assert_close(model(items[:, order], mask[:, order], context), expected)
    torch.testing.assert_close(model(torch.where(mask[..., None], items, torch.nan), mask, context), expected)
    assert bool(expected.isfinite().all())  # the first set is empty


def test_gradients_of_padding_are_zero_and_of_items_are_not():
    items, mask, context = batch()
    items.requires_grad_()
    net()(items, mask, context).square().sum().backward()
    touched = items.grad.abs().sum(-1) > 0
    assert torch.equal(touched, mask)


@torch.no_grad()
def test_number_of_items_is_seen():
    items, _, context = batch()
    same = items[:, :1].expand(-1, 5, -1)
    one, five = torch.tensor([[True] + 4 * [False]]).expand(6, -1), torch.ones(6, 5, dtype=torch.bool)
    assert float((net()(same, one, context) - net()(same, five, context)).abs().min()) > 1e-3


def test_wrong_shapes_are_one_sentence():
    items, mask, context = batch()
    with pytest.raises(ShapeError, match="booleans"):
        net()(items, mask.float(), context)
    with pytest.raises(ShapeError, match=r"items of shape \(N, m, 3\)"):
        net()(items[..., :2], mask, context)
    with pytest.raises(ShapeError, match="context"):
        net()(items, mask)
