"""The language: loops, masks, conversions; and that checked builds catch what they should."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest

from flambeau.kernels import jit, pointwise
from flambeau.kernels.checker import Checker, KernelError
from flambeau.kernels.element import F32
from flambeau.kernels.language import Buffer, Mask, Module
from flambeau.kernels.target import Target, host

from . import support


def test_loop_carries_values(target: Target) -> None:
    module = Module(target)
    f = module.function("triangle", [Buffer("out", F32)], ["count"])
    (out,), (count,) = f.buffers, f.indices
    with f.loop(0, count, carry=[f.zero(F32), f.zero(F32)]) as loop:
        total, number = loop.values
        loop.next([total + number, number + 1.0])
    loop.results[0].store(out)
    run = jit.load(module).function("triangle", 2)
    result = np.zeros(1, np.float32)
    for n in (0, 1, 2, 10):
        run(result.ctypes.data, n)
        assert result[0] == n * (n - 1) / 2


def test_step_must_divide() -> None:
    f = Module().function("f", [], [])
    with pytest.raises(ValueError, match="step 3 does not divide 10"), f.range(0, 10, 3):
        pass


def test_carry_must_be_handed_on() -> None:
    f = Module().function("f", [], [])
    with pytest.raises(ValueError, match="next"), f.loop(0, 4, carry=[f.zero(F32)]):
        pass


@pytest.mark.parametrize("count,size", [(7, 3), (12, 4), (1, 5), (10, 4), (23, 6)])
def test_tiles_and_blocks_cover_everything_once(count: int, size: int) -> None:
    for cover in ("tiles", "blocks"):
        module = Module()
        f = module.function("mark", [Buffer("out", F32)])
        for start, width in getattr(f, cover)(count, size):
            for i in range(width):
                where = f.buffers[0] + start + i
                (where.load() + 1.0).store(where)
        marks = np.zeros(count + 8, np.float32)
        jit.load(module).function("mark", 1)(marks.ctypes.data)
        assert (marks[:count] == 1).all() and (marks[count:] == 0).all()


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16])
def test_halves_convert_as_numpy(target: Target, dtype: type) -> None:
    rng = np.random.default_rng(0)
    bits = np.arange(1 << 16).astype(np.uint16).view(dtype)
    wide = np.zeros(bits.shape, np.float32)
    copy = (("input", 0),)

    def build(a: np.ndarray, b: np.ndarray):
        inputs, outputs = [support.operand(a)], [support.operand(b)]
        return lambda m: pointwise.emit(m, "k", a.shape, inputs, outputs, copy, (0,))

    support.run(build(bits, wide), bits, wide, target=target)
    np.testing.assert_array_equal(wide, bits.astype(np.float32))

    x = (rng.standard_normal(1 << 15) * 10.0 ** rng.integers(-45, 39, 1 << 15)).astype("f4")
    x[:4] = [np.inf, -np.inf, 0.0, -0.0]
    narrow = np.zeros(x.shape, dtype)
    support.run(build(x, narrow), x, narrow, target=target)
    with np.errstate(over="ignore"):
        expected = x.astype(dtype)
    np.testing.assert_array_equal(narrow.view(np.uint16), expected.view(np.uint16))
    nan = np.full(64, np.nan, np.float32)
    kept = np.zeros(64, dtype)
    support.run(build(nan, kept), nan, kept, target=target)
    assert np.isnan(kept.astype(np.float32)).all()


def _checked(emit) -> None:
    checker = Checker()
    module = Module(checker=checker)
    f = module.function("kernel", [Buffer("x", F32, 20, once=True)], ["at"])
    emit(f, f.buffers[0], f.indices[0])
    code = jit.load(module)
    memory = support.aligned(1024)
    code.function("kernel", 2)(memory.ctypes.data, 4)
    checker.verify(code)


def test_checker_passes_what_is_right() -> None:
    _checked(lambda f, x, at: (x + at).load(16).store(x + at))
    _checked(
        lambda f, x, at: (x + 16).load(16, mask=Mask(4, 16)).store(x + 16, mask=Mask(4, 16))
    )


def test_checker_finds_what_is_out_of_bounds() -> None:
    with pytest.raises(KernelError, match=r"load of 16 elements of 'x' at 8 of 20"):
        _checked(lambda f, x, at: (x + at * 2).load(16))
    with pytest.raises(KernelError, match="out of bounds"):
        _checked(lambda f, x, at: (x + (at + -5)).load())


def test_checker_finds_false_alignment() -> None:
    with pytest.raises(KernelError, match="not aligned"):
        # A load that claims alignment would trap on its own: only the check is run here.
        _checked(lambda f, x, at: f.check_access(x + at, 8, True, None, writes=False))


def test_checker_finds_a_second_write() -> None:
    def emit(f, x, at) -> None:
        value = x.load(8)
        value.store(x + at)
        value.store(x + at + 7)

    with pytest.raises(KernelError, match="a second time"):
        _checked(emit)


def test_host_is_known() -> None:
    here = host()
    assert here.cores >= 1 and here.l1 >= 8192 and here.vector_bytes in (16, 32, 64)
