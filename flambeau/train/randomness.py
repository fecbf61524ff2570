"""The state of every random generator that a run draws from."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

import flambeau


def seed_everything(seed: int) -> None:
    """Seeds Flambeau's, NumPy's and Python's generators."""
    flambeau.manual_seed(seed)
    np.random.seed(seed % 2**32)
    random.seed(seed)


def capture() -> dict[str, Any]:
    """The generators' states, as tensors and plain values that a checkpoint holds."""
    kind, words, position, has_gauss, gauss = np.random.get_state()
    version, internal, next_gauss = random.getstate()
    return {
        "flambeau": flambeau.get_rng_state(),
        "numpy": {
            "kind": kind,
            "words": flambeau.from_numpy(np.asarray(words).astype(np.int64)),
            "position": position,
            "has_gauss": has_gauss,
            "gauss": gauss,
        },
        "python": {"version": version, "internal": list(internal), "gauss": next_gauss},
    }


def restore(state: dict[str, Any]) -> None:
    """Sets the generators to what `capture` gave."""
    flambeau.set_rng_state(state["flambeau"])
    numbers = state["numpy"]
    words = numbers["words"].numpy().astype(np.uint32)
    np.random.set_state(
        (numbers["kind"], words, numbers["position"], numbers["has_gauss"], numbers["gauss"])
    )
    python = state["python"]
    random.setstate((python["version"], tuple(python["internal"]), python["gauss"]))


@contextmanager
def preserved() -> Iterator[None]:
    """Leaves the generators, after the block, as they were before it."""
    state = capture()
    try:
        yield
    finally:
        restore(state)
