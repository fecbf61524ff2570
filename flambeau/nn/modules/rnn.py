"""Recurrent layers: Elman's, LSTM (Hochreiter and Schmidhuber, 1997), GRU (Cho et al., 2014).

A layer computes the input's part of all gates for the whole sequence at once, then steps through
time with a function of this part and the state; the single-step cells use the same functions.
"""

from __future__ import annotations

import itertools
import math
import warnings
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

from flambeau import ops
from flambeau.nn import functional as F
from flambeau.nn import init
from flambeau.nn.module import Module
from flambeau.nn.parameter import Parameter
from flambeau.nn.utils.rnn import PackedSequence
from flambeau.ops.native import native
from flambeau.tensor import Tensor

__all__ = ["GRU", "LSTM", "RNN", "GRUCell", "LSTMCell", "RNNBase", "RNNCell", "RNNCellBase"]

#: The state of a cell: `(h,)`, or `(h, c)` for LSTM.
State = tuple[Tensor, ...]
#: One step: the input's part of the gates, the state, and how to get the state's part.
Step = Callable[[Tensor, State, Callable[[Tensor], Tensor]], State]


# One step -----------------------------------------------------------------------------------------


def _tanh_step(gates: Tensor, state: State, recurrent: Callable[[Tensor], Tensor]) -> State:
    return (ops.tanh(gates + recurrent(state[0])),)


def _relu_step(gates: Tensor, state: State, recurrent: Callable[[Tensor], Tensor]) -> State:
    return (ops.relu(gates + recurrent(state[0])),)


def _lstm_step(gates: Tensor, state: State, recurrent: Callable[[Tensor], Tensor]) -> State:
    hidden, cell = state
    input, forget, candidate, output = (gates + recurrent(hidden)).chunk(4, -1)
    cell = ops.sigmoid(forget) * cell + ops.sigmoid(input) * ops.tanh(candidate)
    return ops.sigmoid(output) * ops.tanh(cell), cell


def _gru_step(gates: Tensor, state: State, recurrent: Callable[[Tensor], Tensor]) -> State:
    (hidden,) = state
    input_reset, input_update, input_new = gates.chunk(3, -1)
    state_reset, state_update, state_new = recurrent(hidden).chunk(3, -1)
    reset = ops.sigmoid(input_reset + state_reset)
    update = ops.sigmoid(input_update + state_update)
    new = ops.tanh(input_new + reset * state_new)
    return ((hidden - new) * update + new,)


STEPS: dict[str, Step] = {
    "RNN_TANH": _tanh_step,
    "RNN_RELU": _relu_step,
    "LSTM": _lstm_step,
    "GRU": _gru_step,
}
#: Gates, and so rows of the weights for each hidden unit.
_GATES = {"RNN_TANH": 1, "RNN_RELU": 1, "LSTM": 4, "GRU": 3}


#: Gates from which on a step is worth a native program.
_WORTH_A_PROGRAM = 1 << 12


# A sequence ---------------------------------------------------------------------------------------


class _Weights:
    """The weights of one layer in one direction."""

    def __init__(self, owner: RNNBase, suffix: str) -> None:
        self.input = getattr(owner, f"weight_ih_{suffix}")
        self.hidden = getattr(owner, f"weight_hh_{suffix}")
        self.input_bias = getattr(owner, f"bias_ih_{suffix}") if owner.bias else None
        self.hidden_bias = getattr(owner, f"bias_hh_{suffix}") if owner.bias else None
        self.projection = getattr(owner, f"weight_hr_{suffix}") if owner.proj_size else None

    def advance(self, step: Step, gates: Tensor, state: State) -> State:
        """The state after one step, its output projected if the layer does so."""
        return _advanced(gates, step, self.hidden, self.hidden_bias, self.projection, *state)


@partial(native, worth=_WORTH_A_PROGRAM)
def _advanced(
    gates: Tensor, step: Step, weight: Tensor, bias: Tensor | None, projection: Tensor | None, *state: Tensor
) -> State:
    """One step: the input's part of the gates and the state to the next state."""
    hidden, *rest = step(gates, state, lambda h: F.linear(h, weight, bias))
    if projection is not None:
        hidden = F.linear(hidden, projection)
    return (hidden, *rest)


