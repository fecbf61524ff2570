"""Functions of layers in `torch`'s plain form beside PyTorch's: values, dtypes, gradients, errors."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import flambeau

torch = pytest.importorskip("torch")
pytestmark = [pytest.mark.parity, pytest.mark.filterwarnings("ignore")]


class Inputs:
    """Numbers that are the same in both frameworks; floating-point ones are leaves."""

    def __init__(self, t: Any):
        self.t, self.leaves = t, []
        self._rng = np.random.default_rng(5)

    def draw(self, *shape: int, low: float | None = None) -> Any:
        values = self._rng.standard_normal(shape) if low is None else self._rng.uniform(low, 1, shape)
        leaf = self.t.tensor(values.tolist(), dtype=self.t.float64).reshape(shape).requires_grad_()
        self.leaves.append(leaf)
        return leaf

    def weights(self, gates: int, inputs: int, hidden: int, layers: int, directions: int, proj: int = 0) -> list:
        found, out = [], proj or hidden
        for layer in range(layers):
            width = inputs if layer == 0 else out * directions
            for _ in range(directions):
                found += [self.draw(gates * hidden, width), self.draw(gates * hidden, out)]
                found += [self.draw(gates * hidden), self.draw(gates * hidden)]
                found += [self.draw(proj, hidden)] if proj else []
        return found


def _long(i: Inputs, *values: Any) -> Any:
    return i.t.tensor(list(values))


def _moments(i: Inputs) -> tuple[Any, Any]:
    return i.t.zeros(4, dtype=i.t.float64), i.t.ones(4, dtype=i.t.float64)


def _batch_norm(i: Inputs, name: str, *rest: Any) -> Any:
    mean, var = _moments(i)
    out = getattr(i.t, name)(i.draw(3, 4, 5), i.draw(4), i.draw(4), mean, var, *rest)
    return (*(out if isinstance(out, tuple) else (out,)), mean, var)


CASES: dict[str, Callable[[Inputs], Any]] = {
    "batch_norm": lambda i: _batch_norm(i, "batch_norm", True, 0.1, 1e-5, True),
    "batch_norm eval": lambda i: _batch_norm(i, "batch_norm", False, 0.1, 1e-5, True),
    "batch_norm of one": lambda i: i.t.batch_norm(i.draw(1, 4), None, None, None, None, True, 0.1, 1e-5, True),
    "native_batch_norm": lambda i: _batch_norm(i, "native_batch_norm", True, 0.1, 1e-5),
    "native_batch_norm eval": lambda i: _batch_norm(i, "native_batch_norm", False, 0.1, 1e-5),
    "native_batch_norm_legit": lambda i: _batch_norm(i, "_native_batch_norm_legit", True, 0.1, 1e-5),
    "native_batch_norm_legit, no moments": lambda i: i.t._native_batch_norm_legit(
        i.draw(3, 4, 5), i.draw(4), i.draw(4), True, 0.1, 1e-5
    ),
    "instance_norm": lambda i: _batch_norm(i, "instance_norm", True, 0.1, 1e-5, True),
    "instance_norm eval": lambda i: _batch_norm(i, "instance_norm", False, 0.1, 1e-5, True),
    "layer_norm": lambda i: i.t.layer_norm(i.draw(3, 4, 5), [4, 5], i.draw(4, 5), i.draw(4, 5), 1e-5, False),
    "native_layer_norm": lambda i: i.t.native_layer_norm(i.draw(3, 4, 5), [4, 5], i.draw(4, 5), None, 1e-5),
    "group_norm": lambda i: i.t.group_norm(i.draw(3, 4, 5), 2, i.draw(4), i.draw(4), 1e-5, False),
    "native_group_norm": lambda i: i.t.native_group_norm(i.draw(3, 4, 5), i.draw(4), i.draw(4), 3, 4, 5, 2, 1e-5),
    "native_channel_shuffle": lambda i: i.t.native_channel_shuffle(i.draw(2, 4, 3, 3).detach(), 2),
    "norm_except_dim": lambda i: [i.t.norm_except_dim(i.draw(2, 3, 4), 2, d) for d in (-1, 0, 1, 2)],
    "frobenius_norm": lambda i: [i.t.frobenius_norm(i.draw(2, 3, 4), d, True) for d in (1, [0, 2], [])],
    "nuclear_norm": lambda i: [i.t.nuclear_norm(i.draw(3, 4), True), i.t.nuclear_norm(i.draw(2, 3, 4), [0, 2])],
    "kl_div": lambda i: [i.t.kl_div(i.draw(3, 4), i.draw(3, 4, low=0.1), r) for r in range(3)],
    "kl_div of logarithms": lambda i: i.t.kl_div(i.draw(3, 4), i.draw(3, 4), log_target=True),  # not reduced, whatever the signature says
    "binary_cross_entropy_with_logits": lambda i: [
        i.t.binary_cross_entropy_with_logits(i.draw(3, 4), i.draw(3, 4, low=0), i.draw(4).detach(), i.draw(4).detach(), r) for r in range(3)
    ],
    "cosine_embedding_loss": lambda i: [
        i.t.cosine_embedding_loss(i.draw(3, 4), i.draw(3, 4), _long(i, 1, -1, 1), 0.1, r) for r in range(3)
    ],
    "hinge_embedding_loss": lambda i: [
        i.t.hinge_embedding_loss(i.draw(3), _long(i, 1, -1, 1), 0.5, r) for r in range(3)
    ],
    "margin_ranking_loss": lambda i: [
        i.t.margin_ranking_loss(i.draw(3), i.draw(3), _long(i, 1, -1, 1), 0.5, r) for r in range(3)
    ],
    "poisson_nll_loss": lambda i: [
        i.t.poisson_nll_loss(i.draw(3, 4), i.draw(3, 4, low=0.5), True, True, 1e-8, r) for r in range(3)
    ],
    "triplet_margin_loss": lambda i: [
        i.t.triplet_margin_loss(i.draw(3, 4), i.draw(3, 4), i.draw(3, 4), margin, 2, 1e-6, swap, r)
        for margin, swap, r in ((1.0, False, 0), (1.0, True, 1), (-0.5, False, 2))
    ],
    "ctc_loss": lambda i: [
        i.t.ctc_loss(i.draw(6, 2, 4).log_softmax(2), _long(i, [1, 2], [3, 1]), [6, 5], [2, 1], 0, r)
        for r in range(3)
    ],
    "embedding": lambda i: i.t.embedding(i.draw(4, 3), _long(i, 0, 2, 2), 2, True),
    **{
        f"embedding_bag {mode}, padding {padding}": lambda i, mode=mode, padding=padding: i.t.embedding_bag(
            i.draw(5, 3), _long(i, 0, 2, 1, 4, 2), _long(i, 0, 1, 1, 3), False, mode, False, None, False, padding
        )
        for mode in range(3)
        for padding in (None, 2)
    },
    "embedding_bag, weighted": lambda i: i.t.embedding_bag(
        i.draw(5, 3), _long(i, 0, 2, 1), _long(i, 0, 2), per_sample_weights=i.draw(3)
    ),
    "embedding_bag, last offset": lambda i: i.t._embedding_bag(
        i.draw(5, 3), _long(i, 0, 2, 1), _long(i, 0, 2, 3), mode=1, include_last_offset=True
    ),
    "embedding_renorm_": lambda i: i.t.embedding_renorm_(i.draw(4, 3).detach(), _long(i, 0, 2, 2), 1.0, 2.0),
    "grid_sampler": lambda i: [
        i.t.grid_sampler(i.draw(2, 3, 4, 5), i.draw(2, 3, 3, 2), m, p, a)
        for m in range(3) for p in range(3) for a in (False, True)
    ],
    "grid_sampler_3d": lambda i: i.t.grid_sampler_3d(i.draw(1, 2, 3, 4, 5), i.draw(1, 2, 3, 3, 3), 0, 1, False),
    "affine_grid_generator": lambda i: i.t.affine_grid_generator(i.draw(2, 2, 3), [2, 1, 3, 4], False),
    "conv_tbc": lambda i: i.t.conv_tbc(i.draw(5, 2, 3), i.draw(2, 3, 4), i.draw(4), 1),
    "convolution": lambda i: i.t.convolution(
        i.draw(1, 4, 5, 5), i.draw(4, 2, 3, 3), i.draw(4), [2, 1], [1, 0], [1, 1], False, [0, 0], 2
    ),
    "convolution, transposed": lambda i: i.t.convolution(
        i.draw(1, 2, 5), i.draw(2, 4, 3), None, [2], [1], [1], True, [1], 1
    ),
    "lstm": lambda i: i.t.lstm(
        i.draw(5, 2, 3), [i.draw(4, 2, 6), i.draw(4, 2, 6)], i.weights(4, 3, 6, 2, 2), True, 2, 0.0, True, True, False
    ),
    "lstm with projections": lambda i: i.t.lstm(
        i.draw(2, 5, 3), [i.draw(1, 2, 4), i.draw(1, 2, 6)], i.weights(4, 3, 6, 1, 1, 4), True, 1, 0.0, False, False, True
    ),
    "lstm, packed": lambda i: i.t.lstm(
        i.draw(6, 3), _long(i, 3, 2, 1), [i.draw(2, 3, 4), i.draw(2, 3, 4)], i.weights(4, 3, 4, 1, 2), True, 1, 0.0,
        False, True,
    ),
    "gru": lambda i: i.t.gru(i.draw(2, 5, 3), i.draw(2, 2, 4), i.weights(3, 3, 4, 2, 1), True, 2, 0.0, True, False, True),
    "gru, packed": lambda i: i.t.gru(
        i.draw(6, 3), _long(i, 3, 2, 1), i.draw(1, 3, 4), i.weights(3, 3, 4, 1, 1), True, 1, 0.0, False, False
    ),
    "rnn_tanh": lambda i: i.t.rnn_tanh(
        i.draw(5, 2, 3), i.draw(1, 2, 4), [i.draw(4, 3), i.draw(4, 4)], False, 1, 0.0, True, False, False
    ),
    "rnn_relu": lambda i: i.t.rnn_relu(
        i.draw(5, 2, 3), i.draw(2, 2, 4), i.weights(1, 3, 4, 1, 2), True, 1, 0.0, True, True, False
    ),
    "lstm_cell": lambda i: i.t.lstm_cell(
        i.draw(2, 3), [i.draw(2, 4), i.draw(2, 4)], i.draw(16, 3), i.draw(16, 4), i.draw(16), i.draw(16)
    ),
    "gru_cell": lambda i: i.t.gru_cell(i.draw(2, 3), i.draw(2, 4), i.draw(12, 3), i.draw(12, 4)),
    "rnn_tanh_cell": lambda i: i.t.rnn_tanh_cell(i.draw(2, 3), i.draw(2, 4), i.draw(4, 3), i.draw(4, 4)),
    "rnn_relu_cell": lambda i: i.t.rnn_relu_cell(i.draw(2, 3), i.draw(2, 4), i.draw(4, 3), i.draw(4, 4), i.draw(4)),
    **{
        f"segment_reduce {how}, {initial}": lambda i, how=how, initial=initial: i.t.segment_reduce(
            i.draw(6, 2), how, lengths=_long(i, 2, 0, 3, 1), initial=initial
        )
        for how in ("sum", "mean", "max", "min", "prod")
        for initial in (None, 0.5)
    },
    "segment_reduce by offsets": lambda i: i.t.segment_reduce(
        i.draw(2, 4, 3), "mean", offsets=_long(i, [0, 1, 4], [0, 3, 4]), axis=1
    ),
    "softmax": lambda i: [
        i.t._softmax(i.draw(3, 4), 1, False), i.t._log_softmax(i.draw(3, 4), 0, False),
        i.t._softmax_backward_data(i.draw(3, 4), i.draw(3, 4), 1, i.t.float64),
        i.t._log_softmax_backward_data(i.draw(3, 4), i.draw(3, 4), 1, i.t.float64),
    ],
    "cond": lambda i: i.t.cond(i.t.tensor(False), lambda x: x + 1, lambda x: x * 2, (i.draw(3),)),
}  # fmt: skip


def _results(t: Any, case: Callable[[Inputs], Any]) -> tuple[list, list]:
    inputs = Inputs(t)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = case(inputs)
    outs = list(found) if isinstance(found, (tuple, list)) else [found]
    loss = sum((o * o).sum() for o in outs if o.requires_grad)
    grads = []
    if not isinstance(loss, int):
        grads = list(t.autograd.grad(loss, inputs.leaves, allow_unused=True))
    return outs, grads


@pytest.mark.parametrize("name", CASES)
def test_values_and_gradients_are_pytorchs(name: str) -> None:
    if name == "cond":  # PyTorch compiles it, which takes seconds: its plain form is the same
        theirs = _results(torch, lambda i: i.draw(3) * 2)
    else:
        theirs = _results(torch, CASES[name])
    ours = _results(flambeau, CASES[name])
    for kind, (a, b) in zip(("result", "gradient"), zip(ours, theirs, strict=True), strict=True):
        assert len(a) == len(b)
        for number, (x, y) in enumerate(zip(a, b, strict=True)):
            where = f"{kind} {number}"
            if x is None or y is None:
                other = y if x is None else x
                assert other is None or not other.detach().any(), where
                continue
            assert tuple(x.shape) == tuple(y.shape), where
            assert str(x.dtype).rpartition(".")[2] == str(y.dtype).rpartition(".")[2], where
            np.testing.assert_allclose(x.detach().numpy(), y.detach().numpy(), rtol=1e-9, atol=1e-9, err_msg=where)


@pytest.mark.parametrize("name", ["dropout", "feature_dropout", "alpha_dropout", "feature_alpha_dropout"])
def test_dropouts_draw_what_pytorch_draws(name: str) -> None:
    found = []
    for t in (flambeau, torch):
        t.manual_seed(3)
        changed = t.ones(4, 6, 2)
        assert getattr(t, name + "_")(changed, 0.3, True) is changed
        found.append([getattr(t, name)(t.ones(4, 6, 2), p=0.3, train=True), changed, getattr(t, name)(t.ones(3), 0.3, False)])
        with pytest.raises(RuntimeError, match="dropout probability has to be between 0 and 1, but got 1.5"):
            getattr(t, name)(t.ones(2, 2), 1.5, True)
    for x, y in zip(*found, strict=True):
        np.testing.assert_allclose(x.numpy(), y.numpy(), rtol=1e-6)


def test_native_dropout() -> None:
    found = []
    for t in (flambeau, torch):
        t.manual_seed(3)
        found.append([*t.native_dropout(t.ones(40), 0.3, True), *t.native_dropout(t.ones(4), 0.3, False)])
    for x, y in zip(*found, strict=True):
        np.testing.assert_allclose(x.numpy(), y.numpy(), rtol=1e-6)


#: Calls that both refuse, with the same class and text.
REFUSED: dict[str, Callable[[Any], Any]] = {
    "batch_norm": lambda t: t.batch_norm(t.ones(2, 3), None, None, None, None, False, 0.1, 1e-5, True),
    "instance_norm": lambda t: t.instance_norm(t.ones(2, 3, 2), None, None, None, None, False, 0.1, 1e-5, True),
    "feature_dropout": lambda t: t.feature_dropout(t.ones(3), 0.5, True),
    "embedding": lambda t: t.embedding(t.ones(3), t.tensor([0])),
    "embedding_bag": lambda t: t.embedding_bag(
        t.ones(3, 2), t.tensor([0]), t.tensor([0]), mode=1, per_sample_weights=t.ones(1)
    ),
    "grid_sampler_2d": lambda t: t.grid_sampler_2d(t.ones(1, 1, 2, 2, 2), t.ones(1, 1, 1, 1, 3), 0, 0, False),
    "affine_grid_generator": lambda t: t.affine_grid_generator(t.ones(1, 2, 3), [1, 1, 2], True),
    "frobenius_norm": lambda t: t.frobenius_norm(t.ones(1, 1, 1), [0, 1, 2]),
    "lstm": lambda t: t.lstm(t.ones(1, 1, 1), [t.ones(1, 1, 1)], [t.ones(4, 1)] * 2, False, 1, 0.0, False, False, False),
    "lstm_cell": lambda t: t.lstm_cell(t.ones(1, 1), [t.ones(1, 1)], t.ones(4, 1), t.ones(4, 1)),
    "native_group_norm": lambda t: t.native_group_norm(t.ones(2, 4), None, None, 2, 3, 1, 1, 1e-5),
}


@pytest.mark.parametrize("name", REFUSED)
def test_errors_are_pytorchs(name: str) -> None:
    with pytest.raises(Exception) as theirs:
        REFUSED[name](torch)
    with pytest.raises(type(theirs.value)) as ours:
        REFUSED[name](flambeau)
    assert str(ours.value) == str(theirs.value).partition("\nException raised")[0]
