"""`assert_close` and `make_tensor`."""

from __future__ import annotations

from typing import Any

import pytest

import flambeau as torch
from flambeau.testing import assert_close, make_tensor

T = torch.tensor
nan = float("nan")


@pytest.mark.parametrize(
    ("actual", "expected", "options"),
    [
        (T([1.0, 2.0]), T([1.0, 2.0 + 1e-6]), {}),
        (T([1.0]), T([1.0], dtype=torch.float64), {"check_dtype": False}),
        (T([nan]), T([nan]), {"equal_nan": True}),
        (T([1.0]), T([1.1]), {"rtol": 0.2, "atol": 0}),
        ([T(1.0), {"a": (2, None, True)}], [T(1.0), {"a": (2, None, True)}], {}),
        (T([1.0], requires_grad=True), T([1.0]), {}),
        (torch.ones(0), torch.ones(0), {}),
        (1.0, 1.0 + 1e-9, {}),
    ],
)
def test_equal(actual: Any, expected: Any, options: dict) -> None:
    assert_close(actual, expected, **options)


@pytest.mark.parametrize(
    ("actual", "expected", "text"),
    [
        (
            T([1.0, 2.0, 3.0]),
            T([1.0, 2.0, 3.5]),
            "Tensor-likes are not close!\n\nMismatched elements: 1 / 3 (33.3%)\n"
            "Greatest absolute difference: 0.5 at index (2,) (up to 1e-05 allowed)\n"
            "Greatest relative difference: 0.1428571492433548 at index (2,) (up to 1.3e-06 allowed)",
        ),
        (
            T([[1, 2], [3, 4]]),
            T([[1, 2], [4, 4]]),
            "Tensor-likes are not equal!\n\nMismatched elements: 1 / 4 (25.0%)\n"
            "Greatest absolute difference: 1 at index (1, 0)\n"
            "Greatest relative difference: 0.25 at index (1, 0)",
        ),
        (
            T(1.0),
            T(2.0),
            "Scalars are not close!\n\nExpected 2.0 but got 1.0.\n"
            "Absolute difference: 1.0 (up to 1e-05 allowed)\n"
            "Relative difference: 0.5 (up to 1.3e-06 allowed)",
        ),
        (
            torch.ones(2),
            torch.ones(3),
            "The values for attribute 'shape' do not match: torch.Size([2]) != torch.Size([3]).",
        ),
        (
            T([1.0]),
            T([1]),
            "The values for attribute 'dtype' do not match: torch.float32 != torch.int64.",
        ),
        (True, False, "Booleans mismatch: True is not False"),
        ([1], [1, 2], "The length of the sequences mismatch: 1 != 2"),
    ],
)
def test_different(actual: Any, expected: Any, text: str) -> None:
    with pytest.raises(AssertionError) as caught:
        assert_close(actual, expected)
    assert str(caught.value) == text


def test_where_it_failed_and_messages() -> None:
    with pytest.raises(AssertionError, match=r"The failure occurred for item \['b'\]\[0\]"):
        assert_close({"a": T(1.0), "b": [T(2.0)]}, {"a": T(1.0), "b": [T(3.0)]})
    with pytest.raises(AssertionError, match="^mine$"):
        assert_close(1.0, 2.0, msg="mine")
    with pytest.raises(AssertionError, match="^mine: Scalars are not close!"):
        assert_close(1.0, 2.0, msg=lambda text: "mine: " + text)


def test_misuse() -> None:
    with pytest.raises(
        ValueError, match="must be either specified or omitted, but got no atol"
    ):
        assert_close(1.0, 1.0, rtol=0.1)
    with pytest.raises(TypeError, match="No comparison pair was able to handle"):
        assert_close("a", 1)


def test_make_tensor() -> None:
    torch.manual_seed(3)
    x = make_tensor(3, 4, dtype=torch.float32, low=-1, high=1, noncontiguous=True)
    assert x.shape == (3, 4) and x.stride() == (8, 2) and x.min() >= -1 and x.max() < 1
    for d in (torch.int8, torch.uint8, torch.bool, torch.complex64, torch.bfloat16):
        assert make_tensor((2, 3), dtype=d).dtype is d
    assert (make_tensor(100, dtype=torch.int64, low=0, high=2, exclude_zero=True) == 1).all()
    assert make_tensor(2, dtype=torch.float64, requires_grad=True).requires_grad
    for options in ({"low": 3, "high": 1}, {"low": nan}, {"low": 1e39}):
        with pytest.raises(ValueError):
            make_tensor(2, dtype=torch.float32, **options)
    with pytest.raises(ValueError, match="not supported for boolean and integral"):
        make_tensor(2, dtype=torch.int64, requires_grad=True)
