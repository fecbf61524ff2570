"""Discrete Fourier transforms: three primitives, complex to complex, real to complex, complex to real.

`X[k] = scale * sum_n x[n] exp(-2 pi i k n / N)`, with a plus sign for the inverse. The transforms of
`flambeau.fft` are made of them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from flambeau.core import dtypes
from flambeau.core.dtypes import FROM_NUMPY
from flambeau.core.shapes import wrap_dim
from flambeau.ops.padding import constant_pad_nd
from flambeau.ops.pointwise import expect_tensor
from flambeau.ops.table import Primitive, Spec
from flambeau.tensor.tensor import Tensor, wrap

Dims = tuple[int, ...]


def _complex(dtype: np.dtype) -> np.dtype:
    return np.result_type(dtype, np.complex64)


def _scaled(x: np.ndarray, scale: float) -> np.ndarray:
    return x if scale == 1 else x * x.dtype.type(scale)


def _c2c(x: np.ndarray, dims: Dims, scale: float, inverse: bool) -> np.ndarray:
    transform = np.fft.ifftn if inverse else np.fft.fftn
    return _scaled(transform(x, axes=dims, norm="forward" if inverse else "backward"), scale)


_complex_to_complex = Primitive(
    "fft_c2c",
    "input",
    _c2c,
    rule=lambda x, dims, scale, inverse: Spec(x.shape, x.dtype),
    derivative={
        "input": lambda g, dims, scale, inverse: _complex_to_complex(
            g, dims=dims, scale=scale, inverse=not inverse
        )
    },
)


def _half(shape: Sequence[int], last: int) -> tuple[int, ...]:
    return tuple(n // 2 + 1 if d == last else n for d, n in enumerate(shape))


def _r2c(x: np.ndarray, dims: Dims, scale: float, onesided: bool) -> np.ndarray:
    if onesided:
        return _scaled(np.fft.rfftn(x, axes=dims), scale)
    return _scaled(np.fft.fftn(x, axes=dims), scale)


def _r2c_derivative(g: Tensor, input_shape: Any, dims: Dims, scale: float, onesided: bool) -> Tensor:
    if onesided:
        missing = input_shape[dims[-1]] - g._array.shape[dims[-1]]
        g = _padded_to(g, dims[-1], g._array.shape[dims[-1]] + missing)
    return _complex_to_complex(g, dims=dims, scale=scale, inverse=True).real


#: Real to complex; `onesided` keeps the first half of the last of `dims`, the rest being its mirror image.
_real_to_complex = Primitive(
    "fft_r2c",
    "input",
    _r2c,
    rule=lambda x, dims, scale, onesided: Spec(
        _half(x.shape, dims[-1]) if onesided else x.shape, _complex(x.dtype)
    ),
    derivative={"input": _r2c_derivative},
)


def _c2r(x: np.ndarray, dims: Dims, scale: float, size: int) -> np.ndarray:
    for dim in dims[:-1]:
        x = np.fft.ifft(x, axis=dim, norm="forward")
    return _scaled(np.fft.irfft(x, n=size, axis=dims[-1], norm="forward"), scale)


def _c2r_derivative(g: Tensor, dims: Dims, scale: float, size: int) -> Tensor:
    out = _real_to_complex(g, dims=dims, scale=scale, onesided=True)
    # Elements whose mirror images are left out of the half stand for two.
    doubled = size - out._array.shape[dims[-1]]
    counts = np.ones(out._array.shape[dims[-1]], g._array.dtype)
    counts[1 : 1 + doubled] = 2
    shape = [1] * out.ndim
    shape[dims[-1]] = -1
    return out * wrap(counts.reshape(shape))


#: The inverse of half a spectrum to `size` real numbers along the last of `dims`.
_complex_to_real = Primitive(
    "fft_c2r",
    "input",
    _c2r,
    rule=lambda x, dims, scale, size: Spec(
        tuple(size if d == dims[-1] else n for d, n in enumerate(x.shape)),
        FROM_NUMPY[x.dtype].to_real().numpy,
    ),
    derivative={"input": _c2r_derivative},
)

# What the transforms share ------------------------------------------------------------------------


def _padded_to(x: Tensor, dim: int, size: int) -> Tensor:
    """`x` cut off, or filled up with zeros, to `size` along `dim`."""
    have = x._array.shape[dim]
    if size == have:
        return x
    if size < have:
        return x.narrow(dim, 0, size)
    return constant_pad_nd(x, [0, 0] * (x.ndim - 1 - dim) + [0, size - have])


def _prepared(x: Tensor, name: str, to_complex: bool = False) -> Tensor:
    """`x` as floating-point or complex numbers that a transform takes."""
    expect_tensor(x, name)
    if x.dtype in (dtypes.float16, dtypes.bfloat16):
        raise RuntimeError(f"{name}: Unsupported dtype {x.dtype.tensor_type}")
    if x.dtype.kind < dtypes.FLOATING:
        x = x.to(dtypes.get_default_dtype())
    return x.to(x.dtype.to_complex()) if to_complex and not x.is_complex() else x


def _scale(name: str, norm: str | None, count: int, inverse: bool) -> float:
    """What a transform of `count` elements is multiplied by."""
    norm = "backward" if norm is None else norm
    if norm not in ("forward", "backward", "ortho"):
        raise RuntimeError(f'Invalid normalization mode: "{norm}"')
    if norm == "ortho":
        return 1 / math.sqrt(count)
    return 1 / count if (norm == "backward") == inverse else 1.0


def _sized(x: Tensor, name: str, n: int | None, dim: int) -> tuple[Tensor, int]:
    if x.ndim == 0:
        raise IndexError("Dimension specified as -1 but tensor has no dimensions")
    dim = wrap_dim(dim, x.ndim)
    size = x._array.shape[dim] if n is None else n
    if size < 1:
        raise RuntimeError(f"Invalid number of data points ({size}) specified")
    return _padded_to(x, dim, size), dim


def _several(
    x: Tensor, name: str, s: Sequence[int] | None, dim: Any, last_halved: bool = False
) -> tuple[Tensor, Dims, int | None]:
    """`x` at the sizes `s` (-1 leaves one as it is), the dimensions, and the last size where that is not `x`'s."""
    given = [dim] if isinstance(dim, int) else dim
    sizes = [s] if isinstance(s, int) else s
    if given is not None:
        dims = tuple(wrap_dim(d, x.ndim) for d in given)
        if len(set(dims)) != len(dims):
            raise RuntimeError("FFT dims must be unique")
    elif sizes is not None:
        if len(sizes) > x.ndim:
            raise RuntimeError(
                f"Got shape with {len(sizes)} values but input tensor only has {x.ndim} dimensions."
            )
        dims = tuple(range(x.ndim - len(sizes), x.ndim))
    else:
        dims = tuple(range(x.ndim))
    if sizes is not None and len(sizes) != len(dims):
        raise RuntimeError(
            "When given, dim and shape arguments must have the same length"
        )
    last = None
    for place, d in enumerate(dims):
        size = x._array.shape[d] if sizes is None or sizes[place] == -1 else sizes[place]
        if last_halved and place == len(dims) - 1:
            given_size = sizes is not None and sizes[place] != -1
            last = size if given_size else 2 * (x._array.shape[d] - 1)
            size = last // 2 + 1
            if last < 1:
                raise RuntimeError(f"Invalid number of data points ({last}) specified")
        elif size < 1:
            raise RuntimeError(f"Invalid number of data points ({size}) specified")
        x = _padded_to(x, d, size)
    return x, dims, last


