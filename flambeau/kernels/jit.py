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
from dataclasses import replace
from functools import cache
from typing import Any

from flambeau.core.locks import Guarded
from flambeau.kernels import cache as disk
from flambeau.kernels.language import Module
from flambeau.kernels.target import Target, can_run, host

_CODEGEN_LEVEL = 2
_linking = Guarded()  # LLVM is not asked by two threads at once
_serial = itertools.count()


class Code:
    """Compiled functions in memory, found by name.

    They stay as long as this object, or a function taken from it, lives; addresses keep
    nothing.
    """

    def __init__(self, machine_code: bytes, names: list[str]):
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
    machine_code = compile_object(text, module.target)
    header = json.dumps(names).encode()
    disk.write(name, len(header).to_bytes(4, "little") + header + machine_code)
    return Code(machine_code, names)


def fetch(key: str, target: Target | None = None) -> Code | None:
    """What `load(module, key)` once compiled in these circumstances, or None."""
    return _restore(disk.key_of(key, *_circumstances(target or host())))


def compile_object(text: str, target: Target) -> bytes:
    """An object file for any target, this machine's or another's."""
    llvm = _llvm()
    machine = _machine(target)
    with _linking.lock:
        parsed = llvm.parse_assembly(text)
        parsed.triple = machine.triple
        parsed.verify()
        return bytes(machine.emit_object(parsed))


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
    return Code(body[start:], json.loads(body[4:start]))


def _circumstances(target: Target) -> tuple[str, ...]:
    """All that machine code depends on besides the text, and what the text of a caller's key depends on."""
    version = str(getattr(sys.modules.get("flambeau"), "_release", ""))
    llvm_version = ".".join(map(str, _llvm().llvm_version_info))
    return repr(replace(target, cores=0)), _code_model(target), llvm_version, version


@cache
def _llvm() -> Any:
    """llvmlite's binding, imported when the first kernel is built."""
    import llvmlite.binding as llvm

    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    llvm.initialize_native_asmparser()
    return llvm


@cache
def _machine(target: Target) -> Any:
    """LLVM's code generator for a target."""
    llvm = _llvm()
    if target.triple != host().triple:
        llvm.initialize_all_targets()
        llvm.initialize_all_asmprinters()
    return llvm.Target.from_triple(target.triple).create_target_machine(
        cpu=target.cpu,
        features=target.features,
        opt=_CODEGEN_LEVEL,
        reloc="pic",
        codemodel=_code_model(target),
        jit=True,
    )


@cache
def _linker() -> Any:
    """The one linker that all programs of this process are loaded by."""
    llvm = _llvm()
    return llvm.create_lljit_compiler(_machine(host()), use_jit_link=_code_model(host()) == "small")


def _code_model(target: Target) -> str:
    """How far apart the parts of a program may lie. On Windows LLVM has the older linker only, which puts them anywhere."""
    return "large" if "windows" in target.triple else "small"


def _link(machine_code: bytes, names: list[str]) -> Any:
    builder = _llvm().JITLibraryBuilder()
    builder.add_object_img(machine_code)
    builder.add_current_process()
    for name in names:
        builder.export_symbol(name)
    with _linking.lock:
        return builder.link(_linker(), f"flambeau_{next(_serial)}")
