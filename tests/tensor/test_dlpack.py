"""Memory shared with NumPy through DLPack."""

from __future__ import annotations

import numpy as np
import pytest

import flambeau as torch


@pytest.mark.parametrize("name", ["bool", "uint8", "int64", "float16", "float32", "complex64", "bfloat16"])
def test_there_and_back_share_memory(name: str) -> None:
    x = torch.arange(6).reshape(2, 3).to(getattr(torch, name)).t()
    for y in (torch.from_dlpack(x), torch.from_dlpack(torch.to_dlpack(x))):
        assert y.dtype is x.dtype and y.stride() == x.stride() and y.tolist() == x.tolist()
        x[0, 0] = 1
        assert y.data_ptr() == x.data_ptr()
    assert torch.from_dlpack(x, copy=True).data_ptr() != x.data_ptr()


def test_numpy_reads_and_writes_a_tensor() -> None:
    x = torch.zeros(3)
    np.from_dlpack(x)[1] = 5
    assert x.tolist() == [0, 5, 0]
    array = np.arange(3)
    torch.from_dlpack(array).add_(1)
    assert array.tolist() == [1, 2, 3]


def test_errors() -> None:
    with pytest.raises(BufferError, match="require gradient"):
        torch.ones(2, requires_grad=True).__dlpack__()
    capsule = torch.utils.dlpack.to_dlpack(torch.ones(2))
    torch.utils.dlpack.from_dlpack(capsule)
    with pytest.raises(RuntimeError, match="consumed only once"):
        torch.from_dlpack(capsule)
