"""Convolutions: forward, and the gradients of input and weight. Any stride, padding, groups.

The layout of the operands decides how it is done:

* stride 1 along the batch (arrays [channel, row, column, sample]): `conv_batch`, `conv_weight`;
* stride 1 along the row (PyTorch's [sample, channel, row, column]): what costs least of `conv_plane`,
  `conv_channels` and `conv_weight_wide`, `conv_depthwise`, and Winograd's algorithm.
"""

from __future__ import annotations

from collections.abc import Sequence

from flambeau.kernels import (
    conv_batch,
    conv_channels,
    conv_depthwise,
    conv_plane,
    conv_weight,
    conv_winograd,
    conv_winograd_channels,
    conv_winograd_weight,
)
from flambeau.kernels.conv_axis import Axis, Convolution, backward_axes, forward_axis
from flambeau.kernels.element import Element, element_of
from flambeau.kernels.expression import Nodes
from flambeau.kernels.kernel import Kernel
from flambeau.kernels.language import Buffer, Module
from flambeau.kernels.pointwise import Operand

__all__ = ["Convolution", "emit_forward", "emit_input_gradient", "emit_weight_gradient", "prefers_planes"]


#: With fewer channels, turning tiles costs more than it saves beside sums in the lanes.
_FEWEST_IN_PLANES = 32


def emit_forward(
    module: Module,
    name: str,
    conv: Convolution,
    x: Operand,
    weight: Operand,
    outputs: Sequence[Operand],
    epilogue: Nodes = (("input", 0),),
    results: Sequence[int] = (0,),
    extras: Sequence[Operand] = (),
    exact: bool = False,
) -> Kernel:
    """A convolution, each element finished by an expression.

    Args:
        module: where its functions go.
        name: of the kernel.
        conv: the shapes.
        x, outputs, extras: strides for (sample, channel, row, column); a bias has (0, 1, 0, 0).
            With the batch in the lanes they may have five instead, for (block of samples,
            channel, row, column, sample in the block), a block being a register's width.
        weight: strides for (output channel, input channel of the group, row tap, column tap).
        epilogue: an expression in which ("input", 0) is the sum, ("input", i) `extras[i - 1]`.
        results: for each output, the node that is stored.
        exact: only direct sums; else Winograd's algorithm where it is faster.

    Buffers: x, weight, extras, outputs.
    """
    return _emit_sum(
        module, name, conv, x, (*weight.strides, weight.strides[0] * conv.group_out),
        weight.dtype, outputs, epilogue, results, extras, conv.group_in, conv.group_out,
        [forward_axis(conv, 0)], [forward_axis(conv, 1)], conv.in_size, exact,
    )  # fmt: skip


def emit_input_gradient(
    module: Module, name: str, conv: Convolution, gradient: Operand, weight: Operand,
    outputs: Sequence[Operand], epilogue: Nodes = (("input", 0),),
    results: Sequence[int] = (0,), extras: Sequence[Operand] = (), exact: bool = False,
) -> Kernel:  # fmt: skip
    """The gradient of a convolution's input; also the transposed convolution.

    Buffers: gradient, weight, extras, outputs.
    """
    out, inside, *taps = weight.strides
    return _emit_sum(
        module, name, conv, gradient, (inside, out, *taps, out * conv.group_out), weight.dtype,
        outputs, epilogue, results, extras, conv.group_out, conv.group_in,
        backward_axes(conv, 0), backward_axes(conv, 1), conv.out_size, exact,
    )  # fmt: skip


