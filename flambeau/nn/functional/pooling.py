"""Pooling whose windows follow from the output, at random, or undone."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from flambeau import ops
from flambeau.core import dtypes
from flambeau.core.shapes import pair
from flambeau.nn.functional.activation import relu
from flambeau.ops.native import native
from flambeau.ops.pool import (
    avg_pool1d,
    avg_pool2d,
    avg_pool3d,
    max_pool1d,
    max_pool2d,
    max_pool3d,
)
from flambeau.ops.required import required
from flambeau.tensor import Tensor
from flambeau.tensor.tracing import is_tracing


def _adaptive_bounds(size: int, places: int) -> list[tuple[int, int]]:
    return [(i * size // places, -(-(i + 1) * size // places)) for i in range(places)]


def _adaptive_sizes(input: Tensor, output_size: Any, rank: int) -> list[int]:
    sizes = (
        [output_size] * rank
        if isinstance(output_size, int) or output_size is None
        else list(output_size)
    )
    return [input.size(i - rank) if n is None else int(n) for i, n in enumerate(sizes)]


def _check_adaptive(name: str, input: Tensor, rank: int) -> None:
    if input.ndim not in (rank + 1, rank + 2):
        raise RuntimeError(
            f"{name}(): Expected {rank + 1}D or {rank + 2}D tensor, but got {list(input.shape)}"
        )


def _adaptive_average(name: str, input: Tensor, output_size: Any, rank: int) -> Tensor:
    """Each dimension in turn is averaged by a matrix with a row a place."""
    _check_adaptive(name, input, rank)
    return _averaged(input, tuple(_adaptive_sizes(input, output_size, rank)))


@native
def _averaged(input: Tensor, sizes: tuple[int, ...]) -> Tensor:
    out = input
    for i, places in enumerate(sizes):
        dim = input.ndim - len(sizes) + i
        size = input.size(dim)
        if size == places:
            continue
        if places and size % places == 0:
            step = size // places
            out = out.unflatten(dim, (places, step)).mean(dim + 1)
            continue
        parts = [
            out.narrow(dim, a, b - a).mean(dim, keepdim=True)
            for a, b in _adaptive_bounds(size, places)
        ]
        out = ops.cat(parts, dim) if parts else out.narrow(dim, 0, 0)
    return out.clone() if out is input else out


def adaptive_avg_pool1d(input: Tensor, output_size: Any) -> Tensor:
    """(N, C, L) -> (N, C, output_size), windows of nearly equal size."""
    return _adaptive_average("adaptive_avg_pool1d", input, output_size, 1)


def adaptive_avg_pool2d(input: Tensor, output_size: Any) -> Tensor:
    """(N, C, H, W) -> (N, C, *output_size)."""
    return _adaptive_average("adaptive_avg_pool2d", input, output_size, 2)


def adaptive_avg_pool3d(input: Tensor, output_size: Any) -> Tensor:
    """(N, C, D, H, W) -> (N, C, *output_size)."""
    return _adaptive_average("adaptive_avg_pool3d", input, output_size, 3)


def _adaptive_maximum(
    name: str, input: Tensor, output_size: Any, rank: int
) -> tuple[Tensor, Tensor]:
    """The largest element of each window and its position in the flattened plane."""
    _check_adaptive(name, input, rank)
    sizes = _adaptive_sizes(input, output_size, rank)
    lead = tuple(input.shape[: input.ndim - rank])
    plane = tuple(input.shape[input.ndim - rank :])
    positions = ops.arange(math.prod(plane)).reshape(plane).expand(*lead, *plane)
    bounds = [_adaptive_bounds(n, places) for n, places in zip(plane, sizes, strict=True)]

    def window(x: Tensor, place: Sequence[int]) -> Tensor:
        for i, at in enumerate(place):
            a, b = bounds[i][at]
            x = x.narrow(len(lead) + i, a, b - a)
        return x.reshape(*lead, math.prod(x.shape[len(lead) :]))

    values, indices = [], []
    for flat in range(math.prod(sizes)):
        place, rest = [], flat
        for n in reversed(sizes):
            rest, at = divmod(rest, n)
            place.insert(0, at)
        value, at_window = window(input, place).max(-1)
        values.append(value)
        indices.append(window(positions, place).gather(-1, at_window.unsqueeze(-1)).squeeze(-1))
    shape = (*lead, *sizes)
    return ops.stack(values, -1).reshape(shape), ops.stack(indices, -1).reshape(shape)


def _adaptive_max(rank: int) -> Any:
    name = f"adaptive_max_pool{rank}d"

    def with_indices(
        input: Tensor, output_size: Any, return_indices: bool = True
    ) -> tuple[Tensor, Tensor]:
        return _adaptive_maximum(name, input, output_size, rank)

    def call(input: Tensor, output_size: Any, return_indices: bool = False) -> Any:
        found = _adaptive_maximum(name, input, output_size, rank)
        return found if return_indices else found[0]

    call.__name__ = call.__qualname__ = name
    call.__doc__ = (
        f"The largest element of each of `output_size` windows of the last {rank} dimensions."
    )
    with_indices.__name__ = name + "_with_indices"
    return call, with_indices


adaptive_max_pool1d, adaptive_max_pool1d_with_indices = _adaptive_max(1)
adaptive_max_pool2d, adaptive_max_pool2d_with_indices = _adaptive_max(2)
adaptive_max_pool3d, adaptive_max_pool3d_with_indices = _adaptive_max(3)


def _with_indices(pool: Callable[..., Any]) -> Callable[..., tuple[Tensor, Tensor]]:
    name = pool.__name__ + "_with_indices"

    def call(
        input: Tensor, kernel_size: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1,
        ceil_mode: bool = False, return_indices: bool = True,
    ) -> tuple[Tensor, Tensor]:  # fmt: skip
        return pool(input, kernel_size, stride, padding, dilation, ceil_mode, True)

    call.__name__ = call.__qualname__ = name
    call.__doc__ = f"`{pool.__name__}` with the positions of the maxima."
    return call


max_pool1d_with_indices = _with_indices(max_pool1d)
max_pool2d_with_indices = _with_indices(max_pool2d)
max_pool3d_with_indices = _with_indices(max_pool3d)


def _check_positions(size: tuple[int, ...], positions: np.ndarray) -> None:
    if not 0 <= positions.min() <= positions.max() < math.prod(size):
        raise RuntimeError(
            f"Found an invalid max index: {positions.max()} (output volumes are of size {'x'.join(map(str, size))})"
        )


def _max_unpool(name: str, rank: int) -> Any:
    def call(
        input: Tensor, indices: Tensor, kernel_size: Any, stride: Any = None, padding: Any = 0,
        output_size: Any = None,
    ) -> Tensor:  # fmt: skip
        kernel = pair(kernel_size, rank, "kernel_size")
        steps = kernel if stride is None else pair(stride, rank, "stride")
        pads = pair(padding, rank, "padding")
        if indices.dtype is not dtypes.int64:
            raise RuntimeError(
                f"elements in indices should be type int64 but got: {indices.dtype}"
            )
        if indices.shape != input.shape:
            raise RuntimeError(
                f"Expected shape of indices to be same as that of the input tensor ({list(input.shape)}) but "
                f"got indices tensor with shape: {list(indices.shape)}"
            )
        if output_size is None:
            size = tuple(
                (n - 1) * s - 2 * p + k
                for n, s, p, k in zip(input.shape[-rank:], steps, pads, kernel, strict=True)
            )
        else:
            size = tuple(output_size)[-rank:]
        lead = tuple(input.shape[:-rank])
        flat = input.reshape(*lead, -1)
        where_ = indices.reshape(*lead, -1)
        area = math.prod(size)
        if indices.numel():
            check = partial(_check_positions, size)
            if is_tracing():  # the least and the greatest are found by the program, which is told that they fit
                ends = ops.stack(where_.aminmax())
                where_ = where_ + required(where_.new_zeros(()), ends, check)
            else:
                check(where_._array)
        out = flat.new_zeros((*lead, area)).scatter(-1, where_, flat)
        return out.reshape(*lead, *size)

    call.__name__ = call.__qualname__ = name
    call.__doc__ = "Puts each element back where `max_pool` found it; zeros elsewhere."
    return call


max_unpool1d = _max_unpool("max_unpool1d", 1)
max_unpool2d = _max_unpool("max_unpool2d", 2)
max_unpool3d = _max_unpool("max_unpool3d", 3)


def _lp(rank: int, average: Callable[..., Tensor]) -> Any:
    def call(
        input: Tensor,
        norm_type: float,
        kernel_size: Any,
        stride: Any = None,
        ceil_mode: bool = False,
    ) -> Tensor:
        kernel = pair(kernel_size, rank, "kernel_size")
        mean = average(input**norm_type, kernel, stride, 0, ceil_mode)
        # relu before the root: sums may come out negative for odd powers.
        total = mean.sign() * relu(mean.abs()) * math.prod(kernel)
        return total ** (1.0 / norm_type)

    call.__name__ = call.__qualname__ = f"lp_pool{rank}d"
    call.__doc__ = f"The p-norm of each window of the last {rank} dimensions."
    return call


lp_pool1d, lp_pool2d, lp_pool3d = _lp(1, avg_pool1d), _lp(2, avg_pool2d), _lp(3, avg_pool3d)


def _fractional_starts(samples: Tensor, size: int, places: int, kernel: int) -> Tensor:
    """(N, C) samples -> (N, C, places): where each window of `kernel` begins."""
    last = size - kernel
    if places == 1:
        return ops.full((*samples.shape, 1), last, dtype=dtypes.int64)
    alpha = last / (places - 1)
    at = samples.unsqueeze(-1)
    steps = ops.arange(places - 1, dtype=samples.dtype)
    inner = ((steps + at) * alpha).long() - (at * alpha).long()
    return ops.cat([inner, ops.full((*samples.shape, 1), last, dtype=dtypes.int64)], -1)


def _fractional(rank: int) -> Any:
    name = f"fractional_max_pool{rank}d"

    def with_indices(
        input: Tensor, kernel_size: Any, output_size: Any = None, output_ratio: Any = None,
        return_indices: bool = False, _random_samples: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:  # fmt: skip
        if output_size is None and output_ratio is None:
            raise ValueError(
                f"{name} requires specifying either an output_size or an output_ratio"
            )
        if input.ndim not in (rank + 1, rank + 2):
            raise RuntimeError(
                f"{name}(): Expected {rank + 1}D or {rank + 2}D tensor, but got: {list(input.shape)}"
            )
        kernel = pair(kernel_size, rank, "kernel_size")
        sizes = tuple(input.shape[-rank:])
        if output_size is None:
            ratios = (
                (output_ratio,) * rank
                if isinstance(output_ratio, float)
                else tuple(output_ratio)
            )
            output_size = tuple(int(n * r) for n, r in zip(sizes, ratios, strict=True))
        places = pair(output_size, rank, "output_size")
        for n, k, o in zip(sizes, kernel, places, strict=True):
            if o + k - 1 > n:
                raise RuntimeError(
                    f"{name}: pool size {k} with output size {o} is too large for input size {n}"
                )
        x = input if input.ndim == rank + 2 else input.unsqueeze(0)
        n, c = x.shape[:2]
        if _random_samples is None:
            _random_samples = ops.rand(n, c, rank, dtype=input.dtype)
        _random_samples = _random_samples[:n]
        # The samples of the last dimension come first, as PyTorch draws them.
        position = ops.zeros((n, c) + (1,) * (2 * rank), dtype=dtypes.int64)
        for axis in range(rank):
            sample = (
                _random_samples[:, :, rank - 1 - axis]
                if rank == 2
                else _random_samples[:, :, axis]
            )
            starts = _fractional_starts(sample, sizes[axis], places[axis], kernel[axis])
            shape = [n, c] + [1] * (2 * rank)
            shape[2 + axis] = places[axis]
            offsets = [1] * (2 + 2 * rank)
            offsets[2 + rank + axis] = kernel[axis]
            at = starts.reshape(shape) + ops.arange(kernel[axis]).reshape(offsets)
            position = position * sizes[axis] + at
        full = (n, c, *places, math.prod(kernel))
        position = position.reshape(full)
        flat = x.reshape(n, c, math.prod(x.shape[2:]))
        windows = flat.gather(-1, position.reshape(n, c, math.prod(position.shape[2:]))).reshape(full)
        values, at_window = windows.max(-1)
        indices = position.gather(-1, at_window.unsqueeze(-1)).squeeze(-1)
        return (
            (values, indices)
            if input.ndim == rank + 2
            else (values.squeeze(0), indices.squeeze(0))
        )

    def call(
        input: Tensor, kernel_size: Any, output_size: Any = None, output_ratio: Any = None,
        return_indices: bool = False, _random_samples: Tensor | None = None,
    ) -> Any:  # fmt: skip
        found = with_indices(
            input, kernel_size, output_size, output_ratio, True, _random_samples
        )
        return found if return_indices else found[0]

    call.__name__ = call.__qualname__ = name
    call.__doc__ = (
        f"The maxima of {rank}-dimensional windows at pseudo-random places. Graham, 2015."
    )
    with_indices.__name__ = name + "_with_indices"
    return call, with_indices


fractional_max_pool2d, fractional_max_pool2d_with_indices = _fractional(2)
fractional_max_pool3d, fractional_max_pool3d_with_indices = _fractional(3)
