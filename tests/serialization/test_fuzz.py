"""Damaged and malicious checkpoint files are refused, and run nothing."""

from __future__ import annotations

import io
import os
import pickle
import struct
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mutations import REFUSALS, originals, run

import flambeau


def test_originals_load() -> None:
    for data in originals().values():
        flambeau.load(io.BytesIO(data))


def test_damaged_files_are_refused_or_load() -> None:
    found, longest = run(3_000, seed=1)
    assert found["loads"] > 0 and sum(found.values()) == 3_000
    assert longest < 2


@pytest.mark.slow
def test_a_hundred_thousand_damaged_files() -> None:
    script = Path(__file__).with_name("mutations.py")
    done = subprocess.run([sys.executable, str(script), "100000"], capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


# Payloads -------------------------------------------------------------------------------------------


class _Calls:
    """What pickles as a call of a function."""

    def __init__(self, function: Any, *args: Any, state: Any = None):
        self.reduced = (function, args) if state is None else (function, args, state)

    def __reduce__(self) -> Any:
        return self.reduced


def _raw(*parts: bytes) -> bytes:
    return b"\x80\x02" + b"".join(parts) + b"."


def _name(dotted: str) -> bytes:
    module, _, name = dotted.rpartition(".")
    return f"c{module}\n{name}\n".encode()


MARK = "/tmp/flambeau-payload-ran"
CALLS = (
    "os.system", "posix.system", "nt.system", "subprocess.Popen", "subprocess.check_output", "builtins.eval",
    "builtins.exec", "builtins.compile", "builtins.getattr", "builtins.__import__", "__builtin__.eval", "runpy.run_path",
    "runpy._run_code", "pty.spawn", "importlib.import_module", "code.interact", "pdb.run", "timeit.timeit", "operator.attrgetter",
    "operator.methodcaller", "functools.partial", "types.FunctionType", "types.CodeType", "ctypes.CDLL", "socket.socket",
    "webbrowser.open", "shutil.rmtree", "pickle.loads", "_pickle.loads", "marshal.loads", "torch.load", "torch.jit.load",
    "torch.hub.load", "torch.utils.collect_env.run", "torch.serialization.load", "torch._dynamo.optimize",
    "torch.utils.bottleneck.__main__.run_cprofile", "torch.fx.graph_module._exec_with_source", "torch.Tensor.numpy",
    "numpy.testing._private.utils.runstring", "numpy.f2py.crackfortran.getlincoef", "numpy.load", "asyncio.run",
    "torch.storage._load_from_bytes", "torch.nn.modules.module.Module", "collections.defaultdict", "bdb.Bdb.run",
    "builtins.open", "io.open", "tempfile.NamedTemporaryFile", "multiprocessing.util.spawnv_passfds", "cProfile.run",
    "flambeau.load", "flambeau.run.main", "flambeau.kernels.jit.load",
)  # fmt: skip


@pytest.mark.parametrize("dotted", CALLS)
@pytest.mark.parametrize("container", ["legacy", "zip"])
def test_calls_are_refused(dotted: str, container: str) -> None:
    argument = f"touch {MARK}".encode()
    text = b"X" + struct.pack("<I", len(argument)) + argument
    for data in (
        _raw(_name(dotted), b"(", text, b"tR"),  # REDUCE
        _raw(b"(", text, b"i" + _name(dotted)[1:]),  # INST
        _raw(_name(dotted), b"(", text, b"t\x81"),  # NEWOBJ
    ):
        _refused(data if container == "legacy" else _zipped(data))


def _zipped(pickled: bytes, names: tuple[str, ...] = ("archive/data.pkl",)) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name in names:
            archive.writestr(name, pickled)
        archive.writestr("archive/version", b"3\n")
    return stream.getvalue()


def _refused(data: bytes) -> None:
    if os.path.exists(MARK):
        os.unlink(MARK)
    with pytest.raises(REFUSALS):
        flambeau.load(io.BytesIO(data), weights_only=True)
    assert not os.path.exists(MARK), "the payload ran"


def _laughs() -> bytes:
    """Each list holds the one before ten times."""
    data = b"]q\x00(K\x00" + b"K\x00" * 9 + b"e"
    for level in range(1, 12):
        data += b"]q" + bytes([level]) + b"(" + (b"h" + bytes([level - 1])) * 10 + b"e"
    return b"\x80\x02" + data + b"."


PAYLOADS: dict[str, Callable[[], bytes]] = {
    "reduce by a class": lambda: pickle.dumps(_Calls(os.system, f"touch {MARK}")),
    "inside of a dictionary": lambda: pickle.dumps({"model": {"weight": _Calls(os.system, f"touch {MARK}")}}),
    "as a key": lambda: pickle.dumps({_Calls(eval, "1"): 2}),
    "with state": lambda: pickle.dumps(_Calls(dict, state={"__setstate__": 1})),
    "a name from the memo": lambda: _raw(b"\x8c\x02os\x94\x8c\x06system\x94\x93", b"(X\x04\x00\x00\x00truetR"),
    "a name built from the stack": lambda: b"\x80\x04" + b"\x8c\x02os\x8c\x06system\x93\x8c\x04true\x85R.",
    "an extension code": lambda: _raw(b"\x82\x01"),
    "a persistent id that is no storage": lambda: _raw(b"X\x01\x00\x00\x00aQ"),
    "a persistent id within one": lambda: _raw(b"(X\x07\x00\x00\x00storageX\x01\x00\x00\x00aQtQ"),
    "a long that is huge": lambda: _raw(b"\x8b\xff\xff\xff\x7f"),
    "bytes that are huge": lambda: b"\x80\x04\x8e\xff\xff\xff\xff\xff\xff\xff\x7f.",
    "a bytearray that is huge": lambda: b"\x80\x05\x96\xff\xff\xff\xff\xff\xff\xff\x7f.",
    "text that is huge": lambda: _raw(b"X\xff\xff\xff\x7f"),
    "a frame that is huge": lambda: b"\x80\x04\x95\xff\xff\xff\xff\xff\xff\xff\x7f.",
    "a memo index that is huge": lambda: _raw(b"Nr\xff\xff\xff\x7fj\xfe\xff\xff\x7f"),
    "a protocol of the future": lambda: b"\x80\x0fN.",
    "an object's state": lambda: _raw(_name("collections.OrderedDict"), b")R}X\x09\x00\x00\x00__class__K\x01sb"),
    "a tensor without storage": lambda: _raw(_name("torch._utils._rebuild_tensor_v2"), b"(NK\x00)))NtR"),
    "a NumPy scalar": lambda: pickle.dumps(np.array([_Calls(os.system, "true")], object)),
    "nothing": lambda: b"",
    "a name with dots": lambda: b"\x80\x04\x8c\x05torch\x8c\x10Tensor.__class__\x93.",
}  # fmt: skip


@pytest.mark.parametrize("name", PAYLOADS)
def test_payloads_are_refused(name: str) -> None:
    _refused(PAYLOADS[name]())
    _refused(_zipped(PAYLOADS[name]()))


def test_laughs_take_no_memory() -> None:
    found = flambeau.load(io.BytesIO(_zipped(_laughs())), weights_only=True)
    assert len(found) == 10  # shared, not copied


@pytest.mark.parametrize("names", [("../../etc/data.pkl",), ("archive/data.pkl", "archive/data.pkl"), ("/data.pkl",)])
def test_odd_archives(names: tuple[str, ...]) -> None:
    harmless = pickle.dumps({"a": 1}, protocol=2)
    try:
        found = flambeau.load(io.BytesIO(_zipped(harmless, names)), weights_only=True)
    except REFUSALS:
        return
    assert found == {"a": 1}
    assert not os.path.exists("../../etc/data.pkl")


def test_a_bomb_is_not_unpacked() -> None:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", b"\x80\x02}" + b"N0" * (64 << 20) + b".")
        archive.writestr("archive/version", b"3\n")
    with pytest.raises(REFUSALS):
        flambeau.load(io.BytesIO(stream.getvalue()), weights_only=True)
