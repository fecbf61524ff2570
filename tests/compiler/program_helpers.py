"""Running a small program eagerly and compiled, and comparing all that it tells."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

import flambeau as torch

#: What a program compiles its functions with: `torch.compile`, or nothing.
Compiler = Callable[[Any], Any]


def compare(program: Callable[[Compiler], list[Any]]) -> None:
    """What `program(compiled)` lists is the same, whether `compiled` is `torch.compile` or does nothing."""
    torch.manual_seed(0)
    wanted = [*_flat(program(lambda f: f))]
    torch.manual_seed(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # some run eagerly, and say so
        found = [*_flat(program(torch.compile))]
    assert len(found) == len(wanted)
    for k, (a, b) in enumerate(zip(found, wanted, strict=True)):
        if not isinstance(b, torch.Tensor):
            assert a == b, k
            continue
        assert (a.shape, a.dtype, a.requires_grad) == (b.shape, b.dtype, b.requires_grad), k
        assert b.numel() < 2 or a.stride() == b.stride(), k
        np.testing.assert_allclose(_numbers(a), _numbers(b), rtol=1e-4, atol=1e-5, err_msg=str(k))


def _numbers(x: Any) -> Any:
    return x.detach().to(torch.complex128 if x.is_complex() else torch.float64).numpy()


def _flat(values: Any) -> Iterator[Any]:
    for x in values:
        if isinstance(x, (list, tuple)):
            yield from _flat(x)
        else:
            yield x
