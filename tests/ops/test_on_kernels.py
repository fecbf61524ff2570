"""Eager convolutions and poolings on generated kernels equal NumPy's, whatever the threads, every time."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import flambeau as torch
from flambeau.kernels import threads
from flambeau.nn import functional as F
from flambeau.ops import on_kernels

CONVOLUTIONS = {
    "plain": ((2, 3, 20, 22), (8, 3, 3, 3), {}),
    "stride": ((2, 4, 23, 21), (8, 4, 5, 3), {"stride": (2, 3), "padding": (2, 1)}),
    "dilation": ((2, 4, 20, 20), (8, 4, 3, 3), {"dilation": 2, "padding": 2}),
    "groups": ((2, 8, 20, 20), (12, 2, 3, 3), {"groups": 4, "padding": 1}),
    "depthwise": ((3, 16, 20, 20), (16, 1, 3, 3), {"groups": 16, "padding": 1}),
    "one": ((4, 16, 12, 12), (16, 16, 1, 1), {}),
    "line": ((4, 8, 200), (8, 8, 5), {"padding": 2}),
    "same": ((2, 4, 20, 20), (8, 4, 4, 4), {"padding": "same"}),
}
POOLS = {
    "max": lambda x: F.max_pool2d(x, 2),
    "max overlapping": lambda x: F.max_pool2d(x, 3, 2, 1),
    "max ceiling": lambda x: F.max_pool2d(x, 3, 2, ceil_mode=True),
    "average": lambda x: F.avg_pool2d(x, 2),
    "average padded": lambda x: F.avg_pool2d(x, 3, 2, 1, ceil_mode=True, count_include_pad=False),
    "average divisor": lambda x: F.avg_pool2d(x, 3, divisor_override=5),
}


@pytest.fixture(autouse=True)
def every_size(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(on_kernels, "MULTIPLICATIONS", 1)
    monkeypatch.setattr(on_kernels, "ELEMENTS", 1)
    before = threads.get_num_threads()
    yield
    threads.set_num_threads(before)


def gradients(function: Any, *arrays: np.ndarray) -> list[np.ndarray]:
    """The result, the gradients of the inputs, and the second derivatives of their squares."""
    inputs = [torch.from_numpy(a.copy()).requires_grad_() for a in arrays]
    out = function(*inputs)
    first = torch.autograd.grad((out * out).sum(), inputs, create_graph=True)
    second = torch.autograd.grad(sum((g * g).sum() for g in first), inputs)
    return [x.detach().numpy() for x in (out, *first, *second)]


def by_numpy(monkeypatch: pytest.MonkeyPatch, function: Any, *arrays: np.ndarray) -> list[np.ndarray]:
    with monkeypatch.context() as patch:
        patch.setattr(on_kernels, "MULTIPLICATIONS", 1 << 60)
        patch.setattr(on_kernels, "ELEMENTS", 1 << 60)
        return gradients(function, *arrays)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_convolutions(name: str, dtype: type, monkeypatch: pytest.MonkeyPatch) -> None:
    x_shape, w_shape, options = CONVOLUTIONS[name]
    random = np.random.default_rng(0)
    x, w = (random.normal(size=shape).astype(dtype) for shape in (x_shape, w_shape))
    function = {3: F.conv1d, 4: F.conv2d}[x.ndim]
    expected = by_numpy(monkeypatch, lambda x, w: function(x, w, **options), x, w)
    for count in (1, 2, 3, 4):
        threads.set_num_threads(count)
        found = gradients(lambda x, w: function(x, w, **options), x, w)
        for a, b in zip(found, expected, strict=True):
            np.testing.assert_allclose(a, b, atol=(2e-5 if dtype is np.float32 else 1e-12) * np.abs(b).max())


def test_transposed_convolutions(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(0)
    x, w = random.normal(size=(2, 6, 9, 9)), random.normal(size=(6, 4, 4, 4))
    function = lambda x, w: F.conv_transpose2d(x, w, stride=2, padding=1, output_padding=1)
    for a, b in zip(gradients(function, x, w), by_numpy(monkeypatch, function, x, w), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-11 * np.abs(b).max())


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", POOLS)
def test_pools(name: str, dtype: type, monkeypatch: pytest.MonkeyPatch) -> None:
    x = np.random.default_rng(0).normal(size=(2, 5, 19, 17)).astype(dtype)
    expected = by_numpy(monkeypatch, POOLS[name], x)
    for count in (1, 3):
        threads.set_num_threads(count)
        for a, b in zip(gradients(POOLS[name], x), expected, strict=True):
            np.testing.assert_allclose(a, b, atol=1e-6 * np.abs(b).max())


def test_nan_and_unbatched_planes() -> None:
    x = np.random.default_rng(0).normal(size=(3, 8, 8)).astype(np.float32)
    x[1, 2, 3] = np.nan
    found = F.max_pool2d(torch.from_numpy(x), 2).numpy()
    assert np.isnan(found[1, 1, 1]) and np.isnan(found).sum() == 1
    assert F.avg_pool2d(torch.from_numpy(x), 2).shape == (3, 4, 4)


def test_the_same_bits_every_time() -> None:
    random = np.random.default_rng(0)
    x, w = (random.normal(size=s).astype(np.float32) for s in ((8, 8, 24, 24), (16, 8, 3, 3)))
    threads.set_num_threads(2)
    first = gradients(F.conv2d, x, w)
    for _ in range(20):
        for a, b in zip(gradients(F.conv2d, x, w), first, strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(
    ("a", "b"),
    [((7, 9), (9, 5)), ((3, 4, 5), (3, 5, 6)), ((3, 4, 5), (5, 6)), ((2, 1, 4, 5), (3, 5, 6)), ((4, 0), (0, 3))],
    ids=str,
)
def test_products(a: tuple[int, ...], b: tuple[int, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(on_kernels, "PRODUCTS", 0)
    random = np.random.default_rng(0)
    x, y = random.normal(size=a), random.normal(size=b)
    for count in (1, 2, 3):
        threads.set_num_threads(count)
        np.testing.assert_allclose((torch.from_numpy(x) @ torch.from_numpy(y)).numpy(), x @ y, atol=1e-12)
        turned = torch.from_numpy(np.ascontiguousarray(x.swapaxes(-1, -2))).transpose(-1, -2)
        np.testing.assert_allclose((turned @ torch.from_numpy(y)).numpy(), x @ y, atol=1e-12)


def test_small_products_give_the_same_bits_before_and_after_the_pool_starts() -> None:
    program = (
        "import flambeau as t; t.manual_seed(0); t.set_num_threads(2)\n"
        "pairs = [(t.randn(16, 400), t.randn(400, 120)), (t.randn(64, 128), t.randn(128, 128)), (t.randn(100, 100), t.randn(100, 100))]\n"
        "before = [a @ b for a, b in pairs]\n"
        "t.nn.functional.conv2d(t.randn(8, 8, 32, 32), t.randn(8, 8, 3, 3))\n"
        "assert all(t.equal(a @ b, c) for (a, b), c in zip(pairs, before))\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


@pytest.mark.parametrize("shape", [(), (1,), (3, 0), (4, 5)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_the_gate_of_relu(shape: tuple[int, ...], dtype: torch.dtype) -> None:
    x = torch.randn(shape).to(dtype).requires_grad_()
    g = torch.full(shape, float("inf")).to(dtype)
    (found,) = torch.autograd.grad(x.relu(), x, g)
    assert torch.equal(found, torch.where(x > 0, g, torch.zeros_like(g)))
