"""Addresses of arrays."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest

from flambeau.core.memory import address


@pytest.mark.parametrize("dtype", ["bool", "uint8", "float16", "bfloat16", "float32", "float64", "complex128"])
def test_addresses_are_those_that_numpy_tells(dtype: str) -> None:
    array = np.zeros((6, 5, 4), np.dtype(getattr(ml_dtypes, dtype, dtype)))
    for view in (array, array[2:, 1:], array.T, array[::-1], array[1, 2, 3:], array[:0], array.reshape(-1)[7:], np.asarray(array[0, 0, 0])):
        assert address(view) == view.__array_interface__["data"][0]


def test_what_is_written_there_is_in_the_array() -> None:
    import ctypes

    array = np.zeros(3)
    ctypes.c_double.from_address(address(array) + 8).value = 2.5
    assert array.tolist() == [0, 2.5, 0]