def _run(
    step: Step, weights: _Weights, gates: Sequence[Tensor], state: State, reverse: bool
) -> tuple[list[Tensor], State]:
    """All steps of a padded sequence: the outputs, and the last state."""
    outputs = []
    for each in reversed(gates) if reverse else gates:
        state = weights.advance(step, each, state)
        outputs.append(state[0])
    return (outputs[::-1] if reverse else outputs), state


def _run_packed(
    step: Step, weights: _Weights, gates: Sequence[Tensor], state: State
) -> tuple[list[Tensor], State]:
    """All steps of a packed sequence; sequences that end leave the state from behind."""
    outputs, ended = [], []
    for each in gates:
        running = len(each)
        if running < len(state[0]):
            ended.append(tuple(part[running:] for part in state))
            state = tuple(part[:running] for part in state)
        state = weights.advance(step, each, state)
        outputs.append(state[0])
    ended.append(state)
    return outputs, tuple(ops.cat(parts) for parts in zip(*reversed(ended), strict=True))


def _run_packed_backwards(
    step: Step, weights: _Weights, gates: Sequence[Tensor], state: State
) -> tuple[list[Tensor], State]:
    """The same from the end; sequences join the state behind those that are running."""
    outputs = []
    current = tuple(part[: len(gates[-1])] for part in state)
    for each in reversed(gates):
        running = len(current[0])
        if len(each) > running:
            joining = (part[running : len(each)] for part in state)
            current = tuple(
                ops.cat([part, new]) for part, new in zip(current, joining, strict=True)
            )
        current = weights.advance(step, each, current)
        outputs.append(current[0])
    return outputs[::-1], current


