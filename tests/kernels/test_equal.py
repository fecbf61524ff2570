"""Equal functions are compiled once."""

from __future__ import annotations

import ctypes

import numpy as np

from flambeau.kernels import jit
from flambeau.kernels.element import F32
from flambeau.kernels.language import Buffer, Module


def _double(module: Module, name: str, *others: str, factor: float = 2.0) -> None:
    """Writes x times a factor to y, with arguments in between that it does not look at."""
    buffers = [Buffer("x", F32, alone=True), *(Buffer(o, F32) for o in others), Buffer("y", F32)]
    f = module.function(name, buffers, ["begin", "end"])
    x, y = f.buffers[0], f.buffers[-1]
    with f.range(*f.indices) as i:
        for k in range(40):  # long enough to be worth a call
            ((x + i * 40 + k).load() * factor).store(y + i * 40 + k)


def test_arguments_that_are_not_used_may_differ() -> None:
    module = Module()
    _double(module, "first", "mask")
    _double(module, "second", "bias", "mask")
    _double(module, "third", factor=3.0)
    text = module.text()
    assert text.count("call void @first(") == 1 and text.count("call void @third(") == 0
    code = jit.load(module)
    x = np.arange(80, dtype=np.float32)
    for name, extra, factor in (("first", 1, 2), ("second", 2, 2), ("third", 0, 3)):
        y = np.zeros_like(x)
        unused = [ctypes.c_void_p(0)] * extra
        code.function(name, 4 + extra)(x.ctypes.data, *unused, y.ctypes.data, 0, 2)
        np.testing.assert_array_equal(y, x * factor)


def test_what_arguments_promise_counts() -> None:
    """A function that LLVM may take to have no overlapping arguments is not like another."""
    module = Module()
    for name, alone in (("apart", True), ("together", False)):
        f = module.function(name, [Buffer("x", F32, alone=alone), Buffer("y", F32)])
        for k in range(60):
            (f.buffers[0] + k).load().store(f.buffers[1] + k)
    assert "call void" not in module.text()
