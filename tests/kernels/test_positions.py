"""Reading and writing at positions against NumPy: any dtype, strides and dimension, wrong positions, repeated ones."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from flambeau.kernels import jit, positions
from flambeau.kernels.kernel import Call, Place, emit_driver
from flambeau.kernels.language import Module
from flambeau.kernels.pointwise import Operand
from flambeau.kernels.positions import Axis, Fault, Sought
from flambeau.kernels.target import named

from . import support

DTYPES = ["bool", "uint8", "int16", "int32", "int64", "float16", "float32", "float64"]


def layout(x: np.ndarray) -> tuple:
    return x.shape, tuple(s // x.itemsize for s in x.strides)


def _extent(x: np.ndarray) -> int:
    return sum(s // x.itemsize * (n - 1) for s, n in zip(x.strides, x.shape, strict=True)) + 1


def _numbers(rng: np.random.Generator, shape: Sequence[int], dtype: str) -> np.ndarray:
    return (rng.standard_normal(shape) * 50).astype(np.int64).astype(dtype)


def read(x: np.ndarray, sought: Sought, indices: list, out: np.ndarray, alarm: np.ndarray | None = None, **options):
    """Runs the kernel on these arrays; returns its alarm."""
    alarm = np.zeros(positions.alarm_words(sought.axes), np.int64) if alarm is None else alarm

    def build(module):
        return positions.emit_read(module, "k", sought, _extent(x), support.operand(out))

    support.run(build, x, *indices, out, alarm, **options)
    return alarm


def gather(x: np.ndarray, dim: int, index: np.ndarray, out: np.ndarray, **options) -> np.ndarray:
    return read(x, positions.along(layout(x), layout(index), dim), [index], out, **options)


def take(x: np.ndarray, dim: int, index: np.ndarray, out: np.ndarray, **options) -> np.ndarray:
    return read(x, positions.at(layout(x), [layout(index)], [dim]), [index], out, **options)


def write(x: np.ndarray, sought: Sought, index: np.ndarray, source: np.ndarray, op: str, **options) -> np.ndarray:
    """Runs the kernel, which changes `x`; returns its alarm."""
    alarm = np.zeros(positions.alarm_words(sought.axes), np.int64)

    def build(module):
        return positions.emit_write(module, "k", sought, _extent(x), support.operand(source), op)

    support.run(build, source, index, x, alarm, **options)
    return alarm


def scatter(x: np.ndarray, dim: int, index: np.ndarray, source: np.ndarray, op: str, **options) -> np.ndarray:
    return write(x, positions.along(layout(x), layout(index), dim), index, source, op, **options)


def put(x: np.ndarray, index: np.ndarray, source: np.ndarray, op: str, **options) -> np.ndarray:
    return write(x, positions.at(layout(x), [layout(index)], [0]), index, source, op, **options)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("dim", [0, 1, 2])
def test_an_element_for_each_position(target, dtype: str, dim: int) -> None:
    rng = np.random.default_rng(dim)
    x = _numbers(rng, (4, 5, 9), dtype)
    shape = [4, 5, 9]
    shape[dim] = 7
    index = rng.integers(0, x.shape[dim], shape)
    out = np.empty(shape, dtype)
    alarm = gather(x, dim, index, out, target=target)
    assert positions.fault_of(alarm) is None
    assert np.array_equal(out, np.take_along_axis(x, index, dim))


@pytest.mark.parametrize("width", [1, 3, 16, 70, 300])
@pytest.mark.parametrize("turned", [False, True])
def test_rows(target, width: int, turned: bool) -> None:
    rng = np.random.default_rng(width)
    x = rng.standard_normal((width, 6)).T if turned else rng.standard_normal((6, width))
    index = rng.integers(-6, 6, 11)
    out = np.empty((11, width))
    take(x, 0, index, out, target=target)
    assert np.array_equal(out, x[index])


def test_columns_of_a_part_of_a_tensor(target) -> None:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((9, 40))[1:8:2, 3:33:3]
    index = rng.integers(0, 10, 25)[::-1][::2].copy()
    out = np.empty((4, 13), x.dtype)
    take(x, 1, index, out, target=target)
    assert np.array_equal(out, x[:, index])


def test_positions_in_two_dimensions(target) -> None:
    rng = np.random.default_rng(1)
    x = rng.standard_normal((5, 7, 6)).astype("float32")
    i, j = rng.integers(-5, 5, (3, 1)), rng.integers(-7, 7, 4)
    out = np.empty((3, 4, 6), "float32")
    sought = positions.at(layout(x), [layout(i), layout(j)], [0, 1])
    assert sought.axes == (Axis(5, 42, True), Axis(7, 6, True))
    alarm = read(x, sought, [i, j], out, target=target)
    assert positions.fault_of(alarm) is None
    assert np.array_equal(out, x[i, j])
    j[2] = 7
    read(x, sought, [i, j], out, alarm, target=target)
    assert positions.fault_of(alarm) == Fault(1, 7)


def test_positions_in_dimensions_apart(target) -> None:
    rng = np.random.default_rng(2)
    x, i, k = rng.standard_normal((5, 7, 6)), rng.integers(-5, 5, (3, 1)), rng.integers(-6, 6, 4)
    out = np.empty((3, 4, 7))
    read(x, positions.at(layout(x), [layout(i), layout(k)], [0, 2]), [i, k], out, target=target)
    assert np.array_equal(out, x[i, :, k])


@pytest.mark.parametrize("from_end", [False, True])
@pytest.mark.parametrize("wrong", [6, -1, -7, 1 << 62])
def test_what_is_out_of_range_is_noted_in_order(target, wrong: int, from_end: bool) -> None:
    x = np.arange(6.0)
    index = np.zeros(20_000, np.int64)
    index[12_345], index[17_000] = wrong, 99
    expected = Fault(0, 99 if from_end and wrong == -1 else wrong)
    alarm = (take if from_end else gather)(x, 0, index, np.empty(index.size), target=target)
    assert positions.fault_of(alarm) == expected
    if not from_end:
        before = x.copy()
        alarm = scatter(x, 0, index, np.ones(index.size), "add", target=target)
        assert positions.fault_of(alarm) == expected
        assert np.array_equal(x, before)  # nothing has been changed


JOINED = {"add": np.add, "mul": np.multiply, "max": np.maximum, "min": np.minimum}


@pytest.mark.parametrize("dtype", ["bool", "int32", "int64", "uint8", "float32", "float64"])
@pytest.mark.parametrize("op", ["set", "add", "mul", "max", "min"])
@pytest.mark.parametrize("dim", [0, 1, 2])
def test_elements_are_joined_in_order(target, dtype: str, op: str, dim: int) -> None:
    rng = np.random.default_rng(dim)
    x = _numbers(rng, (4, 5, 9), dtype)
    shape = [3, 5, 8]
    shape[dim] = 17
    index, source = rng.integers(0, x.shape[dim], shape), _numbers(rng, shape, dtype)
    expected = x.copy()
    grid = list(np.indices(shape))
    grid[dim] = index
    if op == "set":
        for place, value in zip(zip(*(g.ravel() for g in grid), strict=True), source.ravel(), strict=True):
            expected[place] = value
    else:
        with np.errstate(all="ignore"):
            JOINED[op].at(expected, tuple(grid), source)
    alarm = scatter(x, dim, index, source, op, target=target)
    assert positions.fault_of(alarm) is None
    assert np.array_equal(x, expected)


@pytest.mark.parametrize("dtype", ["float32", "float64", "int64"])
@pytest.mark.parametrize("width", [1, 3, 16, 64, 70, 130])
@pytest.mark.parametrize("turned", [False, True])
def test_rows_are_added(target, dtype: str, width: int, turned: bool) -> None:
    rng = np.random.default_rng(width)
    index = rng.integers(-9, 9, 50)
    source = (rng.standard_normal((width, 50)).T if turned else rng.standard_normal((50, width))) * 9
    source, x = source.astype(dtype), (rng.standard_normal((9, width)) * 9).astype(dtype)
    expected = x.copy()
    for j, row in enumerate(index):
        expected[row] += source[j]
    put(x, index, source, "add", target=target)
    assert np.array_equal(x, expected)


def test_nan_is_an_extremum(target) -> None:
    for op in ("max", "min"):
        x, source = np.array([1.0, np.nan, 3.0]), np.array([np.nan, 5.0, 2.0, 4.0])
        expected = x.copy()
        with np.errstate(invalid="ignore"):
            JOINED[op].at(expected, [0, 1, 2, 2], source)
        scatter(x, 0, np.array([0, 1, 2, 2]), source, op, target=target)
        assert np.array_equal(x, expected, equal_nan=True)


@pytest.mark.parametrize("width", [1, 40, 200])
def test_equal_for_any_number_of_threads(thread_count: int, width: int) -> None:
    rng = np.random.default_rng(0)
    index, source = rng.integers(0, 40, 20_000), rng.standard_normal((20_000, width)).astype("float32")
    expected, x = np.zeros((40, width), "float32"), np.zeros((40, width), "float32")
    for j, row in enumerate(index):
        expected[row] += source[j]
    put(x, index, source, "add", checked=False, pool=thread_count > 1)
    assert np.array_equal(x, expected)
    found = np.empty_like(source)
    take(x, 0, index, found, checked=False, pool=thread_count > 1)
    assert np.array_equal(found, x[index])


@pytest.mark.parametrize("calls", [3, 40])
def test_nothing_follows_a_kernel_that_failed(thread_count: int, calls: int) -> None:
    """Short programs and those that are lists: what comes after the wrong position does not run."""
    from flambeau.kernels import threads

    shape, module = (60_000,), Module()
    sought = positions.along(((8,), (1,)), (shape, (1,)), 0)
    made = [positions.emit_write(module, f"k{k}", sought, 8, Operand("float64", (0,)), "add") for k in range(2)]
    one, good, bad = np.ones(1), np.zeros(shape, np.int64), np.zeros(shape, np.int64)
    bad[-1] = 8
    out, later = np.zeros(8), np.zeros(8)
    alarms = np.zeros((2, positions.alarm_words(sought.axes)), np.int64)
    arrays = [one, good, bad, out, later, *alarms]
    first = [Call(made[0], (Place(0), Place(1), Place(3), Place(5))) for _ in range(calls - 2)]
    wrong = Call(made[1], (Place(0), Place(2), Place(3), Place(6)))
    after = Call(made[0], (Place(0), Place(1), Place(4), Place(5)))
    program = emit_driver(module, "driver", [*first, wrong, after], Place(0), Place(0))
    code = jit.load(module)
    table = np.array([a.ctypes.data for a in arrays], np.int64)
    threads.run(code.address("driver"), table.ctypes.data)
    assert out[0] == (calls - 2) * 60_000 and not later.any() and program.parallel
    assert not alarms[0].any() and positions.fault_of(alarms[1]) == Fault(0, 8)


def test_code_for_another_processor() -> None:
    module = Module(named("neon"))
    sought = positions.at(((9, 40), (40, 1)), [((70,), (1,))], [0])
    positions.emit_read(module, "read", sought, 360, Operand("float16", (40, 1)))
    positions.emit_write(module, "add", sought, 360, Operand("float32", (40, 1)), "add")
    assert jit.compile_object(module.text(), module.target)
