"""Modules that several processes compile."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from flambeau.kernels import jit, parts
from flambeau.kernels.element import I64
from flambeau.kernels.language import Buffer, Module


def _module(functions: int = 6) -> Module:
    """Functions that each add a number of a table, one that calls all of them, and one that only those see."""
    module = Module()
    inner = module.function("inner", [Buffer("x", I64)], internal=True)
    (inner.buffers[0].load() * 2).store(inner.buffers[0])
    for k in range(functions):
        f = module.function(f"add{k}", [Buffer("x", I64)])
        x = f.buffers[0]
        for _ in range(10 * (k + 1)):  # of different lengths
            (x.load() + f.table([k, 10**k]).load() + (f.table([k, 10**k]) + 1).load()).store(x)
        f.call("inner", [x])
    f = module.function("all", [Buffer("x", I64)])
    for k in range(functions):
        f.call(f"add{k}", f.buffers)
    return module


def _result(code: jit.Code) -> int:
    x = np.zeros(1, np.int64)
    code.function("all", 1)(x.ctypes.data)
    return int(x[0])


@pytest.fixture
def wanted() -> int:
    x = 0
    for k in range(6):
        x = 2 * (x + 10 * (k + 1) * (k + 10**k))
    return x


def test_parts_are_of_like_length_and_complete() -> None:
    pieces = _module().pieces()
    texts = parts.split(*pieces, 3)
    defined = [re.findall(r"define void @(\w+)", text) for text in texts]
    assert sorted(name for names in defined for name in names) == sorted(pieces[1])
    assert max(map(len, texts)) < 2 * min(map(len, texts))
    assert all("internal void" not in text for text in texts)


@pytest.mark.parametrize("count", [1, 2, 5])
def test_parts_are_one_program(count: int, wanted: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Compiled, and from the disk."""
    monkeypatch.setenv("FLAMBEAU_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(parts, "count", lambda characters: count)
    assert _result(jit.load(_module())) == wanted
    monkeypatch.setattr(jit, "compile_object", None)
    monkeypatch.setattr(parts, "objects", None)
    assert _result(jit.load(_module())) == wanted


@pytest.mark.parametrize("executable", ["no-such-program", "false"])
def test_without_other_processes(
    executable: str, wanted: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """What cannot be done elsewhere is done here."""
    monkeypatch.setenv("FLAMBEAU_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(parts, "count", lambda characters: 2)
    monkeypatch.setattr(parts.sys, "executable", executable)
    assert _result(jit.load(_module())) == wanted


def test_how_many(monkeypatch: pytest.MonkeyPatch) -> None:
    """Short modules are one part; so are all on a busy machine, and in programs that are not Python."""
    monkeypatch.setattr(parts, "cores", lambda: 4)
    monkeypatch.setattr(parts.os, "cpu_count", lambda: 4)
    monkeypatch.setattr(parts.os, "getloadavg", lambda: (1.0, 1.0, 1.0), raising=False)
    monkeypatch.setattr(parts.sys, "executable", "/usr/bin/python3")
    assert [parts.count(n) for n in (10_000, 2_000_000, 3_000_000, 100_000_000)] == [1, 1, 2, 3]
    monkeypatch.setattr(parts.os, "getloadavg", lambda: (9.0, 9.0, 9.0), raising=False)
    assert parts.count(100_000_000) == 1
    monkeypatch.setattr(parts.os, "getloadavg", lambda: (0.0, 0.0, 0.0), raising=False)
    monkeypatch.setattr(parts.sys, "executable", "/opt/photo-editor")
    assert parts.count(100_000_000) == 1
