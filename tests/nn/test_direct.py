"""Functions of layers in their plain form: against the layers, NumPy, and what is known."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import flambeau as torch
import flambeau.nn.functional as F


def close(a: Any, b: Any) -> None:
    np.testing.assert_allclose(a.detach().numpy(), b.detach().numpy(), rtol=1e-5, atol=1e-6)


def test_normalisations_give_the_moments_they_used() -> None:
    x = torch.randn(6, 4, 5)
    mean, var = torch.zeros(4), torch.ones(4)
    out, found, inverse = torch.native_batch_norm(x, None, None, mean, var, True, 0.1, 0.0)
    close(out, F.batch_norm(x, None, None, training=True, eps=0.0))
    np.testing.assert_allclose(found.numpy(), x.numpy().mean((0, 2)), atol=1e-6)
    np.testing.assert_allclose(inverse.numpy(), 1 / x.numpy().std((0, 2)), rtol=1e-5)
    np.testing.assert_allclose(mean.numpy(), 0.1 * x.numpy().mean((0, 2)), atol=1e-6)
    out, found, inverse = torch.native_group_norm(x, None, None, 6, 4, 5, 2, 0.0)
    close(out, F.group_norm(x, 2, eps=0.0))
    np.testing.assert_allclose(found.numpy(), x.numpy().reshape(6, 2, 10).mean(-1), atol=1e-6)
    np.testing.assert_allclose(inverse.numpy(), 1 / x.numpy().reshape(6, 2, 10).std(-1), rtol=1e-5)
    assert [tuple(t.shape) for t in torch.native_layer_norm(x, [4, 5], None, None, 1e-5)[1:]] == [(6, 1, 1)] * 2


@pytest.mark.parametrize("kind", ["LSTM", "GRU"])
def test_networks_of_given_weights(kind: str) -> None:
    layer = getattr(torch.nn, kind)(3, 4, num_layers=2, bidirectional=True)
    x, state = torch.randn(5, 2, 3), tuple(torch.randn(4, 2, 4) for _ in range(2 if kind == "LSTM" else 1))
    given = state if kind == "LSTM" else state[0]
    out, last = layer(x, given)
    found = getattr(torch, kind.lower())(x, given, list(layer.parameters()), True, 2, 0.0, False, True, False)
    close(found[0], out)
    close(found[1], last[0] if kind == "LSTM" else last)


def test_packed_networks_of_given_weights() -> None:
    layer = torch.nn.RNN(3, 4, nonlinearity="relu")
    packed = torch.nn.utils.rnn.pack_padded_sequence(torch.randn(3, 2, 3), [3, 1])
    hidden = torch.zeros(1, 2, 4)
    found = torch.rnn_relu(packed.data, packed.batch_sizes, hidden, list(layer.parameters()), True, 1, 0.0, False, False)
    close(found[0], layer(packed)[0].data)


def test_cells() -> None:
    cell = torch.nn.GRUCell(3, 4)
    x, h = torch.randn(2, 3), torch.randn(2, 4)
    close(torch.gru_cell(x, h, cell.weight_ih, cell.weight_hh, cell.bias_ih, cell.bias_hh), cell(x, h))


def test_wrong_numbers_of_weights_are_told() -> None:
    with pytest.raises(RuntimeError, match="incorrect number of RNN parameters"):
        torch.rnn_tanh(torch.ones(1, 1, 1), torch.ones(1, 1, 1), [torch.ones(1, 1)], False, 1, 0.0, False, False, False)
    with pytest.raises(TypeError, match="takes input, hx, params"):
        torch.gru(torch.ones(1, 1, 1))


def test_reductions_are_numbers() -> None:
    x, y = torch.randn(3, 4), torch.rand(3, 4)
    for number, name in enumerate(("none", "mean", "sum")):
        close(torch.poisson_nll_loss(x, y, True, False, 1e-8, number), F.poisson_nll_loss(x, y, reduction=name))
    with pytest.raises(TypeError, match="argument 'reduction' must be int, not str"):
        torch.kl_div(x, y, "mean")


def test_bags_tell_how_they_were_made() -> None:
    weight = torch.tensor([[1.0, 9.0], [5.0, 2.0], [3.0, 4.0]])
    out, bags, sizes, rows = torch.embedding_bag(weight, torch.tensor([0, 1, 2]), torch.tensor([0, 2, 2]), mode=2)
    assert out.tolist() == [[5, 9], [0, 0], [3, 4]] and bags.tolist() == [0, 0, 2]
    assert sizes.tolist() == [2, 0, 1] and rows.tolist() == [[1, 0], [0, 0], [2, 2]]


@pytest.mark.parametrize("how", ["sum", "mean", "max", "min", "prod"])
def test_segments(how: str) -> None:
    data = torch.randn(6, 2, dtype=torch.float64, requires_grad=True)
    lengths = torch.tensor([2, 0, 3, 1])
    found = torch.segment_reduce(data, how, lengths=lengths, initial=1.0)
    parts = np.split(data.detach().numpy(), [2, 2, 5])
    for row, part in zip(found.detach().numpy(), parts, strict=True):
        whole = np.concatenate([np.ones((1, 2)), part])
        if how == "mean":
            expected = whole.sum(0) / max(len(part), 1)
        else:
            expected = getattr(whole, how)(0)
        np.testing.assert_allclose(row, expected)
    assert torch.autograd.gradcheck(lambda x: torch.segment_reduce(x, how, lengths=lengths, initial=0.5), data)


def test_segments_without_elements() -> None:
    data = torch.ones(2)
    found = [torch.segment_reduce(data, how, lengths=torch.tensor([0, 2])).tolist()[0] for how in ("max", "min", "prod")]
    assert found == [-math.inf, math.inf, 1]
    with pytest.raises(RuntimeError, match="Expected all rows of lengths"):
        torch.segment_reduce(data, "sum", lengths=torch.tensor([1]))
    with pytest.raises(RuntimeError, match="Either lengths or offsets must be defined"):
        torch.segment_reduce(data, "sum")


def test_softmax_of_nothing_is_zero() -> None:
    scores = torch.tensor([[0.0, 0.0], [-math.inf, -math.inf]], requires_grad=True)
    found = torch.ops.aten._safe_softmax.default(scores, -1)
    assert found.tolist() == [[0.5, 0.5], [0, 0]]
    (found * found).sum().backward()
    assert torch.isfinite(scores.grad).all()


def test_maxima_send_their_gradients_back() -> None:
    x = torch.randn(2, 3, 6, 6, requires_grad=True)
    out, indices = torch.ops.aten.max_pool2d_with_indices(x, 2)
    g = torch.randn(out.shape)
    (expected,) = torch.autograd.grad(out, x, g)
    close(torch.ops.aten.max_pool2d_with_indices_backward(g, x, 2, 2, 0, 1, False, indices), expected)


def test_branches_and_loops() -> None:
    x = torch.tensor([1.0], requires_grad=True)
    torch.cond(x > 0, lambda a: a * 3, lambda a: a, (x,)).backward()
    assert x.grad.item() == 3
    count, total = torch.while_loop(
        lambda n, s: n < 4, lambda n, s: (n + 1, s + n), (torch.tensor(0), torch.tensor(0))
    )
    assert (count.item(), total.item()) == (4, 6)
    with pytest.raises(RuntimeError, match="Expected bool or single-element tensor"):
        torch.cond(torch.ones(2), lambda: 1, lambda: 2)
    with pytest.raises(RuntimeError, match="cond_fn must return a boolean"):
        torch.while_loop(lambda n: 3, lambda n: n, (torch.tensor(0),))


def test_they_compile() -> None:
    x, w = torch.randn(4, 3, 6), torch.randn(3)

    def program(x: Any, w: Any) -> Any:
        y = torch.native_group_norm(x, w, None, 4, 3, 6, 3, 1e-5)[0]
        return torch.kl_div(torch._log_softmax(y, 1, False), torch._softmax(y, 1, False), 1)

    close(torch.compile(program)(x, w), program(x, w))


def test_operators_of_other_names() -> None:
    assert torch._VF.lstm_cell is torch.lstm_cell
    a = torch.randn(3, 3)
    close(torch.ops.aten.linalg_det(a), torch.linalg.det(a))
    close(torch.ops.aten.grid_sampler_2d.default(a[None, None], torch.zeros(1, 1, 1, 2), 0, 0, True), a[1:2, 1:2][None, None])
    with pytest.raises(AttributeError, match="no attribute 'no_such_operator'"):
        getattr(torch.ops.aten, "no_such_operator")  # noqa: B009


def test_products_of_groups() -> None:
    ends = torch.tensor([3, 3, 5], dtype=torch.int32)
    parts = [(0, 3), (3, 3), (3, 5)]
    a, b = torch.randn(6, 4, requires_grad=True), torch.randn(3, 4, 2)
    found = F.grouped_mm(a, b, offs=ends)
    for g, (start, end) in enumerate(parts):
        close(found[start:end], a[start:end] @ b[g])
    assert not found[5:].any()
    found.sum().backward()
    assert a.grad[:5].abs().sum() > 0 and not a.grad[5:].any()
    found = F.grouped_mm(b.mT, torch.randn(4, 6), offs=ends)
    assert found.shape == (2, 6)
    c, d = torch.randn(2, 5), torch.randn(5, 3)
    found = F.grouped_mm(c, d, offs=ends)
    close(found, torch.stack([c[:, start:end] @ d[start:end] for start, end in parts]))
    close(F.grouped_mm(b, b.mT), b @ b.mT)
    with pytest.raises(RuntimeError, match="Offsets have to be int32"):
        F.grouped_mm(a, b, offs=ends.long())
    with pytest.raises(RuntimeError, match="Have to provide offsets"):
        F.grouped_mm(a, b)
    with pytest.raises(RuntimeError, match="got Double"):
        F.grouped_mm(a.double(), b, offs=ends)


def test_old_containers_and_arguments_of_tensors() -> None:
    with pytest.warns(FutureWarning, match="`nn.Container` is deprecated"):
        held = torch.nn.Container(a=torch.nn.ReLU())
    assert isinstance(held.a, torch.nn.ReLU)
    assert torch.nn.factory_kwargs({"device": "cpu", "factory_kwargs": {"dtype": 1}}) == {"device": "cpu", "dtype": 1}
    with pytest.raises(TypeError, match="device specified twice"):
        torch.nn.factory_kwargs({"device": 1, "factory_kwargs": {"device": 1}})
