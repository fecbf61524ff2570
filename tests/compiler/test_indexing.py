"""Reading and writing at positions in compiled programs: native, equal to eager, with its errors."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from compiler_helpers import assert_close, check

import flambeau as torch
import flambeau.nn.functional as F
from flambeau.compiler.explain import programs_of

DTYPES = ["bool", "uint8", "int16", "int32", "int64", "float16", "bfloat16", "float32", "float64"]


def _numbers(*shape: int, dtype: str = "float32") -> torch.Tensor:
    return (torch.randn(*shape) * 5).to(getattr(torch, dtype))


def test_nothing_is_left_to_the_host() -> None:
    x, index = torch.randn(6, 5), torch.tensor([[0, 3, 2, 2, 1]])

    def f(x: torch.Tensor, i: torch.Tensor) -> tuple:
        return x.gather(0, i), x.scatter(0, i, 1.0), x.scatter_reduce(0, i, x[:1], "prod"), x[i[0], 1:], x.index_add(0, i[0], x[1:])

    compiled = torch.compile(f, fullgraph=True)
    compiled(x, index)
    (program,) = programs_of(compiled)
    assert not [step for step in program.steps if step.node is not None]
    assert "index" in compiled.explain()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("dim", [0, 1, 2])
def test_gather_and_scatter_of_any_dtype(dtype: str, dim: int) -> None:
    torch.manual_seed(dim)
    x, source = _numbers(4, 5, 6, dtype=dtype), _numbers(3, 4, 5, dtype=dtype)
    index = torch.randint(0, x.shape[dim], (3, 4, 5))
    check(lambda x, i: x.gather(dim, i), x, index, gradients=dtype[0] == "f")
    check(lambda x, i, s: x.scatter(dim, i, s), x, index, source, gradients=False)
    check(lambda x, i, s: x.scatter_add(dim, i, s), x, index, source, gradients=dtype[0] == "f")
    for reduce in ("prod", "amax", "amin", "sum"):
        check(lambda x, i, s, r=reduce: x.scatter_reduce(dim, i, s, r), x, index, source, gradients=False)


@pytest.mark.parametrize("dtype", DTYPES)
def test_index_tensors_of_any_dtype(dtype: str) -> None:
    x, values = _numbers(4, 5, 6, dtype=dtype), _numbers(3, 2, dtype=dtype)
    i, k = torch.randint(-4, 4, (3, 1)), torch.randint(-6, 6, (2,))
    gradients = dtype[0] == "f"
    check(lambda x, i: x[i], x, i, gradients=gradients)
    check(lambda x, i: x[:, 1:, i], x, i, gradients=gradients)
    check(lambda x, i, k: x[i, 2, k], x, i, k, gradients=gradients)
    check(lambda x, i, k: x[i, :, k], x, i, k, gradients=gradients)
    check(lambda x, i, k: x[..., i, k.clamp(-5, 4)], x, i.clamp(-5, 4), k, gradients=gradients)
    check(lambda x, i, v: x.index_put((i, torch.zeros(2, dtype=torch.int64)), v[..., None].expand(3, 2, 6)), x, i, values)
    check(
        lambda x, i, v: x.index_put((i, torch.ones(2, dtype=torch.int64)), v[..., None].expand(3, 2, 6), accumulate=True),
        x, i, values, gradients=gradients,
    )  # fmt: skip


def test_by_other_names() -> None:
    x, rows = torch.randn(6, 5), torch.randn(4, 5)
    index = torch.tensor([0, 3, 3, 5])
    check(lambda x, i: x.index_select(0, i), x, index)
    check(lambda x, i: x.t().index_select(1, i), x, index)
    check(lambda x, i: torch.take(x, i), x, index)
    check(lambda x, i: torch.take_along_dim(x, i[:, None], 0), x, index)
    check(lambda x, i: F.embedding(i, x), x, index)
    check(lambda x, i: F.one_hot(i, 6), x, index, gradients=False)
    check(lambda x, i, r: x.index_add(0, i, r), x, index, rows)
    check(lambda x, i, r: x.index_add(0, i, r, alpha=2), x, index, rows)
    check(lambda x, i, r: x.t().index_copy(1, i, r.t()), x, torch.tensor([0, 3, 4, 5]), rows)
    check(lambda x, i, r: x.index_reduce(0, i, r, "amax"), x, index, rows, gradients=False)
    check(lambda x, i, r: x.put(i, r[:, 0], accumulate=True), x, index, rows)


def test_strides_and_sizes_of_one() -> None:
    x, index = torch.randn(7, 1, 9).transpose(0, 2)[1:, :, ::2], torch.randint(0, 8, (3, 1, 4))
    check(lambda x, i: x.gather(0, i), x, index)
    check(lambda x, i: x.permute(2, 0, 1).gather(1, i.permute(2, 0, 1)), x, index)
    check(lambda x, i: x.scatter_add(0, i.expand(3, 1, 4), x[:3]), x, index)
    check(lambda x, i: x.expand(8, 5, 4).gather(1, i % 5), x[:, :, :4], torch.randint(0, 8, (8, 3, 4)))
    check(lambda x, i: x.reshape(-1)[i], x, torch.tensor(5))


def test_nothing_to_read_or_write() -> None:
    none = torch.zeros(0, dtype=torch.int64)
    check(lambda x, i: x[i], torch.randn(3, 4), none)
    check(lambda x, i: x.index_add(0, i, x[:0]), torch.randn(3, 4), none)
    check(lambda x, i: x.gather(0, i), torch.randn(3), none)


def test_written_in_place_in_order() -> None:
    x, index = torch.zeros(5), torch.tensor([1, 3, 1, 1])

    def f(x: torch.Tensor, i: torch.Tensor) -> torch.Tensor:
        x[i] = torch.arange(4.0)
        x.scatter_add_(0, i, torch.ones(4))
        return x * 2

    check(f, x, index, gradients=False)
    compiled = torch.compile(f, fullgraph=True)
    assert compiled(x, index).tolist() == [0, 12, 0, 4, 0] and x.tolist() == [0, 6, 0, 2, 0]


def _steps(f: Callable) -> list:
    (program,) = programs_of(f)
    return [len(step.calls) for step in program.steps]


def test_state_is_changed_where_it_stands() -> None:
    """Without a copy of it, however often it is changed."""
    cache, rows = torch.zeros(6, 4), torch.arange(8.0).view(2, 4)

    def f(i: torch.Tensor, r: torch.Tensor) -> None:
        cache[i] = r
        cache.index_add_(0, i + 1, r)
        cache.scatter_(0, i[:, None] - 1, -1.0)

    compiled = torch.compile(f, fullgraph=True)
    index = torch.tensor([1, 3])
    for _ in range(3):
        compiled(index, rows)
    found = cache.clone()
    cache.zero_()
    for _ in range(3):
        f(index, rows)
    assert torch.equal(found, cache) and cache.any()
    (program,) = programs_of(compiled)
    assert max(_steps(compiled)) == 1
    before = cache.clone()
    with pytest.raises(IndexError):
        compiled(torch.tensor([1, 9]), rows)
    assert torch.equal(cache, before)


def test_what_is_still_read_is_not_changed() -> None:
    def own(x: torch.Tensor, i: torch.Tensor) -> None:
        x.scatter_add_(0, i, x)

    def kept(x: torch.Tensor, i: torch.Tensor) -> tuple:
        old = x.clone()
        x.scatter_(0, i, 5.0)
        return old, old + x

    def between(x: torch.Tensor, i: torch.Tensor) -> tuple:
        y = x * 2
        z = y.scatter(0, i, 1.0)
        return z + y, z.view(-1)[:3], y[1:]

    def shown(x: torch.Tensor, i: torch.Tensor) -> tuple:
        y = x * 2
        part = y.t()[:2]
        return y.index_put((i[0],), x[:1]) + 1, part * 3

    index = torch.tensor([[0, 2, 1], [1, 0, 2], [2, 2, 2]])
    for f in (own, kept, between, shown):
        x, y = torch.arange(9.0).view(3, 3), torch.arange(9.0).view(3, 3)
        compiled = torch.compile(f, fullgraph=True)
        for _ in range(2):
            wanted, found = f(x, index), compiled(y, index)
            assert torch.equal(x, y)
            for a, b in zip(wanted or (), found or (), strict=True):
                assert torch.equal(a, b)


@pytest.mark.parametrize("computed", [False, True])
@pytest.mark.parametrize("wrong", [7, -8, -1])
def test_out_of_range_raises_what_eager_raises(wrong: int, computed: bool) -> None:
    """Whether the program was given the positions or computes them."""
    x, index = torch.randn(7, 4), torch.tensor([[0], [2], [6]])
    bad = index.clone()
    bad[1, 0] = wrong
    cases: list[Callable] = [
        lambda x, i: x.gather(0, i),
        lambda x, i: x.scatter(0, i, x[:3, :1]),
        lambda x, i: x.scatter_add(0, i, x[:3, :1]),
        lambda x, i: x.scatter_reduce(0, i, x[:3, :1], "amax"),
        lambda x, i: x[i],
        lambda x, i: x[:, i % 4].sum(0) + x[i],
        lambda x, i: x.index_put((i[:, 0],), x[:3]),
        lambda x, i: x.index_put((i[:, 0],), x[:3], accumulate=True),
    ]
    if not computed:
        cases += [
            lambda x, i: x.index_add(0, i[:, 0], x[:3]),
            lambda x, i: x.index_copy(0, i[:, 0], x[:3]),
            lambda x, i: x.index_reduce(0, i[:, 0], x[:3], "amax"),
        ]
    for case in cases:
        f = (lambda x, i, c=case: c(x, i * 3 // 3)) if computed else case
        compiled = torch.compile(f, fullgraph=True)
        assert torch.equal(compiled(x, index), f(x, index))
        try:
            expected = f(x, bad)
        except (IndexError, RuntimeError) as e:
            with pytest.raises(type(e)) as found:
                compiled(x, bad)
            assert str(found.value) == str(e)
        else:
            assert torch.equal(compiled(x, bad), expected)
        assert torch.equal(compiled(x, index), f(x, index))  # and goes on


def test_a_wrong_position_stops_the_program() -> None:
    state = torch.zeros(4)

    @torch.compile(fullgraph=True)
    def step(x: torch.Tensor, i: torch.Tensor) -> torch.Tensor:
        found = x[i + 1]
        state.add_(found.sum())
        return found

    step(torch.ones(5), torch.tensor([0, 1]))
    assert state.tolist() == [2, 2, 2, 2]
    with pytest.raises(IndexError, match="index 5 is out of bounds for dimension 0 with size 5"):
        step(torch.ones(5), torch.tensor([0, 4]))
    assert state.tolist() == [2, 2, 2, 2]


@pytest.mark.parametrize("threads", [1, 2, 3, 4])
def test_equal_bits_for_any_number_of_threads(threads: int) -> None:
    torch.manual_seed(0)
    x, index = torch.randn(300, 70), torch.randint(0, 300, (5000,))

    def f(x: torch.Tensor, i: torch.Tensor) -> tuple:
        rows = x[i]
        flat = x.reshape(-1)[i * 7]
        return torch.zeros(300, 70).index_add(0, i, rows), torch.zeros(300).scatter_add(0, i, flat), rows

    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        found = torch.compile(f, fullgraph=True)(x, index)
    finally:
        torch.set_num_threads(before)
    rows = x.numpy()[index.numpy()]
    sums, line = np.zeros((300, 70), np.float32), np.zeros(300, np.float32)
    for j, row in enumerate(index.tolist()):
        sums[row] += rows[j]
        line[row] += x.numpy().reshape(-1)[row * 7]
    for a, b in zip(found, (sums, line, rows), strict=True):
        assert np.array_equal(a.numpy(), b)
        assert_close(a, torch.from_numpy(b))
