"""The random generator against numbers that PyTorch 2.13 gave (x86-64, not Intel, glibc)."""

from __future__ import annotations

import copy
import math
import pickle
import platform
import threading
import zlib

import ml_dtypes
import numpy as np
import pytest

from flambeau.core import box_muller
from flambeau.core import generator as fg
from flambeau.core.generator import Generator

DTYPES = {
    name: np.dtype(getattr(ml_dtypes, name, name))
    for name in ("bool", "uint8", "int8", "int16", "int32", "int64")
    + ("float16", "bfloat16", "float32", "float64")
}
FLOATS = ("float32", "float64", "float16", "bfloat16")
SIZES = (7, 16, 1000)

#: Checksums of three draws, of 7, 16 and 1000 numbers, each continuing the stream of seed 0.
FLOATING = {
    ("uniform", "float32"): (0xD2240ED6, 0xC15A1F37, 0x401E69E0),
    ("uniform", "float64"): (0x197BD4F6, 0x870A2F07, 0x088E4DE7),
    ("uniform", "float16"): (0x33FF85D8, 0x685F14A8, 0xAC2EC1ED),
    ("uniform", "bfloat16"): (0x8CE4295F, 0x521148E0, 0xCC2EB12E),
    ("uniform(-0.3, 0.7)", "float32"): (0x246ECC0D, 0xAF9A5BCE, 0x59B79CB3),
    ("uniform(-0.3, 0.7)", "float64"): (0x6BA85B42, 0x826480EA, 0xA5FBD83A),
    ("uniform(-0.3, 0.7)", "float16"): (0x0E4309A1, 0x746E1E45, 0x77080FA3),
    ("uniform(-0.3, 0.7)", "bfloat16"): (0xA7963C90, 0xD6F76465, 0x0318E0A2),
    ("normal", "float32"): (0x06CC5144, 0x5E3A883A, 0x7F291B33),
    ("normal", "float64"): (0x3713D1B4, 0xF03D307F, 0x61DC9FE7),
    ("normal", "float16"): (0xA5D92356, 0x0E52F1C7, 0x93B63348),
    ("normal", "bfloat16"): (0x18468AA2, 0x03AFB0C8, 0x1229EE6F),
    ("normal(0.5, 0.3)", "float32"): (0xC7C990E5, 0xE5715529, 0xDB28E978),
    ("normal(0.5, 0.3)", "float64"): (0xB6AD747C, 0x4243E106, 0x10321E9B),
    ("normal(0.5, 0.3)", "float16"): (0x61465BE3, 0x36842817, 0xEF3DD4E5),
    ("normal(0.5, 0.3)", "bfloat16"): (0xD5D43BA6, 0xA6AD46C9, 0x4E02AB02),
}
#: Checksums of 99 numbers of `random_()` and of `random_(0, 100)`, from one stream of seed 3.
WHOLE = {
    "uint8": (0x4F0FC54F, 0xF3FC9CD0),
    "int8": (0xB439C35B, 0xFD23176B),
    "int16": (0xAF60FDC7, 0xEED74589),
    "int32": (0x88F18520, 0x56738AFB),
    "int64": (0x57419B1D, 0xA0AB9693),
    "bool": (0x12C28861, 0x012232E0),
    "float32": (0xB7D560B7, 0x90DCBB17),
    "float64": (0xD5A30325, 0x2B24CFAE),
    "float16": (0x9F2FEF18, 0xCA443D84),
    "bfloat16": (0xC5D85669, 0x98A5E9CC),
}


def seeded(seed: int) -> Generator:
    return Generator().manual_seed(seed)


def checksum(array: np.ndarray) -> int:
    return zlib.crc32(array.tobytes())


def test_first_numbers() -> None:
    g = seeded(0)
    assert g.uniform(3).tolist() == [
        0.49625658988952637,
        0.7682217955589294,
        0.08847743272781372,
    ]
    assert g.normal(3).tolist() == [
        0.3643381893634796,
        0.13439632952213287,
        0.16421625018119812,
    ]
    assert g.randint(0, 10, 8).tolist() == [6, 6, 9, 8, 6, 6, 8, 4]
    assert g.randperm(8).tolist() == [1, 7, 0, 4, 6, 2, 5, 3]
    assert g.bernoulli(0.5, 8).tolist() == [0, 1, 1, 1, 1, 0, 0, 1]
    assert checksum(g.randperm(1000)) == 0xAA5F0D60
    assert checksum(g.normal(100_000)) == 0xFA5E1CCE


