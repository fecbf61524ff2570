"""Convolutions of rows and of volumes, made of the kernels for planes.

A volume is planes one behind the other. For each tap of depth there is a convolution of planes, which adds
to the planes of the result what those of the input give that lie so far on. The planes of one image are a
kernel's batch, or where images are more, the planes of all images at one depth. A row is a volume whose
depth and height are 1.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from flambeau.compiler.backends.expressions import Builder
from flambeau.compiler.backends.place import Place
from flambeau.compiler.graph import Node
from flambeau.kernels import conv
from flambeau.kernels.conv_axis import Convolution
from flambeau.kernels.kernel import Kernel
from flambeau.kernels.language import Module
from flambeau.kernels.pointwise import Operand

if TYPE_CHECKING:
    from flambeau.compiler.backends.work import Work

_SUM = ("input", 0), ("input", 1), ("add", 0, 1)


@dataclass(frozen=True)
class _Step:
    """Some planes of the input, a tap of depth, and the planes of the output that it gives.

    `number` counts the images, or the depths, that are done one after the other.
    """

    number: int
    tap: int
    x: Place
    weight: Place
    y: Place


@dataclass(frozen=True)
class _Volumes:
    """The operands of a forward convolution, all with five dimensions, and its stride, padding and so on."""

    x: Place
    weight: Place
    y: Place
    stride: tuple[int, ...]
    padding: tuple[int, ...]
    dilation: tuple[int, ...]
    groups: int

    def planes(self, batch: int) -> Convolution:
        """The convolution of so many planes."""
        return Convolution(
            batch, self.x.shape[1], self.y.shape[1], self.x.shape[3:], self.weight.shape[3:], self.stride[1:],
            self.padding[1:], self.dilation[1:], self.groups,
        )  # fmt: skip

    def steps(self) -> Iterator[_Step]:
        """What is added up; the taps that reach every plane of the output come first."""
        depths = self.x.shape[2]
        found = []
        for tap in range(self.weight.shape[2]):
            shift = tap * self.dilation[0] - self.padding[0]
            planes = [q for q in range(self.y.shape[2]) if 0 <= q * self.stride[0] + shift < depths]
            if planes:
                found.append((tap, shift, planes))
        for tap, shift, planes in sorted(found, key=lambda step: -len(step[2])):
            first = planes[0] * self.stride[0] + shift
            weight = _without_depth(self.weight, tap)
            if self.x.shape[0] > self.y.shape[2]:
                for q in planes:
                    at = q * self.stride[0] + shift
                    yield _Step(q, tap, _without_depth(self.x, at), weight, _without_depth(self.y, q))
                continue
            for image in range(self.x.shape[0]):
                x = _as_batch(self.x, image, first, len(planes), self.stride[0])
                yield _Step(image, tap, x, weight, _as_batch(self.y, image, planes[0], len(planes), 1))


def _without_depth(place: Place, at: int) -> Place:
    """The planes at one depth."""
    (n, c, _, *size), (image, channel, depth, *rest) = place.shape, place.strides
    return place.seen((n, c, *size), (image, channel, *rest), at * depth)


def _as_batch(place: Place, image: int, first: int, count: int, step: int) -> Place:
    """Some planes of one image as a batch of planes."""
    (_, c, _, *size), (between, channel, depth, *rest) = place.shape, place.strides
    return place.seen((count, c, *size), (depth * step, channel, *rest), image * between + first * depth)


def _as_volume(place: Place) -> Place:
    """A row, as a volume that is 1 deep and high."""
    if len(place.shape) == 5:
        return place
    (n, c, length), (image, channel, step) = place.shape, place.strides
    return place.seen((n, c, 1, 1, length), (image, channel, 0, 0, step))


def _three(numbers: Any, fill: int) -> tuple[int, ...]:
    return tuple(numbers) if len(numbers) == 3 else (fill, fill, *numbers)


def convolution(work: Work, node: Node, which: str) -> None:
    """Forward, or the gradient of the input or the weight."""
    first, second = (_as_volume(work.in_order(work.place(v))) for v in node.values)
    out, a = _as_volume(work.place(node.outputs[0])), node.attributes
    x, weight, y = {
        "forward": (first, second, out), "input": (out, second, first), "weight": (second, out, first),
    }[which]  # fmt: skip
    options = _three(a["stride"], 1), _three(a["padding"], 0), _three(a["dilation"], 1), a["groups"]
    if which == "weight":
        _weight(work, x, weight, y, options)
        return
    volumes = _Volumes(x, weight, y, *options)
    _sum(work, volumes, out, which)


def _sum(work: Work, volumes: _Volumes, out: Place, which: str) -> None:
    """The first that reaches an image's (or a depth's) planes writes them, if it reaches them all; others add."""
    forward = which == "forward"
    steps = list(volumes.steps())
    per_image = volumes.x.shape[0] <= volumes.y.shape[2]
    written: set[int] = set()
    first = steps[: volumes.x.shape[0]]
    if not (steps and per_image and all(_reaches_all(step, out, forward) for step in first)):
        work.fill(out, 0)
        written = {step.number for step in steps}
    for step in steps:
        shape = volumes.planes(step.x.shape[0])
        source, target = (step.x, step.y) if forward else (step.y, step.x)
        adds = step.number in written
        written.add(step.number)
        work.native(("space", which, shape, adds), [source, step.weight, *[target] * adds, target],
                    _writer(conv.emit_forward if forward else conv.emit_input_gradient, shape, adds))  # fmt: skip


def _reaches_all(step: _Step, out: Place, forward: bool) -> bool:
    return (step.y if forward else step.x).shape[0] == out.shape[2]


def _writer(emit: Callable[..., Kernel], shape: Convolution, adds: bool) -> Callable[..., Kernel]:
    def write(module: Module, name: str, o: list[Operand]) -> Kernel:
        if adds:
            return emit(module, name, shape, o[0], o[1], [o[3]], _SUM, (2,), [o[2]], exact=True)
        return emit(module, name, shape, o[0], o[1], [o[2]], exact=True)

    return write


def _weight(work: Work, x: Place, out: Place, y: Place, options: Any) -> None:
    """Each step gives the weights of one tap by itself; then those of all images (or depths) are added."""
    parts = min(x.shape[0], y.shape[2])
    o, c, taps, *kernel = out.shape
    every = work.temporary((parts, taps, o, c, *kernel), out.dtype)
    done = set()
    for step in _Volumes(x, out, y, *options).steps():
        shape = _Volumes(x, out, y, *options).planes(step.x.shape[0])
        target = every.part(0, step.number, 1).part(1, step.tap, 1)
        target = target.seen(target.shape[2:], target.strides[2:])
        done.add((step.number, step.tap))
        work.native(
            ("space", "weight", shape), [step.x, step.y, target],
            lambda module, name, o, shape=shape: conv.emit_weight_gradient(module, name, shape, *o, exact=True),
        )  # fmt: skip
    for number in range(parts):
        for tap in range(taps):
            if (number, tap) not in done:
                work.fill(every.part(0, number, 1).part(1, tap, 1), 0)
    ordered = every.moved((0, 2, 3, 1, 4, 5))
    if parts == 1:
        work.copy(ordered.seen(ordered.shape[1:], ordered.strides[1:]), out)
        return
    e = Builder()
    work.reduction((0,), [ordered], out, e, "sum", e.input(0, out.dtype))
