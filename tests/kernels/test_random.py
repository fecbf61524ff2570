"""Draws by kernels against those of the generator in NumPy: every bit, and the state afterwards."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from flambeau.core import box_muller, twister
from flambeau.core.generator import Generator
from flambeau.kernels import jit, random
from flambeau.kernels.element import element_of
from flambeau.kernels.language import Module
from flambeau.kernels.target import Target, named

BFLOAT16 = np.dtype(ml_dtypes.bfloat16)
KINDS = {"f4": np.dtype("f4"), "f8": np.dtype("f8"), "f2": np.dtype("f2"), "bf16": BFLOAT16}
WHOLE = {name: np.dtype(name) for name in ("?", "u1", "i1", "i2", "i4", "i8")}

Draw = Callable[[Generator, int, np.dtype], np.ndarray]
DRAWS: dict[str, tuple[Draw, dict[str, np.dtype]]] = {
    "uniform": (lambda g, n, d: g.uniform(n, dtype=d), KINDS),
    "uniform(-0.3, 0.7)": (lambda g, n, d: g.uniform(n, -0.3, 0.7, d), KINDS),
    "normal": (lambda g, n, d: g.normal(n, dtype=d), KINDS),
    "normal(0.5, 0.3)": (lambda g, n, d: g.normal(n, 0.5, 0.3, d), KINDS),
    "normal, one pair at a time": (lambda g, n, d: g.normal(n, 0.5, 0.3, d, contiguous=False), KINDS),
    "log_normal": (lambda g, n, d: g.log_normal(n, 0.1, 0.2, d), KINDS),
    "exponential": (lambda g, n, d: g.exponential(n, 1.5, d), KINDS),
    "geometric": (lambda g, n, d: g.geometric(0.2, n, d), KINDS),
    "cauchy": (lambda g, n, d: g.cauchy(n, 1, 2, d), KINDS),
    "bernoulli": (lambda g, n, d: g.bernoulli(0.3, n, d), KINDS | WHOLE),
    "bernoulli, scaled": (lambda g, n, d: g.bernoulli(0.7, n, d, 1 / 0.7), KINDS),
    "bernoulli of": (lambda g, n, d: g.bernoulli(np.linspace(0, 1, n).astype(d), n, d), KINDS),
    "random": (lambda g, n, d: g.random_(n, d), KINDS | WHOLE),
    "randint": (lambda g, n, d: g.randint(0, 100, n, d), KINDS | {"i4": np.dtype("i4"), "i8": np.dtype("i8")}),
    "randint(-7, 2**28 - 8)": (lambda g, n, d: g.randint(-7, (1 << 28) - 8, n, d), {"i8": np.dtype("i8")}),
    "randint(-2**40, 2**40)": (lambda g, n, d: g.randint(-(1 << 40), 1 << 40, n, d), {"i8": np.dtype("i8")}),
    "randperm": (lambda g, n, d: g.randperm(n, d), {"i8": np.dtype("i8")}),
}
CASES = [(name, kind) for name, (_, kinds) in DRAWS.items() for kind in kinds]
SIZES = (16, 31, 32, 200, 623, 624, 625, 1300, 4999)


@pytest.fixture
def kernels(monkeypatch: pytest.MonkeyPatch) -> Callable[[bool], None]:
    """Has the kernels draw always, or never."""
    monkeypatch.setattr(twister._Kernels, "module", random)
    monkeypatch.setattr(twister, "_LITTLE", 0)

    def choose(on: bool) -> None:
        monkeypatch.setattr(twister, "_LITTLE", 0 if on else 1e30)

    return choose


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_kernels_draw_what_numpy_draws(name: str, kind: str, kernels: Callable[[bool], None]) -> None:
    draw, kinds = DRAWS[name]
    ours, theirs = Generator(), Generator()
    for size in SIZES:
        for g in (ours, theirs):
            g.manual_seed(size)
            g.random_(size % 7, np.dtype("i4"))
        for _ in range(2):
            kernels(True)
            actual = draw(ours, size, kinds[kind])
            kernels(False)
            expected = draw(theirs, size, kinds[kind])
            assert actual.dtype == expected.dtype
            assert actual.tobytes() == expected.tobytes(), size
            assert np.array_equal(ours.get_state(), theirs.get_state()), size


def _twister(seed: int) -> tuple[np.random.MT19937, np.ndarray]:
    """A twister that stands at the end of a state, and that state's words."""
    generator = Generator().manual_seed(seed)
    words = generator._engine.words(624).copy()
    return generator._engine._twister, words


