"""`embedding_bag` against sums, means and maxima of rows that NumPy picks, eagerly and compiled."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import flambeau as torch
import flambeau.nn.functional as F

MODES = ("sum", "mean", "max")
INDICES = [4, 1, 0, 2, 2, 4, 3, 1, 0]
OFFSETS = [0, 3, 3, 8]


def table() -> Any:
    torch.manual_seed(0)
    return torch.randn(5, 3, dtype=torch.float64)


def expected(weight: Any, bags: list[list[int]], mode: str, padding: int | None) -> np.ndarray:
    rows = weight.detach().numpy()
    found = np.zeros((len(bags), rows.shape[1]))
    for place, bag in enumerate(bags):
        kept = [i for i in bag if i != padding]
        if kept:
            found[place] = getattr(rows[kept], mode)(0)
    return found


def bags_of(offsets: list[int], last: bool) -> list[list[int]]:
    ends = offsets[1:] if last else [*offsets[1:], len(INDICES)]
    return [INDICES[a:b] for a, b in zip(offsets, ends, strict=False)]


@pytest.mark.parametrize("padding", [None, 2, 4])
@pytest.mark.parametrize("mode", MODES)
def test_bags_of_any_size(mode: str, padding: int | None) -> None:
    weight, indices = table().requires_grad_(), torch.tensor(INDICES)
    for last in (False, True):
        offsets = torch.tensor(OFFSETS)

        def f(w: Any, i: Any, o: Any, last: bool = last) -> Any:
            return F.embedding_bag(i, w, o, mode=mode, padding_idx=padding, include_last_offset=last)

        wanted = expected(weight, bags_of(OFFSETS, last), mode, padding)
        for g in (f, torch.compile(f, fullgraph=True)):
            found = g(weight, indices, offsets)
            np.testing.assert_allclose(found.detach().numpy(), wanted, rtol=1e-12, atol=1e-15)
        assert torch.autograd.gradcheck(lambda w, f=f, o=offsets: f(w, indices, o), weight) or padding is not None


@pytest.mark.parametrize("padding", [None, 2])
@pytest.mark.parametrize("mode", MODES)
def test_bags_of_one_size(mode: str, padding: int | None) -> None:
    weight, rows = table(), [[2, 2, 2], [1, 2, 4]]
    f = lambda w, i: F.embedding_bag(i, w, mode=mode, padding_idx=padding)
    for g in (f, torch.compile(f, fullgraph=True)):
        found = g(weight, torch.tensor(rows))
        np.testing.assert_allclose(found.numpy(), expected(weight, rows, mode, padding), rtol=1e-12, atol=1e-15)
    assert f(weight, torch.zeros((2, 0), dtype=torch.int64)).tolist() == [[0.0] * 3] * 2


def test_gradients_compiled() -> None:
    indices, offsets = torch.tensor(INDICES), torch.tensor(OFFSETS)
    factors = torch.rand(len(INDICES), dtype=torch.float64)
    for mode in MODES:
        grads = []
        for wrap in (lambda f: f, torch.compile(fullgraph=True)):
            weight = table().requires_grad_()
            own = factors.clone().requires_grad_(mode == "sum")
            given = own if mode == "sum" else None
            f = wrap(lambda w, s, mode=mode: F.embedding_bag(
                indices, w, offsets, mode=mode, padding_idx=1, per_sample_weights=s))  # fmt: skip
            (f(weight, given) ** 2).sum().backward()
            grads.append((weight.grad, own.grad if mode == "sum" else weight.grad))
        for a, b in zip(*grads, strict=True):
            assert torch.allclose(a, b)


def test_no_bags_and_no_indices() -> None:
    weight = table()
    none = torch.tensor([], dtype=torch.int64)
    for mode in MODES:
        assert F.embedding_bag(none, weight, none, mode=mode).shape == (0, 3)
        assert F.embedding_bag(none, weight, torch.tensor([0, 0]), mode=mode).tolist() == [[0.0] * 3] * 2


@pytest.mark.parametrize("wrong", [[1, 3], [0, 10]])
def test_offsets_that_do_not_fit(wrong: list[int]) -> None:
    weight, indices = table(), torch.tensor(INDICES)
    f = lambda o: F.embedding_bag(indices, weight, o)
    compiled = torch.compile(f, fullgraph=True)
    compiled(torch.tensor([0, 3]))
    for g in (f, compiled):
        with pytest.raises(RuntimeError, match=r"offsets\[(0\] has to be 0|-1\] can not be greater)"):
            g(torch.tensor(wrong))
