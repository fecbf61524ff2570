"""Comparisons, logic, bits, and tests of special values: results without gradients."""

from __future__ import annotations

from typing import Any

import numpy as np

from flambeau.core import dtypes
from flambeau.ops.arithmetic import where
from flambeau.ops.complexes import view_as_complex
from flambeau.ops.joining import stack
from flambeau.ops.pointwise import binary, expect_tensor, result_dtype, unary
from flambeau.ops.shape import reshape
from flambeau.ops.table import make_inplace, operator
from flambeau.tensor.tensor import Tensor, wrap
from flambeau.tensor.tracing import is_tracing


def _compare(name: str, function: Any, doc: str, aliases: tuple = ()) -> Any:
    call = binary(name, function, kind="bool", doc=doc)
    operator(call, inplace=True, out=True, aliases=aliases)

    def method(self: Tensor, other: Any) -> Any:
        if isinstance(other, (Tensor, int, float, complex, np.generic)):
            return call(self, other)
        if isinstance(other, np.ndarray):
            return call(self, wrap(other))
        return NotImplemented

    setattr(Tensor, f"__{name}__", method)
    return call


eq = _compare("eq", np.equal, "`input == other`, element by element.")
ne = _compare("ne", np.not_equal, "`input != other`, element by element.", ("not_equal",))
lt = _compare("lt", np.less, "`input < other`, element by element.", ("less",))
le = _compare("le", np.less_equal, "`input <= other`, element by element.", ("less_equal",))
gt = _compare("gt", np.greater, "`input > other`, element by element.", ("greater",))
ge = _compare("ge", np.greater_equal, "`input >= other`, element by element.", ("greater_equal",))


def _register(call: Any, **options: Any) -> Any:
    return operator(call, inplace=True, out=True, **options)


logical_and = _register(
    binary("logical_and", np.logical_and, kind="bool", doc="Whether both are true (not zero).")
)
logical_or = _register(binary("logical_or", np.logical_or, kind="bool", doc="Whether any is true."))
logical_xor = _register(binary("logical_xor", np.logical_xor, kind="bool", doc="Whether one is true."))
logical_not = _register(unary("logical_not", np.logical_not, kind="bool", doc="Whether it is zero."))


def _whole_numbers(name: str, call: Any) -> Any:
    """`call`, refusing floating-point tensors as PyTorch does."""

    def checked(input: Any, other: Any) -> Tensor:
        for x in (input, other):
            if isinstance(x, (float, complex)) or (isinstance(x, Tensor) and x.dtype.kind >= dtypes.FLOATING):
                kind = x.dtype.tensor_type if isinstance(x, Tensor) else "Float"
                raise NotImplementedError(f'"{name}_cpu" not implemented for \'{kind}\'')
        return call(input, other)

    checked.__name__ = checked.__qualname__ = name
    checked.__doc__ = call.__doc__
    return checked


def _bits(name: str, function: Any, doc: str) -> Any:
    return _register(_whole_numbers(name, binary(name, function, kind="same", doc=doc)))


bitwise_and = _bits("bitwise_and", np.bitwise_and, "The bits set in both.")
bitwise_or = _bits("bitwise_or", np.bitwise_or, "The bits set in any.")
bitwise_xor = _bits("bitwise_xor", np.bitwise_xor, "The bits set in one.")


