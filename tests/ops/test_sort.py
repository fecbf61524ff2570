"""Sorting and order statistics: ties, NaN, and gradients through the chosen elements."""

import math

import pytest

import flambeau as torch


def test_equal_elements_keep_their_order():
    x = torch.tensor([2.0, 1.0, 2.0, 1.0])
    assert x.sort()[1].tolist() == [1, 3, 0, 2]
    assert x.sort(descending=True)[1].tolist() == [0, 2, 1, 3]


def test_nan_is_the_largest():
    x = torch.tensor([math.nan, 1.0, 3.0])
    assert x.argsort().tolist() == [1, 2, 0]
    assert x.topk(1).indices.tolist() == [0]
    assert math.isnan(x.median().item())
    assert x.nanmedian().item() == 1.0


def test_the_gradient_goes_to_the_chosen_elements():
    x = torch.tensor([[3.0, 1.0, 2.0]], requires_grad=True)
    x.topk(2)[0].sum().backward()
    assert x.grad.tolist() == [[1.0, 0.0, 1.0]]


def test_k_out_of_range():
    with pytest.raises(RuntimeError, match="out of range"):
        torch.ones(3).topk(4)
    with pytest.raises(RuntimeError, match="out of range"):
        torch.ones(3).kthvalue(0)


def test_scatter_overwrites_and_stops_the_gradient_there():
    x = torch.zeros(2, 3, requires_grad=True)
    index = torch.tensor([[2], [0]])
    out = x.scatter(1, index, 5.0)
    assert out.tolist() == [[0.0, 0.0, 5.0], [5.0, 0.0, 0.0]]
    out.sum().backward()
    assert x.grad.tolist() == [[1.0, 1.0, 0.0], [0.0, 1.0, 1.0]]


def test_index_add_counts_repeated_places():
    x = torch.zeros(3).index_add(0, torch.tensor([1, 1]), torch.ones(2), alpha=2)
    assert x.tolist() == [0.0, 4.0, 0.0]
