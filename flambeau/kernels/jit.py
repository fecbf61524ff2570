"""From a module's text to functions in memory: compile, or take the machine code from disk.

No IR passes run: the language already writes loops, registers and address arithmetic the way
they should be, and instruction selection takes nearly all the time there is to save.

Code is independent of its position, and LLVM's newer linker places all of an object in one block, since instructions
reach constants within 2 or 4 GB only (the older one maps sections wherever there is room, and stops the process where
that is too far, as on aarch64). It writes to memory that is not executable yet, then makes it executable and no longer
writable, and has the instruction caches forget what was there.
"""

from __future__ import annotations

import ctypes
import itertools
import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from typing import Any

from flambeau.core.locks import Guarded
from flambeau.kernels import cache as disk
from flambeau.kernels import codegen, parts
from flambeau.kernels.language import Module
from flambeau.kernels.target import Target, can_run, host

_linking = Guarded()  # LLVM is not asked by two threads at once
_serial = itertools.count()


class Code:
    """Compiled functions in memory, found by name.

    They stay as long as this object, or a function taken from it, lives; addresses keep
    nothing.
    """

    def __init__(self, machine_code: Sequence[bytes], names: list[str]):
        self._library = _link(machine_code, names)
        self._names = names

    def address(self, name: str) -> int:
        """Where the function begins."""
        return int(self._library[name])

    def function(self, name: str, arguments: int) -> Any:
        """The function as a ctypes callable taking that many addresses or integers."""
        found = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * arguments)(self.address(name))
        found.code = self  # keeps the machine code as long as the function
        return found

    def __iter__(self) -> Any:
        return iter(self._names)


def load(module: Module, key: str | None = None) -> Code:
    """The functions of `module`, compiled unless the disk has them.

    Args:
        module: what to load. Functions marked internal cannot be looked up.
        key: a name for the program that the caller answers for, so that `fetch` finds it later
            without emitting it; by default a hash of the module's text.

    Raises:
        RuntimeError: if the module is for a processor other than this one.
    """
    if not can_run(module.target):
        raise RuntimeError(f"code for {module.target.name} cannot run on {host().name}")
    text = module.text()
    name = disk.key_of(key if key is not None else text, *_circumstances(module.target))
    found = _restore(name)
    if found is not None:
        return found
    names = [f.name for f in module.functions.values() if not f.is_internal]
    many = parts.count(len(text)) if module.checker is None else 1
    objects = _compile_parts(module, many) if many > 1 else [compile_object(text, module.target)]
    header = json.dumps({"names": names, "sizes": [*map(len, objects)]}).encode()
    disk.write(name, b"".join([len(header).to_bytes(4, "little"), header, *objects]))
    return Code(objects, names)


def fetch(key: str, target: Target | None = None) -> Code | None:
    """What `load(module, key)` once compiled in these circumstances, or None."""
    return _restore(disk.key_of(key, *_circumstances(target or host())))


def compile_object(text: str, target: Target) -> bytes:
    """An object file for any target, this machine's or another's."""
    machine = _machine(target)
    with _linking.lock:
        return codegen.object_of(_llvm(), machine, text)


def _compile_parts(module: Module, count: int) -> list[bytes]:
    """The object files of a module's parts, made at the same time."""
    machine = _machine(module.target)
    with _linking.lock:
        return parts.objects(_llvm(), machine, _settings(module.target), parts.split(*module.pieces(), count))


def assembly(module: Module) -> str:
    """The assembly code of a module, to be read."""
    machine = _machine(module.target)
    parsed = _llvm().parse_assembly(module.text())
    return str(machine.emit_assembly(parsed))


def _restore(name: str) -> Code | None:
    body = disk.read(name)
    if body is None:
        return None
    start = 4 + int.from_bytes(body[:4], "little")
    header = json.loads(body[4:start])
    if not isinstance(header, dict):  # of an older version
        return None
    ends = [*itertools.accumulate(header["sizes"], initial=start)]
    return Code([body[a:b] for a, b in itertools.pairwise(ends)], header["names"])


def _circumstances(target: Target) -> tuple[str, ...]:
    """All that machine code depends on besides the text, and what the text of a caller's key depends on."""
    version = str(getattr(sys.modules.get("flambeau"), "_release", ""))
    llvm_version = ".".join(map(str, _llvm().llvm_version_info))
    return repr(replace(target, cores=0)), _code_model(target), llvm_version, version


@cache
def _llvm() -> Any:
    """llvmlite's binding, imported when the first kernel is built."""
    return codegen.binding()


@cache
def _machine(target: Target) -> Any:
    """LLVM's code generator for a target."""
    llvm = _llvm()
    if target.triple != host().triple:
        llvm.initialize_all_targets()
        llvm.initialize_all_asmprinters()
    return codegen.machine_for(llvm, _settings(target))


def _settings(target: Target) -> codegen.Settings:
    return codegen.Settings(target.triple, target.cpu, target.features, _code_model(target))


@cache
def _linker() -> Any:
    """The one linker that all programs of this process are loaded by."""
    llvm = _llvm()
    return llvm.create_lljit_compiler(_machine(host()), use_jit_link=_code_model(host()) == "small")


def _code_model(target: Target) -> str:
    """How far apart the parts of a program may lie. On Windows LLVM has the older linker only, and knows what suits it."""
    return "jitdefault" if "windows" in target.triple else "small"


def _link(machine_code: Sequence[bytes], names: list[str]) -> Any:
    builder = _llvm().JITLibraryBuilder()
    for part in machine_code:
        builder.add_object_img(part)
    builder.add_current_process()
    for name in names:
        builder.export_symbol(name)
    with _linking.lock:
        return builder.link(_linker(), f"flambeau_{next(_serial)}")