def _shift_left(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    outside = (y < 0) | (y >= x.dtype.itemsize * 8)
    return np.where(outside, 0, np.left_shift(x, np.where(outside, 0, y)))


def _shift_right(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    last = x.dtype.itemsize * 8 - 1
    outside = (y < 0) | (y > last)
    return np.right_shift(x, np.where(outside, last, y)) if x.dtype.kind == "i" else np.where(
        outside, 0, np.right_shift(x, np.where(outside, 0, y))
    )


bitwise_left_shift = _bits("bitwise_left_shift", _shift_left, "`input << other`.")
bitwise_right_shift = _bits("bitwise_right_shift", _shift_right, "`input >> other`.")
_invert = unary("bitwise_not", np.invert, kind="same")


@operator(inplace=True, out=True)
def bitwise_not(input: Tensor) -> Tensor:
    """Every bit the other way; of bools the opposite."""
    expect_tensor(input, "bitwise_not")
    if input.dtype.kind >= dtypes.FLOATING:
        raise TypeError(
            "~ (operator.invert) is only implemented on integer and Boolean-type tensors"
        )
    return _invert(input)


def _bound(call: Any, reflected: bool = False) -> Any:
    def method(self: Tensor, other: Any) -> Any:
        if not isinstance(other, (Tensor, int, float, np.generic)):
            return NotImplemented
        return call(other, self) if reflected else call(self, other)

    return method


for _name, _call in (
    ("and", bitwise_and), ("or", bitwise_or), ("xor", bitwise_xor),
    ("lshift", bitwise_left_shift), ("rshift", bitwise_right_shift),
):  # fmt: skip
    setattr(Tensor, f"__{_name}__", _bound(_call))
    setattr(Tensor, f"__r{_name}__", _bound(_call, reflected=True))
    setattr(Tensor, f"__i{_name}__", make_inplace(_call, f"__i{_name}__"))
Tensor.__invert__ = bitwise_not  # type: ignore[attr-defined]


def _float_test(function: Any, otherwise: bool) -> Any:
    return lambda x: function(x) if np.asarray(x).dtype.kind in "fcV" else np.full(np.shape(x), otherwise)


isnan = operator(unary("isnan", _float_test(np.isnan, False), kind="bool", doc="Whether it is NaN."))
isinf = operator(unary("isinf", _float_test(np.isinf, False), kind="bool", doc="Whether it is infinite."))
isfinite = operator(
    unary("isfinite", _float_test(np.isfinite, True), kind="bool", doc="Whether it is a number.")
)
isposinf = operator(
    unary("isposinf", lambda x: _infinite(x, np.inf), kind="bool", doc="Whether it is positive infinity."),
    out=True,
)
isneginf = operator(
    unary("isneginf", lambda x: _infinite(x, -np.inf), kind="bool", doc="Whether it is negative infinity."),
    out=True,
)


def _infinite(x: Any, infinity: float) -> Any:
    kind = np.asarray(x).dtype.kind
    if kind == "c":
        name = "isposinf" if infinity > 0 else "isneginf"
        raise RuntimeError(f"{name} does not support complex inputs.")
    return np.equal(x, infinity) if kind in "fV" else np.zeros(np.shape(x), bool)


@operator
def isreal(input: Tensor) -> Tensor:
    """Whether the imaginary part is 0."""
    expect_tensor(input, "isreal")
    if not input.is_complex():
        return wrap(np.ones(input._array.shape, bool))
    return eq(input.imag, 0)


signbit = operator(
    unary(
        "signbit",
        lambda x: np.signbit(x) if np.asarray(x).dtype.kind in "fV" else np.less(x, 0),
        kind="bool",
        doc="Whether the sign is negative, also of -0.0.",
    ),
    out=True,
)


@operator
def isclose(
    input: Tensor, other: Tensor, rtol: float = 1e-05, atol: float = 1e-08, equal_nan: bool = False
) -> Tensor:
    """Whether `|input - other| <= atol + rtol * |other|`. Raises `RuntimeError` for different dtypes."""
    if input.dtype is not other.dtype:
        raise RuntimeError(f"{input.dtype.tensor_type} did not match {other.dtype.tensor_type}")
    close = eq(input, other)
    if equal_nan:
        close = close | (isnan(input) & isnan(other))
    if input.dtype.kind < dtypes.FLOATING:
        input, other = input.double(), other.double()
    return close | (isfinite(input) & isfinite(other) & ((input - other).abs() <= atol + rtol * other.abs()))


@operator
def allclose(
    input: Tensor, other: Tensor, rtol: float = 1e-05, atol: float = 1e-08, equal_nan: bool = False
) -> bool:
    """Whether every element `isclose`."""
    return bool(isclose(input, other, rtol, atol, equal_nan).all())


@operator
def equal(input: Tensor, other: Tensor) -> bool:
    """Whether both have the same shape and elements. NaN is never equal."""
    if input.shape != other.shape:
        return False
    return bool(eq(input, other).all())


# Replacing and finding ----------------------------------------------------------------------------


@operator(inplace=True, out=True)
def nan_to_num(
    input: Tensor, nan: float | None = None, posinf: float | None = None, neginf: float | None = None
) -> Tensor:
    """`input` with numbers for NaN (0), infinity (the largest of the dtype) and -infinity (the lowest)."""
    if input.dtype.kind < dtypes.FLOATING:
        return input.clone()
    if input.is_complex():
        parts = (nan_to_num(part, nan, posinf, neginf) for part in (input.real, input.imag))
        return view_as_complex(stack(tuple(parts), -1))
    limits = dtypes.finfo(input.dtype)
    out = input
    for found, given, default in (
        (isnan(input), nan, 0.0),
        (isposinf(input), posinf, limits.max),
        (isneginf(input), neginf, limits.min),
    ):
        out = where(found, wrap(np.asarray(default if given is None else given, input._array.dtype)), out)
    return out


@operator(method=False, out=True)
def isin(elements: Any, test_elements: Any, *, assume_unique: bool = False, invert: bool = False) -> Tensor:
    """Whether each of `elements` is among `test_elements` (with `invert`, whether it is not)."""
    if not isinstance(elements, Tensor) and not isinstance(test_elements, Tensor):
        raise TypeError("isin(): elements and test_elements cannot both be numbers")
    elements, test = (
        x if isinstance(x, Tensor) else wrap(np.asarray(x, dtypes.dtype_of_number(x).numpy))
        for x in (elements, test_elements)
    )
    for x in (elements, test):
        if x.is_complex() or x.dtype is dtypes.bool_:
            raise RuntimeError(f"Unsupported input type encountered for isin(): {x.dtype.tensor_type}")
    if is_tracing():
        found = eq(reshape(elements, (*elements.shape, 1)), reshape(test, -1)).any(-1)
        return logical_not(found) if invert else found
    common = result_dtype(elements, test)
    if common.kind == dtypes.FLOATING and common.itemsize == 2:
        common = dtypes.float32  # NumPy sorts no bfloat16
    a, b = (x.to(common)._array for x in (elements, test))
    return wrap(np.isin(a, b, assume_unique, invert))
