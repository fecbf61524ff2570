"""Every generator for every instruction set: also for processors that are not here."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from flambeau.kernels import attention, conv, gemm, jit, pointwise, pool, reduce
from flambeau.kernels.attention import Attention
from flambeau.kernels.conv import Convolution
from flambeau.kernels.element import F32
from flambeau.kernels.expression import OPERATIONS
from flambeau.kernels.kernel import Kernel
from flambeau.kernels.language import Buffer, Module
from flambeau.kernels.pointwise import Operand, contiguous
from flambeau.kernels.pool import Pooling
from flambeau.kernels.reduce import Reduction
from flambeau.kernels.target import _cache_bytes, can_run, host, named

from . import support

CONV = Convolution(18, 5, 20, (9, 9), (3, 3), (2, 2), (1, 1))
POOL = Pooling(18, 5, (9, 9), (4, 4), (2, 2), (2, 2))
PLAIN, LANES = Operand("float32", (405, 81, 9, 1)), Operand("float32", (1, 1458, 162, 18))
PLAIN_OUT, LANES_OUT = Operand("float32", (500, 25, 5, 1)), Operand("float32", (1, 450, 90, 18))
WEIGHT = contiguous("float32", (20, 5, 3, 3))
MATH = ("exp", "log1p", "tanh", "sin", "erf", "pow")


def _pointwise(module: Module) -> Kernel:
    nodes = tuple(("input", 0) if i == 0 else (op, 0, 0) if op == "pow" else (op, 0)
                  for i, op in enumerate(("", *MATH)))  # fmt: skip
    ends = [contiguous(d, (5, 33)) for d in ("float32", "float16", "bfloat16", "float32")]
    return pointwise.emit(
        module, "k", (5, 33), [Operand("bfloat16", (33, 1))], ends, nodes, (1, 2, 3, 6)
    )


def _reduce(module: Module) -> Kernel:
    kinds = [Reduction("sum", 0), Reduction("argmax", 0)]
    ends = [contiguous("float32", (300,)), contiguous("int64", (300,))]
    return reduce.emit(
        module, "k", (300, 70), (1,), [contiguous("float32", (300, 70))], ends,
        (("input", 0),), kinds,
    )  # fmt: skip


def _gemm(module: Module) -> Kernel:
    a, b, c = (contiguous("float32", s) for s in ((100, 300), (300, 70), (100, 70)))
    return gemm.emit(module, "k", 100, 70, 300, a, Operand("float32", (1, 300)), c) if b else b


def _attention(module: Module) -> Kernel:
    shape = Attention((2,), 50, 70, 24, 16, 0.2, causal=True)
    q, k, v, out = (contiguous("float32", (2, *s)) for s in ((50, 24), (70, 24), (70, 16), (50, 16)))
    total, mask = contiguous("float32", (2, 50)), contiguous("float32", (2, 50, 70))
    return attention.emit_key_value_gradient(module, "k", shape, q, k, v, mask, total, out, total, k, v)


GENERATORS = {
    "attention": _attention,
    "pointwise": _pointwise,
    "reduce": _reduce,
    "gemm": _gemm,
    "conv": lambda m: conv.emit_forward(m, "k", CONV, PLAIN, WEIGHT, [PLAIN_OUT]),
    "conv batch": lambda m: conv.emit_forward(m, "k", CONV, LANES, WEIGHT, [LANES_OUT]),
    "conv input": lambda m: conv.emit_input_gradient(m, "k", CONV, PLAIN_OUT, WEIGHT, [PLAIN]),
    "conv weight": lambda m: conv.emit_weight_gradient(m, "k", CONV, PLAIN, PLAIN_OUT, WEIGHT),
    "conv weight batch": lambda m: conv.emit_weight_gradient(
        m, "k", CONV, LANES, LANES_OUT, WEIGHT
    ),
    "pool": lambda m: pool.emit_max(m, "k", POOL, PLAIN, [Operand("float32", (80, 16, 4, 1))]),
}


@pytest.mark.parametrize("generator", sorted(GENERATORS))
@pytest.mark.parametrize("name", ["sse2", "avx2", "avx512", "neon"])
def test_generates(name: str, generator: str) -> None:
    target = named(name)
    module = Module(target)
    support.link(module, GENERATORS[generator](module))
    try:
        code = jit.compile_object(module.text(), target)
    except RuntimeError as error:  # an llvmlite built for one architecture only
        if "No available targets" not in str(error):
            raise
        pytest.skip(str(error))
    machine = {"neon": 183}.get(name, 62)  # e_machine of an ELF header
    if code[:4] == b"\x7fELF":
        assert int.from_bytes(code[18:20], "little") == machine


def test_foreign_code_is_not_loaded() -> None:
    foreign = named("neon") if named("neon").triple != named("sse2").triple else None
    if foreign is None or can_run(foreign):
        pytest.skip("every target runs here")
    with pytest.raises(RuntimeError, match="cannot run"):
        jit.load(Module(foreign))


def test_every_operation_is_listed_once() -> None:
    assert len(OPERATIONS) == len(set(OPERATIONS)) > 50


def test_constants_are_near_wherever_programs_lie() -> None:
    """An instruction reaches its constants within some gigabytes; programs lie where the system finds room."""
    kept = []
    for number in range(40):
        module = Module()
        f = module.function("add", [Buffer("x", F32)])
        (f.buffers[0].load(4) + f.iota(F32, 4) * float(number)).store(f.buffers[0])
        kept += [jit.load(module).function("add", 1), np.empty(number << 16, np.uint8)]
    for number, function in enumerate(kept[::2]):
        x = np.ones(4, np.float32)
        function(x.ctypes.data)
        np.testing.assert_array_equal(x, 1 + number * np.arange(4))


def _run(text: str, cpu: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "FLAMBEAU_CPU": cpu}
    return subprocess.run([sys.executable, "-c", text], env=environment, capture_output=True, text=True, check=False)


LESSER = """
import flambeau
from flambeau.kernels.target import host
x = flambeau.arange(40000.).reshape(200, 200) / 40000
assert (x @ x - (x.double() @ x.double())).abs().max() < 1e-4
print(host().name, host().cpu, host().vector_bytes)
"""


@pytest.mark.skipif(not host().is_x86, reason="levels of x86-64")
@pytest.mark.parametrize("cpu, name", [("x86-64", "sse2"), ("x86-64-v2", "sse2"), ("x86-64-v3", "avx2")])
def test_a_lesser_processor_on_request(cpu: str, name: str) -> None:
    if not can_run(named(name)):
        pytest.skip(f"no {name} here")
    done = _run(LESSER, cpu)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [name, cpu, str(named(name).vector_bytes)]


def test_a_processor_that_is_not_here_is_an_error() -> None:
    if host().is_aarch64:
        pytest.skip("LLVM warns of names that it does not know")
    done = _run("from flambeau.kernels.target import host; host()", "pdp-11")
    assert done.returncode and "FLAMBEAU_CPU='pdp-11': code can be made here for" in done.stderr


def test_code_of_one_processor_is_not_taken_for_another() -> None:
    keys = {jit._circumstances(named(name)) for name in ("sse2", "avx2", "avx512", "neon")}
    assert len(keys) == 4


@pytest.mark.parametrize(
    "sizes, sharers, expected",
    [
        (("32K", "512K"), ("0", "0"), (32 << 10, 512 << 10)),
        (("48K", "2048K"), ("0,64", "0,64"), (48 << 10, 2 << 20)),  # two threads of one core
        (("32K", "1024K"), ("0", "0-3"), (32 << 10, 256 << 10)),  # four cores share the second level
        (("32K", "1M"), ("0", "0-63"), (32 << 10, 128 << 10)),  # a machine that hides what it is
        (("32K", "0K"), ("0", "0"), (32 << 10, None)),
        (("", "many"), ("", ""), (None, None)),
    ],
    ids=str,
)
def test_sizes_of_caches(tmp_path: Path, sizes: tuple[str, ...], sharers: tuple[str, ...], expected: tuple[int, ...]) -> None:
    facts = [("1", "Instruction", "64K", "0"), *(("12"[i], "Data", sizes[i], sharers[i]) for i in range(2))]
    for number, values in enumerate(facts):
        folder = tmp_path / f"index{number}"
        folder.mkdir()
        for name, value in zip(("level", "type", "size", "shared_cpu_list"), values, strict=True):
            (folder / name).write_text(value + "\n")
    assert (_cache_bytes(1, tmp_path), _cache_bytes(2, tmp_path)) == expected
    assert _cache_bytes(3, tmp_path) is None


def test_where_programs_may_lie() -> None:
    """On Windows LLVM decides, since its newer linker is not there."""
    assert jit._code_model(named("neon")) == jit._code_model(named("avx2")) == "small"
    assert jit._code_model(replace(named("avx2"), triple="x86_64-pc-windows-msvc")) == "jitdefault"