def _compiled(distribution: str, dtype: np.dtype, target: Target) -> Any:
    module = Module(target)
    random.emit(module, "draw", distribution, element_of(dtype))
    return jit.load(module).function("draw", 9)


def _run(function: Any, distribution: str, out: np.ndarray, parameters: tuple, seed: int, used: int) -> np.ndarray:
    """Draws and returns the words of the last state."""
    source, before = _twister(seed)
    packed = struct.pack(random.DISTRIBUTIONS[distribution].parameters, *parameters)
    needed = out.size * random.DISTRIBUTIONS[distribution].words(element_of(out.dtype))
    states = max(0, -((624 - used - needed) // 624))
    after, given = np.empty(624, np.uint32), np.full(out.size, 0.4, out.dtype if out.dtype.kind == "f" else "f4")
    pointers = [a.ctypes.data for a in (before, after)]
    function(source.ctypes.state_address, *pointers, packed, given.ctypes.data, out.ctypes.data, used, states, out.size)
    return after


PARAMETERS: dict[str, tuple] = {
    "uniform": (2.0, -1.0, 1.0, -1.0), "normal": (0.5, 0.3), "paired": (0.5, 0.3), "log normal": (0.1, 0.2),
    "bernoulli": (1 << 52, 2.0), "bernoulli of": (), "remainder": (10_007, 1 / 10_007, -3), "masked": (0xFFFF,),
    "exponential": (-1.0,), "geometric": (-0.5,), "cauchy": (0.0, 1.0),
}  # fmt: skip


@pytest.mark.parametrize("distribution", sorted(random.DISTRIBUTIONS))
@pytest.mark.parametrize("kind", ["f4", "f8"])
def test_vectors_of_every_width_draw_the_same(distribution: str, kind: str, target: Target) -> None:
    dtype = np.dtype(kind.replace("f", "i")) if distribution == "masked" else np.dtype(kind)
    widest = _compiled(distribution, dtype, named("sse2") if not target.is_aarch64 else target)
    function = _compiled(distribution, dtype, target)
    for size, used in ((16, 624), (48, 600), (704, 0), (3008, 333)):  # normal numbers come in blocks
        results = [np.empty(size, dtype) for _ in range(2)]
        last = [_run(f, distribution, out, PARAMETERS[distribution], size, used) for f, out in zip((widest, function), results, strict=True)]
        assert results[0].tobytes() == results[1].tobytes()
        assert np.array_equal(*last)


@pytest.mark.parametrize("distribution", sorted(random.DISTRIBUTIONS))
@pytest.mark.parametrize("width", ["avx2", "avx512", "neon"])
def test_code_is_made_for_other_processors(distribution: str, width: str) -> None:
    module = Module(named(width))
    random.emit(module, "draw", distribution, element_of("i8" if distribution == "masked" else "f8"))
    assert jit.compile_object(module.text(), module.target)


@pytest.mark.parametrize("count", [1 << 18, pytest.param(1 << 24, marks=pytest.mark.slow)], ids=["some", "all"])
def test_every_uniform_gives_one_normal(count: int, target: Target) -> None:
    """NumPy rounds some sums twice; fused machine code never does. All 2**24 uniforms agree."""
    if not target.has_fma and count > 1 << 18:
        pytest.skip("products are not rounded once here but by the C library, which takes minutes")
    step = (1 << 24) // count
    radii = np.arange(0, 1 << 24, step).astype(np.uint32)
    angles = np.random.default_rng(0).permutation(radii)
    words = np.stack([radii.reshape(-1, 8), angles.reshape(-1, 8)], 1).reshape(-1)
    draw = _compiled("normal", np.dtype("f4"), target)
    key, after = np.zeros(640, np.uint32), np.empty(624, np.uint32)
    for mean, std in ((0.0, 1.0), (0.3, 0.77)):
        expected = words.astype(np.float32) * np.float32(2.0**-24)
        box_muller.normals32(expected, mean, std)
        actual, packed = np.empty_like(expected), struct.pack("dd", mean, std)
        for start in range(0, words.size, 624):
            part = actual[start : start + 624]
            before = np.zeros(624, np.uint32)
            before[: part.size] = words[start : start + 624]
            draw(key.ctypes.data, before.ctypes.data, after.ctypes.data, packed, 0, part.ctypes.data, 0, 0, part.size)
        assert np.array_equal(actual, expected), (mean, std)
