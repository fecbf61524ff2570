"""Tensors from nothing: ranges, strides, and the errors of bad arguments."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import flambeau as torch


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64", "int64", "int8"])
@pytest.mark.parametrize("steps", [0, 1, 2, 7, 50])
def test_linspace_is_symmetric_and_exact_at_its_ends(dtype: str, steps: int) -> None:
    x = torch.linspace(-3, 5, steps, dtype=getattr(torch, dtype))
    assert x.dtype is getattr(torch, dtype) and x.shape == (steps,)
    if steps > 1:
        assert x[0] == -3 and x[-1] == 5
        back = torch.linspace(5, -3, steps, dtype=x.dtype)
        half = steps // 2  # each half is counted from its own end
        assert torch.equal(x.flip(0)[:half], back[:half]) and torch.equal(x.flip(0)[-half:], back[-half:])
        exact = np.linspace(-3, 5, steps)
        limit = {"float16": 1e-2, "bfloat16": 1e-1, "float32": 1e-6, "float64": 1e-14}.get(dtype, 1)
        assert np.abs(x.double().numpy() - exact).max() <= limit


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_arange_of_fractions(dtype: str) -> None:
    x = torch.arange(-1.7, 9.1, 0.37, dtype=getattr(torch, dtype))
    np.testing.assert_allclose(x.numpy(), np.arange(-1.7, 9.1, 0.37), rtol=1e-6, atol=1e-6)
    assert torch.arange(0, 100_000, dtype=x.dtype)[-1] == 99_999
    assert torch.arange(5, 0, -2).tolist() == [5, 3, 1]
    assert torch.arange(0.0, 1.0, 0.25).tolist() == [0, 0.25, 0.5, 0.75]


def test_arange_of_whole_numbers_takes_whole_bounds() -> None:
    assert torch.arange(-0.9, 2.1, 2.0, dtype=torch.int64).tolist() == [0]
    with pytest.raises(RuntimeError, match="step must be nonzero"):
        torch.arange(0, 3, 0)
    with pytest.raises(ValueError, match="step must be nonzero"):
        torch.arange(0, 3, 0.5, dtype=torch.int64)
    with pytest.raises(RuntimeError, match="inconsistent with step sign"):
        torch.arange(0, 3, -1)


def test_logspace() -> None:
    np.testing.assert_allclose(torch.logspace(-2, 2, 5).numpy(), np.logspace(-2, 2, 5), rtol=1e-6)
    assert torch.logspace(0, 5.7, 2, 3, dtype=torch.int64).tolist() == [1, 243]


def test_strides() -> None:
    x = torch.empty_strided((2, 3), (1, 4))
    assert x.stride() == (1, 4) and x.shape == (2, 3)
    assert torch.empty_permuted((2, 3, 4), (0, 2, 1)).stride() == (12, 1, 3)
    like = torch.zeros_like(torch.ones(2, 3).t())
    assert like.stride() == (1, 3)
    with pytest.raises(RuntimeError, match="must match dimensionality of strides"):
        torch.empty_strided((2, 3), (1,))
    with pytest.raises(RuntimeError, match="Duplicate dim"):
        torch.empty_permuted((2, 3), (0, 0))


@pytest.mark.parametrize("make", [torch.ones, torch.empty, torch.rand, torch.randn])
def test_negative_sizes(make: object) -> None:
    with pytest.raises(RuntimeError, match="negative dimension -3"):
        make(2, -3)  # type: ignore[operator]


def test_out_and_gradients_do_not_mix() -> None:
    p = torch.full((2,), 0.5, requires_grad=True)
    for call in (
        lambda out: torch.bernoulli(p, out=out), lambda out: torch.normal(p, 1.0, out=out),
        lambda out: torch.take(p, torch.tensor([0, 1]), out=out),
    ):  # fmt: skip
        with pytest.raises(RuntimeError, match="don't support automatic differentiation"):
            call(torch.empty(2))


def test_division_that_rounds_is_flat() -> None:
    x = torch.tensor([5.0, -7.0], requires_grad=True)
    y = torch.tensor([2.0, 2.0], requires_grad=True)
    for mode, wanted in (("floor", [2.0, -4.0]), ("trunc", [2.0, -3.0])):
        out = torch.div(x, y, rounding_mode=mode)
        assert out.tolist() == wanted
        grads = torch.autograd.grad(out.sum(), (x, y))
        assert [g.tolist() for g in grads] == [[0, 0], [0, 0]]


def test_asarray_shares_memory_where_it_can() -> None:
    array = np.arange(3.0)
    assert torch.asarray(array).data_ptr() == array.ctypes.data
    assert torch.asarray(array, copy=True).data_ptr() != array.ctypes.data
    assert torch.asarray(array, dtype=torch.int32).dtype is torch.int32
    assert torch.asarray(bytearray(8), dtype=torch.int32).tolist() == [0, 0]
    assert torch.asarray([1, 2]).tolist() == [1, 2] and torch.asarray(3).item() == 3
    x = torch.ones(2, requires_grad=True)
    assert torch.asarray(x) is x and not torch.asarray(x, requires_grad=False).requires_grad
    for refused in (lambda: torch.asarray([1], copy=False), lambda: torch.asarray(array, dtype=torch.int8, copy=False)):
        with pytest.raises(ValueError, match="can't alias"):
            refused()


def test_memory_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "numbers"
    np.arange(4, dtype=np.float32).tofile(path)
    private, shared = (torch.from_file(str(path), s, 4) for s in (False, True))
    private.add_(1)
    assert np.fromfile(path, np.float32).tolist() == [0, 1, 2, 3]
    shared.mul_(2)
    del shared
    assert np.fromfile(path, np.float32).tolist() == [0, 2, 4, 6]


def test_the_default_device_and_type() -> None:
    assert torch.get_default_device() == torch.device("cpu")
    torch.set_default_device("cpu")
    with pytest.raises(NotImplementedError):
        torch.set_default_device("cuda")
    with torch.device("cpu"):
        assert torch.ones(1).device.type == "cpu"
    torch.set_default_tensor_type("torch.DoubleTensor")
    try:
        assert torch.ones(1).dtype is torch.float64
    finally:
        torch.set_default_tensor_type(torch.FloatTensor)
    with pytest.raises(TypeError):
        torch.set_default_tensor_type("torch.cuda.FloatTensor")
