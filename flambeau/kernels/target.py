"""The processor that code is generated for: vector width, registers, features, caches, cores.

`host()` describes the machine at hand. `named("avx2")` and its kin describe other machines, so
that tests generate, and where they can run, code of every vector width on one machine.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path


@dataclass(frozen=True)
class Target:
    """A processor as the kernel generators see it.

    Attributes:
        name: the instruction set ("sse2", "avx2", "avx512", "neon").
        triple, cpu, features: what LLVM is told.
        vector_bytes: the width of a vector register.
        registers: how many vector registers there are.
        has_fma: whether a fused multiply-add is one instruction.
        has_half: whether f16 <-> f32 conversion is one instruction.
        l1, l2: bytes of the caches a core has to itself.
        cores: how many cores this process may use.
    """

    name: str
    triple: str
    cpu: str
    features: str
    vector_bytes: int
    registers: int
    has_fma: bool = True
    has_half: bool = True
    l1: int = 32 * 1024
    l2: int = 512 * 1024
    cores: int = 1

    def lanes(self, element_bytes: int) -> int:
        """How many elements of that size fill one vector register."""
        return max(1, self.vector_bytes // element_bytes)

    @property
    def is_aarch64(self) -> bool:
        return self.triple.startswith(("aarch64", "arm64"))

    @property
    def is_x86(self) -> bool:
        return self.triple.startswith(("x86_64", "i686", "i386"))


_LINUX_X86 = "x86_64-unknown-linux-gnu"
_INSTRUCTION_SETS = {
    "sse2": Target("sse2", _LINUX_X86, "x86-64", "", 16, 16, has_fma=False, has_half=False),
    "avx2": Target("avx2", _LINUX_X86, "x86-64-v3", "", 32, 16),
    "avx512": Target("avx512", _LINUX_X86, "x86-64-v4", "", 64, 32),
    "neon": Target("neon", "aarch64-unknown-linux-gnu", "generic", "+neon", 16, 32),
}


def named(instruction_set: str) -> Target:
    """The target of an instruction set: "sse2", "avx2", "avx512" or "neon".

    On a machine of the same architecture it keeps the machine's caches, cores and system, so
    that the code can run here if `can_run` says so. Raises `KeyError` for any other name.
    """
    wanted = _INSTRUCTION_SETS[instruction_set]
    here = host()
    if wanted.is_aarch64 != here.is_aarch64:
        return wanted
    return replace(wanted, triple=here.triple, l1=here.l1, l2=here.l2, cores=here.cores)


def can_run(target: Target) -> bool:
    """Whether code for `target` runs on this machine."""
    here = host()
    if target.is_aarch64 or here.is_aarch64:
        return target.is_aarch64 == here.is_aarch64
    widths = ["sse2", "avx2", "avx512"]
    return widths.index(target.name) <= widths.index(here.name)


@cache
def host() -> Target:
    """The machine at hand, asked of LLVM and of the operating system."""
    import llvmlite.binding as llvm

    features = llvm.get_host_cpu_features()
    triple = llvm.get_process_triple()
    base = _INSTRUCTION_SETS[_instruction_set(triple, features)]
    return replace(
        base,
        triple=triple,
        cpu=llvm.get_host_cpu_name(),
        features=features.flatten(),
        has_half=base.is_aarch64 or bool(features.get("f16c", False)),
        l1=_cache_bytes(1) or base.l1,
        l2=_cache_bytes(2) or base.l2,
        cores=cores(),
    )


def _instruction_set(triple: str, features: dict[str, bool]) -> str:
    if triple.startswith(("aarch64", "arm64")):
        return "neon"
    if all(features.get(f, False) for f in ("avx512f", "avx512vl", "avx512bw", "avx512dq")):
        return "avx512"
    if features.get("avx2", False) and features.get("fma", False):
        return "avx2"
    return "sse2"


def cores() -> int:
    """How many cores this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _cache_bytes(level: int) -> int | None:
    """The size of the first core's data cache of that level, where Linux tells it."""
    for entry in sorted(Path("/sys/devices/system/cpu/cpu0/cache").glob("index*")):
        try:
            kind = (entry / "type").read_text().strip()
            if kind != "Instruction" and int((entry / "level").read_text()) == level:
                size = (entry / "size").read_text().strip()
                return int(size.rstrip("KM")) * {"K": 1024, "M": 1024**2}.get(size[-1], 1)
        except (OSError, ValueError):
            continue
    return None
