"""From LLVM's text to an object file: in this process, or as a program of its own.

    python -I -S codegen.py < request > object

The request is a line of JSON (where llvmlite is, and the settings of the code generator) and the text. This file imports
nothing of Flambeau, so that such a process starts in some hundredths of a second.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, dataclass
from typing import Any

_LEVEL = 2


@dataclass(frozen=True)
class Settings:
    """For which processor code is made, and how far apart its parts may lie."""

    triple: str
    cpu: str
    features: str
    code_model: str


def binding(path: str | None = None) -> Any:
    """llvmlite's binding, from the folder `path` if it is given."""
    if path is not None:
        sys.path.insert(0, path)
    import llvmlite.binding as llvm

    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    llvm.initialize_native_asmparser()
    return llvm


def machine_for(llvm: Any, settings: Settings) -> Any:
    """LLVM's code generator."""
    return llvm.Target.from_triple(settings.triple).create_target_machine(
        cpu=settings.cpu, features=settings.features, opt=_LEVEL, reloc="pic", codemodel=settings.code_model,
        jit=True,
    )  # fmt: skip


def object_of(llvm: Any, machine: Any, text: str) -> bytes:
    """The object file of a module. Raises `RuntimeError` where the text is wrong."""
    parsed = llvm.parse_assembly(text)
    parsed.triple = machine.triple
    parsed.verify()
    return bytes(machine.emit_object(parsed))


def request(llvm: Any, settings: Settings, text: str) -> bytes:
    """What such a process reads."""
    folder = llvm.__file__.replace("\\", "/").rsplit("/llvmlite/", 1)[0]
    return json.dumps({"path": folder, "settings": asdict(settings)}).encode() + b"\n" + text.encode()


def main() -> None:
    asked = json.loads(sys.stdin.buffer.readline())
    llvm = binding(asked["path"])
    text = sys.stdin.buffer.read().decode()
    sys.stdout.buffer.write(object_of(llvm, machine_for(llvm, Settings(**asked["settings"])), text))


if __name__ == "__main__":
    main()
