"""Convolution in one, two and three dimensions, and its transpose.

Three primitives are closed under differentiation: the convolution itself, its derivative for the input
(the transposed convolution) and its derivative for the weight. Each is linear in both of its tensors, so
the derivative of each is made of the other two.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from flambeau.core.shapes import pair
from flambeau.ops import on_kernels
from flambeau.ops.arithmetic import _conj
from flambeau.ops.autocasting import narrowed
from flambeau.ops.native import native
from flambeau.ops.padding import constant_pad_nd
from flambeau.ops.table import Kernel, Primitive, Spec, operator, spec_of
from flambeau.tensor.tensor import Tensor
from flambeau.tensor.tracing import state

Ints = tuple[int, ...]


def output_size(size: int, kernel: int, stride: int, padding: int, dilation: int) -> int:
    """How many places a kernel of `kernel` elements has in `size` padded ones."""
    return (size + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1


def _rule(x: Spec, w: Spec, stride: Ints, padding: Ints, dilation: Ints, groups: int) -> Spec:
    sizes = [
        output_size(n, k, s, p, d)
        for n, k, s, p, d in zip(x.shape[2:], w.shape[2:], stride, padding, dilation, strict=True)
    ]
    return Spec((x.shape[0], w.shape[0], *sizes), x.dtype)


def _patches(x: np.ndarray, kernel: Sequence[int], stride: Ints, padding: Ints, dilation: Ints) -> np.ndarray:
    """Every window of `x` (N, C, *in), as a view (N, C, *out, *kernel) of the padded array."""
    if any(padding):
        x = np.pad(x, ((0, 0), (0, 0), *((p, p) for p in padding)))
    span = [d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True)]
    axes = tuple(range(2, x.ndim))
    windows = np.lib.stride_tricks.sliding_window_view(x, span, axes)
    steps = tuple(slice(None, None, s) for s in stride)
    inside = tuple(slice(None, None, d) for d in dilation)
    return windows[(slice(None), slice(None), *steps, *inside)]


def _wide(x: np.ndarray) -> np.ndarray:
    return x.astype(np.float32) if x.dtype.itemsize == 2 and x.dtype.kind in "fV" else x


#: So many elements of windows are laid out at a time, where groups are many.
_AT_A_TIME = 1 << 23


def _blocks(groups: int, elements: int) -> Iterator[slice]:
    """Groups, of so many elements each, a few at a time."""
    step = max(1, _AT_A_TIME // max(1, elements))
    for begin in range(0, groups, step):
        yield slice(begin, min(begin + step, groups))


def _forward(
    x: np.ndarray, w: np.ndarray, stride: Ints, padding: Ints, dilation: Ints, groups: int
) -> np.ndarray:
    places = _rule(spec_of(x), spec_of(w), stride, padding, dilation, groups).shape[2:]
    fast = on_kernels.convolution(x, w, places, stride, padding, dilation, groups)
    if fast is not None:
        return fast
    stored, x, w = x.dtype, _wide(x), _wide(w)
    rank = x.ndim - 2
    windows = _patches(x, w.shape[2:], stride, padding, dilation)
    n, out_channels, each = x.shape[0], w.shape[0], w.shape[1]
    per_group = out_channels // groups
    out = np.empty((n, groups, per_group, *places), x.dtype)
    windows = windows.reshape(n, groups, each, *windows.shape[2:])
    rows = w.reshape(groups, per_group, each * math.prod(w.shape[2:]))
    # (groups, C/g, *kernel, N, *out): one product of matrices a group for all samples
    order = (1, 2, *range(3 + rank, 3 + 2 * rank), 0, *range(3, 3 + rank))
    for some in _blocks(groups, each * math.prod(w.shape[2:]) * n * math.prod(places)):
        part = windows[:, some]
        columns = part.transpose(order).reshape(part.shape[1], rows.shape[2], n * math.prod(places))
        product = (rows[some] @ columns).reshape(len(columns), per_group, n, *places)
        out[:, some] = np.moveaxis(product, 2, 0)
    out = out.reshape(n, out_channels, *places)
    return out.astype(stored, copy=False)


def _input_gradient(
    g: np.ndarray, w: np.ndarray, size: Ints, stride: Ints, padding: Ints, dilation: Ints, groups: int
) -> np.ndarray:
    fast = on_kernels.input_gradient(g, w, size, stride, padding, dilation, groups)
    if fast is not None:
        return fast
    stored, g, w = g.dtype, _wide(g), _wide(w)
    rank = g.ndim - 2
    n, places, kernel = g.shape[0], g.shape[2:], w.shape[2:]
    each, per_group = w.shape[1], w.shape[0] // groups
    # A stride may leave the last elements of the input out of every window: they stay zero.
    padded = tuple(
        max(s + 2 * p, (o - 1) * t + d * (k - 1) + 1)
        for s, p, o, t, d, k in zip(size, padding, places, stride, dilation, kernel, strict=True)
    )
    out = np.zeros((n, groups, each, *padded), g.dtype)
    flat = np.moveaxis(g, 1, 0).reshape(groups, per_group, n * math.prod(places))
    rows = w.reshape(groups, per_group, each * math.prod(kernel)).transpose(0, 2, 1)
    for some in _blocks(groups, rows.shape[1] * flat.shape[2]):
        target = out[:, some]
        columns = (rows[some] @ flat[some]).reshape(target.shape[1], each, *kernel, n, *places)
        for offset in np.ndindex(*kernel):
            where = tuple(
                slice(o * d, o * d + (m - 1) * t + 1, t)
                for o, d, m, t in zip(offset, dilation, places, stride, strict=True)
            )
            target[(..., *where)] += np.moveaxis(columns[(slice(None), slice(None), *offset)], 2, 0)
    out = out.reshape(n, each * groups, *padded)
    inside = tuple(slice(p, p + s) for p, s in zip(padding, size, strict=True))
    return np.ascontiguousarray(out[(slice(None), slice(None), *inside)]).astype(stored, copy=False) if rank else out


def _weight_gradient(
    g: np.ndarray, x: np.ndarray, kernel: Ints, stride: Ints, padding: Ints, dilation: Ints, groups: int
) -> np.ndarray:
    fast = on_kernels.weight_gradient(g, x, kernel, stride, padding, dilation, groups)
    if fast is not None:
        return fast
    stored, g, x = g.dtype, _wide(g), _wide(x)
    rank = x.ndim - 2
    n, out_channels, places = g.shape[0], g.shape[1], g.shape[2:]
    each, per_group = x.shape[1] // groups, out_channels // groups
    windows = _patches(x, kernel, stride, padding, dilation)
    windows = windows[(slice(None), slice(None), *(slice(0, p) for p in places))]
    windows = windows.reshape(n, groups, each, *windows.shape[2:])
    rows = np.moveaxis(g.reshape(n, groups, per_group, *places), 0, 2).reshape(groups, per_group, n * math.prod(places))
    out = np.empty((groups, per_group, each * math.prod(kernel)), g.dtype)
    order = (1, 0, *range(3, 3 + rank), 2, *range(3 + rank, 3 + 2 * rank))
    for some in _blocks(groups, rows.shape[2] * out.shape[2]):
        part = windows[:, some]
        columns = part.transpose(order).reshape(part.shape[1], rows.shape[2], out.shape[2])
        out[some] = rows[some] @ columns
    out = out.reshape(out_channels, each, *kernel)
    return out.astype(stored, copy=False)


def _within(x: Tensor, shape: Ints) -> Tensor:
    """The places of `x` that there are in `shape`: a stride lets several input sizes give one output."""
    for d in range(2, x.ndim):
        if x._array.shape[d] != shape[d]:
            x = x.narrow(d, 0, shape[d])
    return x


#: (N, C, *in) with (O, C/groups, *kernel) -> (N, O, *out)
_convolution = Primitive(
    "convolution",
    "input weight",
    _forward,
    rule=_rule,
    derivative={
        "input": lambda g, weight, input_shape, stride, padding, dilation, groups: _convolution_input(
            g, _conj(weight), size=tuple(input_shape[2:]), stride=stride, padding=padding, dilation=dilation, groups=groups
        ),
        "weight": lambda g, input, weight_shape, stride, padding, dilation, groups: _convolution_weight(
            g, _conj(input), kernel=tuple(weight_shape[2:]), stride=stride, padding=padding, dilation=dilation, groups=groups
        ),
    },
    lowering=Kernel("convolution", ("forward",)),
)
#: The gradient of the input, (N, O, *out) with (O, C/groups, *kernel) -> (N, C, *size)
_convolution_input = Primitive(
    "convolution_input",
    "grad weight",
    _input_gradient,
    rule=lambda g, w, size, stride, padding, dilation, groups: Spec(
        (g.shape[0], w.shape[1] * groups, *size), g.dtype
    ),
    derivative={
        "grad": lambda g, weight, grad_shape, stride, padding, dilation, groups: _within(
            _convolution(g, _conj(weight), stride=stride, padding=padding, dilation=dilation, groups=groups), grad_shape
        ),
        "weight": lambda g, grad, weight_shape, stride, padding, dilation, groups: _convolution_weight(
            _conj(grad), g, kernel=tuple(weight_shape[2:]), stride=stride, padding=padding, dilation=dilation, groups=groups
        ),
    },
    lowering=Kernel("convolution", ("input",)),
)
#: The gradient of the weight, (N, O, *out) with (N, C, *in) -> (O, C/groups, *kernel)
_convolution_weight = Primitive(
    "convolution_weight",
    "grad input",
    _weight_gradient,
    rule=lambda g, x, kernel, stride, padding, dilation, groups: Spec(
        (g.shape[1], x.shape[1] // groups, *kernel), g.dtype
    ),
    derivative={
        "grad": lambda g, input, grad_shape, stride, padding, dilation, groups: _within(
            _convolution(_conj(input), g, stride=stride, padding=padding, dilation=dilation, groups=groups), grad_shape
        ),
        "input": lambda g, grad, input_shape, stride, padding, dilation, groups: _convolution_input(
            _conj(grad), g, size=tuple(input_shape[2:]), stride=stride, padding=padding, dilation=dilation, groups=groups
        ),
    },
    lowering=Kernel("convolution", ("weight",)),
)


def _check(name: str, rank: int, input: Tensor, weight: Tensor, bias: Tensor | None, groups: int, transposed: bool) -> None:
    if input.ndim not in (rank + 1, rank + 2):
        raise RuntimeError(
            f"Expected {rank + 1}D (unbatched) or {rank + 2}D (batched) input to {name}, but got input of "
            f"size: {list(input.shape)}"
        )
    if weight.ndim != rank + 2:
        raise RuntimeError(
            f"expected weight to have {rank + 2} dimensions, (out, in/groups, *kernel), but got "
            f"{list(weight.shape)}"
        )
    if input.dtype is not weight.dtype:
        raise RuntimeError(
            f"Input type ({input.type()}) and weight type ({weight.type()}) should be the same"
        )
    if bias is not None and bias.dtype is not input.dtype:
        raise RuntimeError(f"Input type ({input.type()}) and bias type ({bias.type()}) should be the same")
    if groups <= 0:
        raise RuntimeError("non-positive groups is not supported")
    channels = input._array.shape[-rank - 1]
    shape = weight._array.shape
    wanted = shape[0] if transposed else shape[1] * groups
    if channels != wanted:
        raise RuntimeError(
            f"Given{' transposed=1,' if transposed else ''} groups={groups}, weight of size "
            f"{list(weight.shape)}, expected input{list(input.shape)} to have {wanted} channels, but got "
            f"{channels} channels instead"
        )
    if shape[0] % groups:
        raise RuntimeError(
            f"Given groups={groups}, expected weight to be divisible by {groups} at dimension 0, but got "
            f"weight of size {list(weight.shape)} instead"
        )
    outputs = shape[1] * groups if transposed else shape[0]
    if bias is not None and bias._array.shape != (outputs,):
        raise RuntimeError(
            f"Given groups={groups}, weight of size {list(weight.shape)}, expected bias to be "
            f"1-dimensional with {outputs} elements, but got bias of size {list(bias.shape)} instead"
        )


def _positive(values: Ints, name: str) -> None:
    if any(v <= 0 for v in values):
        raise RuntimeError(f"non-positive {name} is not supported")


def _same_padding(kernel: Sequence[int], dilation: Ints) -> list[tuple[int, int]]:
    """What keeps the size at stride 1: an odd total puts one more element at the end."""
    totals = [d * (k - 1) for k, d in zip(kernel, dilation, strict=True)]
    return [(t // 2, t - t // 2) for t in totals]


def _convolve(
    name: str, rank: int, input: Tensor, weight: Tensor, bias: Any, stride: Any, padding: Any, dilation: Any, groups: int
) -> Tensor:
    if state.busy and state.autocast is not None:
        input, weight, bias = narrowed(input, weight, bias)
    _check(name, rank, input, weight, bias, groups, transposed=False)
    stride, dilation = pair(stride, rank, "stride"), pair(dilation, rank, "dilation")
    _positive(stride, "stride")
    _positive(dilation, "dilation")
    batched = input.ndim == rank + 2
    x = input if batched else input.unsqueeze(0)
    kernel = weight._array.shape[2:]
    if isinstance(padding, str):
        if padding == "valid":
            pads: Ints = (0,) * rank
        elif padding == "same":
            if any(s != 1 for s in stride):
                raise RuntimeError("padding='same' is not supported for strided convolutions")
            both = _same_padding(kernel, dilation)
            pads = tuple(a for a, _ in both)
            if any(b > a for a, b in both):
                x = constant_pad_nd(x, [p for a, b in reversed(both) for p in (0, b - a)])
        else:
            raise RuntimeError(f"Invalid padding string: '{padding}'")
    else:
        pads = pair(padding, rank, "padding")
        if any(p < 0 for p in pads):
            raise RuntimeError("negative padding is not supported")
    for n, k, p, d in zip(x._array.shape[2:], kernel, pads, dilation, strict=True):
        if n + 2 * p < d * (k - 1) + 1:
            padded = " x ".join(str(m + 2 * q) for m, q in zip(x._array.shape[2:], pads, strict=True))
            spans = " x ".join(str(e * (l - 1) + 1) for l, e in zip(kernel, dilation, strict=True))
            raise RuntimeError(
                f"Calculated padded input size per channel: ({padded}). Kernel size: ({spans}). Kernel size "
                "can't be greater than actual input size"
            )
    convolve = _convolved_in_space if rank == 3 else _convolved
    out = convolve(x, weight, bias, stride, pads, dilation, groups)
    return out if batched else out.squeeze(0)


def _convolved(
    x: Tensor, weight: Tensor, bias: Tensor | None, stride: Ints, padding: Ints, dilation: Ints, groups: int
) -> Tensor:
    if groups == 1 and _is_of_patches(weight._array.shape[2:], stride, padding, dilation):
        out = _of_patches(x, weight, stride)
    else:
        out = _convolution(x, weight, stride=stride, padding=padding, dilation=dilation, groups=groups)
    return out if bias is None else out + bias.reshape(-1, *(1,) * len(stride))


#: Taps from which on a convolution whose windows do not overlap is a product of matrices.
_MANY_TAPS = 16


def _is_of_patches(kernel: Ints, stride: Ints, padding: Ints, dilation: Ints) -> bool:
    """Whether many taps each meet every element once at most, as where a vision transformer begins."""
    return kernel == stride and not any(padding) and set(dilation) == {1} and math.prod(kernel) >= _MANY_TAPS


def _of_patches(x: Tensor, weight: Tensor, size: Ints) -> Tensor:
    """(N, C, *in) cut into patches of `size`, each the sum of its elements times (O, C, *size): (N, O, *in / size)."""
    rank = len(size)
    counts = [n // s for n, s in zip(x._array.shape[2:], size, strict=True)]
    for d, (count, s) in enumerate(zip(counts, size, strict=True)):
        x = x.narrow(2 + d, 0, count * s)
    cut = x.reshape(*x.shape[:2], *(n for pair in zip(counts, size, strict=True) for n in pair))
    places, within = range(2, 2 + 2 * rank, 2), range(3, 3 + 2 * rank, 2)
    patches = cut.permute(0, *places, 1, *within).reshape(len(x) * math.prod(counts), -1)
    out = patches @ weight.reshape(len(weight), -1).t()
    return out.reshape(len(x), *counts, -1).movedim(-1, 1).contiguous()


#: Kernels are made for planes; a compiled program makes products of matrices of other ranks.
_convolved_in_space = native(_convolved)


@operator(method=False)
def conv1d(
    input: Tensor, weight: Tensor, bias: Tensor | None = None, stride: Any = 1, padding: Any = 0,
    dilation: Any = 1, groups: int = 1,
) -> Tensor:  # fmt: skip
    """(N, C, L) with (O, C/groups, K) -> (N, O, L'); `padding` may be "valid" or "same"."""
    return _convolve("conv1d", 1, input, weight, bias, stride, padding, dilation, groups)


@operator(method=False)
def conv2d(
    input: Tensor, weight: Tensor, bias: Tensor | None = None, stride: Any = 1, padding: Any = 0,
    dilation: Any = 1, groups: int = 1,
) -> Tensor:  # fmt: skip
    """(N, C, H, W) with (O, C/groups, KH, KW) -> (N, O, H', W'); `padding` may be "valid" or "same".

    Raises `RuntimeError` for channels, dtypes or sizes that do not fit.
    """
    return _convolve("conv2d", 2, input, weight, bias, stride, padding, dilation, groups)


@operator(method=False)
def conv3d(
    input: Tensor, weight: Tensor, bias: Tensor | None = None, stride: Any = 1, padding: Any = 0,
    dilation: Any = 1, groups: int = 1,
) -> Tensor:  # fmt: skip
    """(N, C, D, H, W) with (O, C/groups, KD, KH, KW) -> (N, O, D', H', W')."""
    return _convolve("conv3d", 3, input, weight, bias, stride, padding, dilation, groups)


def _convolve_transposed(
    name: str, rank: int, input: Tensor, weight: Tensor, bias: Any, stride: Any, padding: Any,
    output_padding: Any, groups: int, dilation: Any,
) -> Tensor:  # fmt: skip
    if state.busy and state.autocast is not None:
        input, weight, bias = narrowed(input, weight, bias)
    _check(name, rank, input, weight, bias, groups, transposed=True)
    stride, dilation = pair(stride, rank, "stride"), pair(dilation, rank, "dilation")
    pads, extra = pair(padding, rank, "padding"), pair(output_padding, rank, "output_padding")
    _positive(stride, "stride")
    for o, s, d in zip(extra, stride, dilation, strict=True):
        if o >= s and o >= d:
            raise RuntimeError(
                f"output padding must be smaller than either stride or dilation, but got output_padding "
                f"{list(extra)}, stride {list(stride)}, dilation {list(dilation)}"
            )
    batched = input.ndim == rank + 2
    x = input if batched else input.unsqueeze(0)
    size = tuple(
        (n - 1) * s - 2 * p + d * (k - 1) + o + 1
        for n, s, p, d, k, o in zip(
            x._array.shape[2:], stride, pads, dilation, weight._array.shape[2:], extra, strict=True
        )
    )
    if any(n <= 0 for n in size):
        raise RuntimeError(
            f"Given input size per channel: {list(x.shape[2:])}. Calculated output size per channel: "
            f"{list(size)}. Output size is too small"
        )
    convolve = _spread_in_space if rank == 3 else _spread
    out = convolve(x, weight, bias, size, stride, pads, dilation, groups)
    return out if batched else out.squeeze(0)


def _spread(
    x: Tensor, weight: Tensor, bias: Tensor | None, size: Ints, stride: Ints, padding: Ints, dilation: Ints, groups: int
) -> Tensor:
    out = _convolution_input(x, weight, size=size, stride=stride, padding=padding, dilation=dilation, groups=groups)
    return out if bias is None else out + bias.reshape(-1, *(1,) * len(stride))


_spread_in_space = native(_spread)


def _transposed(rank: int) -> Any:
    name = f"conv_transpose{rank}d"

    def call(
        input: Tensor, weight: Tensor, bias: Tensor | None = None, stride: Any = 1, padding: Any = 0,
        output_padding: Any = 0, groups: int = 1, dilation: Any = 1,
    ) -> Tensor:  # fmt: skip
        return _convolve_transposed(
            name, rank, input, weight, bias, stride, padding, output_padding, groups, dilation
        )

    call.__name__ = call.__qualname__ = name
    call.__doc__ = (
        f"The transpose of `conv{rank}d`: (N, C, *in) with (C, O/groups, *kernel) -> (N, O, *out), where "
        "out = (in - 1) * stride - 2 * padding + dilation * (kernel - 1) + output_padding + 1."
    )
    return operator(call, method=False)


conv_transpose1d, conv_transpose2d, conv_transpose3d = map(_transposed, (1, 2, 3))
