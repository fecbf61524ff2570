"""Fused pointwise chains over any strides and broadcasts."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flambeau.kernels import call, pointwise
from flambeau.kernels.expression import types
from flambeau.kernels.target import Target, named

from . import support
from .conftest import RUNNABLE

CHAIN = (
    ("input", 0), ("input", 1), ("mul", 0, 1), ("constant", 0.5, "float32"), ("add", 2, 3),
    ("relu", 4), ("gt", 0, 1),
)  # fmt: skip


@st.composite
def _arrays(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Two inputs that broadcast, and an output; any of them a strided view."""
    shape = tuple(draw(st.lists(st.integers(0, 20), max_size=4)))
    seed = draw(st.integers(0, 1000))
    rng = np.random.default_rng(seed)

    def array(sizes: tuple[int, ...]) -> np.ndarray:
        order = draw(st.permutations(range(len(sizes))))
        gap = draw(st.sampled_from([1, 1, 2]))
        stored = tuple(sizes[i] for i in order)
        base = rng.standard_normal((*stored[:-1], stored[-1] * gap) if stored else ())
        base = base.astype(np.float32)
        return np.transpose(base[..., ::gap] if stored else base, np.argsort(order))

    other = tuple(1 if draw(st.booleans()) else n for n in shape)[
        draw(st.integers(0, len(shape))) :
    ]
    return array(shape), array(other), array(shape)


@pytest.mark.parametrize("name", RUNNABLE)
@settings(max_examples=40, deadline=None)
@given(arrays=_arrays())
def test_broadcast_and_strides(name: str, arrays: tuple[np.ndarray, ...]) -> None:
    a, b, out = arrays
    flags = np.zeros(out.shape, np.bool_)

    def build(module):
        inputs = [support.operand(a), support.operand(b, out.shape)]
        outputs = [support.operand(out), support.operand(flags)]
        return pointwise.emit(module, "k", out.shape, inputs, outputs, CHAIN, (5, 6))

    support.run(build, a, b, out, flags, target=named(name))
    np.testing.assert_allclose(
        out, np.maximum(a * b + np.float32(0.5), 0), rtol=1e-6, atol=1e-7
    )
    np.testing.assert_array_equal(flags, np.broadcast_to(a > b, out.shape))


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", "int32", "int64"])
@pytest.mark.parametrize("source", ["float32", "float64"])
def test_numbers_that_do_not_fit_wrap_around(target: Target, source: str, dtype: str) -> None:
    x = np.array([-1.5, 300.7, -200, 255.9, 70_000, -70_000, 32_768, 2e9] * 9).astype(source)
    out = np.zeros(x.shape, dtype)

    def build(module):
        nodes = (("input", 0), ("convert", 0, dtype))
        return pointwise.emit(module, "k", x.shape, [support.operand(x)], [support.operand(out)], nodes, (1,))

    support.run(build, x, out, target=target)
    np.testing.assert_array_equal(out, x.astype(np.int64).astype(dtype))


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int32", "int64", "float64", "bool"])
def test_every_dtype(target: Target, dtype: str) -> None:
    rng = np.random.default_rng(1)
    a, b = (rng.integers(0, 2 if dtype == "bool" else 90, 77).astype(dtype) for _ in range(2))
    out = np.zeros_like(a)
    op = {"bool": "xor"}.get(dtype, "sub")
    nodes = (("input", 0), ("input", 1), (op, 0, 1))

    def build(module):
        operands = [support.operand(a), support.operand(b)]
        return pointwise.emit(
            module, "k", a.shape, operands, [support.operand(out)], nodes, (2,)
        )

    support.run(build, a, b, out, target=target)
    np.testing.assert_array_equal(out, a ^ b if dtype == "bool" else a - b)


def test_integer_division_rounds_as_python(target: Target) -> None:
    a = np.array([7, -7, 7, -7, 0, 6], np.int32)
    b = np.array([2, 2, -2, -2, 5, -3], np.int32)
    quotient, rest = np.zeros_like(a), np.zeros_like(a)
    nodes = (("input", 0), ("input", 1), ("floor_divide", 0, 1), ("remainder", 0, 1))

    def build(module):
        ins, outs = [support.operand(a)] * 2, [support.operand(quotient)] * 2
        return pointwise.emit(module, "k", a.shape, ins, outs, nodes, (2, 3))

    support.run(build, a, b, quotient, rest, target=target)
    np.testing.assert_array_equal(quotient, a // b)
    np.testing.assert_array_equal(rest, a % b)


def test_in_place() -> None:
    a = np.arange(1000, dtype=np.float32)
    call.pointwise_chain((("input", 0), ("mul", 0, 0)), [a], [a], (1,))
    np.testing.assert_array_equal(a, np.arange(1000, dtype=np.float32) ** 2)


def test_threads_agree(thread_count: int) -> None:
    rng = np.random.default_rng(2)
    a, b = rng.standard_normal((300, 1001)).astype("f4"), rng.standard_normal(1001).astype("f4")
    out = np.full_like(a, 9)
    call.pointwise_chain(CHAIN, [a, b], [out], (5,))
    np.testing.assert_allclose(
        out, np.maximum(a * b + np.float32(0.5), 0), rtol=1e-6, atol=1e-7
    )


def test_types_must_agree() -> None:
    with pytest.raises(TypeError, match="operands of types"):
        types((("input", 0), ("input", 1), ("add", 0, 1)), ["float32", "int32"])
    with pytest.raises(NotImplementedError, match="no operation 'frobnicate'"):
        types((("input", 0), ("frobnicate", 0)), ["float32"])
