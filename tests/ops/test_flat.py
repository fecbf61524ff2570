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
