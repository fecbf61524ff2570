"""Reading, writing and ordering many elements by kernels gives what NumPy gives for few, and the same errors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import ml_dtypes
import numpy as np
import pytest

import flambeau as torch
from flambeau.ops import flat, ordering

DTYPES = ["bool", "uint8", "int16", "int32", "int64", "float16", "bfloat16", "float32", "float64", "complex64", "complex128"]


def _numbers(shape: tuple, dtype: str) -> np.ndarray:
    found = (np.random.default_rng(1).standard_normal(shape) * 9).round()
    return found.astype(ml_dtypes.bfloat16 if dtype == "bfloat16" else dtype)


def _both(monkeypatch: pytest.MonkeyPatch, module: Any, f: Callable[[], np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """What `f` gives by kernels, and without them."""
    with monkeypatch.context() as patch:
        patch.setattr(module, "_familiar", lambda key: True)
        by_kernel = f()
        patch.setattr(module, "_familiar", lambda key: False)
        return by_kernel, f()


def _equal(pair: tuple[np.ndarray, np.ndarray]) -> None:
    a, b = pair
    assert a.shape == b.shape and a.dtype == b.dtype and a.flags.c_contiguous
    assert np.array_equal(a, b)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("dim", [0, 1])
def test_along_a_dimension(monkeypatch: pytest.MonkeyPatch, dtype: str, dim: int) -> None:
    x, src = _numbers((130, 90), dtype), _numbers((110, 90), dtype)
    index = np.random.default_rng(2).integers(0, x.shape[dim], src.shape)
    _equal(_both(monkeypatch, flat, lambda: flat.read_along(x, index, dim)))
    _equal(_both(monkeypatch, flat, lambda: flat.read_along(x.T, index.T, 1 - dim)))
    for op in ("set", "add", "mul", "max", "min"):
        if op == "mul" and "float16" in dtype:
            continue  # products of so many overflow
        with np.errstate(all="ignore"):
            _equal(_both(monkeypatch, flat, lambda op=op: flat.write_along(x, index, src, dim, op)))


@pytest.mark.parametrize("dtype", DTYPES)
def test_at_indices(monkeypatch: pytest.MonkeyPatch, dtype: str) -> None:
    x, rng = _numbers((30, 40, 20), dtype), np.random.default_rng(3)
    i, j = rng.integers(-30, 30, (150, 1)), rng.integers(-20, 20, 70)
    _equal(_both(monkeypatch, flat, lambda: flat.read_at(x, (i, j), (0, 2))))
    _equal(_both(monkeypatch, flat, lambda: flat.read_at(x[:, 1:, ::2], (i,), (1,))))
    _equal(_both(monkeypatch, flat, lambda: flat.write_at(x, (j,), x[:, :1, :1], (2,), "add")))
    _equal(_both(monkeypatch, flat, lambda: flat.write_at(x, (i[:, 0],), x[:1], (0,), "add")))
    one = _numbers((), dtype)
    _equal(_both(monkeypatch, flat, lambda: flat.write_at(x, (i[:25, 0], j[:25]), one, (0, 1), "set")))


def test_out_of_range(monkeypatch: pytest.MonkeyPatch) -> None:
    x, index = _numbers((200, 100), "float32"), np.zeros((200, 100), np.int64)
    index[150, 3] = 200
    message = "index 200 is out of bounds for dimension 0 with size 200"
    for known in (True, False):
        monkeypatch.setattr(flat, "_familiar", lambda key, known=known: known)
        with pytest.raises(RuntimeError, match=message):
            flat.read_along(x, index, 0)
        with pytest.raises(RuntimeError, match=message):
            flat.write_along(x, index, x, 0, "add")
        with pytest.raises(IndexError, match=message):
            flat.write_at(x, (index[:, 3],), x, (0,), "add")
    with pytest.raises(IndexError, match=message):
        torch.from_numpy(x)[torch.from_numpy(index)]


@pytest.mark.parametrize("dtype", [d for d in DTYPES if not d.startswith("complex")])
@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("first", [None, 3])
def test_order(monkeypatch: pytest.MonkeyPatch, dtype: str, descending: bool, first: int | None) -> None:
    x = _numbers((90, 70), dtype)
    if dtype.startswith("float"):
        x.flat[::13] = np.nan
    for dim in (0, 1):
        _equal(_both(monkeypatch, ordering, lambda d=dim: ordering.order(x, descending, first, d)))
    _equal(_both(monkeypatch, ordering, lambda: ordering.order(x.T[:, ::2], descending, first)))


def test_derivatives_of_many() -> None:
    x = torch.randn(100, 90, dtype=torch.float64, requires_grad=True)
    index = torch.randint(0, 100, (100, 90))
    rows = torch.randint(0, 100, (300,))
    (x.gather(0, index) ** 2).sum().backward()
    counts = np.zeros((100, 90))
    np.add.at(counts, (index.numpy(), np.arange(90)[None]), 1)
    assert np.allclose(x.grad.numpy(), 2 * x.detach().numpy() * counts)
    x.grad = None
    (x[rows] ** 2).sum().backward()
    assert np.allclose(x.grad.numpy(), 2 * x.detach().numpy() * np.bincount(rows.numpy(), minlength=100)[:, None])


def test_changed_where_it_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    """In place, by kernels and without: whole tensors, views, repeated positions, values from the same memory."""
    index, many = torch.tensor([3, 0, 3]), torch.randint(0, 200, (400,))
    grid = torch.randint(0, 100, (200, 100))
    cases: list[Callable] = [
        lambda x: x.__setitem__(index, 2.5),
        lambda x: x.__setitem__((slice(None), index), x[:, :3] * 2),
        lambda x: x.__setitem__(index, x[1:4]),
        lambda x: x[:, 1:].__setitem__((index, 4), 7.0),
        lambda x: x.t().__setitem__(index, x[:3, 5:6]),
        lambda x: x.index_put_((index,), x[:3], accumulate=True),
        lambda x: x.index_put_((many, many % 100), x[0, :1], True),
        lambda x: x.index_add_(0, many, x[:1].expand(400, 100), alpha=2),
        lambda x: x.index_add_(1, index, x[:, :3]),
        lambda x: x.index_copy_(0, torch.arange(190), x[10:]),
        lambda x: x[::2].index_copy_(1, index, x[:100, 7:10]),
        lambda x: x.scatter_(1, grid, 3.0),
        lambda x: x.scatter_add_(1, grid, x),
        lambda x: x[:, 1:].scatter_add_(0, grid[:50, :30] + 100, x[20:80, :40]),
        lambda x: x.scatter_(0, index[:, None], x[5:8, :1]),
    ]
    for dtype in (torch.float32, torch.bfloat16, torch.int64):
        start = (torch.randn(200, 100) * 9).to(dtype)
        for case in cases:
            found = []
            for known in (True, False):
                with monkeypatch.context() as patch:
                    patch.setattr(flat, "_familiar", lambda key, known=known: known)
                    x = start.clone()
                    memory = x.data_ptr()
                    case(x)
                    assert x.data_ptr() == memory and x._version > 0
                    found.append(x)
            slowly = start.clone().requires_grad_(dtype.is_floating_point)
            with torch.set_grad_enabled(slowly.requires_grad):
                x = slowly * 1  # a history, which takes the long way
                case(x)
            assert torch.equal(found[0], found[1])
            assert torch.equal(found[0], x.detach())


def test_a_wrong_position_changes_nothing() -> None:
    x = torch.randn(20, 3)
    before = x.clone()
    wrong = torch.tensor([0, 20])
    for change in (
        lambda: x.__setitem__(wrong, 1.0),
        lambda: x.index_put_((wrong,), torch.ones(2, 3)),
        lambda: x.index_copy_(0, wrong, torch.ones(2, 3)),
    ):
        with pytest.raises(IndexError, match="index 20 is out of bounds"):
            change()
    with pytest.raises(RuntimeError, match="index 20 is out of bounds"):
        x.index_add_(0, wrong, torch.ones(2, 3))
    for change in (lambda: x.scatter_(0, wrong[:, None], 1.0), lambda: x.scatter_add_(0, wrong[:, None], torch.ones(2, 1))):
        with pytest.raises(RuntimeError, match="index 20 is out of bounds"):
            change()
    assert torch.equal(x, before) and x._version == 0


def test_what_was_saved_is_known_to_have_changed() -> None:
    w, x = torch.randn(4, requires_grad=True), torch.randn(4)
    y = w * x
    x[torch.tensor([1, 2])] = 0.0
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.sum().backward()
