"""MATLAB files of version 5: numbers, texts and structures, which is what data sets put into them.

Source: "MAT-File Format", The MathWorks. After a header of 128 bytes comes one *element* after another: a tag (a type
and a number of bytes), data, padding to 8 bytes. A short element has both in the first 8 bytes. An array is an element
of elements: flags, shape, name, contents.
"""

from __future__ import annotations

import math
import os
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from flambeau.vision.datasets.errors import DataError

_HEADER = 128
_ARRAY, _COMPRESSED = 14, 15
_NUMBERS = {
    **{1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"},
    **{16: "u1", 17: "u2", 18: "u4"},  # texts, as their codes
}
_CELL, _STRUCTURE, _TEXT = 1, 2, 4
_NUMERIC = range(6, 16)


def read_mat(path: str | os.PathLike[str]) -> dict[str, Any]:
    """The variables of a file, by name.

    Arrays of numbers are NumPy arrays of their shape (at least two dimensions, as in MATLAB), texts are `str`, arrays of
    structures are lists of dictionaries, cells lists.

    Raises:
        DataError: for a file that is damaged or of another version, or holds another kind of array.
    """
    content = Path(path).read_bytes()
    if len(content) < _HEADER or content[126:128] not in (b"IM", b"MI"):
        raise DataError(f"{path}: not a MATLAB file of version 5")
    order = "<" if content[126:128] == b"IM" else ">"
    try:
        return dict(_variable(data, order) for _, data in _elements(content[_HEADER:], order))
    except DataError as error:
        raise DataError(f"{path}: {error}") from error
    except (LookupError, ValueError, RuntimeError, TypeError, OverflowError, MemoryError, zlib.error) as error:
        raise DataError(f"{path}: damaged or cut short ({type(error).__name__}: {error})") from error


def _elements(content: bytes, order: str) -> Iterator[tuple[int, bytes]]:
    """The types and data of the elements that lie one after another; compressed ones unpacked."""
    at = 0
    while at < len(content):
        (word,) = np.frombuffer(content, order + "u4", 1, at)
        if word >> 16:  # type and size share a word, four bytes of data follow
            kind, size, start = int(word & 0xFFFF), int(word >> 16), at + 4
            end = at + 8
        else:
            kind, size, start = int(word), int(np.frombuffer(content, order + "u4", 1, at + 4)[0]), at + 8
            end = start + size + (-size % 8 if kind != _COMPRESSED else 0)
        data = content[start : start + size]
        if len(data) < size:
            raise ValueError(f"an element of {size} bytes has {len(data)}")
        at = end
        if kind == _COMPRESSED:
            yield from _elements(zlib.decompress(data), order)
        else:
            yield kind, data


def _variable(content: bytes, order: str) -> tuple[str, Any]:
    """The name and the value of an array."""
    if not content:  # an empty place in a structure
        return "", np.zeros((0, 0))
    parts = _elements(content, order)
    flags = np.frombuffer(next(parts)[1], order + "u4")
    shape = tuple(np.frombuffer(next(parts)[1], order + "i4").tolist())
    name = next(parts)[1].decode("ascii")
    kind = int(flags[0] & 0xFF)
    count = math.prod(shape)
    if kind == _STRUCTURE:
        length = int(np.frombuffer(next(parts)[1], order + "i4")[0])
        names = next(parts)[1]
        fields = [
            names[at : at + length].partition(b"\0")[0].decode("ascii") for at in range(0, len(names), length)
        ]
        return name, [{field: _variable(next(parts)[1], order)[1] for field in fields} for _ in range(count)]
    if kind == _CELL:
        return name, [_variable(next(parts)[1], order)[1] for _ in range(count)]
    if kind not in _NUMERIC and kind != _TEXT:
        raise DataError(f"variable '{name}' is of a kind that is not read here (class {kind})")
    stored, data = next(parts)
    if kind == _TEXT:
        if stored == 16:
            return name, data.decode("utf-8")
        return name, "".join(map(chr, np.frombuffer(data, order + _NUMBERS[stored]).tolist()))
    return name, np.frombuffer(data, order + _NUMBERS[stored]).reshape(shape, order="F")
