"""Complex numbers: their parts, as views, and their conjugates."""

from __future__ import annotations

import numpy as np

from flambeau.core import dtypes
from flambeau.core.dtypes import FROM_NUMPY
from flambeau.ops.table import Primitive, Spec, operator
from flambeau.tensor.tensor import Tensor

_conj_of = Primitive(
    "conj",
    "input",
    np.conjugate,
    rule=lambda x: Spec(x.shape, x.dtype),
    derivative={"input": lambda g: g.conj()},
)


@operator
def conj(input: Tensor) -> Tensor:
    """The complex conjugate; a real tensor as it is."""
    return _conj_of(input) if input._array.dtype.kind == "c" else input


operator(lambda input: conj(input), name="conj_physical", inplace=True, out=True)
real_part = Primitive(
    "real",
    "input",
    lambda x: x.real,
    rule=lambda x: Spec(x.shape, FROM_NUMPY[x.dtype].to_real().numpy),
    derivative={"input": lambda g: g.to(g.dtype.to_complex())},
    view=True,
)
imag_part = Primitive(
    "imag",
    "input",
    lambda x: x.imag,
    rule=lambda x: Spec(x.shape, FROM_NUMPY[x.dtype].to_real().numpy),
    derivative={"input": lambda g: g * 1j},
    view=True,
)


@operator(method=False)
def real(input: Tensor) -> Tensor:
    """The real parts, as a view."""
    return real_part(input) if input.is_complex() else input


@operator(method=False)
def imag(input: Tensor) -> Tensor:
    """The imaginary parts, as a view. Raises `RuntimeError` for a real tensor."""
    if not input.is_complex():
        raise RuntimeError("imag is not implemented for tensors with non-complex dtypes.")
    return imag_part(input)


Tensor.real = property(real, lambda self, value: real(self).copy_(value))  # type: ignore[attr-defined]
Tensor.imag = property(imag, lambda self, value: imag(self).copy_(value))  # type: ignore[attr-defined]

# A complex tensor as pairs of numbers -------------------------------------------------------------


def _pairs(x: np.ndarray) -> np.ndarray:
    parts = x.real
    return np.lib.stride_tricks.as_strided(
        parts, (*x.shape, 2), (*x.strides, x.dtype.itemsize // 2)
    )


def _joined(x: np.ndarray) -> np.ndarray:
    if not (x.strides[-1] == x.dtype.itemsize and _even(x)):
        x = np.ascontiguousarray(x)  # a compiled program keeps this value in another order
    return x.view(np.result_type(x.dtype, np.complex64))[..., 0]


def _even(x: np.ndarray) -> bool:
    """Whether the steps between pairs are whole pairs."""
    return not any(s % (2 * x.dtype.itemsize) for n, s in zip(x.shape[:-1], x.strides, strict=False) if n > 1)


_view_as_real = Primitive(
    "view_as_real",
    "input",
    _pairs,
    derivative={"input": lambda g: _view_as_complex(g.contiguous())},
    view=True,
)
_view_as_complex = Primitive(
    "view_as_complex",
    "input",
    _joined,
    derivative={"input": lambda g: _view_as_real(g)},
    view=True,
)


@operator(method=False)
def view_as_real(input: Tensor) -> Tensor:
    """(*) complex -> (*, 2): real and imaginary parts, as a view."""
    if not input.is_complex():
        raise RuntimeError("view_as_real is only supported for complex tensors")
    return _view_as_real(input)


@operator(method=False)
def view_as_complex(input: Tensor) -> Tensor:
    """(*, 2) -> (*) complex, as a view. Raises `RuntimeError` where pairs do not lie side by side."""
    if input.dtype not in (dtypes.float32, dtypes.float64):
        raise RuntimeError(
            "view_as_complex is only supported for half, float and double tensors, but got a tensor of "
            f"scalar type: {input.dtype.tensor_type}"
        )
    if input.ndim == 0:
        raise RuntimeError("Input tensor must have one or more dimensions")
    if input._array.shape[-1] != 2:
        raise RuntimeError("Tensor must have a last dimension of size 2")
    *strides, last = input.stride()
    if last != 1:
        raise RuntimeError("Tensor must have a last dimension with stride 1")
    if any(s % 2 for n, s in zip(input.shape, strides, strict=False) if n > 1):
        raise RuntimeError("Tensor must have a stride divisible by 2 for all but last dimension")
    return _view_as_complex(input)


@operator(function_name=True, method=False)
def resolve_conj(input: Tensor) -> Tensor:
    """`input`: conjugates are always computed here."""
    return input


@operator(function_name=True, method=False)
def resolve_neg(input: Tensor) -> Tensor:
    """`input`: negatives are always computed here."""
    return input