def _count(x: Tensor, dims: Dims) -> int:
    return math.prod(x._array.shape[d] for d in dims)


# One dimension ------------------------------------------------------------------------------------


def one_way(x: Tensor, name: str, n: int | None, dim: int, norm: str | None, inverse: bool) -> Tensor:
    """`fft` and `ifft`: to a complex spectrum, or back."""
    x = _prepared(x, name)
    x, dim = _sized(x, name, n, dim)
    scale = _scale(name, norm, x._array.shape[dim], inverse)
    if not x.is_complex() and not inverse:
        return _real_to_complex(x, dims=(dim,), scale=scale, onesided=False)
    return _complex_to_complex(_prepared(x, name, True), dims=(dim,), scale=scale, inverse=inverse)


def half_spectrum(x: Tensor, name: str, n: int | None, dim: int, norm: str | None, inverse: bool) -> Tensor:
    """`rfft` and `ihfft`: of real numbers, the half of the spectrum that says it all."""
    x = _prepared(x, name)
    if x.is_complex():
        raise RuntimeError(
            f"{name.removeprefix('fft_')} expects a real input tensor, but got {x.dtype.tensor_type}"
        )
    x, dim = _sized(x, name, n, dim)
    scale = _scale(name, norm, x._array.shape[dim], inverse)
    out = _real_to_complex(x, dims=(dim,), scale=scale, onesided=True)
    return out.conj() if inverse else out


