"""Methods of old programs, memory that processes share, and how NumPy's functions see a tensor."""

from __future__ import annotations

import os

import numpy as np
import pytest

import flambeau as torch


def test_python_functions_of_each_element() -> None:
    x = torch.tensor([[1, 2], [3, 4]])
    assert x.apply_(lambda v: v * v) is x
    assert x.tolist() == [[1, 4], [9, 16]]
    assert x.map_(torch.tensor([1, 2]), lambda a, b: a - b).tolist() == [[0, 2], [8, 14]]
    assert x.map2_(x, x, lambda a, b, c: a + b + c).tolist() == [[0, 6], [24, 42]]
    with pytest.raises(TypeError, match="require grad"):
        torch.ones(2, requires_grad=True).apply_(abs)


def test_new_makes_tensors_of_the_same_dtype() -> None:
    x = torch.tensor([1, 2])
    assert x.new([3, 4]).dtype is torch.int64
    assert x.new(2, 3).shape == (2, 3)
    assert x.new().shape == (0,)
    assert x.double().new_tensor([1]).dtype is torch.float64
    assert x.new_empty_strided((2, 2), (1, 2)).stride() == (1, 2)


def test_type_names() -> None:
    x = torch.tensor([1, 2])
    assert x.type() == "torch.LongTensor" and isinstance(x, torch.LongTensor)
    assert x.type(torch.FloatTensor).dtype is torch.float32
    assert x.type("torch.ByteTensor").dtype is torch.uint8
    assert torch.typename(x) == "torch.LongTensor"
    assert torch.DoubleTensor([1, 2]).dtype is torch.float64


def test_numpy_functions_give_tensors() -> None:
    x = torch.tensor([0.0, 1.0])
    assert isinstance(np.exp(x), torch.Tensor)
    np.testing.assert_allclose(np.exp(x).numpy(), np.exp([0, 1]), rtol=1e-6)
    assert list(reversed(x)) == [x[1], x[0]]


def test_the_order_of_dimensions() -> None:
    x = torch.zeros(2, 3, 4)
    assert x.dim_order() == (0, 1, 2)
    assert x.permute(2, 0, 1).dim_order() == (1, 2, 0)
    assert x.is_set_to(x.view(2, 3, 4)) and not x.is_set_to(x.view(6, 4))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="shares memory by forking")
def test_shared_memory_is_seen_by_a_child() -> None:
    x = torch.zeros(4)
    part = x[1:3]
    assert not x.is_shared()
    part.share_memory_()
    assert x.is_shared() and part.is_shared()
    child = os.fork()
    if child == 0:
        part.add_(1)
        os._exit(0)
    os.waitpid(child, 0)
    assert x.tolist() == [0, 1, 1, 0]


def test_whole_numbers_wrap_around() -> None:
    assert torch.full((1,), -1, dtype=torch.uint8).item() == 255
    assert torch.empty(1, dtype=torch.uint8).fill_(300).item() == 44
    assert (torch.zeros(1, dtype=torch.uint8) - 1).item() == 255
    assert torch.full_like(torch.zeros(1, dtype=torch.int8), 200).item() == -56
    with pytest.raises(RuntimeError, match="without overflow"):
        torch.tensor(300, dtype=torch.uint8)
    with pytest.raises(RuntimeError, match="without overflow"):
        torch.full((1,), 1j, dtype=torch.float32)