def test_floating_draws() -> None:
    g = seeded(0)
    exact_libm = platform.libc_ver()[0] == "glibc"
    for (name, dtype), wanted in FLOATING.items():
        draw = g.normal if name.startswith("normal") else g.uniform
        ends = {"uniform(-0.3, 0.7)": (-0.3, 0.7), "normal(0.5, 0.3)": (0.5, 0.3)}.get(name, ())
        drawn = tuple(checksum(draw(n, *ends, dtype=DTYPES[dtype])) for n in SIZES)
        if exact_libm or draw == g.uniform:
            assert drawn == wanted, (name, dtype)


def test_whole_draws() -> None:
    g = seeded(3)
    for name, wanted in WHOLE.items():
        dtype = DTYPES[name]
        anything = g.random_(99, dtype)
        ranged = g.randint(0, 2 if name == "bool" else 100, 99, dtype)
        assert (checksum(anything), checksum(ranged)) == wanted, name
    g = seeded(4)
    assert g.randint(-5, 1 << 40, 3).tolist() == [527773029461, 786674830771, 557644050480]
    assert g.randint(-(1 << 63), None, 3).tolist() == [
        -5260716360909340216,
        -5575919015765118583,
        3986147714822242044,
    ]


def test_other_distributions() -> None:
    g = seeded(5)
    weights = np.array([0.1, 0.2, 0.3, 0.4], np.float32)
    double = np.dtype(np.float64)
    assert g.multinomial(weights, 3).tolist() == [3, 2, 1]
    assert g.multinomial(weights, 6, True).tolist() == [1, 3, 2, 3, 3, 2]
    assert g.poisson(np.array([0.5, 5, 50], np.float32)).tolist() == [0, 3, 46]
    gamma = g.standard_gamma(np.array([0.5, 5.0]))
    assert gamma.tolist() == pytest.approx([0.4853240605250039, 2.5400149892449315], rel=1e-14)
    count, p = np.array([3, 100], np.float32), np.array([0.5, 0.7], np.float32)
    assert g.binomial(count, p).tolist() == [0, 72]
    assert g.exponential(3, 2.0, double).tolist() == pytest.approx(
        [0.14282636912341742, 0.09626321667920702, 0.06947260669535808], rel=1e-14
    )
    assert g.geometric(0.2, 3).tolist() == [3, 1, 2]
    assert g.cauchy(2, 1, 2, double).tolist() == pytest.approx(
        [9.915630683909011, -0.6575372322364212], rel=1e-14
    )
    assert g.log_normal(2, 0.1, 0.2, double).tolist() == pytest.approx(
        [0.6754303063378558, 1.315554239250381], rel=1e-14
    )
    complex_normals = seeded(6).normal(2, dtype=np.dtype(np.complex64)).tolist()
    assert complex_normals == [
        -1.3253999948501587 - 0.7026259899139404j,
        0.508033037185669 - 0.4938814640045166j,
    ]


def test_saved_states_are_pytorch_bytes() -> None:
    assert checksum(seeded(2).get_state()) == 0x174935FE
    g = seeded(1)
    g.uniform(5)
    g.normal(3)  # leaves one normal waiting
    assert checksum(g.get_state()) == 0x878B9B6E


@pytest.mark.parametrize("words", [0, 1, 623, 624, 625, 1247, 1248, 5000])
def test_a_restored_state_continues_the_stream(words: int) -> None:
    g = seeded(11)
    g.random_(words, np.dtype(np.int32))
    g.normal(1)
    copies = [
        Generator().set_state(g.get_state()),
        g.clone_state(),
        pickle.loads(pickle.dumps(g)),
        copy.deepcopy(g),
    ]
    wanted = g.normal(1), g.uniform(700), g.normal(33), g.get_state()
    for other in copies:
        drawn = other.normal(1), other.uniform(700), other.normal(33), other.get_state()
        assert all(map(np.array_equal, wanted, drawn))
        assert other.initial_seed() == 11


