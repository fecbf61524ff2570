"""Sparse tensors against dense arithmetic."""

from __future__ import annotations

import copy
import io
from typing import Any

import numpy as np
import pytest

import flambeau as torch


def _random(rows: int, columns: int, count: int, seed: int = 0) -> tuple[Any, np.ndarray]:
    rng = np.random.default_rng(seed)
    where = np.stack([rng.integers(0, rows, count), rng.integers(0, columns, count)])
    values = rng.standard_normal(count)
    dense = np.zeros((rows, columns))
    np.add.at(dense, tuple(where), values)
    return torch.sparse_coo_tensor(torch.from_numpy(where), torch.from_numpy(values), (rows, columns)), dense


@pytest.mark.parametrize("layout", ["coo", "csr", "csc"])
@pytest.mark.parametrize("seed", range(4))
def test_arithmetic_is_that_of_dense_matrices(layout: str, seed: int) -> None:
    s, a = _random(7, 5, 12, seed)
    other, b = _random(5, 6, 9, seed + 10)
    s = s if layout == "coo" else getattr(s, f"to_sparse_{layout}")()
    x = np.random.default_rng(seed).standard_normal((5, 3))
    for found, wanted in (
        (s @ torch.from_numpy(x), a @ x),
        (torch.from_numpy(x.T) @ s.t(), x.T @ a.T),
        ((s @ other).to_dense(), a @ b),
        ((s + s).to_dense(), 2 * a),
        ((s * 3 - s).to_dense(), 2 * a),
        ((s * torch.from_numpy(a)).to_dense(), a * a),
        (s.t().to_dense(), a.T),
        (s.sum(), a.sum()),
        (torch.sparse.sum(s, 1).to_dense(), a.sum(1)),
        (torch.abs(s).to_dense(), np.abs(a)),
    ):
        np.testing.assert_allclose(found.numpy(), wanted, atol=1e-12)


def test_there_and_back() -> None:
    x = torch.tensor([[[0.0, 1.0], [2.0, 0.0]], [[0.0, 0.0], [0.0, 3.0]]])
    for dims in (1, 2, 3):
        s = x.to_sparse(dims)
        assert (s.sparse_dim(), s.dense_dim()) == (dims, 3 - dims) and s.is_coalesced()
        assert torch.equal(s.to_dense(), x)
    csr = x[0].to_sparse_csr()
    assert csr.crow_indices().tolist() == [0, 1, 2] and csr.col_indices().tolist() == [1, 0]
    assert torch.equal(csr.to_sparse_csc().to_sparse().to_dense(), x[0])


def test_gradients_of_values_and_of_what_they_meet() -> None:
    where = torch.tensor([[0, 1, 1, 0], [1, 0, 2, 1]])
    values = torch.randn(4, dtype=torch.float64, requires_grad=True)
    x = torch.randn(3, 2, dtype=torch.float64, requires_grad=True)

    def product(v: Any, m: Any) -> Any:
        return torch.sparse.mm(torch.sparse_coo_tensor(where, v, (2, 3)).coalesce(), m)

    assert torch.autograd.gradcheck(product, (values, x))
    assert torch.autograd.gradgradcheck(product, (values, x))

    def softmax(v: Any) -> Any:
        return torch.sparse.softmax(torch.sparse_coo_tensor(where, v, (2, 3)), 1).to_dense()

    assert torch.autograd.gradcheck(softmax, (values,))


def test_leaf_keeps_its_pattern_in_the_gradient() -> None:
    s = torch.sparse_coo_tensor([[0, 1], [1, 0]], [1.0, 2.0], (2, 2), requires_grad=True)
    assert s.requires_grad and s.is_leaf
    (s @ torch.tensor([[1.0], [10.0]])).sum().backward()
    assert s.grad.is_sparse and s.grad.to_dense().tolist() == [[0, 10], [1, 0]]


def test_copies_and_files() -> None:
    s, dense = _random(4, 4, 6)
    for again in (copy.deepcopy(s), s.clone(), s.detach()):
        np.testing.assert_array_equal(again.to_dense().numpy(), dense)
    for kept in (s, s.to_sparse_csr()):
        stream = io.BytesIO()
        torch.save({"matrix": kept}, stream)
        stream.seek(0)
        found = torch.load(stream)["matrix"]
        assert found.layout is kept.layout
        np.testing.assert_allclose(found.to_dense().numpy(), kept.to_dense().numpy())


def test_dense_tensors_know_that_they_are_not() -> None:
    x = torch.ones(2)
    assert not x.is_sparse and not x.is_sparse_csr and x.layout is torch.strided
    assert torch.sparse_coo_tensor([[0]], [1.0]).layout is torch.sparse_coo


def test_the_type_names_of_old_programs() -> None:
    from flambeau.sparse.types import TYPES

    made = TYPES["FloatTensor"](torch.tensor([[0, 1], [1, 0]]), torch.tensor([2.0, 3.0]), torch.Size([2, 2]))
    assert made.to_dense().tolist() == [[0, 2], [3, 0]]
    assert isinstance(made, TYPES["FloatTensor"]) and not isinstance(made, TYPES["DoubleTensor"])
    assert not isinstance(made.to_dense(), TYPES["FloatTensor"])
    assert TYPES["LongTensor"](2, 3).to_dense().tolist() == [[0, 0, 0], [0, 0, 0]]
