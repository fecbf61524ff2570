"""The machinery of pointwise operators: dtype promotion, broadcasting, and the short path of small calls.

`unary` and `binary` turn one NumPy function into an operator. The mathematics is in `arithmetic.py`,
`mathematics.py` and `comparison.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from flambeau.autograd.modes import modes
from flambeau.core import dtypes
from flambeau.core.dtypes import FROM_NUMPY, dtype
from flambeau.core.shapes import broadcast_shapes
from flambeau.ops import on_kernels
from flambeau.ops.elementwise import fused
from flambeau.ops.table import Elementwise, Primitive, Spec, sparse_form
from flambeau.tensor.tensor import Tensor, wrap
from flambeau.tensor.tracing import state

ndarray = np.ndarray
#: Stands for the lowering of a function that generated code does not know: compiled programs call NumPy's.
HOST = object()
NUMBERS = (int, float, bool, complex, np.generic)

_floats = frozenset(np.dtype(t) for t in ("f2", "f4", "f8", "c8", "c16"))
_ints = frozenset(np.dtype(t) for t in ("u1", "u2", "u4", "u8", "i1", "i2", "i4", "i8"))
#: For each kind of result, the stored dtypes whose NumPy result is PyTorch's at once.
DIRECT = {
    "same": _floats | _ints,
    "float": _floats,
    "bool": _floats | _ints | {np.dtype(np.bool_)},
    "integer": _ints | {np.dtype(np.bool_)},
    "real": _floats - {np.dtype("c8"), np.dtype("c16")},
}


# Promotion ----------------------------------------------------------------------------------------


def result_dtype(*arguments: Any) -> dtype:
    """The common dtype of tensors and numbers, as `torch.result_type` for any count.

    Tensors with dimensions decide; 0-dim tensors, then numbers, count only where they are of a higher
    kind (a float beside integers).
    """
    ranks: list[dtype | None] = [None, None, None]
    for x in arguments:
        if x is None:
            continue
        if isinstance(x, Tensor):
            rank, d = (0 if x._array.ndim else 1), FROM_NUMPY[x._array.dtype]
        else:
            rank, d = 2, dtypes.dtype_of_number(x)
        held = ranks[rank]
        ranks[rank] = d if held is None else dtypes.promote_types(held, d)
    return _combine(ranks[0], _combine(ranks[1], ranks[2]))  # type: ignore[return-value]


def _combine(higher: dtype | None, lower: dtype | None) -> dtype | None:
    if higher is None or lower is None:
        return lower if higher is None else higher
    if higher.kind == dtypes.COMPLEX:
        return higher
    if higher.kind == dtypes.FLOATING:
        return higher.to_complex() if lower.kind == dtypes.COMPLEX else higher
    if higher.kind == dtypes.BOOL or lower.kind >= dtypes.FLOATING:
        return dtypes.promote_types(higher, lower)
    return higher


def promoted(arguments: tuple, kind: str) -> tuple[list[Any], dtype]:
    """`arguments` cast to their common dtype (numbers stay numbers, NumPy's become Python's), and that dtype."""
    common = result_dtype(*arguments)
    if kind == "float" and common.kind < dtypes.FLOATING:
        common = dtypes.get_default_dtype()
    stored = common.numpy
    cast = [
        x.item() if isinstance(x, np.generic) else x
        if not isinstance(x, Tensor) or x._array.dtype == stored else x.to(common)
        for x in arguments
    ]  # fmt: skip
    return cast, common


def number_as(x: Any, d: dtype) -> Any:
    """A Python number as one of dtype `d`, as it meets a tensor of `d`."""
    if d.kind == dtypes.FLOATING:
        return float(x)
    if d.kind == dtypes.COMPLEX:
        return complex(x)
    if d.kind == dtypes.BOOL:
        return bool(x)
    whole = int(x)
    if 0 <= whole < 128 or (d.is_signed and abs(whole) < 128):
        return whole
    return int(np.asarray(whole).astype(d.numpy))  # wraps around, as in C


def pointwise_rule(kind: str) -> Callable[..., Spec]:
    """The rule of a pointwise primitive: shapes broadcast, the dtype is the common one or `bool`."""

    def rule(*specs: Any, **attributes: Any) -> Spec:
        known = [s for s in specs if isinstance(s, Spec)]
        shape = broadcast_shapes(*[s.shape for s in known])
        stored = np.dtype(np.bool_) if kind == "bool" else known[-1].dtype
        if kind == "real":
            stored = FROM_NUMPY[stored].to_real().numpy
        return Spec(shape, stored)

    return rule


def computed(compute: Callable[..., Any], kind: str, wide_numbers: bool = False) -> Callable[..., Any]:
    """`compute` with numbers beside narrow dtypes kept narrow, and results of the right dtype.

    `wide_numbers`: half-width floats meet numbers in float32, and only the result is rounded.
    """

    def run(*arrays: Any, **attributes: Any) -> Any:
        stored = next(a.dtype for a in arrays if isinstance(a, (ndarray, np.generic)))
        if any(not isinstance(a, (ndarray, np.generic)) for a in arrays):
            d = FROM_NUMPY[stored]
            of_number = np.dtype(np.float32) if wide_numbers and stored.itemsize == 2 and d.kind == dtypes.FLOATING else stored
            arrays = tuple(
                a if isinstance(a, (ndarray, np.generic)) else np.asarray(number_as(a, d), of_number)
                for a in arrays
            )
        result = np.asarray(compute(*arrays, **attributes))
        if kind == "bool":
            return result
        wanted = FROM_NUMPY[stored].to_real().numpy if kind == "real" else stored
        return result if result.dtype == wanted else result.astype(wanted)

    return run


# Factories ----------------------------------------------------------------------------------------


def expect_tensor(x: Any, function: str, argument: str = "input") -> None:
    """Raises `TypeError` unless `x` is a tensor."""
    if not isinstance(x, Tensor):
        raise TypeError(f"{function}(): argument '{argument}' must be Tensor, not {type(x).__name__}")


def unary(
    name: str,
    compute: Callable[..., Any],
    derivative: Callable[..., Any] | None = None,
    lowering: Any = None,
    *,
    kind: str = "float",
    node_name: str | None = None,
    doc: str | None = None,
) -> Callable[[Tensor], Tensor]:
    """A pointwise operator of one tensor. `kind`: the result's dtype (see `DIRECT`)."""
    if name in on_kernels.FUNCTIONS:
        compute = _large_on_kernels(name, compute)
        if derivative is not None and derivative.__code__.co_argcount == 2:
            derivative = fused(derivative)
    primitive = Primitive(
        name,
        "input",
        computed(compute, kind),
        rule=pointwise_rule(kind),
        derivative=None if derivative is None else {"input": derivative},
        lowering=_lowered(lowering, lambda k, x: getattr(k, name)(x)),
        broadcasts=True,
        node_name=node_name,
    )
    direct = DIRECT[kind]

    def call(input: Tensor) -> Tensor:
        if not state.busy and isinstance(input, Tensor):
            array = input._array
            if array.dtype in direct:
                out = wrap(compute(array))
                if (
                    derivative is not None
                    and (input._requires_grad or input._view is not None)
                    and modes.grad_enabled
                    and input.requires_grad
                ):
                    primitive.attach_short(out, (input,), NO_ATTRIBUTES, True)
                return out
        expect_tensor(input, name)
        if input._sparse:
            return sparse_form(name)(input)
        (x,), _ = promoted((input,), kind)
        return primitive(x)

    return _named(call, name, doc, primitive)


