"""The IDX reader and writer."""

import contextlib
import gzip
import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from flambeau.vision.datasets.errors import DataError
from flambeau.vision.datasets.idx import ELEMENT_TYPES, parse_idx, read_idx, write_idx

DTYPES = [dtype.newbyteorder("=") for dtype in ELEMENT_TYPES.values()]
A_FILE = bytes([0, 0, 0x08, 2, 0, 0, 0, 2, 0, 0, 0, 3, 1, 2, 3, 4, 5, 6])


def test_reads_the_published_layout():
    np.testing.assert_array_equal(parse_idx(A_FILE), np.array([[1, 2, 3], [4, 5, 6]], np.uint8))


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("name", ["array.idx", "array.idx.gz"])
def test_round_trip(tmp_path, dtype, name):
    array = np.arange(-12, 12).reshape(2, 3, 4).astype(dtype)
    write_idx(tmp_path / name, array)
    result = read_idx(tmp_path / name, ndim=3)
    assert result.dtype == dtype and result.flags.writeable
    np.testing.assert_array_equal(result, array)


@given(
    st.sampled_from(DTYPES).flatmap(
        lambda dtype: hnp.arrays(dtype, hnp.array_shapes(min_dims=0, min_side=0))
    )
)
def test_round_trip_of_any_array(tmp_path_factory, array):
    path = tmp_path_factory.mktemp("idx") / "array"
    write_idx(path, array)
    result = read_idx(path)
    assert result.shape == array.shape and result.tobytes() == array.tobytes()


def test_numbers_in_the_file_are_big_endian(tmp_path):
    write_idx(tmp_path / "a", np.array([1, 256], np.int16))
    assert (tmp_path / "a").read_bytes() == bytes([0, 0, 0x0B, 1, 0, 0, 0, 2, 0, 1, 1, 0])


def test_the_same_array_gives_the_same_compressed_file(tmp_path):
    write_idx(tmp_path / "a.gz", np.arange(9, dtype=np.uint8))
    write_idx(tmp_path / "b.gz", np.arange(9, dtype=np.uint8))
    assert (tmp_path / "a.gz").read_bytes() == (tmp_path / "b.gz").read_bytes()


def test_a_dtype_that_the_format_lacks(tmp_path):
    with pytest.raises(TypeError, match="complex64"):
        write_idx(tmp_path / "a", np.zeros(3, np.complex64))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "too few for an IDX header"),
        (b"\x89PNG\r\n\x1a\n", "not an IDX file"),
        (bytes([0, 0, 0x0A, 1, 0, 0, 0, 0]), "not an IDX file"),
        (A_FILE[:9], r"cut short inside the header \(9 of 12 bytes\)"),
        (A_FILE[:-1], "cut short: the header announces 2 x 3 of uint8, 6 bytes, but 5 follow"),
        (A_FILE + b"\0", "too long"),
        (bytes([0, 0, 8, 200]) + bytes(800), "200 dimensions"),
        (bytes([0, 0, 8, 3]) + b"\xff" * 12, "cut short"),
        (gzip.compress(A_FILE, mtime=0)[:-5], "gzip data is damaged or cut short"),
        (b"\x1f\x8bnonsense", "gzip data is damaged"),
    ],
    ids=itertools.count(),
)
def test_bad_files_are_named(tmp_path, content, message):
    path = tmp_path / "bad.idx"
    path.write_bytes(content)
    with pytest.raises(DataError, match=message) as caught:
        read_idx(path)
    assert "bad.idx" in str(caught.value)


def test_a_missing_file_and_a_wrong_number_of_dimensions(tmp_path):
    with pytest.raises(DataError, match=r"nowhere: cannot be read \(No such file"):
        read_idx(tmp_path / "nowhere")
    (tmp_path / "a").write_bytes(A_FILE)
    with pytest.raises(DataError, match="2 dimensions, expected 3"):
        read_idx(tmp_path / "a", ndim=3)


@given(
    st.one_of(
        st.binary(max_size=80), st.binary(max_size=60).map(lambda tail: b"\0\0\x08" + tail)
    )
)
def test_any_bytes_give_an_array_or_a_data_error(content):
    try:
        assert isinstance(parse_idx(content), np.ndarray)
    except DataError as error:
        assert "IDX data" in str(error)


@given(st.integers(0, len(A_FILE) - 1), st.integers(0, 255))
def test_one_changed_byte(position, value):
    changed = A_FILE[:position] + bytes([value]) + A_FILE[position + 1 :]
    with contextlib.suppress(DataError):
        assert parse_idx(changed).nbytes <= len(changed)
