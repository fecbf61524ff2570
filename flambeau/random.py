"""The default generator's state and seed: `torch.random`."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from flambeau.core import generator
from flambeau.core.generator import default_generator as default_generator
from flambeau.core.generator import initial_seed as initial_seed
from flambeau.core.generator import manual_seed as manual_seed
from flambeau.core.generator import seed as seed
from flambeau.tensor.tensor import Tensor, wrap


class Generator(generator.Generator):
    """A stream of random numbers with its own state, as `torch.Generator`; states are tensors of bytes."""

    __slots__ = ()

    def get_state(self) -> Tensor:  # type: ignore[override]
        """The state as 5056 bytes, in PyTorch's layout."""
        return wrap(super().get_state())


def get_rng_state() -> Tensor:
    """The state of the default generator, as a tensor of bytes in PyTorch's layout."""
    return wrap(generator.get_state())


def set_rng_state(new_state: Tensor) -> None:
    """Puts the default generator into a state from `get_rng_state`, PyTorch's too."""
    generator.set_state(new_state.numpy())


@contextlib.contextmanager
def fork_rng(devices: Any = None, enabled: bool = True, **options: Any) -> Iterator[None]:
    """Puts the default generator back as it was at the end of the block."""
    before = generator.get_state() if enabled else None
    try:
        yield
    finally:
        if before is not None:
            generator.set_state(before)
