"""Operators on lists of tensors, `_foreach_add_` and its kin, with which optimizers are written.

`flambeau.ops.foreach.NAME` makes any of them from the operator NAME; each is that operator, tensor by tensor.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from flambeau.tensor.tensor import Tensor

_UNARY = ["abs", "acos", "asin", "atan", "ceil", "cos", "cosh", "erf", "erfc", "exp", "expm1", "floor", "frac", "lgamma", "log", "log10", "log1p", "log2", "neg", "reciprocal", "round", "rsqrt", "sigmoid", "sign", "sin", "sinh", "sqrt", "tan", "tanh", "trunc"]
_BINARY = ["add", "clamp_max", "clamp_min", "div", "maximum", "minimum", "mul", "pow", "sub"]
_TERNARY = {"addcdiv": "value", "addcmul": "value", "lerp": None}
_OTHERS = ["copy", "max", "norm", "zero"]
_CLAMPS = {"maximum": "clamp_min", "minimum": "clamp_max"}


def names() -> list[str]:
    """The names of all operators on lists, without those that end in an underscore."""
    return [f"_foreach_{n}" for n in (*_UNARY, *_BINARY, *_TERNARY, *_OTHERS)]


def _spread(x: Any, count: int, what: str) -> list[Any]:
    """`x` for each tensor: a list as it is, or one number or tensor for all.

    Raises:
        RuntimeError: for a list of another length.
    """
    if isinstance(x, (list, tuple)):
        if len(x) != count:
            raise RuntimeError(
                f"Tensor lists must have the same number of tensors, got {count} and {len(x)}"
                if what == "tensors"
                else f"Tensor list must have same number of elements as scalar list, got {count} and {len(x)}"
            )
        return list(x)
    if what == "scalars" and isinstance(x, Tensor):
        return list(x.unbind()) if x.dim() == 1 else [x] * count
    return [x] * count


def _checked(tensors: Any) -> Sequence[Tensor]:
    if not isinstance(tensors, (list, tuple)):
        raise TypeError(f"argument 'self' must be tuple of Tensors, not {type(tensors).__name__}")
    if not tensors:
        raise RuntimeError("Tensor list must have at least one tensor.")
    return tensors


def _operator(name: str, inplace: bool) -> Callable[..., Any]:
    """The operator `name` on one tensor; as `Tensor.NAME_` where it works in place."""

    def call(x: Tensor, *args: Any, **kwargs: Any) -> Any:
        method = name
        if name in _CLAMPS and not isinstance(args[0], Tensor):
            method = _CLAMPS[name]
        elif name == "pow" and not isinstance(x, Tensor):
            return args[0].__rpow__(x)
        elif inplace and name in _CLAMPS:
            return x.copy_(getattr(x, name)(*args))
        return getattr(x, method + "_" * inplace)(*args, **kwargs)

    return call


def _unary(name: str, inplace: bool) -> Callable[..., Any]:
    call = _operator(name, inplace)

    def foreach(self: Any) -> Any:
        results = [call(x) for x in _checked(self)]
        return list(self) if inplace else tuple(results)

    return foreach


def _binary(name: str, inplace: bool) -> Callable[..., Any]:
    call = _operator(name, inplace)

    def foreach(self: Any, other: Any = None, *, scalar: Any = None, scalars: Any = None, alpha: Any = None) -> Any:
        second = next(x for x in (other, scalar, scalars, self) if x is not None)
        options = {} if alpha is None else {"alpha": alpha}
        if name == "pow" and not isinstance(self, (list, tuple)):  # a number to the power of each tensor
            return tuple(call(self, x) for x in _checked(second))
        many = _spread(second, len(_checked(self)), "tensors")
        results = [call(x, y, **options) for x, y in zip(self, many, strict=True)]
        return list(self) if inplace else tuple(results)

    return foreach


def _ternary(name: str, inplace: bool, keyword: str | None) -> Callable[..., Any]:
    call = _operator(name, inplace)

    def foreach(self: Any, tensor1: Any, tensor2: Any = None, value: Any = 1, **named: Any) -> Any:
        count = len(_checked(self))
        for other in ("tensors2", "weight", "weights", "scalar"):
            tensor2 = named.pop(other, tensor2)
        value = named.pop("scalars", value)
        if named:
            raise TypeError(f"_foreach_{name}() got an unexpected keyword argument {next(iter(named))!r}")
        first, second = _spread(tensor1, count, "tensors"), _spread(tensor2, count, "tensors")
        if keyword is None:
            results = [call(x, y, z) for x, y, z in zip(self, first, second, strict=True)]
        else:
            values = [v.item() if isinstance(v, Tensor) else v for v in _spread(value, count, "scalars")]
            results = [
                call(x, y, z, **{keyword: v}) for x, y, z, v in zip(self, first, second, values, strict=True)
            ]
        return list(self) if inplace else tuple(results)

    return foreach


def _foreach_copy_(self: Any, src: Any, non_blocking: bool = False) -> list[Tensor]:
    """Copies each tensor of `src` into its place in `self`."""
    for x, y in zip(_checked(self), _spread(src, len(self), "tensors"), strict=True):
        x.copy_(y)
    return list(self)


def _foreach_copy(self: Any, src: Any, non_blocking: bool = False) -> tuple[Tensor, ...]:
    """Tensors like those of `self`, with the values of `src`."""
    return tuple(x.clone().copy_(y) for x, y in zip(_checked(self), src, strict=True))


def _foreach_zero_(self: Any) -> list[Tensor]:
    """Fills each tensor with zeros."""
    for x in _checked(self):
        x.zero_()
    return list(self)


def _foreach_zero(self: Any) -> tuple[Tensor, ...]:
    """A tensor of zeros like each."""
    return tuple(x * 0 for x in _checked(self))


def _foreach_norm(self: Any, ord: Any = 2, dtype: Any = None) -> tuple[Tensor, ...]:
    """The vector norm of each tensor."""
    from flambeau import linalg

    return tuple(linalg.vector_norm(x, ord, dtype=dtype) for x in _checked(self))


def _foreach_max(self: Any) -> tuple[Tensor, ...]:
    """The largest element of each tensor."""
    return tuple(x.max() for x in _checked(self))


def __getattr__(name: str) -> Any:
    base = name.removeprefix("_foreach_")
    inplace = base.endswith("_")
    base = base.removesuffix("_")
    if not name.startswith("_foreach_"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if base in _UNARY:
        made = _unary(base, inplace)
    elif base in _BINARY:
        made = _binary(base, inplace)
    elif base in _TERNARY:
        made = _ternary(base, inplace, _TERNARY[base])
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    made.__name__ = made.__qualname__ = name
    made.__doc__ = f"`{base}{'_' * inplace}` of each tensor of a list."
    globals()[name] = made
    return made
