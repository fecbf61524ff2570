"""The processor that code is generated for: vector width, registers, features, caches, cores.

`host()` describes the machine at hand. `named("avx2")` and its kin describe other machines, so
that tests generate, and where they can run, code of every vector width on one machine.

`FLAMBEAU_CPU` has all code made for a lesser processor than the one at hand: "x86-64", "x86-64-v2" (SSE4), "x86-64-v3"
(AVX2) or "x86-64-v4" (AVX-512); on aarch64 the name of any processor that LLVM knows, such as "generic" or
"neoverse-n1". It is for tests, for comparisons, and for a folder of code that several machines share.
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
        l1, l2: bytes of the caches a core has to itself, or of its share.
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
_WIDTHS = ["sse2", "avx2", "avx512"]
_INSTRUCTION_SETS = {
    "sse2": Target("sse2", _LINUX_X86, "x86-64", "", 16, 16, has_fma=False, has_half=False),
    "avx2": Target("avx2", _LINUX_X86, "x86-64-v3", "", 32, 16),
    "avx512": Target("avx512", _LINUX_X86, "x86-64-v4", "", 64, 32),
    # Scalable vectors (SVE) are left to LLVM: what it knows to do with them on 128 bits.
    "neon": Target("neon", "aarch64-unknown-linux-gnu", "generic", "+neon", 16, 32),
}
#: The levels of the x86-64 ABI, and the instruction set that kernels use of each.
_LEVELS = {"x86-64": "sse2", "x86-64-v2": "sse2", "x86-64-v3": "avx2", "x86-64-v4": "avx512"}
_LEAST_L2 = 128 * 1024


def named(instruction_set: str) -> Target:
    """The target of an instruction set: "sse2", "avx2", "avx512" or "neon".

    On a machine of the same architecture it keeps the machine's caches, cores and system, so
    that the code can run here if `can_run` says so. Raises `KeyError` for any other name.
    """
    wanted = _INSTRUCTION_SETS[instruction_set]
    here = _at_hand()
    if wanted.is_aarch64 != here.is_aarch64:
        return wanted
    return replace(wanted, triple=here.triple, l1=here.l1, l2=here.l2, cores=here.cores)


def can_run(target: Target) -> bool:
    """Whether code for `target` runs on this machine."""
    here = host()
    if target.is_aarch64 or here.is_aarch64:
        return target.is_aarch64 == here.is_aarch64
    return _WIDTHS.index(target.name) <= _WIDTHS.index(here.name)


@cache
def host() -> Target:
    """The machine that code is made for: the one at hand, or what `FLAMBEAU_CPU` makes of it.

    Raises `ValueError` if that is no processor whose code runs here.
    """
    wanted = os.environ.get("FLAMBEAU_CPU", "")
    return _lessened(_at_hand(), wanted) if wanted else _at_hand()


def _lessened(here: Target, cpu: str) -> Target:
    """The machine at hand seen as another processor."""
    if here.is_aarch64:
        return replace(here, cpu=cpu, features="")
    runs = [name for name, width in _LEVELS.items() if _WIDTHS.index(width) <= _WIDTHS.index(here.name)]
    if not here.is_x86 or cpu not in runs:
        raise ValueError(f"FLAMBEAU_CPU={cpu!r}: code can be made here for {', '.join(runs) if here.is_x86 else here.cpu}")
    return replace(named(_LEVELS[cpu]), cpu=cpu)


@cache
def _at_hand() -> Target:
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


def _cache_bytes(level: int, folder: Path = Path("/sys/devices/system/cpu/cpu0/cache")) -> int | None:
    """A core's share of the first core's data cache of that level, where Linux tells it.

    Processors that share the first level are one core.
    """
    found: dict[int, tuple[int, int]] = {}
    for entry in sorted(folder.glob("index*")):
        try:
            if (entry / "type").read_text().strip() != "Instruction":
                size = (entry / "size").read_text().strip()
                number = int(size.rstrip("KM")) * {"K": 1024, "M": 1024**2}.get(size[-1], 1)
                found[int((entry / "level").read_text())] = number, _count(entry / "shared_cpu_list")
        except (OSError, ValueError):
            continue
    if level not in found or not found[level][0]:
        return None
    size, sharers = found[level]
    cores_sharing = max(1, sharers // found[1][1]) if 1 in found else 1
    return max(size // cores_sharing, min(size, _LEAST_L2))


def _count(listed: Path) -> int:
    """How many processors a list such as "0-3,8" names; one where there is none."""
    try:
        parts = [part.split("-") for part in listed.read_text().strip().split(",")]
        return max(1, sum(int(part[-1]) - int(part[0]) + 1 for part in parts))
    except (OSError, ValueError):
        return 1
