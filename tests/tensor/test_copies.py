"""Copies and pickles of tensors, storages, and tensors as Python values."""

from __future__ import annotations

import copy
import pickle

import pytest

import flambeau as torch
from flambeau import nn


def test_deepcopy_keeps_strides_gradients_and_sharing() -> None:
    a = torch.arange(6.0).view(2, 3).t()
    assert copy.deepcopy(a).stride() == (1, 3)
    x = torch.ones(2, requires_grad=True)
    (x * 2).sum().backward()
    y = copy.deepcopy(x)
    assert y.requires_grad and y.grad.tolist() == [2, 2] and y.grad is not x.grad
    z = torch.zeros(4)
    whole, part = copy.deepcopy([z, z[1:3]])
    whole.fill_(5)
    assert part.tolist() == [5, 5] and z.tolist() == [0] * 4
    same, again = copy.deepcopy([z, z])
    assert same is again
    with pytest.raises(RuntimeError, match="graph leaves\\) support the deepcopy protocol"):
        copy.deepcopy(x * 2)


@pytest.mark.parametrize("name", ["float32", "bfloat16", "int8", "bool", "complex64"])
def test_pickle(name: str) -> None:
    x = torch.tensor([[1, 0], [2, 3]]).to(getattr(torch, name)).t()
    y = pickle.loads(pickle.dumps(x))
    assert y.dtype is x.dtype and y.stride() == x.stride() and y.tolist() == x.tolist()


def test_pickle_keeps_kind_sharing_and_requires_grad() -> None:
    p = pickle.loads(pickle.dumps(nn.Parameter(torch.ones(2))))
    assert isinstance(p, nn.Parameter) and p.requires_grad
    z = torch.zeros(4)
    whole, part = pickle.loads(pickle.dumps([z, z[1:3]]))
    whole.fill_(7)
    assert part.tolist() == [7, 7]
    y = pickle.loads(pickle.dumps(torch.ones(2, requires_grad=True) * 2))
    assert y.requires_grad and y.is_leaf and y.tolist() == [2, 2]


def test_storages() -> None:
    x = torch.arange(6.0).view(2, 3)
    memory = x.untyped_storage()
    assert memory.nbytes() == 24 == len(memory) and x.storage().size() == 6
    assert memory.data_ptr() == x.data_ptr() == x[1:].untyped_storage().data_ptr()
    assert x[1:].storage().tolist() == [0, 1, 2, 3, 4, 5]
    assert x.t().untyped_storage().data_ptr() == x.data_ptr()


def test_type_names() -> None:
    assert torch.FloatTensor([1, 2]).dtype is torch.float32
    assert torch.LongTensor(2, 3).shape == (2, 3)
    assert isinstance(torch.ones(2).long(), torch.LongTensor)
    assert not isinstance(torch.ones(2), torch.LongTensor)
    assert (
        torch.ones(2).type() == "torch.FloatTensor"
        and str(torch.HalfTensor) == "torch.HalfTensor"
    )


def test_python_values() -> None:
    assert f"{torch.tensor(1.5):.3f}" == "1.500" and 2.0 in torch.tensor([1.0, 2.0])
    assert len(torch.ones(3, 2)) == 3 and [x.item() for x in torch.arange(3)] == [0, 1, 2]
    assert range(3)[torch.tensor(1)] == 1 and int(torch.tensor([1.7])) == 1
    for call, error in (
        (lambda: bool(torch.ones(2)), RuntimeError),
        (lambda: bool(torch.ones(0)), RuntimeError),
        (lambda: torch.ones(2).item(), RuntimeError),
        (lambda: len(torch.tensor(1.0)), TypeError),
        (lambda: list(torch.tensor(1.0)), TypeError),
        (lambda: range(3)[torch.tensor(1.0)], TypeError),
        (lambda: f"{torch.ones(2):.2f}", TypeError),
        (lambda: torch.ones(2).foo, AttributeError),
    ):
        with pytest.raises(error):
            call()