def test_pieces_make_the_same_stream() -> None:
    dtype = np.dtype(np.int32)
    whole = seeded(9).random_(100_000, dtype)
    g, pieces = seeded(9), []
    sizes = iter(np.random.default_rng(0).integers(0, 3000, 1000).tolist())
    while (done := sum(map(len, pieces))) < whole.size:
        pieces.append(g.random_(min(next(sizes), whole.size - done), dtype))
    assert np.array_equal(np.concatenate(pieces), whole)
    twins = seeded(9)
    assert [twins.random() & 0x7FFFFFFF for _ in range(5)] == whole[:5].tolist()
    assert twins.random64() >> 32 & 0x7FFFFFFF == whole[5]


def test_draws_belong_to_the_caller() -> None:
    g = seeded(0)
    for draw in (g.uniform, g.random_, g.normal, lambda n: g.randint(0, 8, n)):
        draw(10)[...] = 0
    other = seeded(0)
    for draw in (other.uniform, other.random_, other.normal, lambda n: other.randint(0, 8, n)):
        draw(10)
    assert np.array_equal(g.uniform(1000), other.uniform(1000))


@pytest.mark.parametrize("n", [500, 501, 1000, 4097, 50_000])
def test_both_shuffles_agree(n: int) -> None:
    offsets = seeded(n).random_(n - 1, np.dtype(np.int32)).astype(np.uint32)
    offsets %= np.arange(n, 1, -1, dtype=np.uint32)
    order = fg._shuffle(offsets, n)
    assert np.array_equal(order, fg._shuffle_few(offsets, n))
    assert np.array_equal(np.sort(order), np.arange(n))


def test_shuffles_without_and_with_every_swap() -> None:
    for n in (1, 2, 3, 700):
        still = np.zeros(n - 1, np.uint32)
        furthest = np.arange(n - 1, 0, -1, dtype=np.uint32)
        for offsets in (still, furthest):
            assert np.array_equal(fg._shuffle(offsets, n), fg._shuffle_few(offsets, n))


def test_fused_multiply_add_rounds_once() -> None:
    from fractions import Fraction

    source = np.random.default_rng(0)
    a, b, c = source.standard_normal((3, 3000)) * 2.0 ** source.integers(-30, 30, (3, 3000))
    fused = box_muller.fma64(a, b, c)
    for x, y, z, got in zip(a, b, c, fused.tolist(), strict=True):
        assert got == float(Fraction(x) * Fraction(y) + Fraction(z))
    # Half-way between two float32 but for a term far below: the term decides.
    half_way = np.array([1 + 2.0**-24])
    above = box_muller.fma32(np.array([2.0**-30]), 2.0**-30, half_way)
    below = box_muller.fma32(np.array([-(2.0**-30)]), 2.0**-30, half_way)
    assert above[0] == np.float32(1 + 2.0**-23) and below[0] == 1


@pytest.mark.parametrize("dtype", FLOATS)
def test_uniform_stays_below_its_end(dtype: str) -> None:
    drawn = seeded(0).uniform(200_000, 1.0, 1.25, DTYPES[dtype]).astype(np.float64)
    assert drawn.min() >= 1.0 and drawn.max() < 1.25


def test_statistics() -> None:
    g, n = seeded(42), 200_000
    assert g.normal(n, 3, 2).mean() == pytest.approx(3, abs=0.02)
    assert g.exponential(n, 4).mean() == pytest.approx(0.25, rel=0.02)
    assert g.bernoulli(0.3, n).mean() == pytest.approx(0.3, abs=0.01)
    assert g.geometric(0.25, n).mean() == pytest.approx(4, rel=0.02)
    assert np.median(g.cauchy(n, 1, 2)) == pytest.approx(1, abs=0.05)
    assert g.log_normal(n, 0, 0.5).mean() == pytest.approx(math.exp(0.125), rel=0.02)
    assert g.poisson(np.full(20_000, 30.0)).mean() == pytest.approx(30, rel=0.02)
    assert g.standard_gamma(np.full(20_000, 2.5)).mean() == pytest.approx(2.5, rel=0.03)
    shares = np.bincount(g.multinomial(np.array([1.0, 3.0]), n, True)) / n
    assert shares == pytest.approx([0.25, 0.75], abs=0.01)


