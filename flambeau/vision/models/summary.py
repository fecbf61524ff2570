"""The table of a network's layers: what each gives out, its parameters, its work; the memory of
training and of inference.
"""

from __future__ import annotations

import math
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import flambeau
from flambeau import Tensor, nn
from flambeau.autograd.graph import saved_tensors_hooks
from flambeau.ops.table import PRIMITIVES
from flambeau.vision.models.modes import evaluating


@dataclass(frozen=True)
class LayerRow:
    """A layer as it ran: its name in the network, its kind, its output, its parameters.

    `multiply_adds` are those of its products and convolutions, for the whole batch.
    """

    name: str
    kind: str
    output: tuple[int, ...]
    parameters: int
    trainable: int
    multiply_adds: int = 0


@dataclass(frozen=True)
class Summary:
    """A network's layers in the order they ran; prints as a table.

    Attributes:
        multiply_adds: of the network, for the whole batch.
        inference_bytes: parameters, buffers, and the most that layers' outputs take at a time.
        training_bytes: parameters, buffers, gradients, and what is kept for the backward pass;
            an optimizer's state comes on top (momentum: a gradient's size, Adam: two).
    """

    model: str
    input: tuple[int, ...]
    rows: list[LayerRow]
    parameters: int
    trainable: int
    multiply_adds: int = 0
    inference_bytes: int = 0
    training_bytes: int = 0

    def __str__(self) -> str:
        cells = [("layer", "kind", "output", "parameters", "multiply-adds")]
        cells += [
            (
                row.name,
                row.kind,
                _by(row.output),
                f"{row.parameters:,}",
                f"{row.multiply_adds:,}",
            )
            for row in self.rows
        ]
        widths = [max(len(row[column]) for row in cells) for column in range(5)]
        lines = [
            f"{name:<{widths[0]}}  {kind:<{widths[1]}}  {output:>{widths[2]}}  "
            f"{count:>{widths[3]}}  {work:>{widths[4]}}"
            for name, kind, output, count, work in cells
        ]
        rule = "-" * len(lines[0])
        return "\n".join(
            [
                f"{self.model}, input {_by(self.input)}",
                rule,
                lines[0],
                rule,
                *lines[1:],
                rule,
                f"{self.parameters:,} parameters, {self.trainable:,} of them trainable",
                f"{self.multiply_adds:,} multiply-adds",
                f"memory: inference {_megabytes(self.inference_bytes)}, training "
                f"{_megabytes(self.training_bytes)} and the optimizer's state",
            ]
        )


def summary(model: nn.Module, input_size: Sequence[int]) -> Summary:
    """Runs zeros through a network and notes what each layer gives out.

    The network runs twice, in evaluation mode: once for the work and for what a backward pass
    would keep, once for the memory of inference.

    Arguments:
        model: the network.
        input_size: the shape of a batch of inputs, as (1, 3, 32, 32).
    """
    with evaluating(model):
        watch = _Watch(model)
        with watch.counting(), _kept_for_backward(model) as kept, flambeau.enable_grad():
            model(flambeau.zeros(*input_size))
        saved = sum(kept.values())
        with flambeau.no_grad(), _outputs_alive(model) as most:
            model(flambeau.zeros(*input_size))
    stored = sum(_bytes(t) for t in [*model.parameters(), *model.buffers()])
    trainable = [p for p in model.parameters() if p.requires_grad]
    return Summary(
        model=type(model).__name__,
        input=tuple(input_size),
        rows=watch.rows(),
        parameters=sum(p.numel() for p in model.parameters()),
        trainable=sum(p.numel() for p in trainable),
        multiply_adds=watch.total,
        inference_bytes=stored + most(),
        training_bytes=stored + sum(map(_bytes, trainable)) + saved,
    )


@dataclass
class _Call:
    """A call of a module; `own` is the work outside of the modules that it calls."""

    name: str
    module: nn.Module
    output: tuple[int, ...] = ()
    own: int = 0


