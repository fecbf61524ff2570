"""Damaged checkpoint files: what is written, how it is damaged, and what reading it must do.

    python tests/serialization/mutations.py [COUNT]     # 100,000 by default; prints what became of them
"""

from __future__ import annotations

import collections
import io
import pickle
import random
import resource
import struct
import sys
import time
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

import flambeau
from flambeau.nn import Linear, Sequential

#: A training checkpoint that PyTorch 2.13 wrote in the format before 1.6.
LEGACY = Path(__file__).with_name("legacy.pt")

#: What reading a damaged file may raise; everything else is a fault.
REFUSALS = (pickle.UnpicklingError, RuntimeError, ValueError, EOFError, KeyError, TypeError, OSError, zipfile.BadZipFile,
            NotImplementedError, AttributeError, IndexError, OverflowError, UnicodeDecodeError, MemoryError)  # fmt: skip


def originals() -> dict[str, bytes]:
    """Small checkpoints of every format, by name."""
    flambeau.manual_seed(0)
    net = Sequential(Linear(3, 4), Linear(4, 2))
    optimizer = flambeau.optim.Adam(net.parameters())
    net(flambeau.ones(1, 3)).sum().backward()
    optimizer.step()
    contents = {
        "weights": net.state_dict(),
        "training": {"model": net.state_dict(), "optimizer": optimizer.state_dict(), "epoch": 3, "notes": ["a", None]},
        "sparse": {"m": flambeau.sparse_coo_tensor([[0, 1], [1, 0]], [1.0, 2.0], (2, 2))},
    }
    found = {"legacy": LEGACY.read_bytes()}
    for name, content in contents.items():
        stream = io.BytesIO()
        flambeau.save(content, stream)
        found[name] = stream.getvalue()
    return found


def mutated(content: bytes, chooser: random.Random) -> bytes:
    """A copy with a few faults: bits, bytes, numbers, cuts, repeats, and changes inside of the pickle."""
    data = bytearray(content)
    for _ in range(chooser.choice((1, 1, 1, 2, 3, 8))):
        if not data:
            break
        at = chooser.randrange(len(data))
        kind = chooser.randrange(8)
        if kind == 0:
            data[at] ^= 1 << chooser.randrange(8)
        elif kind == 1:
            data[at] = chooser.randrange(256)
        elif kind == 2:
            del data[at : at + chooser.randrange(1, 40)]
        elif kind == 3:
            data[at:at] = data[at : at + chooser.randrange(1, 40)]
        elif kind == 4:
            data[at:] = b""
        elif kind == 5 and at + 8 <= len(data):
            size = chooser.choice((0, 1, 2**31 - 1, 2**32 - 1, 2**62, 2**64 - 1))
            data[at : at + 8] = struct.pack("<Q", size)
        elif kind == 6:
            data[at:at] = chooser.choice((b"c", b"R", b"(", b".", b"\x8b", b"\x93", b"cos\nsystem\n", b"\x94", b"b", b"\x81"))
        else:
            other = chooser.randrange(len(data))
            data[at], data[other] = data[other], data[at]
    return bytes(data)


def outcome(data: bytes, original: Any = None) -> str:
    """ "loads", or the name of the refusal. Raises whatever is no refusal."""
    try:
        flambeau.load(io.BytesIO(data), weights_only=True)
    except REFUSALS as error:
        return type(error).__name__
    return "loads"


def limit_memory(more: int = 1 << 30) -> None:
    """So that a file that asks for too much memory fails instead of the machine."""
    with open("/proc/self/statm") as file:
        now = int(file.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (now + more, now + more))


def run(count: int, seed: int = 0) -> tuple[collections.Counter, float]:
    """Reads so many damaged files; what became of them, and the longest time of one in seconds."""
    chooser = random.Random(seed)
    files = list(originals().values())
    found: collections.Counter = collections.Counter()
    longest = 0.0
    for _ in range(count):
        data = mutated(chooser.choice(files), chooser)
        start = time.perf_counter()
        found[outcome(data)] += 1
        longest = max(longest, time.perf_counter() - start)
    return found, longest


if __name__ == "__main__":
    import os

    os.system = os.execv = lambda *a: sys.exit("a file ran code")  # type: ignore[assignment]
    np.zeros(1)
    outcome(next(iter(originals().values())))
    limit_memory()
    results, slowest = run(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000)
    print(dict(results.most_common()), f"slowest {slowest:.3f} s")