def emit_weight_gradient(
    module: Module,
    name: str,
    conv: Convolution,
    x: Operand,
    gradient: Operand,
    out: Operand,
    exact: bool = False,
) -> Kernel:
    """The gradient of a convolution's weight. Buffers: x, gradient, out."""
    buffers = (
        Buffer("x", x.element), Buffer("gradient", gradient.element),
        Buffer("out", out.element),
    )  # fmt: skip
    rows, columns = forward_axis(conv, 0), forward_axis(conv, 1)
    lanes = module.target.lanes(x.element.computed.bytes)
    if not _has_batch_in_lanes([x, gradient]):
        emit = conv_plane.emit_weight_gradient
        if not exact and conv_winograd_weight.pays(conv, rows, columns, x, lanes):
            emit = conv_winograd_weight.emit
        elif conv_depthwise.applies_to_weights(conv, columns, lanes):
            emit = conv_depthwise.emit_weight_gradient
        return emit(module, name, buffers, conv, rows, columns, x, gradient, out)
    what = conv_weight.WeightGradient(
        conv.batch, conv.groups, conv.group_in, conv.group_out,
        forward_axis(conv, 0), forward_axis(conv, 1),
        _blocked(x, lanes), _blocked(gradient, lanes), out,
    )  # fmt: skip
    return conv_weight.emit(module, name, buffers, what, conv.flops)


def prefers_planes(conv: Convolution, element: Element, lanes: int) -> bool:
    """Whether Winograd's algorithm on planes beats direct sums with the batch in the lanes."""
    rows, columns = [forward_axis(conv, 0)], [forward_axis(conv, 1)]
    channels = conv.group_in, conv.group_out
    if min(channels) < _FEWEST_IN_PLANES:
        return False
    shape = conv, rows, columns, *channels
    return any(way.pays(*shape, element, lanes) for way in (conv_winograd, conv_winograd_channels))


def _emit_sum(
    module: Module, name: str, conv: Convolution, x: Operand, weight: tuple[int, ...],
    weight_dtype: str, outputs: Sequence[Operand], epilogue: Nodes, results: Sequence[int],
    extras: Sequence[Operand], sources: int, targets: int, rows: Sequence[Axis],
    columns: Sequence[Axis], in_size: tuple[int, int], exact: bool,
) -> Kernel:  # fmt: skip
    buffers = (
        Buffer("x", x.element), Buffer("weight", element_of(weight_dtype)),
        *(Buffer(f"extra{i}", e.element) for i, e in enumerate(extras)),
        *(Buffer(f"out{i}", o.element) for i, o in enumerate(outputs)),
    )  # fmt: skip
    weights = Operand(weight_dtype, weight)
    if not _has_batch_in_lanes([x, *outputs]):
        plane = conv_plane.Sum(
            conv, rows, columns, sources, targets, in_size, x, weights, outputs, epilogue,
            results, extras,
        )  # fmt: skip
        lanes = module.target.lanes(4)
        shape = conv, rows, columns, sources, targets
        if not exact and conv_winograd_channels.pays(*shape, x.element, lanes):
            return conv_winograd_channels.emit(module, name, buffers, plane)
        if not exact and conv_winograd.pays(*shape, x.element, lanes):
            return conv_winograd.emit(module, name, buffers, plane)
        if conv_depthwise.applies(plane, module.target.lanes(x.element.computed.bytes)):
            return conv_depthwise.emit(module, name, buffers, plane)
        if conv_channels.pays(plane, module.target):
            return conv_channels.emit(module, name, buffers, plane)
        return conv_plane.emit_sum(module, name, buffers, plane)
    lanes = module.target.lanes(x.element.computed.bytes)
    what = conv_batch.BatchConvolution(
        conv.batch, conv.groups, sources, targets, rows, columns,
        _blocked(x, lanes), weights, [_blocked(o, lanes) for o in outputs],
        epilogue, results, [_blocked(e, lanes) for e in extras],
    )  # fmt: skip
    return conv_batch.emit(module, name, buffers, what, conv.flops)


def _has_batch_in_lanes(operands: Sequence[Operand]) -> bool:
    """Whether neighbours in memory are samples; a batch of one has its pixels side by side."""
    return all(len(o.strides) == 5 or o.strides[0] == 1 for o in operands)


def _blocked(operand: Operand, lanes: int) -> Operand:
    """Strides (block of samples, channel, row, column, sample)."""
    strides = operand.strides
    if len(strides) == 5:
        return operand
    return Operand(operand.dtype, (strides[0] * lanes, *strides[1:], strides[0]))
