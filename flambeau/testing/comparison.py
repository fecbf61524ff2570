"""`assert_close`: are two results equal but for rounding? With PyTorch's tolerances and
messages.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

import flambeau
from flambeau.core.dtypes import COMPLEX, FLOATING, dtype, promote_types
from flambeau.tensor.tensor import Tensor

Message = str | Callable[[str], str] | None

#: Relative and absolute tolerance of each floating dtype; whole numbers must be equal.
TOLERANCES = {
    "float16": (1e-3, 1e-5),
    "bfloat16": (1.6e-2, 1e-5),
    "float32": (1.3e-6, 1e-5),
    "float64": (1e-7, 1e-7),
    "complex64": (1.3e-6, 1e-5),
    "complex128": (1e-7, 1e-7),
}


def assert_close(
    actual: Any,
    expected: Any,
    *,
    allow_subclasses: bool = True,
    rtol: float | None = None,
    atol: float | None = None,
    equal_nan: bool = False,
    check_device: bool = True,
    check_dtype: bool = True,
    check_layout: bool = True,
    check_stride: bool = False,
    msg: Message = None,
) -> None:
    """Raises `AssertionError` unless `abs(actual - expected) <= atol + rtol * abs(expected)`
    everywhere.

    Compares tensors, arrays, numbers, `None`, and sequences and mappings of them. The
    tolerances follow the dtype unless both are given.

    Raises:
        ValueError: only one of the tolerances is given.
        TypeError: for values that cannot be compared.
    """
    __tracebackhide__ = True  # pytest shows the caller's line
    if (rtol is None) != (atol is None):
        missing = "rtol" if rtol is None else "atol"
        raise ValueError(
            f"Both 'rtol' and 'atol' must be either specified or omitted, but got no {missing}."
        )
    settings = _Settings(rtol, atol, equal_nan, check_dtype, check_stride, allow_subclasses)
    problem = settings.compare(actual, expected, ())
    if problem is not None:
        raise AssertionError(msg(problem) if callable(msg) else msg or problem)


def assert_allclose(
    actual: Any,
    expected: Any,
    rtol: float | None = None,
    atol: float | None = None,
    equal_nan: bool = True,
    msg: str = "",
) -> None:
    """The deprecated form of `assert_close`: without a check of dtypes, and NaN equals NaN."""
    assert_close(
        actual,
        expected,
        rtol=rtol,
        atol=atol,
        equal_nan=equal_nan,
        check_dtype=False,
        msg=msg or None,
    )


class _Settings:
    """The arguments of one `assert_close`; `compare` returns what is wrong, or `None`."""

    def __init__(
        self,
        rtol: float | None,
        atol: float | None,
        equal_nan: bool,
        check_dtype: bool,
        check_stride: bool,
        allow_subclasses: bool,
    ):
        self.rtol, self.atol, self.equal_nan = rtol, atol, equal_nan
        self.check_dtype, self.check_stride = check_dtype, check_stride
        self.allow_subclasses = allow_subclasses

    def compare(self, actual: Any, expected: Any, path: tuple[Any, ...]) -> str | None:
        if _is_list(actual) and _is_list(expected):
            if len(actual) != len(expected):
                return _at(
                    f"The length of the sequences mismatch: {len(actual)} != {len(expected)}",
                    path,
                )
            keys: Any = range(len(actual))
        elif isinstance(actual, Mapping) and isinstance(expected, Mapping):
            if actual.keys() != expected.keys():
                missing = sorted(expected.keys() - actual.keys(), key=str)
                extra = sorted(actual.keys() - expected.keys(), key=str)
                return _at(
                    "The keys of the mappings do not match:\n"
                    f"Missing keys in the actual mapping: {missing}\n"
                    f"Additional keys in the actual mapping: {extra}",
                    path,
                )
            keys = sorted(actual.keys(), key=str) if len(actual) else ()
        else:
            problem = self._compare_values(actual, expected)
            return None if problem is None else _at(problem, path)
        for key in keys:
            problem = self.compare(actual[key], expected[key], (*path, key))
            if problem is not None:
                return problem
        return None

    def _compare_values(self, actual: Any, expected: Any) -> str | None:
        if actual is None or expected is None:
            if actual is None and expected is None:
                return None
            return f"None mismatch: {actual} is not {expected}"
        if _is_bool(actual) and _is_bool(expected):
            return (
                None if actual == expected else f"Booleans mismatch: {actual} is not {expected}"
            )
        if _is_number(actual) and _is_number(expected):
            return self._compare_numbers(actual, expected)
        tensors = [self._as_tensor(x, actual, expected) for x in (actual, expected)]
        return self._compare_tensors(*tensors)

    def _as_tensor(self, x: Any, actual: Any, expected: Any) -> Tensor:
        related = isinstance(actual, type(expected)) or isinstance(expected, type(actual))
        usable = isinstance(x, (Tensor, np.ndarray)) and related
        if not usable or (not self.allow_subclasses and type(actual) is not type(expected)):
            raise TypeError(
                f"No comparison pair was able to handle inputs of type {type(actual)} and "
                f"{type(expected)}."
            )
        return x.detach() if isinstance(x, Tensor) else flambeau.as_tensor(x)

    def _tolerances(self, *dtypes: dtype) -> tuple[float, float]:
        if self.rtol is not None and self.atol is not None:
            return self.rtol, self.atol
        pairs = [TOLERANCES.get(d.name, (0.0, 0.0)) for d in dtypes]
        return max(r for r, _ in pairs), max(a for _, a in pairs)

    def _compare_numbers(self, actual: Any, expected: Any) -> str | None:
        if self.check_dtype and type(actual) is not type(expected):
            return f"The (d)types do not match: {type(actual)} != {type(expected)}."
        kinds = {int: "int64", float: "float64", complex: "complex128", bool: "bool"}
        rtol, atol = self._tolerances(
            *[getattr(flambeau, kinds.get(type(x), "float64")) for x in (actual, expected)]
        )
        if actual == expected or (self.equal_nan and actual != actual and expected != expected):
            return None
        difference = abs(actual - expected)
        if np.isfinite(difference) and difference <= atol + rtol * abs(expected):
            return None
        relative = float("inf") if expected == 0 else difference / abs(expected)
        return _mismatch(
            "Scalars",
            f"Expected {expected} but got {actual}.",
            difference,
            relative,
            rtol,
            atol,
        )

    def _compare_tensors(self, actual: Tensor, expected: Tensor) -> str | None:
        if actual.shape != expected.shape:
            return _attribute("shape", actual.shape, expected.shape)
        if self.check_stride and actual.stride() != expected.stride():
            return _attribute("stride()", actual.stride(), expected.stride())
        if self.check_dtype and actual.dtype is not expected.dtype:
            return _attribute("dtype", actual.dtype, expected.dtype)
        rtol, atol = self._tolerances(actual.dtype, expected.dtype)
        common = promote_types(actual.dtype, expected.dtype)
        a, b = (_wide(x, common) for x in (actual, expected))
        with np.errstate(all="ignore"):
            close = np.isclose(a, b, rtol, atol, self.equal_nan)
        if close.all():
            return None
        if a.ndim == 0:
            x, y = actual.item(), expected.item()
            difference = abs(x - y)
            relative = float("inf") if y == 0 else difference / abs(y)
            return _mismatch(
                "Scalars", f"Expected {y} but got {x}.", difference, relative, rtol, atol
            )
        return _tensor_mismatch(a, b, close, rtol, atol)


def _wide(x: Tensor, common: dtype) -> np.ndarray:
    """The elements in a dtype that NumPy computes in and in which differences do not
    overflow.
    """
    array = x.to(common)._array
    if common.kind < FLOATING:
        return array if common.name == "uint64" else array.astype(np.int64)
    return array.astype(np.float32) if common.kind < COMPLEX and common.itemsize == 2 else array


def _is_list(x: Any) -> bool:
    return isinstance(x, Sequence) and not isinstance(x, (str, bytes))


def _is_bool(x: Any) -> bool:
    return isinstance(x, (bool, np.bool_))


def _is_number(x: Any) -> bool:
    return isinstance(x, (int, float, complex, np.number))


def _at(problem: str, path: tuple[Any, ...]) -> str:
    if not path:
        return problem
    return f"{problem}\n\nThe failure occurred for item {''.join(f'[{key!r}]' for key in path)}"


def _attribute(name: str, actual: Any, expected: Any) -> str:
    return f"The values for attribute '{name}' do not match: {actual} != {expected}."


def _mismatch(
    what: str,
    extra: str,
    difference: float,
    relative: float,
    rtol: float,
    atol: float,
    places: tuple[Any, Any] | None = None,
) -> str:
    equality = rtol == 0 and atol == 0
    lines = [f"{what} are not {'equal' if equality else 'close'}!", "", extra]
    for title, value, allowed, place in (
        ("absolute", difference, atol, places and places[0]),
        ("relative", relative, rtol, places and places[1]),
    ):
        line = (
            f"Greatest {title} difference: " if places else f"{title.capitalize()} difference: "
        )
        line += str(value)
        if places:
            line += f" at index {place}"
        if not equality:
            line += f" (up to {allowed} allowed)"
        lines.append(line)
    return "\n".join(lines)


def _tensor_mismatch(
    a: np.ndarray, b: np.ndarray, close: np.ndarray, rtol: float, atol: float
) -> str:
    wrong = int(close.size - close.sum())
    extra = f"Mismatched elements: {wrong} / {close.size} ({wrong / close.size:.1%})"
    with np.errstate(all="ignore"):
        difference = np.where(close, 0, np.abs(a - b))
        scale = np.abs(b) if b.dtype.kind in "fc" else np.abs(b).astype(np.float32)
        relative = np.where(close, 0, difference / scale)
    worst, worst_relative = int(np.argmax(difference)), int(np.argmax(relative))
    places = tuple(
        tuple(int(i) for i in np.unravel_index(k, a.shape)) for k in (worst, worst_relative)
    )
    return _mismatch(
        "Tensor-likes",
        extra,
        difference.flat[worst].item(),
        relative.flat[worst_relative].item(),
        rtol,
        atol,
        places,  # type: ignore[arg-type]
    )