class RNNBase(Module):
    """What the recurrent layers share.

    Args:
        mode: `"RNN_TANH"`, `"RNN_RELU"`, `"LSTM"` or `"GRU"`.
        input_size: features of the input.
        hidden_size: features of the state.
        num_layers: how many layers stand on each other.
        bias: whether to add biases.
        batch_first: `(N, L, *)` instead of `(L, N, *)`.
        dropout: between layers, while training.
        bidirectional: run each layer in both directions and join the outputs.
        proj_size: project the output of an LSTM to this size, if positive.
        device: where the parameters live.
        dtype: their element type.

    Raises:
        ValueError, TypeError: for an argument out of range or of another kind.
    """

    __constants__ = [
        "mode", "input_size", "hidden_size", "num_layers", "bias", "batch_first", "dropout",
        "bidirectional", "proj_size",
    ]  # fmt: skip
    mode: str
    input_size: int
    hidden_size: int
    num_layers: int
    bias: bool
    batch_first: bool
    dropout: float
    bidirectional: bool
    proj_size: int

    def __init__(
        self,
        mode: str,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        _check_arguments(
            mode, input_size, hidden_size, num_layers, bias, batch_first, dropout, proj_size
        )
        self.mode = mode
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.num_layers = num_layers
        self.bias = bias
        self.batch_first = batch_first
        self.dropout = float(dropout)
        self.bidirectional = bidirectional
        self.proj_size = proj_size
        for names in self._weight_names():
            for name, shape in names.items():
                values = ops.empty(shape, device=device, dtype=dtype)
                setattr(self, name, Parameter(values))
        self.reset_parameters()

    @property
    def _output_size(self) -> int:
        return self.proj_size or self.hidden_size

    @property
    def _directions(self) -> int:
        return 2 if self.bidirectional else 1

    def _suffixes(self) -> Iterator[str]:
        """`l0`, `l0_reverse`, `l1`, ...: a layer and direction at a time."""
        for layer in range(self.num_layers):
            yield f"l{layer}"
            if self.bidirectional:
                yield f"l{layer}_reverse"

    def _weight_names(self) -> Iterator[dict[str, tuple[int, ...]]]:
        """For each layer and direction, the names of its weights and their shapes."""
        rows = _GATES[self.mode] * self.hidden_size
        for suffix in self._suffixes():
            first = suffix.startswith("l0")
            width = self.input_size if first else self._output_size * self._directions
            shapes: dict[str, tuple[int, ...]] = {
                f"weight_ih_{suffix}": (rows, width),
                f"weight_hh_{suffix}": (rows, self._output_size),
            }
            if self.bias:
                shapes[f"bias_ih_{suffix}"] = shapes[f"bias_hh_{suffix}"] = (rows,)
            if self.proj_size:
                shapes[f"weight_hr_{suffix}"] = (self.proj_size, self.hidden_size)
            yield shapes

    @property
    def all_weights(self) -> list[list[Parameter]]:
        """For each layer and direction, its weights."""
        return [[getattr(self, name) for name in names] for names in self._weight_names()]

    @property
    def _flat_weights(self) -> list[Parameter]:
        return list(itertools.chain.from_iterable(self.all_weights))

    def flatten_parameters(self) -> None:
        """Nothing to do: only CUDA wants the weights in one piece."""

    def reset_parameters(self) -> None:
        """Draws new initial values: uniform within `1 / sqrt(hidden_size)`."""
        bound = 1.0 / math.sqrt(self.hidden_size) if self.hidden_size > 0 else 0
        for weight in self.parameters():
            init.uniform_(weight, -bound, bound)

    # Checks ---------------------------------------------------------------------------------------

    def check_input(self, input: Tensor, batch_sizes: Tensor | None) -> None:
        """Raises `ValueError` for another dtype, `RuntimeError` for a shape that does not fit."""
        dtype = self.weight_ih_l0.dtype
        if input.dtype != dtype:
            raise ValueError(
                f"RNN input dtype ({input.dtype}) does not match weight dtype ({dtype}). "
                f"Convert input: input.to({dtype}), or convert model: model.to({input.dtype})"
            )
        dims = 3 if batch_sizes is None else 2
        if input.dim() != dims:
            raise RuntimeError(f"input must have {dims} dimensions, got {input.dim()}")
        if self.input_size != input.size(-1):
            raise RuntimeError(
                "input.size(-1) must be equal to input_size. "
                f"Expected {self.input_size}, got {input.size(-1)}"
            )

    def _state_shape(self, batch: int, size: int) -> tuple[int, int, int]:
        return self.num_layers * self._directions, batch, size

    def get_expected_hidden_size(
        self, input: Tensor, batch_sizes: Tensor | None
    ) -> tuple[int, int, int]:
        """The shape of the state `h`."""
        return self._state_shape(self._batch_of(input, batch_sizes), self._output_size)

    def _batch_of(self, input: Tensor, batch_sizes: Tensor | None) -> int:
        if batch_sizes is not None:
            return int(batch_sizes[0])
        return input.size(0 if self.batch_first else 1)

    def check_hidden_size(
        self,
        hx: Tensor,
        expected_hidden_size: tuple[int, int, int],
        msg: str = "Expected hidden size {}, got {}",
    ) -> None:
        """Raises `RuntimeError` for a state of another shape."""
        if tuple(hx.size()) != expected_hidden_size:
            raise RuntimeError(msg.format(expected_hidden_size, list(hx.size())))

    def _check_state(self, state: State, batch: int) -> None:
        self.check_hidden_size(state[0], self._state_shape(batch, self._output_size))

    def permute_hidden(self, hx: Any, permutation: Tensor | None) -> Any:
        """The state with its batch in another order."""
        return hx if permutation is None else hx.index_select(1, permutation)

    # Forward --------------------------------------------------------------------------------------

    def _initial_state(self, input: Tensor, batch: int) -> State:
        return (input.new_zeros(self._state_shape(batch, self._output_size)),)

    def _parts(self, hx: Any) -> State:
        """What the user gives as state, as a tuple."""
        return (hx,)

    def _whole(self, state: State) -> Any:
        """A tuple as the state that the user gets."""
        return state[0]

    def _check_dims(self, state: State, batched: bool) -> None:
        dims = 3 if batched else 2
        if state[0].dim() != dims:
            kind = "batched" if batched else "unbatched"
            raise RuntimeError(
                f"For {kind} {dims}-D input, hx should also be {dims}-D but got "
                f"{state[0].dim()}-D tensor"
            )

    def forward(self, input: Any, hx: Any = None) -> tuple[Any, Any]:
        """The outputs of the last layer at every step, and the last states of all layers.

        Args:
            input: `(L, N, input_size)`, `(L, input_size)`, batch first as asked, or packed.
            hx: the state before the first step, zeros if `None`.
        """
        if isinstance(input, PackedSequence):
            return self._forward_packed(input, hx)
        if input.dim() not in (2, 3):
            raise ValueError(
                f"{self._get_name()}: Expected input to be 2D or 3D, got {input.dim()}D instead"
            )
        batched = input.dim() == 3
        if not batched:
            input = input.unsqueeze(0 if self.batch_first else 1)
        batch = self._batch_of(input, None)
        if hx is None:
            state = self._initial_state(input, batch)
        else:
            state = self._parts(hx)
            self._check_dims(state, batched)
            if not batched:
                state = tuple(part.unsqueeze(1) for part in state)
        self.check_input(input, None)
        self._check_state(state, batch)
        if self.batch_first:
            input = input.transpose(0, 1)

        output, state = self._layers(input, state, None)
        if self.batch_first:
            output = output.transpose(0, 1)
        if not batched:
            output = output.squeeze(0 if self.batch_first else 1)
            state = tuple(part.squeeze(1) for part in state)
        return output, self._whole(state)

    def _forward_packed(self, packed: PackedSequence, hx: Any) -> tuple[PackedSequence, Any]:
        data, sizes, order, inverse = packed
        batch = self._batch_of(data, sizes)
        if hx is None:
            state = self._initial_state(data, batch)
        else:
            state = self._parts(self.permute_hidden(hx, order))
        self.check_input(data, sizes)
        self._check_state(state, batch)
        output, state = self._layers(data, state, sizes.tolist())
        return (
            PackedSequence(output, sizes, order, inverse),
            self.permute_hidden(self._whole(state), inverse),
        )

    def _layers(
        self, input: Tensor, state: State, sizes: list[int] | None
    ) -> tuple[Tensor, State]:
        """All layers: `(L, N, *)` or packed elements in, the same out."""
        suffixes = list(self._suffixes())
        last_states: list[State] = []
        for layer in range(self.num_layers):
            outputs = []
            for direction in range(self._directions):
                number = layer * self._directions + direction
                before = tuple(part[number] for part in state)
                weights = _Weights(self, suffixes[number])
                output, after = self._direction(input, weights, before, sizes, direction == 1)
                outputs.append(output)
                last_states.append(after)
            input = outputs[0] if len(outputs) == 1 else ops.cat(outputs, -1)
            if self.dropout and self.training and layer < self.num_layers - 1:
                input = F.dropout(input, self.dropout, True)
        parts = (ops.stack(part) for part in zip(*last_states, strict=True))
        return input, tuple(parts)

    def _direction(
        self,
        input: Tensor,
        weights: _Weights,
        state: State,
        sizes: list[int] | None,
        reverse: bool,
    ) -> tuple[Tensor, State]:
        """One layer in one direction."""
        step = STEPS[self.mode]
        gates = F.linear(input, weights.input, weights.input_bias)
        if sizes is None:
            outputs, state = _run(step, weights, gates.unbind(0), state, reverse)
            return ops.stack(outputs), state
        run = _run_packed_backwards if reverse else _run_packed
        outputs, state = run(step, weights, gates.split(sizes), state)
        return ops.cat(outputs), state

    def extra_repr(self) -> str:
        parts = [f"{self.input_size}, {self.hidden_size}"]
        if self.proj_size != 0:
            parts.append(f"proj_size={self.proj_size}")
        if self.num_layers != 1:
            parts.append(f"num_layers={self.num_layers}")
        if self.bias is not True:
            parts.append(f"bias={self.bias}")
        if self.batch_first is not False:
            parts.append(f"batch_first={self.batch_first}")
        if self.dropout != 0:
            parts.append(f"dropout={self.dropout}")
        if self.bidirectional is not False:
            parts.append(f"bidirectional={self.bidirectional}")
        return ", ".join(parts)


def _check_arguments(
    mode: str,
    input_size: Any,
    hidden_size: Any,
    num_layers: int,
    bias: Any,
    batch_first: Any,
    dropout: Any,
    proj_size: int,
) -> None:
    is_number = isinstance(dropout, (int, float)) and not isinstance(dropout, bool)
    if not is_number or not 0 <= dropout <= 1:
        raise ValueError(
            "dropout should be a number in range [0, 1] representing the probability of an "
            "element being zeroed"
        )
    if dropout > 0 and num_layers == 1:
        warnings.warn(
            "dropout option adds dropout after all but last recurrent layer, so non-zero dropout "
            f"expects num_layers greater than 1, but got dropout={dropout} and "
            f"num_layers={num_layers}",
            stacklevel=4,
        )
    for name, value, kind in (
        ("bias", bias, bool),
        ("batch_first", batch_first, bool),
        ("input_size", input_size, int),
        ("hidden_size", hidden_size, int),
    ):
        if not isinstance(value, kind):
            raise TypeError(
                f"{name} should be of type {kind.__name__}, got: {type(value).__name__}"
            )
    for name, value in (
        ("input_size", input_size), ("hidden_size", hidden_size), ("num_layers", num_layers),
    ):  # fmt: skip
        if value <= 0:
            raise ValueError(f"{name} must be greater than zero")
    if proj_size < 0:
        raise ValueError(
            "proj_size should be a positive integer or zero to disable projections"
        )
    if proj_size >= hidden_size:
        raise ValueError("proj_size has to be smaller than hidden_size")
    if mode not in STEPS:
        raise ValueError(f"Unrecognized RNN mode: {mode}")


class RNN(RNNBase):
    """Elman's network: `h = tanh(W_ih x + b_ih + W_hh h + b_hh)`, or with ReLU.

    Args:
        args: `input_size, hidden_size, num_layers, nonlinearity, bias, batch_first, dropout,
            bidirectional, device, dtype`.
        kwargs: the same by name; `nonlinearity` is `"tanh"` or `"relu"`.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        if "proj_size" in kwargs:
            raise ValueError("proj_size argument is only supported for LSTM, not RNN or GRU")
        if len(args) > 3:
            nonlinearity = args[3]
            args = args[:3] + args[4:]
        else:
            nonlinearity = kwargs.pop("nonlinearity", "tanh")
        modes = {"tanh": "RNN_TANH", "relu": "RNN_RELU"}
        if nonlinearity not in modes:
            raise ValueError(
                f"Unknown nonlinearity '{nonlinearity}'. Select from 'tanh' or 'relu'."
            )
        super().__init__(modes[nonlinearity], *args, **kwargs)
        self.nonlinearity = nonlinearity


class LSTM(RNNBase):
    """Long short-term memory. `c = f c + i g`, `h = o tanh(c)` with gates i, f, g, o.

    Args:
        args: `input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional,
            proj_size, device, dtype`.
        kwargs: the same by name.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__("LSTM", *args, **kwargs)

    def _initial_state(self, input: Tensor, batch: int) -> State:
        cell = input.new_zeros(self._state_shape(batch, self.hidden_size))
        return (*super()._initial_state(input, batch), cell)

    def get_expected_cell_size(
        self, input: Tensor, batch_sizes: Tensor | None
    ) -> tuple[int, int, int]:
        """The shape of the state `c`."""
        return self._state_shape(self._batch_of(input, batch_sizes), self.hidden_size)

    def _check_state(self, state: State, batch: int) -> None:
        hidden, cell = state
        sizes = (("0", hidden, self._output_size), ("1", cell, self.hidden_size))
        for number, part, size in sizes:
            self.check_hidden_size(
                part,
                self._state_shape(batch, size),
                f"Expected hidden[{number}] size {{}}, got {{}}",
            )

    def _check_dims(self, state: State, batched: bool) -> None:
        dims = 3 if batched else 2
        found = [part.dim() for part in state]
        if found != [dims, dims]:
            kind = "batched" if batched else "unbatched"
            raise RuntimeError(
                f"For {kind} {dims}-D input, hx and cx should also be {dims}-D but got "
                f"({found[0]}-D, {found[1]}-D) tensors"
            )

    def _parts(self, hx: Any) -> State:
        return tuple(hx)

    def _whole(self, state: State) -> Any:
        return state

    def permute_hidden(self, hx: Any, permutation: Tensor | None) -> Any:
        if permutation is None:
            return hx
        return tuple(part.index_select(1, permutation) for part in hx)


class GRU(RNNBase):
    """Gated recurrent unit. `h = (1 - z) n + z h` with gates r, z and the new state n.

    Args:
        args: `input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional,
            device, dtype`.
        kwargs: the same by name.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        if "proj_size" in kwargs:
            raise ValueError("proj_size argument is only supported for LSTM, not RNN or GRU")
        super().__init__("GRU", *args, **kwargs)


# Cells --------------------------------------------------------------------------------------------


class RNNCellBase(Module):
    """What the single-step cells share.

    Args:
        input_size: features of the input.
        hidden_size: features of the state.
        bias: whether to add biases.
        num_chunks: how many gates.
        device: where the parameters live.
        dtype: their element type.
    """

    __constants__ = ["input_size", "hidden_size", "bias"]
    weight_ih: Tensor
    weight_hh: Tensor
    bias_ih: Tensor | None
    bias_hh: Tensor | None

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool,
        num_chunks: int,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.bias = bias
        rows = num_chunks * hidden_size
        shapes = {
            "weight_ih": (rows, input_size),
            "weight_hh": (rows, hidden_size),
            "bias_ih": (rows,) if bias else None,
            "bias_hh": (rows,) if bias else None,
        }
        for name, shape in shapes.items():
            values = None if shape is None else ops.empty(shape, device=device, dtype=dtype)
            self.register_parameter(name, None if values is None else Parameter(values))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draws new initial values: uniform within `1 / sqrt(hidden_size)`."""
        bound = 1.0 / math.sqrt(self.hidden_size) if self.hidden_size > 0 else 0
        for weight in self.parameters():
            init.uniform_(weight, -bound, bound)

    def _advance(self, step: Step, input: Tensor, state: State) -> State:
        gates = F.linear(input, self.weight_ih, self.bias_ih)
        return step(gates, state, lambda h: F.linear(h, self.weight_hh, self.bias_hh))

    def _check(self, name: str, tensor: Tensor) -> None:
        if tensor.dim() not in (1, 2):
            raise ValueError(
                f"{self._get_name()}: Expected {name} to be 1D or 2D, got {tensor.dim()}D instead"
            )

    def _single_state(self, input: Tensor, hx: Tensor | None) -> tuple[Tensor, Tensor]:
        """Input and state `h` with a batch dimension."""
        self._check("input", input)
        if hx is not None:
            self._check("hidden", hx)
        x = input if input.dim() == 2 else input.unsqueeze(0)
        if hx is None:
            return x, x.new_zeros(x.size(0), self.hidden_size)
        return x, hx if input.dim() == 2 else hx.unsqueeze(0)

    def extra_repr(self) -> str:
        parts = [f"{self.input_size}, {self.hidden_size}"]
        if self.bias is not True:
            parts.append(f"bias={self.bias}")
        nonlinearity = getattr(self, "nonlinearity", "tanh")
        if nonlinearity != "tanh":
            parts.append(f"nonlinearity={nonlinearity}")
        return ", ".join(parts)


class RNNCell(RNNCellBase):
    """One step of `RNN`: `(N, input_size)` and `(N, hidden_size)` to `(N, hidden_size)`."""

    __constants__ = [*RNNCellBase.__constants__, "nonlinearity"]

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        nonlinearity: str = "tanh",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(input_size, hidden_size, bias, 1, device, dtype)
        self.nonlinearity = nonlinearity

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
        x, hidden = self._single_state(input, hx)
        steps = {"tanh": _tanh_step, "relu": _relu_step}
        if self.nonlinearity not in steps:
            raise RuntimeError(f"Unknown nonlinearity: {self.nonlinearity}")
        (hidden,) = self._advance(steps[self.nonlinearity], x, (hidden,))
        return hidden if input.dim() == 2 else hidden.squeeze(0)


class LSTMCell(RNNCellBase):
    """One step of `LSTM`: input and `(h, c)` to `(h, c)`."""

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(input_size, hidden_size, bias, 4, device, dtype)

    def forward(
        self, input: Tensor, hx: tuple[Tensor, Tensor] | None = None
    ) -> tuple[Tensor, Tensor]:
        self._check("input", input)
        for number, part in enumerate(hx or ()):
            self._check(f"hx[{number}]", part)
        batched = input.dim() == 2
        x = input if batched else input.unsqueeze(0)
        if hx is None:
            zeros = x.new_zeros(x.size(0), self.hidden_size)
            hx = (zeros, zeros)
        elif not batched:
            hx = (hx[0].unsqueeze(0), hx[1].unsqueeze(0))
        hidden, cell = self._advance(_lstm_step, x, hx)
        return (hidden, cell) if batched else (hidden.squeeze(0), cell.squeeze(0))


class GRUCell(RNNCellBase):
    """One step of `GRU`: `(N, input_size)` and `(N, hidden_size)` to `(N, hidden_size)`."""

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(input_size, hidden_size, bias, 3, device, dtype)

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
        x, hidden = self._single_state(input, hx)
        (hidden,) = self._advance(_gru_step, x, (hidden,))
        return hidden if input.dim() == 2 else hidden.squeeze(0)