def from_half_spectrum(
    x: Tensor, name: str, n: int | None, dim: int, norm: str | None, inverse: bool
) -> Tensor:
    """`irfft` and `hfft`: real numbers from the half of their spectrum."""
    x = _prepared(x, name, True)
    dim = wrap_dim(dim, x.ndim)
    size = 2 * (x._array.shape[dim] - 1) if n is None else n
    if size < 1:
        raise RuntimeError(f"Invalid number of data points ({size}) specified")
    x = _padded_to(x, dim, size // 2 + 1)
    if not inverse:
        x = x.conj()
    return _complex_to_real(x, dims=(dim,), scale=_scale(name, norm, size, inverse), size=size)


# Several dimensions -------------------------------------------------------------------------------


def one_way_several(x: Tensor, name: str, s: Any, dim: Any, norm: str | None, inverse: bool) -> Tensor:
    """`fftn` and `ifftn`."""
    x, dims, _ = _several(_prepared(x, name, True), name, s, dim)
    if not dims:
        return x.clone()
    return _complex_to_complex(x, dims=dims, scale=_scale(name, norm, _count(x, dims), inverse), inverse=inverse)


def half_spectrum_several(x: Tensor, name: str, s: Any, dim: Any, norm: str | None, inverse: bool) -> Tensor:
    """`rfftn` and `ihfftn`; the last dimension is the one that is halved."""
    x = _prepared(x, name)
    if x.is_complex():
        raise RuntimeError(
            f"{name.removeprefix('fft_')} expects a real-valued input tensor, but got {x.dtype.tensor_type}"
        )
    x, dims, _ = _several(x, name, s, dim)
    if not dims:
        raise RuntimeError(f"{name.removeprefix('fft_')} must transform at least one axis")
    scale = _scale(name, norm, _count(x, dims), inverse)
    out = _real_to_complex(x, dims=dims[-1:], scale=scale if len(dims) == 1 else 1.0, onesided=True)
    if inverse:
        out = out.conj()
    return out if len(dims) == 1 else _complex_to_complex(out, dims=dims[:-1], scale=scale, inverse=inverse)


def from_half_spectrum_several(
    x: Tensor, name: str, s: Any, dim: Any, norm: str | None, inverse: bool
) -> Tensor:
    """`irfftn` and `hfftn`."""
    x, dims, size = _several(_prepared(x, name, True), name, s, dim, last_halved=True)
    if not dims or size is None:
        raise RuntimeError(f"{name.removeprefix('fft_')} must transform at least one axis")
    scale = _scale(name, norm, _count(x, dims[:-1]) * size, inverse)
    if inverse:
        return _complex_to_real(x, dims=dims, scale=scale, size=size)
    if len(dims) > 1:
        x = _complex_to_complex(x, dims=dims[:-1], scale=1.0, inverse=False)
    return _complex_to_real(x.conj(), dims=dims[-1:], scale=scale, size=size)
