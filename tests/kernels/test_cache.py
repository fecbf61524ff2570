"""Machine code on disk: warm starts, damage, concurrency, privacy, eviction."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from flambeau.kernels import cache, jit
from flambeau.kernels.element import F32
from flambeau.kernels.language import Buffer, Module

PROGRAM = """
import numpy as np
from flambeau.kernels import call, jit
compiled = []
original = jit.compile_object
jit.compile_object = lambda *a: compiled.append(1) or original(*a)
a, out = np.arange(100, dtype=np.float32), np.zeros(100, np.float32)
call.pointwise_chain((("input", 0), ("mul", 0, 0)), [a], [out], (1,))
assert (out == a * a).all()
print(len(compiled))
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FLAMBEAU_CACHE_DIR", str(tmp_path / "code"))
    return tmp_path / "code"


def _module(value: float) -> Module:
    module = Module()
    f = module.function("put", [Buffer("out", F32)])
    f.constant(value, F32).store(f.buffers[0])
    return module


def _value(code: jit.Code) -> float:
    out = np.zeros(1, np.float32)
    code.function("put", 1)(out.ctypes.data)
    return float(out[0])


def _compilations(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    seen: list[int] = []
    original = jit.compile_object
    monkeypatch.setattr(jit, "compile_object", lambda *a: seen.append(1) or original(*a))
    return seen


def test_second_load_compiles_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compiled = _compilations(monkeypatch)
    assert _value(jit.load(_module(3.0))) == 3.0
    assert _value(jit.load(_module(3.0))) == 3.0
    assert _value(jit.load(_module(4.0))) == 4.0
    assert len(compiled) == 2 and len(list(folder.iterdir())) == 2


def test_a_key_of_ones_own(folder: Path) -> None:
    assert jit.fetch("mine") is None
    jit.load(_module(5.0), "mine")
    found = jit.fetch("mine")
    assert found is not None and _value(found) == 5.0


def test_folder_is_private(folder: Path) -> None:
    jit.load(_module(1.0))
    assert folder.stat().st_mode & 0o777 == 0o700


@pytest.mark.skipif(os.name != "posix", reason="permissions of POSIX")
def test_folder_that_others_may_write_is_not_used(folder: Path) -> None:
    jit.load(_module(1.0))
    folder.chmod(0o777)
    assert not any(cache.read(p.stem) for p in folder.iterdir())
    assert _value(jit.load(_module(2.0))) == 2.0
    assert len(list(folder.iterdir())) == 1


@pytest.mark.parametrize("damage", ["cut", "flip", "empty", "noise"])
def test_damaged_file_is_built_again(
    folder: Path, monkeypatch: pytest.MonkeyPatch, damage: str
) -> None:
    jit.load(_module(7.0))
    (path,) = folder.iterdir()
    whole = path.read_bytes()
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 1
    broken = {"cut": whole[:-9], "flip": bytes(flipped), "empty": b"", "noise": os.urandom(999)}
    path.write_bytes(broken[damage])
    compiled = _compilations(monkeypatch)
    assert _value(jit.load(_module(7.0))) == 7.0
    assert len(compiled) == 1 and path.read_bytes() == whole


def test_limit_evicts_what_was_not_used_for_longest(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLAMBEAU_CACHE_LIMIT", "10K")
    for number in range(8):
        cache.write(f"k{number}", bytes(2000))
        os.utime(folder / f"k{number}.code", (number, number))
        cache.read("k0")  # stays in use
    kept = {p.stem for p in folder.iterdir()}
    assert "k0" in kept and "k7" in kept and "k1" not in kept
    assert sum(p.stat().st_size for p in folder.iterdir()) <= 10 * 1024


def test_limit_of_zero_keeps_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLAMBEAU_CACHE_LIMIT", "0")
    assert _value(jit.load(_module(1.0))) == 1.0
    assert not folder.exists()
    monkeypatch.setenv("FLAMBEAU_CACHE_LIMIT", "much")
    with pytest.raises(ValueError, match="FLAMBEAU_CACHE_LIMIT='much'"):
        cache.limit()


def test_folder_that_cannot_be_made_is_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("FLAMBEAU_CACHE_DIR", str(tmp_path / "file" / "code"))
    assert _value(jit.load(_module(1.0))) == 1.0


def test_many_writers(folder: Path) -> None:
    bodies = [bytes([n]) * 50_000 for n in range(4)]
    for _ in range(5):
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda n: cache.write("same", bodies[n % 4]), range(32)))
            found = list(pool.map(lambda _: cache.read("same"), range(32)))
        assert all(body in bodies for body in found)
    assert [p.name for p in folder.iterdir()] == ["same.code"]


def test_many_processes_and_a_warm_start(folder: Path) -> None:
    processes = [
        subprocess.Popen([sys.executable, "-c", PROGRAM], stdout=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    assert all(p.wait() == 0 for p in processes)
    warm = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True
    )
    assert warm.stdout.strip() == "0"


def test_import_leaves_llvmlite_alone() -> None:
    text = "import sys, flambeau.kernels, flambeau.kernels.call as c; print('llvmlite' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", text], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "False"


def test_times_do_not_matter(folder: Path) -> None:
    """A file from the future is as good as any."""
    jit.load(_module(2.5))
    (path,) = folder.iterdir()
    os.utime(path, (time.time() + 9999,) * 2)
    assert _value(jit.load(_module(2.5))) == 2.5