class _Watch:
    """Notes which modules of a network run, and which of them does how much work."""

    def __init__(self, model: nn.Module):
        self.model = model
        self.total = 0
        self._running: list[_Call] = []
        self._calls: list[_Call] = []

    @contextmanager
    def counting(self) -> Iterator[None]:
        """Inside, calls and work are counted."""
        hooks = []
        for name, module in self.model.named_modules():
            hooks.append(module.register_forward_pre_hook(self._enter(name)))
            hooks.append(module.register_forward_hook(self._leave))
        computations = {name: PRIMITIVES[name].compute for name in _WORK}
        for name, compute in computations.items():
            PRIMITIVES[name].compute = self._counted(compute, _WORK[name])
        try:
            yield
        finally:
            for name, compute in computations.items():
                PRIMITIVES[name].compute = compute
            for hook in hooks:
                hook.remove()

    def _enter(self, name: str) -> Any:
        def enter(module: nn.Module, inputs: Any) -> None:
            self._running.append(_Call(name, module))

        return enter

    def _leave(self, module: nn.Module, inputs: Any, output: Any) -> None:
        call = self._running.pop()
        first = output if isinstance(output, Tensor) else next(iter(_tensors(output)), None)
        call.output = () if first is None else tuple(first.shape)
        self._calls.append(call)

    def _counted(self, compute: Callable[..., Any], work: Callable[..., int]) -> Any:
        def counted(*arrays: Any, **attributes: Any) -> Any:
            result = compute(*arrays, **attributes)
            amount = work(result, arrays[1])
            self.total += amount
            if self._running:
                self._running[-1].own += amount
            return result

        return counted

    def rows(self) -> list[LayerRow]:
        """The layers, and the other modules that have parameters or do work of their own."""
        ran = {id(call.module) for call in self._calls}
        counted: set[int] = set()
        rows = []
        for call in self._calls:
            parameters = [p for p in _own_parameters(call.module, ran) if id(p) not in counted]
            counted.update(map(id, parameters))
            is_layer = call.name and not list(call.module.children())
            if is_layer or parameters or call.own:
                rows.append(
                    LayerRow(
                        name=call.name,
                        kind=type(call.module).__name__,
                        output=call.output,
                        parameters=sum(p.numel() for p in parameters),
                        trainable=sum(p.numel() for p in parameters if p.requires_grad),
                        multiply_adds=call.own,
                    )
                )
        return rows


#: The operators that multiply and add, and how often they do: of the result and the second operand.
_WORK: dict[str, Callable[[Any, Any], int]] = {
    "mm": lambda result, right: result.size * right.shape[-2],
    "convolution": lambda result, weight: result.size * math.prod(weight.shape[1:]),
}


def _own_parameters(module: nn.Module, ran: set[int]) -> Iterator[nn.Parameter]:
    """A module's parameters, and those of children that it uses without calling them."""
    yield from module.parameters(recurse=False)
    for child in module.children():
        if id(child) not in ran:
            yield from _own_parameters(child, ran)


@contextmanager
def _kept_for_backward(model: nn.Module) -> Iterator[dict[int, int]]:
    """The bytes of each piece of memory that is kept for a backward pass, without parameters."""
    held = []  # so that no two pieces have one identity
    bytes_of: dict[int, int] = {}
    parameters = {id(_root(t)) for t in [*model.parameters(), *model.buffers()]}

    def keep(tensor: Tensor) -> Tensor:
        root = _root(tensor)
        if id(root) not in parameters:
            held.append(root)
            bytes_of[id(root)] = root.nbytes
        return tensor

    with saved_tensors_hooks(keep, lambda tensor: tensor):
        yield bytes_of


@contextmanager
def _outputs_alive(model: nn.Module) -> Iterator[Callable[[], int]]:
    """Gives the most bytes that outputs of modules took at a time."""
    alive: dict[int, int] = {}
    most = 0

    def note(module: nn.Module, inputs: Any, output: Any) -> None:
        nonlocal most
        for tensor in _tensors((inputs, output)):
            root = _root(tensor)
            if id(root) not in alive:
                alive[id(root)] = root.nbytes
                weakref.finalize(root, alive.pop, id(root), None)
        most = max(most, sum(alive.values()))

    hooks = [module.register_forward_hook(note) for module in model.modules()]
    try:
        yield lambda: most
    finally:
        for hook in hooks:
            hook.remove()


def _tensors(value: Any) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, (list, tuple)):
        for each in value:
            yield from _tensors(each)
    elif isinstance(value, dict):
        yield from _tensors(list(value.values()))


def _root(tensor: Tensor) -> Any:
    """The array that owns a tensor's memory."""
    array = tensor._array
    while array.base is not None and hasattr(array.base, "nbytes"):
        array = array.base
    return array


def _bytes(tensor: Tensor) -> int:
    return tensor.numel() * tensor.element_size()


def _megabytes(count: int) -> str:
    return f"{count / 2**20:,.1f} MiB"


def _by(shape: Sequence[int]) -> str:
    return " x ".join(map(str, shape))