def _large_on_kernels(name: str, compute: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def run(x: Any) -> Any:
        fast = on_kernels.function(name, x) if x.size >= on_kernels.CHAINED else None
        return compute(x) if fast is None else fast

    return run


def _pairs_on_kernels(name: str, compute: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    def run(x: Any, y: Any) -> Any:
        size = x.size if isinstance(x, ndarray) and x.ndim else getattr(y, "size", 0)
        fast = on_kernels.pair(name, x, y) if size >= on_kernels.CHAINED else None
        return compute(x, y) if fast is None else fast

    return run


def _lowered(given: Any, usual: Callable[..., Any]) -> Elementwise | None:
    return None if given is HOST else Elementwise(given or usual)


NO_ATTRIBUTES: dict[str, Any] = {}


def binary(
    name: str,
    compute: Callable[..., Any],
    derivative: dict[str, Callable[..., Any]] | None = None,
    lowering: Any = None,
    *,
    kind: str = "same",
    doc: str | None = None,
) -> Callable[[Any, Any], Tensor]:
    """A pointwise operator of two tensors, or of a tensor and a number on either side."""
    on_halves = name in on_kernels.PAIRS
    fast = _pairs_on_kernels(name, compute) if on_halves else compute
    if name == "pow":  # which is slow in NumPy for all dtypes
        compute = fast
    primitive = Primitive(
        name,
        "input other",
        computed(fast, kind, name in ("mul", "div")),
        rule=pointwise_rule(kind),
        derivative=derivative,
        lowering=_lowered(lowering, lambda k, x, y: getattr(k, name)(x, y)),
        broadcasts=True,
    )
    direct = DIRECT[kind] - {np.dtype(np.float16)} if on_halves else DIRECT[kind]
    differentiable = derivative is not None

    def call(input: Any, other: Any) -> Tensor:
        if not state.busy and isinstance(input, Tensor):
            x = input._array
            stored = x.dtype
            if isinstance(other, Tensor):
                y = other._array
                if stored is y.dtype and stored in direct:
                    try:
                        out = wrap(compute(x, y))
                    except ValueError:
                        primitive.explain((x, y), NO_ATTRIBUTES)
                        raise
                    if (
                        differentiable
                        and (
                            input._requires_grad
                            or other._requires_grad
                            or input._view is not None
                            or other._view is not None
                        )
                        and modes.grad_enabled
                        and (input.requires_grad or other.requires_grad)
                    ):
                        primitive.attach_short(
                            out, (input, other), NO_ATTRIBUTES, x.shape == y.shape
                        )
                    return out
            elif (other.__class__ is float or other.__class__ is int) and stored.kind == "f" and stored.itemsize > 2:
                out = wrap(compute(x, other))
                if (
                    differentiable
                    and (input._requires_grad or input._view is not None)
                    and modes.grad_enabled
                    and input.requires_grad
                ):
                    primitive.attach_short(out, (input, other), NO_ATTRIBUTES, True)
                return out
        if not isinstance(input, Tensor) and not isinstance(other, Tensor):
            expect_tensor(input, name)
        if getattr(input, "_sparse", False) or getattr(other, "_sparse", False):
            return sparse_form(name)(input, other)
        (a, b), _ = promoted((input, other), kind)
        return primitive(a, b)

    return _named(call, name, doc, primitive)


def _named(call: Callable, name: str, doc: str | None, primitive: Primitive) -> Any:
    call.__name__ = call.__qualname__ = name
    call.__doc__ = doc
    call.primitive = primitive  # type: ignore[attr-defined]
    return call
