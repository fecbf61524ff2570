"""The stream of 32-bit words: the Mersenne Twister of Matsumoto and Nishimura (ACM TOMACS 1998), as PyTorch keeps it.

Words are drawn by NumPy's twister. Many numbers of a distribution are drawn by a kernel of `flambeau.kernels.random`,
which steps the same twister in its memory and transforms what it draws; either way gives the same bits.
"""

from __future__ import annotations

import ctypes
import importlib
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .locks import own_inner_lock

Array = np.ndarray

STATE_WORDS = 624
#: `at::CPUGeneratorImplState`: what `torch.get_rng_state` returns, 5056 bytes.
STATE = np.dtype(
    {
        "names": ["seed", "left", "seeded", "next", "key"]
        + ["double", "has_double", "float", "has_float"],
        "formats": ["u8", "i4", "i4", "u8", ("u8", STATE_WORDS), "f8", "i4", "f4", "u1"],
        "offsets": [0, 8, 12, 16, 24, 5024, 5040, 5048, 5052],
        "itemsize": 5056,
    }
)
_NEVER_DRAWN = np.empty(0, np.uint32)
_SPENT = np.empty(STATE_WORDS, np.uint32)
_TINY53 = np.float64(2.0**-53)
_BITS32 = np.uint64(32)

#: Nanoseconds of NumPy that are not worth the call of a kernel.
_LITTLE = 500


class _Kernels:
    """The module of kernels, and the nanoseconds that NumPy may take before it comes: about what it takes to come."""

    module: Any = None
    patience: float = 20e6


def kernels_are_worth(count: int, nanoseconds: float) -> bool:
    """Whether a kernel should draw `count` numbers, one of which takes NumPy so long."""
    if count * nanoseconds < _LITTLE:
        return False
    if _Kernels.module is not None:
        return True
    _Kernels.patience -= count * nanoseconds
    if _Kernels.patience > 0:
        return False
    try:
        _Kernels.module = importlib.import_module("flambeau.kernels.random")
    except ImportError:
        _Kernels.patience = math.inf
        return False
    return True


def _temper(key: Array) -> Array:
    """The 624 words that a state of the Mersenne Twister puts out."""
    y = key ^ (key >> 11)
    y ^= (y << 7) & 0x9D2C5680
    y ^= (y << 15) & 0xEFC60000
    return y ^ (y >> 18)


