"""Shapes, parts, joining, order, diagonals: values against NumPy's own functions."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import flambeau as torch

X = np.arange(24.0).reshape(2, 3, 4)
M = np.arange(12.0).reshape(3, 4)
V = np.arange(4.0)
T = torch.from_numpy

#: ours, NumPy's
SAME: dict[str, tuple[Callable[[], Any], Callable[[], Any]]] = {
    "flip": (lambda: T(X).flip(0, 2), lambda: np.flip(X, (0, 2))),
    "fliplr": (lambda: torch.fliplr(T(M)), lambda: np.fliplr(M)),
    "flipud": (lambda: torch.flipud(T(M)), lambda: np.flipud(M)),
    "roll": (lambda: torch.roll(T(M), (1, -2), (0, 1)), lambda: np.roll(M, (1, -2), (0, 1))),
    "roll flat": (lambda: torch.roll(T(M), 5), lambda: np.roll(M, 5)),
    **{
        f"rot90 {k} {dims}": (
            lambda k=k, dims=dims: torch.rot90(T(X), k, dims), lambda k=k, dims=dims: np.rot90(X, k, dims),
        )
        for k in range(-2, 5)
        for dims in ((0, 1), (2, 0), (-1, 1))
    },
    "hstack": (lambda: torch.hstack([T(M), T(M)]), lambda: np.hstack([M, M])),
    "vstack": (lambda: torch.vstack([T(V), T(M)]), lambda: np.vstack([V, M])),
    "dstack": (lambda: torch.dstack([T(V), T(V)]), lambda: np.dstack([V, V])),
    "column_stack": (lambda: torch.column_stack([T(V), T(M.T)]), lambda: np.column_stack([V, M.T])),
    "tile": (lambda: torch.tile(T(M), (2, 1, 3)), lambda: np.tile(M, (2, 1, 3))),
    "repeat_interleave": (lambda: torch.repeat_interleave(T(M), 2, 1), lambda: np.repeat(M, 2, 1)),
    "repeat_interleave counts": (
        lambda: torch.repeat_interleave(T(M), torch.tensor([2, 0, 3]), 0), lambda: np.repeat(M, [2, 0, 3], 0),
    ),
    "tril": (lambda: torch.tril(T(X), 1), lambda: np.tril(X, 1)),
    "triu": (lambda: torch.triu(T(X), -1), lambda: np.triu(X, -1)),
    "tril_indices": (lambda: torch.tril_indices(4, 3, 1), lambda: np.stack(np.tril_indices(4, 1, 3))),
    "triu_indices": (lambda: torch.triu_indices(4, 3, -1), lambda: np.stack(np.triu_indices(4, -1, 3))),
    "diag": (lambda: torch.diag(T(V), -2), lambda: np.diag(V, -2)),
    "diag of a matrix": (lambda: torch.diag(T(M), 2), lambda: np.diag(M, 2)),
    "diagflat": (lambda: torch.diagflat(T(M), 1), lambda: np.diagflat(M, 1)),
    "trace": (lambda: torch.trace(T(M)), lambda: np.trace(M)),
    "diagonal": (lambda: torch.diagonal(T(X), 1, 2, 0), lambda: np.diagonal(X, 1, 2, 0)),
    "vander": (lambda: torch.vander(T(V), 3), lambda: np.vander(V, 3)),
    "meshgrid": (
        lambda: torch.stack(torch.meshgrid(T(V), T(V[:3]), indexing="xy")), lambda: np.stack(np.meshgrid(V, V[:3])),
    ),
    "cartesian_prod": (
        lambda: torch.cartesian_prod(T(V), T(V[:2])), lambda: np.array(list(itertools.product(V, V[:2]))),
    ),
    "combinations": (
        lambda: torch.combinations(T(V), 3, True),
        lambda: np.array(list(itertools.combinations_with_replacement(V, 3))),
    ),
    "take": (lambda: torch.take(T(M), torch.tensor([[1, -1]])), lambda: np.take(M, [[1, -1]])),
    "take_along_dim": (
        lambda: torch.take_along_dim(T(M), torch.tensor([[2], [0], [1]]), 1),
        lambda: np.take_along_axis(M, np.array([[2], [0], [1]]), 1),
    ),
    "argwhere": (lambda: torch.argwhere(T(M) > 6), lambda: np.argwhere(M > 6)),
    "unravel_index": (
        lambda: torch.stack(torch.unravel_index(torch.tensor([5, 11]), (3, 4))),
        lambda: np.stack(np.unravel_index([5, 11], (3, 4))),
    ),
    "isin": (lambda: torch.isin(T(M), T(V)), lambda: np.isin(M, V)),
    "nan_to_num": (
        lambda: torch.nan_to_num(torch.tensor([np.nan, np.inf, -np.inf, 1.0], dtype=torch.float64)),
        lambda: np.nan_to_num(np.array([np.nan, np.inf, -np.inf, 1.0])),
    ),
    "unfold": (
        lambda: T(M).unfold(1, 2, 2), lambda: np.lib.stride_tricks.sliding_window_view(M, 2, 1)[:, ::2],
    ),
    "block_diag": (
        lambda: torch.block_diag(T(M[:, :2]), T(V)),
        lambda: np.block([[M[:, :2], np.zeros((3, 4))], [np.zeros((1, 2)), V[None]]]),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", SAME)
def test_as_numpy(name: str) -> None:
    ours, theirs = (f() for f in SAME[name])
    assert ours.dtype is torch.from_numpy(np.array(theirs)).dtype
    np.testing.assert_array_equal(ours.numpy(), theirs)


def test_diag_embed_puts_the_diagonal_anywhere() -> None:
    out = torch.diag_embed(T(M), -1, 0, 2)
    assert out.shape == (5, 3, 5)
    np.testing.assert_array_equal(np.diagonal(out.numpy(), -1, 0, 2), M)
    assert out.sum() == M.sum()


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int32", "float16", "bfloat16", "complex64"])
def test_every_dtype_is_moved_unchanged(dtype: str) -> None:
    x = T(M).to(getattr(torch, dtype))
    for moved in (
        torch.flip(x, [0]), torch.tril(x), torch.rot90(x), torch.hstack([x, x]), torch.diag(x),
        torch.as_strided(x, (2, 2), (1, 2)), torch.take(x, torch.tensor([3])), torch.repeat_interleave(x, 2),
        torch.diag_embed(x), torch.block_diag(x, x), torch.slice_scatter(x, x[:1], 0, 1, 2),
    ):  # fmt: skip
        assert moved.dtype is x.dtype
    np.testing.assert_array_equal(torch.rot90(x).float().numpy(), np.rot90(x.float().numpy()))


def test_empty_tensors() -> None:
    empty = torch.zeros(0, 3)
    assert torch.flip(empty, [0, 1]).shape == (0, 3)
    assert torch.tril(empty).shape == (0, 3)
    assert torch.diag_embed(empty).shape == (0, 3, 3)
    assert torch.rot90(empty).shape == (3, 0)
    assert torch.take(empty, torch.zeros(0, 2, dtype=torch.int64)).shape == (0, 2)
    assert torch.repeat_interleave(empty, 2, 1).shape == (0, 6)
    assert torch.cartesian_prod(empty[:, 0], torch.ones(2)).shape == (0, 2)
    assert [p.shape for p in torch.hsplit(empty, 3)] == [(0, 1)] * 3
    assert torch.roll(empty, 1, 0).shape == (0, 3)
    assert torch.masked_scatter(empty, empty > 0, torch.zeros(0)).shape == (0, 3)
    assert torch.combinations(torch.ones(1), 2).shape == (0, 2)
    with pytest.raises(IndexError):
        torch.take(empty, torch.tensor([0]))


def test_negative_zero_survives() -> None:
    x = torch.tensor([-0.0, 1.0])
    for y in (torch.flip(x, [0]).flip(0), torch.cat([x, x])[:2], torch.nan_to_num(x), torch.diag(x).diag(), x.clone()):
        assert torch.signbit(y).tolist() == [True, False]


def test_results_of_indexing_can_be_viewed() -> None:
    """They lie in row-major order, whichever dimension the index is in."""
    x = T(X)
    for part in (x[:, [1, 0]], x[:, :, [0, 1, 2]], x.index_select(1, torch.tensor([0])), x[[0], :, [1]]):
        assert part.is_contiguous()
        part.view(-1)


def test_a_list_of_lists_indexes_several_dimensions() -> None:
    assert T(M)[[[0, 1], [1, 2]]].tolist() == [1.0, 6.0]
    assert T(M)[[0, 1]].shape == (2, 4)


def test_copies_share_no_memory() -> None:
    x = torch.ones(2, 3)
    for copied in (
        torch.alias_copy(x), torch.view_copy(x, (3, 2)), torch.diagonal_copy(x), torch.select_copy(x, 0, 0),
        torch.t_copy(x), *torch.unbind_copy(x), *torch.split_copy(x, 1), torch.narrow_copy(x, 0, 0, 1),
        *torch.unsafe_split(x, 1), *torch.unsafe_chunk(x, 2), torch.as_strided_copy(x, (2,), (1,)),
    ):  # fmt: skip
        assert copied.is_contiguous() and copied._base is None
        copied.add_(1)
    assert x.sum() == 6


def test_numpy_names_of_arguments() -> None:
    x = T(M)
    assert x.sum(axis=1).tolist() == M.sum(1).tolist()
    assert torch.mean(x, axis=0, keepdims=True).shape == (1, 4)
    assert x.max(axis=1).values.tolist() == M.max(1).tolist()
    assert torch.stack([x, x], axis=1).shape == (3, 2, 4)
    assert x.unsqueeze(axis=0).shape == (1, 3, 4)
    with pytest.raises(TypeError):
        x.sum(axes=1)


def test_ops_aten() -> None:
    x = T(M)
    assert torch.ops.aten.add.Tensor(x, x).tolist() == (M + M).tolist()
    assert torch.ops.aten.slice(x, 1, 1, 3).tolist() == M[:, 1:3].tolist()
    assert torch.ops.aten.slice.Tensor(x, 0, -2, None, 2).tolist() == M[-2::2].tolist()
    assert not hasattr(torch.ops.aten, "nonsense")
