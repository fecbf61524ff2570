"""The table of a network's layers: what each gives out, and how many parameters it has."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import flambeau
from flambeau import Tensor, nn


@dataclass(frozen=True)
class LayerRow:
    """A layer as it ran: its name in the network, its kind, its output, its parameters."""

    name: str
    kind: str
    output: tuple[int, ...]
    parameters: int
    trainable: int


@dataclass(frozen=True)
class Summary:
    """A network's layers in the order they ran; prints as a table."""

    model: str
    input: tuple[int, ...]
    rows: list[LayerRow]
    parameters: int
    trainable: int

    def __str__(self) -> str:
        cells = [("layer", "kind", "output", "parameters")]
        cells += [
            (row.name, row.kind, _by(row.output), f"{row.parameters:,}") for row in self.rows
        ]
        widths = [max(len(row[column]) for row in cells) for column in range(4)]
        lines = [
            f"{name:<{widths[0]}}  {kind:<{widths[1]}}  {output:>{widths[2]}}  "
            f"{count:>{widths[3]}}"
            for name, kind, output, count in cells
        ]
        rule = "-" * len(lines[0])
        total = f"{self.parameters:,} parameters, {self.trainable:,} of them trainable"
        head = f"{self.model}, input {_by(self.input)}"
        return "\n".join([head, rule, lines[0], rule, *lines[1:], rule, total])


def summary(model: nn.Module, input_size: Sequence[int]) -> Summary:
    """Runs zeros through a network and notes what each layer gives out.

    Arguments:
        model: the network.
        input_size: the shape of a batch of inputs, as (1, 3, 32, 32).
    """
    rows: list[LayerRow] = []
    handles = [
        module.register_forward_hook(_noting(name, rows))
        for name, module in model.named_modules()
        if name and not list(module.children())
    ]
    was_training = model.training
    model.eval()
    try:
        with flambeau.no_grad():
            model(flambeau.zeros(*input_size))
    finally:
        model.train(was_training)
        for handle in handles:
            handle.remove()
    counts = [(p.numel(), p.requires_grad) for p in model.parameters()]
    return Summary(
        model=type(model).__name__,
        input=tuple(input_size),
        rows=rows,
        parameters=sum(count for count, _ in counts),
        trainable=sum(count for count, trainable in counts if trainable),
    )


def _noting(name: str, rows: list[LayerRow]) -> Any:
    def note(module: nn.Module, inputs: Any, output: Any) -> None:
        counts = [(p.numel(), p.requires_grad) for p in module.parameters()]
        rows.append(
            LayerRow(
                name=name,
                kind=type(module).__name__,
                output=tuple(output.shape) if isinstance(output, Tensor) else (),
                parameters=sum(count for count, _ in counts),
                trainable=sum(count for count, trainable in counts if trainable),
            )
        )

    return note


def _by(shape: Sequence[int]) -> str:
    return " x ".join(map(str, shape))
