"""Compiled programs look at the indices that they are given: wrong ones raise eager's errors, and change nothing."""

from __future__ import annotations

import pytest

import flambeau as torch
import flambeau.nn.functional as F
from flambeau import nn


def _training() -> tuple:
    torch.manual_seed(0)
    net = nn.Linear(4, 3)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)

    @torch.compile(fullgraph=True)
    def step(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        optimizer.zero_grad()
        loss = F.cross_entropy(net(x), y)
        loss.backward()
        optimizer.step()
        return loss

    return net, step


def test_targets_that_are_no_class() -> None:
    net, step = _training()
    x, y = torch.randn(5, 4), torch.tensor([0, 1, 2, 0, -100])
    step(x, y)
    before = net.weight.detach().clone()
    for wrong in (3, -1):
        bad = y.clone()
        bad[2] = wrong
        with pytest.raises(IndexError, match=f"Target {wrong} is out of bounds"):
            step(x, bad)
        assert torch.equal(net.weight, before)
    step(x, y)
    assert not torch.equal(net.weight, before)


def test_the_first_call_too() -> None:
    _, step = _training()
    with pytest.raises(IndexError, match="Target 7"):
        step(torch.randn(2, 4), torch.tensor([0, 7]))


def test_a_view_is_looked_at_and_not_what_it_leaves_out() -> None:
    @torch.compile(fullgraph=True)
    def loss(logits: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
        return F.cross_entropy(logits, tokens[1:].view(-1), ignore_index=-1)

    tokens = torch.tensor([[99, 0, 4], [3, -1, 2]])
    expected = F.cross_entropy(torch.zeros(3, 5), tokens[1], ignore_index=-1)
    assert torch.allclose(loss(torch.zeros(3, 5), tokens), expected)
    tokens[1, 2] = 5
    with pytest.raises(IndexError, match="Target 5"):
        loss(torch.zeros(3, 5), tokens)


@pytest.mark.parametrize("wrong", [-1, 6])
def test_rows_of_an_embedding(wrong: int) -> None:
    weight = torch.randn(6, 2)
    for function in (lambda i, w: F.embedding(i, w), lambda i, w: w.index_select(0, i)):
        compiled = torch.compile(function, fullgraph=True)
        index = torch.tensor([0, 5, 1])
        assert torch.equal(compiled(index, weight), function(index, weight))
        index[1] = wrong
        with pytest.raises(IndexError, match="index out of range in self"):
            compiled(index, weight)
