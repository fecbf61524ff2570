"""The frequencies of a spectrum's elements, and putting frequency zero in the middle."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from flambeau import ops
from flambeau.core.dtypes import get_default_dtype
from flambeau.core.shapes import wrap_dims
from flambeau.ops.table import write_out
from flambeau.tensor.tensor import Tensor


def _placed(result: Tensor, out: Tensor | None, requires_grad: bool, name: str) -> Tensor:
    result = result if out is None else write_out(out, result, name)
    return result.requires_grad_(requires_grad)


def fftfreq(
    n: int, d: float = 1.0, *, out: Tensor | None = None, dtype: Any = None, layout: Any = None,
    device: Any = None, requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """(n): the frequencies of `fft`'s elements, in cycles per unit of the spacing `d`; the negative ones follow."""
    made = {"dtype": dtype or get_default_dtype(), "layout": layout, "device": device}
    positive, negative = ops.arange((n + 1) // 2, **made), ops.arange(-(n // 2), 0, **made)
    return _placed(ops.cat([positive, negative]) * (1.0 / (n * d)), out, requires_grad, "fft_fftfreq")


def rfftfreq(
    n: int, d: float = 1.0, *, out: Tensor | None = None, dtype: Any = None, layout: Any = None,
    device: Any = None, requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """(n // 2 + 1): the frequencies of `rfft`'s elements, in cycles per unit of the spacing `d`."""
    steps = ops.arange(n // 2 + 1, dtype=dtype or get_default_dtype(), layout=layout, device=device)
    return _placed(steps * (1.0 / (n * d)), out, requires_grad, "fft_rfftfreq")


def fftshift(input: Tensor, dim: int | Sequence[int] | None = None) -> Tensor:
    """Frequency zero moves to the middle of each of `dim` (all by default)."""
    dims = wrap_dims(dim, input.ndim)
    return ops.roll(input, [input.shape[d] // 2 for d in dims], list(dims)) if dims else input.clone()


def ifftshift(input: Tensor, dim: int | Sequence[int] | None = None) -> Tensor:
    """Undoes `fftshift`."""
    dims = wrap_dims(dim, input.ndim)
    return ops.roll(input, [(input.shape[d] + 1) // 2 for d in dims], list(dims)) if dims else input.clone()
