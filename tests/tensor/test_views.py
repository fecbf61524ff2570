"""Views: shared memory and versions, changes in place with gradients, and what is forbidden."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import flambeau as torch


def test_views_share_memory_and_versions() -> None:
    x = torch.zeros(2, 3)
    v = x.t()[1:]
    v.add_(1)
    assert x.tolist() == [[0, 1, 1], [0, 1, 1]] and x._version == v._version == 1
    assert v._base is x and v._is_view() and v.storage_offset() == 1
    d = x.detach()
    d[0, 0] = 9
    assert x[0, 0] == 9 and x._version == 2 and not d._is_view() and d._base is None


def test_data_shares_memory_but_not_versions() -> None:
    x = torch.ones(3, requires_grad=True)
    y = x * x
    x.data.mul_(3)
    assert x._version == 0 and x.tolist() == [3, 3, 3]
    y.sum().backward()  # wrong numbers, as in PyTorch, and no error
    x.data = torch.zeros(3)
    assert x.requires_grad and x.tolist() == [0, 0, 0]
    with pytest.raises(RuntimeError, match="must be floating point or complex"):
        x.data = torch.zeros(3, dtype=torch.int64)


def test_set_() -> None:
    x, source = torch.zeros(2), torch.arange(6.0)
    x.set_(source)
    source[0] = 5
    assert x.tolist() == [5, 1, 2, 3, 4, 5]
    assert x.set_(source, 1, (2, 2)).tolist() == [[1, 2], [3, 4]]
    assert x.set_().shape == (0,)


def test_a_chain_of_views_changed_in_place() -> None:
    base = torch.zeros(4, 4, requires_grad=True)
    c = base * 1
    v = c[1:][:, 1:]
    u = v.t()[0]
    u.mul_(3).add_(2)
    v[1].fill_(7.0)
    assert c.tolist() == [[0, 0, 0, 0], [0, 2, 0, 0], [0, 7, 7, 7], [0, 2, 0, 0]]
    assert c.grad_fn.name() == "torch::autograd::CopySlices"
    (c * torch.arange(16.0).view(4, 4)).sum().backward()
    assert base.grad.tolist() == [[0, 1, 2, 3], [4, 15, 6, 7], [8, 0, 0, 0], [12, 39, 14, 15]]


def test_a_view_sees_the_new_history_of_its_base() -> None:
    x = torch.ones(3, requires_grad=True)
    a = torch.zeros(3)
    v = a[1:]
    a.add_(x)
    assert v.requires_grad and v.grad_fn.name() == "SliceBackward0"
    v.sum().backward()
    assert x.grad.tolist() == [0, 1, 1]


def test_assignment_by_index_records() -> None:
    w = torch.tensor([1.0, 2.0], requires_grad=True)
    out = torch.zeros(3, 2)
    out[1] = w * 2
    out[:, 0] *= 3
    out.sum().backward()
    assert w.grad.tolist() == [6, 2]


def test_overwriting_all_leaves_a_gradient_of_zero() -> None:
    x = torch.ones(2, requires_grad=True)
    y = (x * 2).fill_(3.0)
    assert y.requires_grad
    y.sum().backward()
    assert x.grad.tolist() == [0, 0]


def test_a_leaf_may_change_without_recording() -> None:
    x = torch.ones(3, requires_grad=True)
    with torch.no_grad():
        x.add_(1)
        x[0] = 5
        x.view(-1)[1:].mul_(2)
    assert x.is_leaf and x.requires_grad and x.tolist() == [5, 4, 4] and x._version == 3


def test_forbidden_changes() -> None:
    x = torch.ones(3, requires_grad=True)
    with torch.no_grad():
        v = x.view(-1)
    with pytest.raises(RuntimeError, match="A view was created in no_grad mode and is being"):
        v.add_(1)
    with pytest.raises(
        RuntimeError, match="Output 1 of Unbind is a view and is being modified"
    ):
        (x * 2).unbind(0)[1].add_(1)
    c = x * 2
    parts = c.chunk(2)
    c.add_(1)
    with pytest.raises(
        RuntimeError, match="Output 0 of Split is a view and its base or another"
    ):
        parts[0] * 1
    plain = torch.zeros(3)
    plain.unbind(0)[0].add_(1)  # without gradients it may
    assert plain.tolist() == [1, 0, 0]


def test_gradients_of_views_of_a_transposed_base() -> None:
    x = torch.ones(2, 3, requires_grad=True)
    y = (x * 1).t().clone()  # lies in memory as its base does not
    v = y[1]
    v.mul_(5)
    weights = torch.arange(6.0).view(2, 3).t()
    (y * weights).sum().backward()
    assert x.grad.tolist() == [[0, 5, 2], [3, 20, 5]]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 2)), min_size=1, max_size=6))
def test_changes_through_random_views(moves: list[tuple[int, int]]) -> None:
    """Multiplying random views in place is multiplying elements, also backward."""
    x = torch.ones(3, 4, dtype=torch.float64, requires_grad=True)
    y = x * 1
    factors = np.ones((3, 4))
    for k, (kind, i) in enumerate(moves, 2):
        for view, array in ((y, None), (None, factors)):
            t = view if array is None else array
            part = [
                lambda t: t[i],
                lambda t: t[:, i],
                lambda t: t.T[i:],
                lambda t: t[i:, 1:][:1],
                lambda t: t.reshape(-1)[i::2],
                lambda t: t[..., i : i + 1],
            ][kind](t)
            if array is None:
                part.mul_(float(k))
            else:
                part *= k
    y.sum().backward()
    assert np.array_equal(y.detach().numpy(), factors)
    assert np.array_equal(x.grad.numpy(), factors)


def test_a_detached_view_is_a_base_of_its_own() -> None:
    w = torch.tensor([1.0, 2.0], requires_grad=True)
    d = torch.zeros(4, 2)[1:].detach()
    row = d[1]
    d[0] = w * 2
    d.add_(w)
    assert row.requires_grad and row.storage_offset() == 4
    (d.sum() + row.sum()).backward()
    assert w.grad.tolist() == [6, 6]


def test_a_leaf_that_is_a_view_may_not_be_changed_in_place() -> None:
    x = torch.arange(6.0).reshape(2, 3).requires_grad_()
    for change in (lambda: x.add_(1), lambda: x[0].add_(1), lambda: x.view(-1).zero_(), lambda: x.t_()):
        with pytest.raises(RuntimeError, match="a view of a leaf Variable that requires grad"):
            change()
    with torch.no_grad():
        x[0] = 5
        x.t_()
    assert x.shape == (3, 2) and x.requires_grad and x.is_leaf
    (x * x).sum().backward()
    assert x.grad.tolist() == [[10, 6], [10, 8], [10, 10]]


def test_a_view_of_a_base_that_changed_its_shape_must_be_made_anew() -> None:
    y = torch.ones(2, 3, requires_grad=True) * 2
    row = y[0]
    y.t_()
    assert row.tolist() == [2, 2, 2]
    y.mul_(3)
    with pytest.raises(RuntimeError, match="Make the view anew"):
        row.sum().backward()
    square = torch.ones(2, 2, requires_grad=True) * 2
    row = square[0]
    square.t_()
    with pytest.raises(RuntimeError, match="Make the view anew"):
        row.mul_(2)