class Twister:
    """The stream of 32-bit words. Keeps the words of the present state and how many are used.

    NumPy's twister always stands at the end of that state, so its key is the one PyTorch would
    save.
    """

    __slots__ = ("__weakref__", "_key", "_seeder", "_source", "_twister", "_used", "_words", "lock", "seed")

    def __init__(self, seed: int):
        self._twister = np.random.MT19937(0)
        self._key = self._twister.ctypes.state_address
        self._seeder = np.random.RandomState(self._twister)
        self._source = np.random.Generator(self._twister)
        own_inner_lock(self)
        self.reseed(seed)

    def reseed(self, seed: int) -> None:
        with self.lock:
            self.seed = seed
            self._seeder.seed(seed & 0xFFFFFFFF)
            self._words, self._used = _NEVER_DRAWN, STATE_WORDS

    def _fresh(self, count: int) -> Array:
        return self._source.integers(0, 0xFFFFFFFF, count, np.uint32, endpoint=True)

    def words(self, count: int) -> Array:
        """The next `count` words. Read only: they may be a view of the stream."""
        with self.lock:
            return self._take(count)

    def _take(self, count: int) -> Array:
        begin, end = self._used, self._used + count
        if end <= STATE_WORDS:
            self._used = end
            return self._words[begin:end]
        drawn = np.empty(count, np.uint32)
        filled = STATE_WORDS - begin
        drawn[:filled] = self._words[begin:]
        states, rest = divmod(count - filled, STATE_WORDS)
        if states:
            bulk = states * STATE_WORDS
            drawn[filled : filled + bulk] = self._fresh(bulk)
            filled += bulk
        if rest:
            self._words, self._used = self._fresh(STATE_WORDS), rest
            drawn[filled:] = self._words[:rest]
        else:
            self._words, self._used = _SPENT, STATE_WORDS
        return drawn

    def words64(self, count: int) -> Array:
        """The next `count` pairs of words as 64-bit words; the first drawn is the high half."""
        pairs = self.words(2 * count)
        if pairs.flags.aligned and np.little_endian:
            swapped = pairs.view(np.uint64)
            return (swapped << _BITS32) | (swapped >> _BITS32)
        return (pairs[0::2].astype(np.uint64) << _BITS32) | pairs[1::2]

    def fill(self, distribution: str, out: Array, parameters: Sequence[float], source: Array | None = None) -> None:
        """Fills `out`, which lies in order, by a kernel of `flambeau.kernels.random`."""
        with self.lock:
            self._fill(distribution, out, parameters, source)

    def _fill(self, distribution: str, out: Array, parameters: Sequence[float], source: Array | None = None) -> None:
        draw = _Kernels.module.drawing(distribution, out.dtype)
        needed = out.size * draw.words
        if not needed:
            return
        words = np.empty(STATE_WORDS, np.uint32)
        begun = self._used if self._words.size else STATE_WORDS
        states = -((STATE_WORDS - begun - needed) // STATE_WORDS)
        draw(out, parameters, source, self._key, self._words, words, begun, states)
        self._words, self._used = words, begun + needed - states * STATE_WORDS

    def read_doubles(self, count: int, use: Callable[[Array], tuple[int, bool]]) -> None:
        """Hands the next `count` uniform numbers of 53 bits to `use`, which says how many it used and whether it wants no
        more. Those that it did not use are the next ones again.
        """
        block = np.empty(count)
        with self.lock:
            while True:
                key, words, begun = ctypes.string_at(self._key, 4 * STATE_WORDS), self._words, self._used
                self._fill("uniform", block, (1.0, 0.0, 1.0, 0.0))
                used, done = use(block)
                if used < count:
                    ctypes.memmove(self._key, key, len(key))
                    self._words, self._used = words, begun
                    self._fill("uniform", block[:used], (1.0, 0.0, 1.0, 0.0))
                if done:
                    return

    def doubles_at_hand(self, most: int) -> list[float]:
        """The next uniform numbers of 53 bits that the words drawn so far hold, at least one. Needs the lock."""
        pairs = self._take(2 * max(min((STATE_WORDS - self._used) // 2, most), 1))
        bits = (pairs[0::2] & np.uint64(0x1FFFFF)) << _BITS32 | pairs[1::2]
        return (bits * _TINY53).tolist()

    def give_back(self, count: int) -> None:
        """Makes the last `count` words of `doubles_at_hand` the next ones again. Needs the lock."""
        self._used -= count

    def save(self, state: Array) -> None:
        state["seed"], state["seeded"] = self.seed, 1
        state["key"] = self._twister.state["state"]["key"]
        if self._used == STATE_WORDS:
            state["left"], state["next"] = 1, 0 if self._words is _NEVER_DRAWN else STATE_WORDS
        else:
            state["left"], state["next"] = STATE_WORDS + 1 - self._used, self._used

    def restore(self, state: Array) -> None:
        left, used = int(state["left"]), int(state["next"])
        at_end = left == 1 and used in (0, STATE_WORDS)
        midway = used > 0 and left + used == STATE_WORDS + 1
        if not state["seeded"] or not (at_end or midway):
            raise RuntimeError("Invalid mt19937 state")
        key = state["key"].astype(np.uint32)
        with self.lock:
            self.seed = int(state["seed"])
            self._twister.state = {
                "bit_generator": "MT19937",
                "state": {"key": key, "pos": STATE_WORDS},
            }
            self._words = _temper(key) if used else _NEVER_DRAWN
            self._used = used or STATE_WORDS
