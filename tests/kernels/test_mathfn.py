"""Transcendental functions: within 2 ulp in f32, and what becomes of NaN, infinity, zero."""

from __future__ import annotations

import math

import numpy as np
import pytest

from flambeau.kernels import pointwise
from flambeau.kernels.target import Target

from . import support

# How many ulp each may be off, f32 and f64.
FUNCTIONS = {
    "exp": (np.exp, 2, 2), "exp2": (np.exp2, 2, 2), "expm1": (np.expm1, 2, 2),
    "log": (np.log, 2, 2), "log2": (np.log2, 2, 2), "log10": (np.log10, 2, 3),
    "log1p": (np.log1p, 2, 3), "tanh": (np.tanh, 2, 3), "sinh": (np.sinh, 3, 4),
    "cosh": (np.cosh, 2, 3), "sin": (np.sin, 2, 2), "cos": (np.cos, 2, 2),
    "tan": (np.tan, 2, 2), "sqrt": (np.sqrt, 0.5, 0.5),
    "rsqrt": (lambda x: 1 / np.sqrt(x), 2, 2), "asin": (np.arcsin, 2, 2),
    "atan": (np.arctan, 2, 2), "reciprocal": (lambda x: 1 / x, 0.5, 0.5),
    "sigmoid": (lambda x: np.where(x < 0, np.exp(np.minimum(x, 0)), 1)
                / (1 + np.exp(-np.abs(x))), 2, 3),
    "erf": (np.vectorize(math.erf, otypes=[np.longdouble]), 2, 2),
}  # fmt: skip


def evaluate(op: str, target: Target, *inputs: np.ndarray) -> np.ndarray:
    out = np.zeros_like(inputs[0])
    count = len(inputs)
    nodes = (*(("input", k) for k in range(count)), (op, *range(count)))

    def build(module):
        ins = [support.operand(x) for x in inputs]
        return pointwise.emit(
            module, "k", out.shape, ins, [support.operand(out)], nodes, (count,)
        )

    support.run(build, *inputs, out, target=target)
    return out


def ulps(actual: np.ndarray, exact: np.ndarray) -> np.ndarray:
    """Distance in units of the last place of the exact result; agreeing specials count 0."""
    kind = actual.dtype.type
    with np.errstate(all="ignore"):
        nearest = exact.astype(kind)
        unit = np.spacing(np.abs(nearest)).astype(np.longdouble)
        distance = np.abs(actual.astype(np.longdouble) - exact) / unit
    same = (actual == nearest) | (np.isnan(actual) & np.isnan(nearest))
    # Where the exact result is beyond the largest number, that number is as good as infinity.
    edge = np.isinf(nearest) & (np.abs(actual) >= np.finfo(kind).max)
    distance = np.where(same | edge, 0, distance)
    return np.where(np.isnan(distance), np.inf, distance)


def samples(kind: type, count: int = 200_000) -> np.ndarray:
    """Dense near zero, on all magnitudes, on both sides, with the special numbers."""
    rng = np.random.default_rng(0)
    info = np.finfo(kind)
    spread = np.exp(rng.uniform(np.log(info.tiny), np.log(info.max), count // 4))
    parts = [
        rng.uniform(-2, 2, count // 4), rng.uniform(-100, 100, count // 4), spread, -spread,
        [0.0, -0.0, np.inf, -np.inf, np.nan, 1.0, -1.0, info.max, info.tiny, info.tiny / 8],
        1 + rng.uniform(-1e-3, 1e-3, count // 8),
    ]  # fmt: skip
    return np.concatenate(parts).astype(kind)


@pytest.mark.parametrize("op", sorted(FUNCTIONS))
def test_f32(target: Target, op: str) -> None:
    reference, bound, _ = FUNCTIONS[op]
    x = samples(np.float32)
    with np.errstate(all="ignore"):
        exact = reference(x.astype(np.float64)).astype(np.longdouble)
    off = ulps(evaluate(op, target, x), exact)
    worst = int(off.argmax())
    assert off[worst] <= bound, f"{op}({x[worst]!r}) is {off[worst]:.2f} ulp off"


@pytest.mark.parametrize("op", sorted(FUNCTIONS))
def test_f64(target: Target, op: str) -> None:
    reference, _, bound = FUNCTIONS[op]
    x = samples(np.float64, 40_000)
    if op in ("sin", "cos", "tan"):
        x = x[~(np.abs(x) > 1e15)]  # NumPy's long double has no exact reduction there
    with np.errstate(all="ignore"):
        exact = reference(x.astype(np.longdouble)).astype(np.longdouble)
    off = ulps(evaluate(op, target, x), exact)
    worst = int(off.argmax())
    assert off[worst] <= bound, f"{op}({x[worst]!r}) is {off[worst]:.2f} ulp off"


def test_powers(target: Target) -> None:
    rng = np.random.default_rng(0)
    special = np.array([0, -0.0, 1, -1, 2, -2, 3, 0.5, -0.5, np.inf, -np.inf, np.nan, 1e-30])
    x, y = (a.ravel() for a in np.meshgrid(special, special))
    x = np.concatenate([x, rng.uniform(0, 9, 50_000), rng.uniform(-9, 9, 5_000)])
    y = np.concatenate([y, rng.uniform(-30, 30, 50_000), rng.integers(-9, 9, 5_000)])
    for kind, bound in ((np.float32, 2), (np.float64, 1)):
        a, b = x.astype(kind), y.astype(kind)
        with np.errstate(all="ignore"):
            exact = np.power(a.astype(np.longdouble), b.astype(np.longdouble))
        off = ulps(evaluate("pow", target, a, b), exact)
        worst = int(off.argmax())
        assert off[worst] <= bound, f"pow({a[worst]!r}, {b[worst]!r}): {off[worst]:.2f} ulp"


@pytest.mark.parametrize("op", ["relu", "abs", "gelu", "silu", "softplus", "sigmoid"])
def test_nan_stays_nan(target: Target, op: str) -> None:
    x = np.array([np.nan] * 5 + [1.0, -1.0, 0.0], np.float32)
    out = evaluate(op, target, x)
    assert np.isnan(out[:5]).all() and np.isfinite(out[5:]).all()


def test_of_no_number_the_sign_is_zero(target: Target) -> None:
    found = evaluate("sign", target, np.array([np.nan, np.inf, -2.0, -0.0, 3.0], np.float32))
    assert found.tolist() == [0, 1, -1, 0, 1]


def test_floor_division_as_python(target: Target) -> None:
    rng = np.random.default_rng(0)
    special = np.array([0.1, 0.3, 1, -1, 2, -2, 3, 6, np.inf, -np.inf, np.nan, 0.7])
    x, y = (a.ravel() for a in np.meshgrid(np.append(special, 0), special))
    x, y = np.concatenate([x, rng.uniform(-9, 9, 1000)]), np.concatenate([y, rng.uniform(-1, 1, 1000)])
    for kind in (np.float32, np.float64):
        with np.errstate(all="ignore"):
            wanted = np.floor_divide(x.astype(kind), y.astype(kind))
        np.testing.assert_array_equal(evaluate("floor_divide", target, x.astype(kind), y.astype(kind)), wanted)
