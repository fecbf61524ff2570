"""`repr` of thousands of random tensors, dtypes and print options, against PyTorch's."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import flambeau

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.parity

FLOATS = ["float32", "float64", "float16", "bfloat16"]
WHOLES = ["int64", "int32", "int8", "uint8", "bool"]
COMPLEX = ["complex64", "complex128"]
OPTIONS: dict[str, list[Any]] = {
    "precision": [0, 1, 2, 3, 6, 10],
    "threshold": [0, 5, 100, 10_000],
    "edgeitems": [0, 1, 2, 5],
    "linewidth": [20, 40, 80, 120, 200],
    "profile": ["default", "short", "full"],
    "sci_mode": [True, False, None],
}


@pytest.fixture(autouse=True)
def default_options() -> Iterator[None]:
    yield
    for module in (torch, flambeau):
        module.set_printoptions(profile="default")


class Numbers:
    """Random arrays of many kinds: whole, far apart, tiny, with NaN and infinities, negative zero."""

    def __init__(self, seed: int):
        self.random, self.numpy = random.Random(seed), np.random.default_rng(seed)

    def shape(self) -> tuple[int, ...]:
        sizes = [0, 1, 1, 2, 3, 5, 7, 8, 12, 40, 300]
        rank = self.random.choice([0, 1, 1, 2, 2, 3, 4])
        shape = tuple(self.random.choice(sizes) for _ in range(rank))
        return shape if np.prod(shape) <= 8000 else shape[:1]

    def values(self, kind: str, shape: tuple[int, ...]) -> np.ndarray:
        x = self.numpy.standard_normal(shape)
        special = self.random.choice([np.nan, np.inf, -np.inf])
        return {
            "normal": lambda: x,
            "whole": lambda: np.round(x * self.random.choice([1, 10, 1000])),
            "wide": lambda: x * 10.0 ** self.numpy.integers(-6, 6, shape),
            "tiny": lambda: x * 1e-5,
            "big": lambda: x * 1e9,
            "special": lambda: np.where(
                self.numpy.random(shape) < 0.3, special, np.round(x * 2) / 2
            ),
            "negative zero": lambda: -np.abs(np.round(x * 0.4)),
        }[kind]()

    def array(self, name: str) -> np.ndarray:
        shape = self.shape()
        kind = self.random.choice(
            ["normal", "whole", "wide", "tiny", "big", "special", "negative zero"]
        )
        x = self.values(kind, shape)
        if name in COMPLEX:
            x = x + 1j * self.values(kind, shape)
        if name in WHOLES:
            high = {"int8": 120, "uint8": 250}.get(name, 2e9)
            x = np.clip(np.nan_to_num(x), 0 if name == "uint8" else -high, high)
        stored = "float32" if name in ("float16", "bfloat16") else name
        return np.asarray(x).astype(stored)


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.filterwarnings("ignore")
def test_repr(seed: int) -> None:
    numbers = Numbers(seed)
    choose = numbers.random.random
    for _ in range(150):
        name = numbers.random.choice(FLOATS + WHOLES + COMPLEX)
        array = numbers.array(name)
        options = {k: numbers.random.choice(v) for k, v in OPTIONS.items() if choose() < 0.2}
        transposed, tracked = choose() < 0.3, choose()
        texts = []
        for module in (torch, flambeau):
            module.set_printoptions(profile="default")
            module.set_printoptions(**options)
            t = module.from_numpy(array.copy()).to(getattr(module, name))
            if transposed and t.ndim > 1:
                t = t.transpose(0, -1)
            if tracked < 0.4 and name not in WHOLES:
                t = t.detach().requires_grad_()
                t = t.clone() if tracked < 0.2 else t
            try:
                texts.append(repr(t))
            except Exception:
                texts.append("error")  # edgeitems=0 with some shapes, in PyTorch
        assert texts[0] in (texts[1], "error"), (name, array.shape, options)