@pytest.mark.parametrize("shape", [(), (0,), (2, 0, 3), (2, 3), 4])
def test_shapes(shape: int | tuple[int, ...]) -> None:
    g = seeded(0)
    wanted = (shape,) if isinstance(shape, int) else shape
    before = g.get_state()
    drawn = [g.uniform(shape), g.normal(shape), g.random_(shape), g.randint(0, 9, shape)]
    drawn += [g.bernoulli(0.5, shape), g.exponential(shape), g.geometric(0.5, shape)]
    drawn += [g.cauchy(shape), g.log_normal(shape)]
    for array in drawn:
        assert array.shape == wanted
    assert np.array_equal(before, g.get_state()) == (math.prod(wanted) == 0)


def test_memory_order_walks_along_memory() -> None:
    channels_last = np.empty((2, 5, 6, 3)).transpose(0, 3, 1, 2)
    view = fg.memory_order(channels_last)
    assert view.flags.c_contiguous and np.shares_memory(view, channels_last)
    plain = np.empty((3, 4))
    assert fg.memory_order(plain).shape == (3, 4) and fg.memory_order(plain.T).shape == (3, 4)


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda g: g.manual_seed(1 << 64), ValueError, "Overflow when unpacking long long"),
        (lambda g: g.manual_seed(-(1 << 63) - 1), ValueError, "Overflow"),
        (lambda g: g.manual_seed(1.5), RuntimeError, "expected a long, but got float"),
        (lambda g: g.set_state(3), TypeError, "ByteTensor"),
        (lambda g: g.set_state(np.zeros(10, np.uint8)), RuntimeError, "size 5056"),
        (lambda g: g.set_state(np.zeros(5056, np.uint8)), RuntimeError, "Invalid mt19937"),
        (lambda g: g.uniform(3, 1, 0), RuntimeError, r"from=1 > to=0"),
        (lambda g: g.uniform(3, dtype=np.dtype(int)), NotImplementedError, "'Long'"),
        (lambda g: g.normal(3, 0, -1), RuntimeError, "std >= 0.0, but found std -1"),
        (lambda g: g.normal(2, 0, np.array([1.0, -1.0])), RuntimeError, "all elements of std"),
        (lambda g: g.randint(3, 3, 2), RuntimeError, "from=3 >= to=3"),
        (lambda g: g.randint(0, 300, 2, DTYPES["uint8"]), RuntimeError, "unsigned char"),
        (lambda g: g.randperm(-1), RuntimeError, "negative dimension"),
        (lambda g: g.bernoulli(1.5, 2), RuntimeError, "p=1.5"),
        (lambda g: g.bernoulli(np.array([2.0])), RuntimeError, "p_in"),
        (lambda g: g.multinomial(np.ones(2), 3), RuntimeError, "without replacement"),
        (lambda g: Generator("cuda"), NotImplementedError, "cuda"),
    ],
)
def test_errors(call, error: type[Exception], words: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(error, match=words):
        call(Generator())


def test_seeds() -> None:
    assert Generator().initial_seed() == 67280421310721
    assert seeded(-1).initial_seed() == (1 << 64) - 1
    assert np.array_equal(seeded(1 << 32).uniform(4), seeded(0).uniform(4))  # only 32 bits seed
    fresh = Generator()
    assert fresh.seed() == fresh.initial_seed() < 1 << 53
    assert str(fresh.device) == "cpu"


def test_default_generator() -> None:
    before = fg.get_state()
    try:
        assert fg.manual_seed(7) is fg.default_generator and fg.initial_seed() == 7
        state = fg.get_state()
        first = fg.base_seed()
        fg.set_state(state)
        assert fg.base_seed() == first == fg.base_seed(seeded(7))
        assert fg.seed_worker(first, 3) == fg.initial_seed() == first + 3
        assert fg.seed() == fg.initial_seed()
    finally:
        fg.set_state(before)


def test_threads_share_a_generator() -> None:
    g, drawn = seeded(0), []
    threads = [
        threading.Thread(target=lambda: drawn.append([g.random() for _ in range(2000)]))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    alone = seeded(0)
    assert sorted(number for part in drawn for number in part) == sorted(
        alone.random() for _ in range(8000)
    )
