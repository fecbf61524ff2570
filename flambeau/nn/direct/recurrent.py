"""Recurrent networks whose weights are given as a list, and single steps of them.

Every network takes `(input, state, weights, has_biases, num_layers, dropout, train, bidirectional, batch_first)`, or
for packed sequences `(data, batch_sizes, state, weights, has_biases, num_layers, dropout, train, bidirectional)`.
The weights come a layer and direction at a time: (w_ih, w_hh), then (b_ih, b_hh) with biases, then w_hr if an
LSTM projects its output. `nn.modules.rnn` runs them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from flambeau.nn import functional as F
from flambeau.nn.module import Module
from flambeau.nn.modules import rnn
from flambeau.tensor import Tensor


class _Network(rnn.RNNBase):
    """A recurrent network made of given weights."""

    def __init__(
        self, mode: str, weights: Sequence[Tensor], has_biases: bool, num_layers: int, dropout: float, train: bool,
        bidirectional: bool, projects: bool,
    ):  # fmt: skip
        Module.__init__(self)
        self.mode, self.bias, self.num_layers = mode, has_biases, num_layers
        self.dropout, self.bidirectional, self.training = dropout, bidirectional, train
        self.proj_size = int(projects)
        names = ["weight_ih", "weight_hh", *(["bias_ih", "bias_hh"] if has_biases else [])]
        names += ["weight_hr"] if projects else []
        suffixes = list(self._suffixes())
        if len(weights) != len(names) * len(suffixes):
            raise RuntimeError("got an incorrect number of RNN parameters")
        given = iter(weights)
        for suffix in suffixes:
            for name in names:
                object.__setattr__(self, f"{name}_{suffix}", next(given))


def _run(mode: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Tensor, ...]:
    """(output, last state...) of either form of the call."""
    names = ("has_biases", "num_layers", "dropout", "train", "bidirectional")
    packed = (len(args) > 1 and isinstance(args[1], Tensor) and args[1].ndim == 1) or "batch_sizes" in kwargs
    order = ("data", "batch_sizes", "hx", "params", *names) if packed else ("input", "hx", "params", *names, "batch_first")
    if len(args) > len(order):
        raise TypeError(f"{mode.lower()}() takes {len(order)} arguments, but got {len(args)}")
    given = dict(zip(order, args, strict=False), **kwargs)
    missing = [n for n in order if n not in given]
    if missing or len(given) > len(order):
        raise TypeError(f"{mode.lower()}() takes {', '.join(order)}; got {', '.join(given)}")
    states = tuple(given["hx"]) if mode == "LSTM" else (given["hx"],)
    if mode == "LSTM" and len(states) != 2:
        raise RuntimeError("lstm expects two hidden states")
    projects = mode == "LSTM" and states[0].size(2) != states[1].size(2)
    network = _Network(mode, given["params"], projects=projects, **{n: given[n] for n in names})
    if packed:
        output, states = network._layers(given["data"], states, given["batch_sizes"].tolist())
        return output, *states
    input = given["input"]
    output, states = network._layers(input.transpose(0, 1) if given["batch_first"] else input, states, None)
    return output.transpose(0, 1) if given["batch_first"] else output, *states


def lstm(*args: Any, **kwargs: Any) -> tuple[Tensor, ...]:
    """(output, h, c) of an LSTM; its state is (h, c)."""
    return _run("LSTM", args, kwargs)


def gru(*args: Any, **kwargs: Any) -> tuple[Tensor, ...]:
    """(output, h) of gated recurrent units."""
    return _run("GRU", args, kwargs)


def rnn_tanh(*args: Any, **kwargs: Any) -> tuple[Tensor, ...]:
    """(output, h) of Elman's network with tanh."""
    return _run("RNN_TANH", args, kwargs)


def rnn_relu(*args: Any, **kwargs: Any) -> tuple[Tensor, ...]:
    """(output, h) of Elman's network with ReLU."""
    return _run("RNN_RELU", args, kwargs)


# One step -----------------------------------------------------------------------------------------


def _step(mode: str, input: Tensor, state: rnn.State, weights: Sequence[Tensor | None]) -> rnn.State:
    w_ih, w_hh, b_ih, b_hh = weights
    return rnn.STEPS[mode](F.linear(input, w_ih, b_ih), state, lambda h: F.linear(h, w_hh, b_hh))


def lstm_cell(
    input: Tensor, hx: Sequence[Tensor], w_ih: Tensor, w_hh: Tensor, b_ih: Tensor | None = None,
    b_hh: Tensor | None = None,
) -> tuple[Tensor, ...]:  # fmt: skip
    """(h, c) after one step: (N, I) and twice (N, H)."""
    if len(hx) != 2:
        raise RuntimeError("lstm_cell expects two hidden states")
    return _step("LSTM", input, tuple(hx), (w_ih, w_hh, b_ih, b_hh))


def gru_cell(
    input: Tensor, hx: Tensor, w_ih: Tensor, w_hh: Tensor, b_ih: Tensor | None = None, b_hh: Tensor | None = None
) -> Tensor:
    """h after one step: (N, I) and (N, H)."""
    return _step("GRU", input, (hx,), (w_ih, w_hh, b_ih, b_hh))[0]


def rnn_tanh_cell(
    input: Tensor, hx: Tensor, w_ih: Tensor, w_hh: Tensor, b_ih: Tensor | None = None, b_hh: Tensor | None = None
) -> Tensor:
    """h after one step: tanh(W_ih x + b_ih + W_hh h + b_hh)."""
    return _step("RNN_TANH", input, (hx,), (w_ih, w_hh, b_ih, b_hh))[0]


def rnn_relu_cell(
    input: Tensor, hx: Tensor, w_ih: Tensor, w_hh: Tensor, b_ih: Tensor | None = None, b_hh: Tensor | None = None
) -> Tensor:
    """h after one step: relu(W_ih x + b_ih + W_hh h + b_hh)."""
    return _step("RNN_RELU", input, (hx,), (w_ih, w_hh, b_ih, b_hh))[0]
