"""One expression over many tensors."""

from __future__ import annotations

import numpy as np
import pytest

from flambeau.kernels import joined, pointwise, threads
from flambeau.kernels.checker import KernelError
from flambeau.kernels.joined import Joined
from flambeau.kernels.kernel import Kernel
from flambeau.kernels.language import Index, Module
from flambeau.kernels.target import named

from . import support
from .conftest import RUNNABLE

# p - lr * g, m + g
UPDATE = (
    ("input", 0), ("input", 1), ("input", 2), ("mul", 1, 2), ("sub", 0, 3), ("input", 3), ("add", 5, 1),
)  # fmt: skip
NUMBERS = (False, False, True, False, False, False)
COUNTS = (1, 7, 16, 255, 256, 257, 0, 1000, 3, 64)


def _memory(counts: tuple[int, ...], dtype: str) -> tuple[list[list[np.ndarray]], np.ndarray, np.ndarray]:
    """The operands of each member, the table of their addresses, and the records."""
    rng = np.random.default_rng(0)
    members = []
    for k, count in enumerate(counts):
        # With room behind, for kernels that go too far.
        p, g, m = (rng.standard_normal(count + 64).astype(dtype)[:count] for _ in range(3))
        members.append([p, g, np.asarray([0.1 * k], dtype), m, p, m])  # in place
    arrays = list({id(a): a for operands in members for a in operands}.values())
    slots = {id(a): k for k, a in enumerate(arrays)}
    places = [[(slots[id(a)], 0) for a in operands] for operands in members]
    table = np.array([a.ctypes.data for a in arrays], np.int64)
    return members, table, np.array(joined.records(counts, places), np.int64)


def _description(dtype: str) -> Joined:
    return Joined((dtype,) * 6, 4, NUMBERS, UPDATE, (4, 6))


@pytest.mark.parametrize("dtype", ["float32", "float64", "int32"])
@pytest.mark.parametrize("name", RUNNABLE)
@pytest.mark.parametrize("pool", [False, True])
def test_members_of_any_size(name: str, dtype: str, pool: bool) -> None:
    """Every element is computed once, exactly as one tensor alone would be."""
    members, table, records = _memory(COUNTS, dtype)
    wanted = [[p - g * lr, m + g] for p, g, lr, m, *_ in members]
    support.run(
        lambda module: joined.emit(module, "k", _description(dtype), COUNTS), table, records, target=named(name),
        pool=pool,
    )  # fmt: skip
    for operands, results in zip(members, wanted, strict=True):
        for array, result in zip(operands[4:], results, strict=True):
            np.testing.assert_array_equal(array, result)


def test_same_bits_as_alone() -> None:
    """Whatever shares the elements, and as the kernel of one tensor."""
    nodes = (("input", 0), ("exp", 0), ("sqrt", 1), ("input", 1), ("div", 2, 3), ("pow", 4, 3))
    described = Joined(("float32",) * 3, 2, (False, True, False), nodes, (5,))
    counts = (5, 300, 4096, 77)
    rng = np.random.default_rng(1)
    inputs = [rng.standard_normal(n).astype(np.float32) for n in counts]
    number = np.float32([1.7])
    alone = [np.empty_like(x) for x in inputs]
    for x, out in zip(inputs, alone, strict=True):

        def build(module: Module, out: np.ndarray = out, x: np.ndarray = x) -> Kernel:
            operands = [support.operand(x), pointwise.Operand("float32", (0,))]
            return pointwise.emit(module, "one", x.shape, operands, [support.operand(out)], nodes, (5,))

        support.run(build, x, number, out)
    before = threads.get_num_threads()
    try:
        for count in (1, 2, 3, 4):
            threads.set_num_threads(count)
            outs = [np.empty_like(x) for x in inputs]
            arrays = [number, *inputs, *outs]
            places = [[(1 + k, 0), (0, 0), (1 + len(inputs) + k, 0)] for k in range(len(inputs))]
            table = np.array([a.ctypes.data for a in arrays], np.int64)
            records = np.array(joined.records(counts, places), np.int64)
            support.run(lambda module: joined.emit(module, "k", described, counts), table, records, pool=True)
            for found, wanted in zip(outs, alone, strict=True):
                np.testing.assert_array_equal(found, wanted)
    finally:
        threads.set_num_threads(before)


@pytest.mark.parametrize("members", [1, 3, 8, 16, 37])
@pytest.mark.parametrize("name", RUNNABLE)
def test_numbers_fill_vectors(name: str, members: int) -> None:
    """Members that are numbers: a step is counted and corrected in another type."""
    nodes = (
        ("input", 0), ("constant", 1.0, "float32"), ("add", 0, 1), ("convert", 2, "float64"), ("input", 1),
        ("pow", 4, 3),
    )  # fmt: skip
    described = Joined(("float32", "float64", "float32", "float64"), 2, (True,) * 4, nodes, (2, 5))
    steps, powers = np.arange(members, dtype=np.float32), np.empty(members)
    arrays = [steps, np.float64([0.9]), powers]
    places = [[(0, 4 * k), (1, 0), (0, 4 * k), (2, 8 * k)] for k in range(members)]
    table = np.array([a.ctypes.data for a in arrays], np.int64)
    records = np.array(joined.records([1] * members, places), np.int64)
    support.run(
        lambda module: joined.emit(module, "k", described, [1] * members), table, records, target=named(name)
    )
    np.testing.assert_array_equal(steps, np.arange(1, members + 1))
    np.testing.assert_allclose(powers, 0.9 ** np.arange(1, members + 1), rtol=1e-14)


def test_code_serves_other_sizes() -> None:
    """Tasks follow from the records, so that the code is emitted once."""
    small, large = (9,), COUNTS
    kernels: list[Kernel] = []

    def build(module: Module) -> Kernel:
        kernels.append(joined.emit(module, "k", _description("float32"), small))
        return joined.resized(module, kernels[0], _description("float32"), large)

    members, table, records = _memory(large, "float32")
    wanted = [p - g * lr for p, g, lr, *_ in members]
    grown = support.run(build, table, records, checked=False)
    assert grown.stages[0].function == kernels[0].stages[0].function
    assert grown.stages[0].tasks > kernels[0].stages[0].tasks == 1
    for operands, result in zip(members, wanted, strict=True):
        np.testing.assert_array_equal(operands[4], result)


def test_checker_holds_accesses_against_records(monkeypatch: pytest.MonkeyPatch) -> None:
    """A vector that goes beyond its member is found."""
    monkeypatch.setattr(joined, "Mask", lambda active, lanes: None)
    _, table, records = _memory((9,), "float32")
    with pytest.raises(KernelError, match="out of bounds"):
        support.run(lambda module: joined.emit(module, "k", _description("float32"), (9,)), table, records)


def test_checker_finds_what_is_computed_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks that overlap are found, in whichever member."""
    counts = (5, 600)
    _, table, records = _memory(counts, "float32")
    elements = joined._Walk._elements

    def overlapping(self: joined._Walk, operands: list, start: Index, stop: Index) -> None:
        elements(self, operands, start, stop)
        elements(self, operands, start, stop)

    monkeypatch.setattr(joined._Walk, "_elements", overlapping)
    with pytest.raises(KernelError, match="a second time"):
        support.run(lambda module: joined.emit(module, "k", _description("float32"), counts), table, records)
