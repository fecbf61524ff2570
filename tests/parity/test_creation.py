"""Ranges are PyTorch's to the bit, for every dtype."""

from __future__ import annotations

import random

import numpy as np
import pytest

import flambeau

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.parity

FLOATS = ["float16", "bfloat16", "float32", "float64"]
WHOLE = ["uint8", "int8", "int16", "int32", "int64"]


def bits(x: object) -> np.ndarray:
    """The elements, widened so that NumPy compares them exactly."""
    return x.double().numpy() if x.is_floating_point() else x.numpy()  # type: ignore[attr-defined]


# Vectors of 32 bytes are what PyTorch's AVX2 build steps in; where it runs without, it rounds otherwise.
avx2 = pytest.mark.skipif(
    torch.backends.cpu.get_cpu_capability() not in ("AVX2", "AVX512"),
    reason="PyTorch walks a range in vectors of another width on this processor",
)


@avx2
@pytest.mark.parametrize("name", [n for n in FLOATS if n != "float16"])
def test_arange_of_fractions(name: str) -> None:
    rng = random.Random(0)
    for _ in range(300):
        start, length, step = rng.uniform(-9, 9), rng.uniform(0, 40), rng.uniform(0.01, 1)
        ours, theirs = (
            m.arange(start, start + length, step, dtype=getattr(m, name)) for m in (flambeau, torch)
        )
        np.testing.assert_array_equal(bits(ours), bits(theirs))


@pytest.mark.parametrize("name", FLOATS + WHOLE)
def test_arange_of_whole_numbers(name: str) -> None:
    rng = random.Random(1)
    for _ in range(200):
        start, step = rng.randint(-50, 50) * (name != "uint8"), rng.randint(1, 5)
        stop = start + rng.randint(0, 60)
        ours, theirs = (m.arange(start, stop, step, dtype=getattr(m, name)) for m in (flambeau, torch))
        np.testing.assert_array_equal(bits(ours), bits(theirs))


@avx2
@pytest.mark.parametrize("name", FLOATS + WHOLE)
def test_linspace(name: str) -> None:
    rng = random.Random(2)
    for _ in range(300):
        low = 0 if name == "uint8" else -9
        start, end, steps = rng.uniform(low, 9), rng.uniform(low, 9), rng.randint(0, 60)
        ours, theirs = (m.linspace(start, end, steps, dtype=getattr(m, name)) for m in (flambeau, torch))
        np.testing.assert_array_equal(bits(ours), bits(theirs))
