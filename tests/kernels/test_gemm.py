"""Matrix products: transposes, batches, fringes, epilogues, dtypes."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flambeau.kernels import call, gemm
from flambeau.kernels.target import Target, named

from . import support
from .conftest import RUNNABLE

TOLERANCE = {"float32": 2e-6, "float64": 1e-14, "float16": 2e-3, "bfloat16": 2e-2, "int64": 0}


def _matrix(rng: np.random.Generator, shape: tuple[int, ...], turned: bool, dtype: str):
    stored = shape[:-2] + shape[:-3:-1] if turned else shape
    scale = 9 if dtype.startswith("int") else 1
    kind = ml_dtypes.bfloat16 if dtype == "bfloat16" else dtype
    made = (rng.standard_normal(stored) * scale).astype(kind)
    return np.swapaxes(made, -1, -2) if turned else made


def _check(name, a, b, out, epilogue=(("input", 0),), extras=()) -> None:
    batch, (m, n), k = out.shape[:-2], out.shape[-2:], a.shape[-1]

    def build(module):
        return gemm.emit(
            module, "k", m, n, k, support.operand(a, (*batch, m, k)),
            support.operand(b, (*batch, k, n)), support.operand(out), batch, epilogue,
            [support.operand(e, out.shape) for e in extras],
        )  # fmt: skip

    support.run(build, a, b, *extras, out, target=named(name))


@pytest.mark.parametrize("name", RUNNABLE)
@settings(max_examples=30, deadline=None)
@given(
    m=st.integers(1, 70), n=st.integers(1, 80), k=st.integers(1, 90), turn_a=st.booleans(),
    turn_b=st.booleans(), dtype=st.sampled_from(["float32", "float64", "int64"]),
)  # fmt: skip
def test_any_shape(
    name: str, m: int, n: int, k: int, turn_a: bool, turn_b: bool, dtype: str
) -> None:
    rng = np.random.default_rng(m * n * k)
    a, b = _matrix(rng, (m, k), turn_a, dtype), _matrix(rng, (k, n), turn_b, dtype)
    out = np.full((m, n), 77, dtype)
    _check(name, a, b, out)
    support.close(out, a.astype(np.float64) @ b.astype(np.float64), TOLERANCE[dtype])


@pytest.mark.parametrize(
    "shape", [(130, 300, 600), (33, 65, 520), (3, 200, 900), (256, 32, 257)]
)
@pytest.mark.parametrize("turn_b", [False, True])
def test_long_and_large(target: Target, shape: tuple[int, int, int], turn_b: bool) -> None:
    m, n, k = shape
    rng = np.random.default_rng(0)
    a, b = _matrix(rng, (m, k), False, "float32"), _matrix(rng, (k, n), turn_b, "float32")
    out = np.zeros((m, n), np.float32)
    _check(target.name, a, b, out)
    support.close(out, a.astype(np.float64) @ b.astype(np.float64), 4e-6)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_halves(target: Target, dtype: str) -> None:
    rng = np.random.default_rng(0)
    a, b = _matrix(rng, (17, 300), False, dtype), _matrix(rng, (300, 35), True, dtype)
    out = np.zeros((17, 35), a.dtype)
    _check(target.name, a, b, out)
    support.close(out, a.astype(np.float64) @ b.astype(np.float64), TOLERANCE[dtype])


def test_bias_and_activation(target: Target) -> None:
    rng = np.random.default_rng(0)
    a, b = _matrix(rng, (20, 300), False, "float32"), _matrix(rng, (300, 42), True, "float32")
    bias, out = rng.standard_normal(42).astype("f4"), np.zeros((20, 42), np.float32)
    nodes = (("input", 0), ("input", 1), ("add", 0, 1), ("relu", 2))
    _check(target.name, a, b, out, nodes, [bias])
    support.close(out, np.maximum(a.astype(np.float64) @ b + bias, 0), 2e-6)


def test_batches_broadcast(target: Target) -> None:
    rng = np.random.default_rng(0)
    a, b = (
        _matrix(rng, (3, 4, 20, 30), False, "float32"),
        _matrix(rng, (4, 30, 50), True, "float32"),
    )
    out = np.zeros((3, 4, 20, 50), np.float32)
    _check(target.name, a, b, out)
    support.close(out, a.astype(np.float64) @ b, 2e-6)


def test_threads_agree_to_the_bit() -> None:
    from flambeau.kernels import threads

    rng = np.random.default_rng(0)
    a, b = _matrix(rng, (500, 400), False, "float32"), _matrix(rng, (400, 300), True, "float32")
    before, seen = threads.get_num_threads(), []
    for count in (1, 2, 3, 4, 2):
        threads.set_num_threads(count)
        out = np.zeros((500, 300), np.float32)
        call.matmul(a, b, out)
        seen.append(out)
    threads.set_num_threads(before)
    support.close(seen[0], a.astype(np.float64) @ b, 4e-6)
    for other in seen[1:]:
        np.testing.assert_array_equal(other, seen[0])


def test_empty_sums_are_zero() -> None:
    out = np.full((4, 5), 3, np.float32)
    call.matmul(np.zeros((4, 0), np.float32), np.zeros((0, 5), np.float32), out)
    assert not out.any()
