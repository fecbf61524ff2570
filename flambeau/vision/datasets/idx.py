"""IDX files: the format of MNIST, a header of a few bytes before one raw array.

The layout, all numbers big-endian (source: the format's description on the MNIST page, LeCun et
al.):

| bytes | meaning |
| --- | --- |
| 0, 0 | always zero |
| 1 byte | element type, see `ELEMENT_TYPES` |
| 1 byte | number of dimensions |
| 4 bytes each | the length of every dimension, unsigned |
| the rest | the elements, last dimension fastest |

Files may be compressed with gzip; that is told from their first two bytes, not from the name.
"""

from __future__ import annotations

import gzip
import math
import os
import zlib
from pathlib import Path

import numpy as np

from flambeau.vision.datasets.errors import DataError

#: The third byte of a file, and the NumPy dtype of the elements as they lie in the file.
ELEMENT_TYPES: dict[int, np.dtype] = {
    0x08: np.dtype("u1"),
    0x09: np.dtype("i1"),
    0x0B: np.dtype(">i2"),
    0x0C: np.dtype(">i4"),
    0x0D: np.dtype(">f4"),
    0x0E: np.dtype(">f8"),
}
_CODES = {dtype.newbyteorder("="): code for code, dtype in ELEMENT_TYPES.items()}
_GZIP_MAGIC = b"\x1f\x8b"
#: NumPy's own limit on the number of dimensions.
_MOST_DIMENSIONS = 64


def read_idx(path: str | os.PathLike[str], ndim: int | None = None) -> np.ndarray:
    """The array in an IDX file, compressed or not, in the machine's byte order.

    `ndim`, where given, is the number of dimensions that the caller expects. Raises `DataError`
    for a file that cannot be read, is no IDX file, or holds more or fewer bytes than its header
    announces.
    """
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error})") from error
    if content.startswith(_GZIP_MAGIC):
        try:
            content = gzip.decompress(content)
        except (OSError, EOFError, zlib.error) as error:
            raise DataError(
                f"{path}: the gzip data is damaged or cut short ({error})"
            ) from error
    array = parse_idx(content, str(path))
    if ndim is not None and array.ndim != ndim:
        raise DataError(f"{path}: holds an array of {array.ndim} dimensions, expected {ndim}")
    return array


def parse_idx(content: bytes, name: str = "IDX data") -> np.ndarray:
    """The array that uncompressed IDX bytes hold; `name` is what error messages call them."""
    if len(content) < 4:
        raise DataError(
            f"{name}: {len(content)} bytes are too few for an IDX header (at least 4)"
        )
    if content[:2] != b"\0\0" or content[2] not in ELEMENT_TYPES:
        raise DataError(
            f"{name}: not an IDX file: it starts with the bytes {content[:4].hex(' ')}, "
            "expected 00 00, an element type of 08, 09, 0b..0e and a number of dimensions"
        )
    dtype, ndim = ELEMENT_TYPES[content[2]], content[3]
    if ndim > _MOST_DIMENSIONS:
        raise DataError(f"{name}: {ndim} dimensions, more than the {_MOST_DIMENSIONS} possible")
    header = 4 + 4 * ndim
    if len(content) < header:
        raise DataError(
            f"{name}: cut short inside the header ({len(content)} of {header} bytes)"
        )
    shape = tuple(int(length) for length in np.frombuffer(content, ">u4", ndim, offset=4))
    # Python integers, so that a forged header cannot overflow the product.
    wanted, found = math.prod(shape) * dtype.itemsize, len(content) - header
    if found != wanted:
        what = "cut short" if found < wanted else "too long"
        sizes = " x ".join(map(str, shape)) or "a single element"
        raise DataError(
            f"{name}: {what}: the header announces {sizes} of {dtype.newbyteorder('=')}, "
            f"{wanted} bytes, but {found} follow"
        )
    try:
        array = np.frombuffer(content, dtype, offset=header).reshape(shape)
    except ValueError as error:  # an empty array whose other lengths NumPy cannot hold
        raise DataError(f"{name}: a shape of {shape} is not possible ({error})") from error
    return array.astype(dtype.newbyteorder("="))


def write_idx(path: str | os.PathLike[str], array: np.ndarray) -> None:
    """Write an array as an IDX file, compressed where the name ends in `.gz`.

    The same array always gives the same bytes (no time stamp goes into the gzip header). Raises
    `TypeError` for a dtype that the format does not have.
    """
    array = np.asarray(array)
    code = _CODES.get(array.dtype.newbyteorder("="))
    if code is None:
        names = ", ".join(str(dtype) for dtype in _CODES)
        raise TypeError(f"IDX files hold {names}; not {array.dtype}")
    header = bytes([0, 0, code, array.ndim]) + np.array(array.shape, ">u4").tobytes()
    content = header + array.astype(ELEMENT_TYPES[code]).tobytes()
    if str(path).endswith(".gz"):
        content = gzip.compress(content, mtime=0)
    Path(path).write_bytes(content)
