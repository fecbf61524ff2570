"""Shape arithmetic: broadcasting, dimension numbers, inferred sizes."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flambeau.core import shapes
from flambeau.core.device import device
from flambeau.core.shapes import Size

sizes = st.lists(st.integers(0, 4), max_size=4).map(tuple)


@given(sizes, sizes)
def test_broadcasting_is_numpys(a: tuple[int, ...], b: tuple[int, ...]) -> None:
    try:
        wanted = np.broadcast_shapes(a, b)
    except ValueError:
        with pytest.raises(RuntimeError, match="must match the size of tensor b"):
            shapes.broadcast_shapes(a, b)
    else:
        assert shapes.broadcast_shapes(a, b) == wanted


@given(sizes)
def test_contiguous_strides_are_numpys(shape: tuple[int, ...]) -> None:
    if 0 not in shape:
        wanted = tuple(s // 8 for s in np.zeros(shape).strides)
        assert shapes.contiguous_strides(shape) == wanted


def test_dimension_numbers() -> None:
    assert (
        shapes.wrap_dim(-1, 3) == 2
        and shapes.wrap_dim(0, 0) == 0
        and shapes.wrap_dim(-1, 0) == 0
    )
    with pytest.raises(IndexError, match=r"expected to be in range of \[-3, 2\], but got 3"):
        shapes.wrap_dim(3, 3)
    with pytest.raises(RuntimeError, match="dim 1 appears multiple times"):
        shapes.wrap_dims((1, -1), 2)


def test_inferred_sizes() -> None:
    assert shapes.infer_size((2, -1), 6) == (2, 3)
    for wrong, numel in (((4, -1), 6), ((5,), 6), ((2, 2), 6)):
        with pytest.raises(RuntimeError, match="is invalid for input of size 6"):
            shapes.infer_size(wrong, numel)
    with pytest.raises(RuntimeError, match="only one dimension can be inferred"):
        shapes.infer_size((-1, -1), 6)
    with pytest.raises(RuntimeError, match="ambiguous"):
        shapes.infer_size((0, -1), 0)


def test_size_is_a_tuple_that_prints_as_pytorchs() -> None:
    size = Size((2, 3))
    assert repr(size) == "torch.Size([2, 3])" and size == (2, 3) and size.numel() == 6
    assert isinstance(size[1:], Size) and isinstance(size + (4,), Size) and size[0] == 2
    assert pickle.loads(pickle.dumps(size)) == size and isinstance(copy.deepcopy(size), Size)


def test_devices() -> None:
    assert repr(device("cpu")) == "device(type='cpu')" and str(device("cpu", 0)) == "cpu:0"
    assert device("cuda:1").index == 1 and device("cpu") != device("cpu:0")
    with pytest.raises(RuntimeError, match="device type at start of device string: foo"):
        device("foo")
