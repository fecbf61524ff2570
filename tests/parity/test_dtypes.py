"""Dtypes against PyTorch's: promotion, casts, limits, and results of mixed arithmetic."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

import flambeau

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.parity

NAMES = ["bool", "uint8", "int8", "int16", "int32", "int64", "float16", "bfloat16", "float32", "float64", "complex64", "complex128"]
PAIRS = list(itertools.product(NAMES, NAMES))


def both(call: Any) -> tuple[str, str]:
    results = []
    for module in (flambeau, torch):
        try:
            results.append(str(call(module)))
        except Exception as error:
            results.append(type(error).__name__)
    return results[0], results[1]


@pytest.mark.parametrize("call", ["promote_types", "can_cast"])
def test_pairs(call: str) -> None:
    for a, b in PAIRS:
        ours, theirs = both(lambda m, a=a, b=b: getattr(m, call)(getattr(m, a), getattr(m, b)))
        assert ours == theirs, (a, b)


def test_limits() -> None:
    for name in NAMES:
        for call in ("finfo", "iinfo"):
            ours, theirs = both(lambda m, n=name, c=call: getattr(m, c)(getattr(m, n)))
            assert ours == theirs, name


@pytest.mark.parametrize("operator", ["+", "*", "/", "<", "//"])
@pytest.mark.parametrize("shapes", [((2,), (2,)), ((2,), ()), ((), (2,)), ((), ())])
def test_results_of_arithmetic(operator: str, shapes: tuple[Any, Any]) -> None:
    for a, b in PAIRS:
        if {a, b} & {"float16"} and {a, b} & {"complex64", "complex128"}:
            continue  # PyTorch's complex32

        def result(m: Any, a: str = a, b: str = b) -> Any:
            x = m.ones(shapes[0], dtype=getattr(m, a))
            y = m.ones(shapes[1], dtype=getattr(m, b))
            return eval(f"x {operator} y", {"x": x, "y": y}).dtype

        ours, theirs = both(result)
        if theirs.startswith("torch."):
            assert ours == theirs, (a, operator, b)
