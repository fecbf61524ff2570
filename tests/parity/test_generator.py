"""Random numbers against PyTorch's, bit for bit: values and the states they leave behind."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest

from flambeau.core import generator as fg

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.parity

SEEDS = range(20)
SIZES = [*range(1, 18), 31, 100, 624, 1000, 1248, 10_000]
FLOATS = [np.dtype(d) for d in ("f4", "f8", "f2", ml_dtypes.bfloat16)]
WHOLES = [np.dtype(d) for d in ("i8", "i4", "i2", "i1", "u1", "?")]


def torch_type(dtype: np.dtype) -> torch.dtype:
    return getattr(torch, dtype.name)


def to_torch(array: np.ndarray) -> torch.Tensor:
    if array.dtype.name == "bfloat16":
        return torch.from_numpy(array.view(np.int16)).view(torch.bfloat16)
    return torch.from_numpy(array)


def assert_same(ours: np.ndarray, theirs: torch.Tensor, *case: object) -> None:
    if theirs.dtype == torch.bfloat16:
        theirs, ours = theirs.view(torch.int16), ours.view(np.int16)
    wanted = theirs.contiguous().numpy()
    assert ours.shape == wanted.shape and ours.dtype == wanted.dtype, case
    assert ours.tobytes() == wanted.tobytes(), case


def assert_same_state(generator: fg.Generator, *case: object) -> None:
    assert np.array_equal(generator.get_state(), torch.get_rng_state().numpy()), case


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
    torch.set_num_threads(threads)


@pytest.fixture(params=SEEDS)
def generator(request: pytest.FixtureRequest) -> fg.Generator:
    torch.manual_seed(request.param)
    return fg.Generator().manual_seed(request.param)


def test_floating_draws_one_after_another(generator: fg.Generator) -> None:
    for n in SIZES:
        for dtype in FLOATS:
            x = torch.empty(n, dtype=torch_type(dtype))
            case = n, dtype.name
            assert_same(generator.uniform(n, dtype=dtype), x.uniform_(), case, "uniform")
            assert_same(generator.uniform(n, -0.37, 0.41, dtype), x.uniform_(-0.37, 0.41), case)
            assert_same(generator.normal(n, dtype=dtype), x.normal_(), case, "normal")
            assert_same(generator.normal(n, 0.3, 0.77, dtype), x.normal_(0.3, 0.77), case)
            assert_same(generator.normal(n, 0, 0.02, dtype), x.normal_(0, 0.02), case)
            assert_same(generator.geometric(0.3, n, dtype), x.geometric_(0.3), case)
            assert_same(generator.cauchy(n, 0.5, 2.1, dtype), x.cauchy_(0.5, 2.1), case)
            assert_same(generator.log_normal(n, 0.5, 0.3, dtype), x.log_normal_(0.5, 0.3), case)
        assert_same_state(generator, n)


def on_intel() -> bool:
    facts = Path("/proc/cpuinfo")
    return facts.exists() and "GenuineIntel" in facts.read_text()


not_from_mkl = pytest.mark.skipif(
    on_intel(), reason="on Intel processors these draws of PyTorch's come from MKL"
)


@not_from_mkl
def test_bernoulli_and_exponential(generator: fg.Generator) -> None:
    for n in SIZES:
        for dtype in (*FLOATS, *WHOLES):
            x = torch.empty(n, dtype=torch_type(dtype))
            for p in (0.0, 0.3, 0.5, 0.9, 1.0):
                assert_same(generator.bernoulli(p, n, dtype), x.bernoulli_(p), n, dtype, p)
        for dtype in FLOATS:
            x = torch.empty(n, dtype=torch_type(dtype))
            assert_same(generator.exponential(n, 1.7, dtype), x.exponential_(1.7), n, dtype)
        mask = generator.bernoulli(1 - 0.25, n) / np.float32(0.75)
        assert_same(mask, torch.nn.functional.dropout(torch.ones(n), 0.25), n, "dropout")
        for dtype in FLOATS:
            p = np.random.default_rng(n).random(n).astype(dtype)
            assert_same(
                generator.bernoulli(p, dtype=dtype), torch.bernoulli(to_torch(p)), n, dtype
            )
        assert_same_state(generator, n)


def test_whole_numbers(generator: fg.Generator) -> None:
    spans = [
        (-5, 1 << 33),
        (-(1 << 60), 1 << 62),
        (0, 1 << 28),
        (0, (1 << 28) - 1),
        (-7, 1 << 31),
    ]
    for n in SIZES:
        for dtype in (*WHOLES, *FLOATS):
            x = torch.empty(n, dtype=torch_type(dtype))
            low, high = (1, 2) if dtype.kind == "b" else (3, 103)
            assert_same(generator.random_(n, dtype), x.random_(), n, dtype, "random_()")
            assert_same(generator.randint(low, high, n, dtype), x.random_(low, high), n, dtype)
            assert_same(generator.randint(low, None, n, dtype), x.random_(low, None), n, dtype)
        for dtype in (np.dtype("i8"), np.dtype("f4"), np.dtype("f8")):
            x = torch.empty(n, dtype=torch_type(dtype))
            for low, high in spans:
                assert_same(
                    generator.randint(low, high, n, dtype), x.random_(low, high), n, dtype
                )
            lowest = -(1 << 63)
            assert_same(generator.randint(lowest, None, n, dtype), x.random_(lowest, None), n)
        for dtype in ("i8", "i4", "f8"):
            dtype = np.dtype(dtype)
            theirs = torch.randperm(n, dtype=torch_type(dtype))
            assert_same(generator.randperm(n, dtype), theirs, n, dtype, "randperm")
        assert_same_state(generator, n)


def test_complex_numbers(generator: fg.Generator) -> None:
    for n in SIZES:
        for dtype in (np.dtype("c8"), np.dtype("c16")):
            assert_same(
                generator.normal(n, dtype=dtype), torch.randn(n, dtype=torch_type(dtype))
            )
            assert_same(
                generator.uniform(n, dtype=dtype), torch.rand(n, dtype=torch_type(dtype))
            )


@not_from_mkl
def test_given_probabilities_and_rates(generator: fg.Generator) -> None:
    source = np.random.default_rng(generator.initial_seed())
    for dtype in (np.dtype("f4"), np.dtype("f8")):
        for n in (1, 5, 300):
            p = source.random((3, n)).astype(dtype)
            for k in sorted({1, min(n, 4), n}):
                for again in (False, True):
                    ours = generator.multinomial(p, k, again)
                    assert_same(ours, torch.multinomial(to_torch(p), k, again), n, k, again)
            assert_same(
                generator.multinomial(p[0], 2 * n + 1, True),
                torch.multinomial(to_torch(p[0]), 2 * n + 1, True),
            )
            for scale in (2, 9, 40, 1000):
                rate, count = p * scale, np.floor(p * scale)
                assert_same(generator.poisson(rate), torch.poisson(to_torch(rate)), n, scale)
                gamma = torch._standard_gamma(to_torch(rate))
                assert_same(generator.standard_gamma(rate), gamma, n, scale, "gamma")
                theirs = torch.binomial(to_torch(count), to_torch(p))
                assert_same(generator.binomial(count, p), theirs, n, scale, "binomial")
        assert_same_state(generator)


def test_normals_of_arrays(generator: fg.Generator) -> None:
    source = np.random.default_rng(1)
    for n in (3, 16, 40):
        mean, std = source.random((2, n)).astype(np.float32)
        tmean, tstd = to_torch(mean), to_torch(std)
        assert_same(generator.normal(n, mean, std), torch.normal(tmean, tstd))
        assert_same(generator.normal(n, mean, 1.5), torch.normal(tmean, 1.5))
        assert_same(generator.normal(n, 0.5, std), torch.normal(0.5, tstd))


@pytest.mark.parametrize(
    ("shape", "axes"),
    [
        ((4, 6, 5), (2, 0, 1)),
        ((4, 6, 5), (1, 0, 2)),
        ((2, 3, 4, 4), (0, 3, 1, 2)),
        ((5, 5), (1, 0)),
    ],
)
def test_order_of_filling(shape: tuple[int, ...], axes: tuple[int, ...]) -> None:
    for seed in SEEDS:
        generator = fg.Generator().manual_seed(seed)
        torch.manual_seed(seed)
        ours = np.empty(shape, np.float32).transpose(axes)[1:]
        theirs = torch.empty(shape).permute(axes)[1:]
        view = fg.memory_order(ours)
        view[...] = generator.uniform(view.shape)
        assert_same(ours, theirs.uniform_())
        view[...] = generator.normal(view.shape, contiguous=False)
        assert_same(ours, theirs.normal_())


def test_default_initialisation(generator: fg.Generator) -> None:
    layer = torch.nn.Linear(30, 20)
    bound = 1 / np.sqrt(30)
    assert_same(generator.uniform((20, 30), -bound, bound), layer.weight.detach())
    assert_same(generator.uniform(20, -bound, bound), layer.bias.detach())
    weight = torch.empty(16, 3, 7, 7)
    torch.nn.init.kaiming_normal_(weight, mode="fan_out", nonlinearity="relu")
    std = np.sqrt(2.0) / np.sqrt(16 * 49)
    assert_same(generator.normal((16, 3, 7, 7), 0.0, std), weight)


def test_shuffled_loader(generator: fg.Generator) -> None:
    from torch.utils.data import DataLoader, TensorDataset

    loader = DataLoader(TensorDataset(torch.arange(701)), 1, shuffle=True)
    for _epoch in range(2):
        theirs = [int(batch[0][0]) for batch in loader]
        fg.base_seed(generator)  # the loader's own, for its workers
        sampler = fg.Generator().manual_seed(fg.base_seed(generator))
        assert sampler.randperm(701).tolist() == theirs
    assert_same_state(generator)


def test_states_travel_both_ways() -> None:
    for seed in SEEDS:
        torch.manual_seed(seed)
        for words in (0, 1, 3, 623, 624, 625, 2000):
            torch.empty(words, dtype=torch.int32).random_()
            torch.randn(1)  # leaves a normal waiting
            ours = fg.Generator().set_state(torch.get_rng_state().numpy())
            assert_same_state(ours)
            assert_same(ours.normal(3), torch.randn(3))
            torch.set_rng_state(torch.from_numpy(ours.get_state()))
            assert_same(ours.normal(3), torch.randn(3))
            assert_same(ours.normal(1000), torch.randn(1000))
            assert_same_state(ours)


@pytest.mark.parametrize("seed", [0, -1, -(1 << 63), (1 << 63) + 5, (1 << 64) - 1, 1 << 32])
def test_seeds(seed: int) -> None:
    theirs = torch.Generator().manual_seed(seed)
    ours = fg.Generator().manual_seed(seed)
    assert ours.initial_seed() == theirs.initial_seed()
    assert np.array_equal(ours.get_state(), theirs.get_state().numpy())
    assert_same(ours.uniform(5), torch.rand(5, generator=theirs))


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (lambda g: g.manual_seed(1 << 64), lambda t: torch.Generator().manual_seed(1 << 64)),
        (lambda g: g.manual_seed(1.5), lambda t: torch.Generator().manual_seed(1.5)),
        (lambda g: g.uniform(3, 1, 0), lambda t: t.uniform_(1, 0)),
        (lambda g: g.uniform(3, 0, 1e39), lambda t: t.uniform_(0, 1e39)),
        (lambda g: g.uniform(3, -3e38, 3e38), lambda t: t.uniform_(-3e38, 3e38)),
        (lambda g: g.uniform(3, dtype=np.dtype("i4")), lambda t: t.int().uniform_()),
        (lambda g: g.normal(3, 0, -1), lambda t: t.normal_(0, -1)),
        (lambda g: g.normal(3, dtype=np.dtype("i4")), lambda t: t.int().normal_()),
        (lambda g: g.randint(3, 3, 2), lambda t: torch.randint(3, 3, (2,))),
        (lambda g: g.randint(0, 300, 2, np.dtype("u1")), lambda t: t.byte().random_(0, 300)),
        (lambda g: g.randint(-2, 3, 2, np.dtype("u1")), lambda t: t.byte().random_(-2, 3)),
        (lambda g: g.random_(3, np.dtype("u2")), lambda t: t.to(torch.uint16).random_()),
        (lambda g: g.randperm(-1), lambda t: torch.randperm(-1)),
        (
            lambda g: g.randperm(300, np.dtype("u1")),
            lambda t: torch.randperm(300, dtype=torch.uint8),
        ),
        (lambda g: g.bernoulli(2, 3), lambda t: t.bernoulli_(2)),
        (lambda g: g.exponential(3, 0), lambda t: t.exponential_(0)),
        (lambda g: g.exponential(3, 1, np.dtype("i4")), lambda t: t.int().exponential_()),
        (lambda g: g.geometric(0, 3), lambda t: t.geometric_(0)),
        (lambda g: g.cauchy(3, 0, 0), lambda t: t.cauchy_(0, 0)),
        (lambda g: g.log_normal(3, 0, 0), lambda t: t.log_normal_(0, 0)),
        (lambda g: g.poisson(-np.ones(1)), lambda t: torch.poisson(-torch.ones(1))),
        (
            lambda g: g.multinomial(np.zeros(2), 1),
            lambda t: torch.multinomial(torch.zeros(2), 1),
        ),
        (lambda g: g.multinomial(np.ones(2), 3), lambda t: torch.multinomial(torch.ones(2), 3)),
        (
            lambda g: g.multinomial(-np.ones(2), 1),
            lambda t: torch.multinomial(-torch.ones(2), 1),
        ),
    ],
)
def test_errors_equal(ours, theirs) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(Exception) as wanted:
        theirs(torch.empty(3))
    with pytest.raises(type(wanted.value)) as raised:
        ours(fg.Generator())
    assert str(raised.value) == str(wanted.value).split("\n")[0]
