"""Tensors from nothing, from numbers, and from arrays."""

from __future__ import annotations

import builtins
from collections.abc import Sequence
from typing import Any

import numpy as np

from flambeau.autograd.modes import modes
from flambeau.core import device as devices
from flambeau.core import dtypes
from flambeau.core.dtypes import dtype, from_numpy_dtype
from flambeau.core.shapes import as_shape
from flambeau.ops.pointwise import number_as
from flambeau.ops.table import Primitive, Spec, operator, write_out
from flambeau.tensor.tensor import Tensor, wrap
from flambeau.tensor.tracing import state


def finish(
    array: np.ndarray | Tensor,
    requires_grad: bool = False,
    out: Tensor | None = None,
    device: Any = None,
    layout: Any = None,
    pin_memory: bool = False,
    name: str = "creation",
) -> Tensor:
    """A tensor on a new array (or one just computed), with the arguments that every creating function takes."""
    devices.check_device(device)
    if layout not in (None, devices.strided):
        raise NotImplementedError(f"{name}(layout={layout}): only torch.strided is there")
    if isinstance(array, Tensor):
        made = array
    else:
        made = wrap(array)
        if state.busy and state.tracer is not None:
            made = state.tracer.constant(made)
    if out is not None:
        return write_out(out, made, name)
    if modes.inference:
        made._own_extra().inference = True
    if requires_grad:
        if made._array.dtype.kind not in "fcV":
            raise RuntimeError(
                "Only Tensors of floating point and complex dtype can require gradients"
            )
        made.requires_grad = True
    return made


def _stored(d: dtype | None) -> np.dtype:
    return (dtypes.get_default_dtype() if d is None else dtypes.as_dtype(d)).numpy


@operator(method=False, out=False)
def zeros(
    *size: Any, out: Tensor | None = None, dtype: dtype | None = None, requires_grad: bool = False, **options: Any
) -> Tensor:
    """A tensor of zeros."""
    if size and out is None and not (requires_grad or options or state.busy):
        return wrap(np.zeros(_sizes(size, options, "zeros"), _stored(dtype)))
    d = out.dtype if out is not None and dtype is None else dtype
    return finish(np.zeros(_sizes(size, options, "zeros"), _stored(d)), requires_grad, out, **_options(options))


@operator(method=False)
def ones(
    *size: Any, out: Tensor | None = None, dtype: dtype | None = None, requires_grad: bool = False, **options: Any
) -> Tensor:
    """A tensor of ones."""
    if size and out is None and not (requires_grad or options or state.busy):
        return wrap(np.ones(_sizes(size, options, "ones"), _stored(dtype)))
    d = out.dtype if out is not None and dtype is None else dtype
    return finish(np.ones(_sizes(size, options, "ones"), _stored(d)), requires_grad, out, **_options(options))


@operator(method=False)
def empty(
    *size: Any, out: Tensor | None = None, dtype: dtype | None = None, requires_grad: bool = False, **options: Any
) -> Tensor:
    """A tensor whose elements are not initialised."""
    if size and out is None and not (requires_grad or options or state.busy):
        return wrap(np.empty(_sizes(size, options, "empty"), _stored(dtype)))
    d = out.dtype if out is not None and dtype is None else dtype
    memory_format = options.pop("memory_format", None)
    array = np.empty(_sizes(size, options, "empty"), _stored(d))
    if memory_format in (devices.channels_last, devices.channels_last_3d):
        order = (0, *range(2, array.ndim), 1)
        back = (0, array.ndim - 1, *range(1, array.ndim - 1))
        array = np.empty([array.shape[i] for i in order], array.dtype).transpose(back)
    return finish(array, requires_grad, out, **_options(options))


def _sizes(size: Sequence[Any], options: dict, name: str) -> tuple[int, ...]:
    if not size and "size" in options:
        size = (options.pop("size"),)
    shape = as_shape(size)
    if any(n < 0 for n in shape):
        if name == "zeros":
            raise RuntimeError("zeros: Dimension size must be non-negative.")
        raise RuntimeError(
            f"Trying to create tensor with negative dimension {min(shape)}: {list(shape)}"
        )
    return shape


def _options(options: dict) -> dict:
    unknown = set(options) - {"device", "layout", "pin_memory", "names"}
    if unknown:
        raise TypeError(f"got an unexpected keyword argument '{sorted(unknown)[0]}'")
    options.pop("names", None)
    return options


def stored_number(x: Any, d: dtype) -> np.ndarray:
    """A number as an element of dtype `d`; whole numbers wrap around, as in C."""
    if isinstance(x, builtins.complex) and d.kind < dtypes.COMPLEX:
        name = d.name.rstrip("0123456789")
        raise RuntimeError(f"value cannot be converted to type {name} without overflow")
    return np.asarray(number_as(x, d)).astype(d.numpy)


@operator(method=False)
def full(
    size: Sequence[int],
    fill_value: Any,
    *,
    out: Tensor | None = None,
    dtype: dtype | None = None,
    requires_grad: bool = False,
    **options: Any,
) -> Tensor:
    """A tensor of one value; its dtype is the value's unless given."""
    if isinstance(fill_value, Tensor):
        fill_value = fill_value.item()
    if dtype is None:
        dtype = out.dtype if out is not None else dtypes.dtype_of_number(fill_value)
    array = np.full(as_shape((size,)), stored_number(fill_value, dtypes.as_dtype(dtype)))
    return finish(array, requires_grad, out, **_options(options))


def _like(name: str, make: Any, at_once: Any, doc: str) -> Any:
    """`NAME_like` from `NAME`; `at_once` makes the array where nothing more was asked for."""

    def call(
        input: Tensor, *args: Any, dtype: dtype | None = None, memory_format: Any = None, **options: Any
    ) -> Tensor:
        if not isinstance(input, Tensor):
            kind = type(input).__name__
            raise TypeError(f"{name}(): argument 'input' (position 1) must be Tensor, not {kind}")
        array = input._array
        if dtype is None and not (args or options or memory_format or state.busy) and array.flags.c_contiguous:
            return wrap(at_once(array.shape, array.dtype))
        d = input.dtype if dtype is None else dtype
        made = make(tuple(input._array.shape), *args, dtype=d, **options)
        if memory_format in (None, devices.preserve_format) and not input.is_contiguous():
            from flambeau.ops.convert import _is_dense

            if _is_dense(input._array) and isinstance(made._array, np.ndarray):
                order = np.argsort([-s for s in input._array.strides], kind="stable")
                moved = made._array.reshape([input._array.shape[i] for i in order])
                made._array = moved.transpose(np.argsort(order))
        elif memory_format in (devices.channels_last, devices.channels_last_3d):
            made = made.to(memory_format=memory_format)
        return made

    call.__name__ = call.__qualname__ = name
    call.__doc__ = doc
    return operator(call, method=False)


zeros_like = _like("zeros_like", zeros, np.zeros, "Zeros of the shape, dtype and strides of `input`.")
ones_like = _like("ones_like", ones, np.ones, "Ones of the shape, dtype and strides of `input`.")
empty_like = _like("empty_like", empty, np.empty, "Uninitialised, of the shape, dtype and strides of `input`.")


@operator(method=False)
def full_like(input: Tensor, fill_value: Any, *, dtype: dtype | None = None, **options: Any) -> Tensor:
    """`fill_value` in the shape and dtype of `input`."""
    requires_grad = options.pop("requires_grad", False)
    made = empty_like(input, dtype=dtype, **options)
    return fill_(made, fill_value).requires_grad_(requires_grad)


@operator(method=False)
def empty_strided(
    size: Sequence[int], stride: Sequence[int], *, dtype: dtype | None = None, requires_grad: bool = False,
    **options: Any,
) -> Tensor:  # fmt: skip
    """A tensor with the given strides (in elements) whose elements are not initialised."""
    shape, steps = as_shape((size,)), as_shape((stride,))
    if len(shape) != len(steps):
        raise RuntimeError(
            f"dimensionality of sizes ({len(shape)}) must match dimensionality of strides ({len(steps)})"
        )
    if any(n < 0 for n in shape):
        raise RuntimeError(
            f"Trying to create tensor with negative dimension {min(shape)}: {list(shape)}"
        )
    if any(n < 0 for n in steps):
        raise RuntimeError(f"empty_strided: negative strides are not supported: {list(steps)}")
    stored = _stored(dtype)
    room = 0 if 0 in shape else 1 + sum((n - 1) * s for n, s in zip(shape, steps, strict=True))
    memory = np.empty(room, stored)
    array = np.ndarray(shape, stored, memory, 0, [stored.itemsize * s for s in steps])
    return finish(array, requires_grad, **_options(options))


@operator(method=False)
def empty_permuted(
    size: Sequence[int], physical_layout: Sequence[int], *, dtype: dtype | None = None,
    requires_grad: bool = False, **options: Any,
) -> Tensor:  # fmt: skip
    """A gapless tensor, not initialised, whose dimensions lie in memory in the order `physical_layout`."""
    shape, order = as_shape((size,)), as_shape((physical_layout,))
    if len(shape) != len(order):
        raise RuntimeError(
            f"Number of dimensions in size does not match the length of the physical_layout; i.e. len(size) "
            f"= {len(shape)} is not equal to len(physical_layout) = {len(order)}"
        )
    if any(not 0 <= d < len(shape) for d in order):
        bad = next(d for d in order if not 0 <= d < len(shape))
        raise RuntimeError(
            f"Dimension out of range (expected to be between 0 and {len(shape) - 1}, but got {bad} at index "
            f"{order.index(bad)}).  NB: negative dims not currently supported; file an issue if you want it."
        )
    if len(set(order)) != len(order):
        raise RuntimeError("Duplicate dim not allowed")
    array = np.empty([shape[d] for d in order], _stored(dtype))
    return finish(array.transpose(np.argsort(order)), requires_grad, **_options(options))


def _new(name: str, make: Any) -> None:
    def call(self: Tensor, *args: Any, dtype: dtype | None = None, **options: Any) -> Tensor:
        return make(*args, dtype=self.dtype if dtype is None else dtype, **options)

    call.__name__ = call.__qualname__ = name
    call.__doc__ = f"`{name[4:]}` with the dtype of this tensor."
    operator(call, name=name, function_name=False)


for _name, _make in (
    ("new_zeros", zeros), ("new_ones", ones), ("new_empty", empty), ("new_full", full),
    ("new_empty_strided", empty_strided),
):  # fmt: skip
    _new(_name, _make)


@operator(function_name=False)
def new_tensor(self: Tensor, data: Any, *, dtype: dtype | None = None, **options: Any) -> Tensor:
    """`tensor(data)` with the dtype of this tensor."""
    return tensor(data, dtype=self.dtype if dtype is None else dtype, **options)


# From values --------------------------------------------------------------------------------------


def _kinds_in(data: Any, found: set[type]) -> None:
    for x in data:
        if isinstance(x, (list, tuple)):
            _kinds_in(x, found)
        else:
            found.add(type(x))


def array_of(data: Any, d: dtype | None) -> np.ndarray:
    """A new array of nested sequences, numbers, arrays or tensors, with PyTorch's choice of dtype."""
    if isinstance(data, Tensor):
        array = data._array
        return array.copy() if d is None else array.astype(dtypes.as_dtype(d).numpy)
    if isinstance(data, (np.ndarray, np.generic)):
        if d is None:
            array = np.array(data, dtype=from_numpy_dtype(data.dtype).numpy)
        else:
            array = np.asarray(data).astype(dtypes.as_dtype(d).numpy)
        return array if array.flags.c_contiguous else np.ascontiguousarray(array).reshape(array.shape)
    if isinstance(data, (str, bytes)):
        raise TypeError(f"new(): invalid data type '{type(data).__name__}'")
    if isinstance(data, (list, tuple, range)) or (hasattr(data, "__len__") and hasattr(data, "__getitem__")):
        kinds: set[type] = set()
        _kinds_in(data, kinds)
        if str in kinds or bytes in kinds:
            raise ValueError("too many dimensions 'str'")
        if any(issubclass(k, (Tensor, np.ndarray)) for k in kinds):
            data = _unpacked(data)
        try:
            array = np.array(data)
        except ValueError:
            _explain_ragged(data)
            raise
        if array.dtype == object:
            _explain_ragged(data)
            bad = next(k for k in kinds if not issubclass(k, (int, float, builtins.complex, np.generic)))
            raise RuntimeError(f"Could not infer dtype of {bad.__name__}")
        if d is None:
            d = _default_for(array, kinds)
        return array.astype(dtypes.as_dtype(d).numpy)
    if hasattr(data, "__array__"):
        return array_of(np.asarray(data), d)
    if not isinstance(data, (int, float, builtins.complex)):
        raise RuntimeError(f"Could not infer dtype of {type(data).__name__}")
    if d is None:
        d = dtypes.dtype_of_number(data)
    return _checked_number(data, dtypes.as_dtype(d))


def _checked_number(x: Any, d: dtype) -> np.ndarray:
    if isinstance(x, builtins.complex) and d.kind < dtypes.COMPLEX:
        raise RuntimeError(f"value cannot be converted to type {d.name} without overflow")
    if isinstance(x, int) and not isinstance(x, bool) and d.kind == dtypes.INTEGER:
        info = np.iinfo(d.numpy)
        if not (info.min <= x <= info.max):
            raise RuntimeError(f"value cannot be converted to type {d.name} without overflow")
    if isinstance(x, float) and d.kind == dtypes.INTEGER:
        x = int(x)
    return np.asarray(x).astype(d.numpy)


def _unpacked(data: Any) -> Any:
    if isinstance(data, Tensor):
        return data.tolist()
    if isinstance(data, np.ndarray):
        return data
    return [_unpacked(x) for x in data] if isinstance(data, (list, tuple)) else data


def _default_for(array: np.ndarray, kinds: set[type]) -> dtype:
    if not kinds:
        return dtypes.get_default_dtype()
    if all(issubclass(k, (bool, np.bool_)) for k in kinds):
        return dtypes.bool_
    if any(issubclass(k, np.generic) for k in kinds) and not any(k in (float, builtins.complex) for k in kinds):
        return from_numpy_dtype(array.dtype)
    if array.dtype.kind == "c":
        return dtypes.get_default_dtype().to_complex()
    if array.dtype.kind == "f":
        return dtypes.get_default_dtype()
    return dtypes.int64


def _explain_ragged(data: Any, depth: int = 0) -> None:
    lengths = {len(x) if isinstance(x, (list, tuple)) else None for x in data}
    if len(lengths) > 1:
        sizes = [len(x) if isinstance(x, (list, tuple)) else None for x in data]
        first = next(n for n in sizes if n is not None)
        other = next((n for n in sizes if n != first), None)
        raise ValueError(
            f"expected sequence of length {first} at dim {depth + 1} (got {other})"
        )
    for x in data:
        if isinstance(x, (list, tuple)):
            _explain_ragged(x, depth + 1)


@operator(method=False)
def tensor(
    data: Any,
    *,
    dtype: dtype | None = None,
    device: Any = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
) -> Tensor:
    """A new leaf tensor with a copy of `data`: numbers, nested sequences, arrays or tensors.

    Raises `ValueError` for ragged sequences, `RuntimeError` for values that have no dtype.
    """
    if isinstance(data, Tensor) and state.tracer is not None:
        return data.detach().clone() if dtype is None else data.detach().to(dtype, copy=True)
    return finish(array_of(data, dtype), requires_grad, device=device)


@operator(method=False)
def scalar_tensor(s: Any, **options: Any) -> Tensor:
    """A 0-dim tensor of the default dtype."""
    options.setdefault("dtype", dtypes.get_default_dtype())
    return full((), s, **options)


@operator(method=False)
def as_tensor(data: Any, dtype: dtype | None = None, device: Any = None, **options: Any) -> Tensor:
    """`data` as a tensor, on the same memory where possible (arrays and tensors of the wanted dtype)."""
    devices.check_device(device)
    if isinstance(data, Tensor):
        return data if dtype is None else data.to(dtype)
    if isinstance(data, np.ndarray):
        made = from_numpy(data)
        return made if dtype is None else made.to(dtype)
    return tensor(data, dtype=dtype, **options)


@operator(method=False)
def asarray(
    obj: Any, *, dtype: dtype | None = None, device: Any = None, copy: bool | None = None,
    requires_grad: bool | None = None,
) -> Tensor:  # fmt: skip
    """A tensor of anything with elements: tensors, arrays, DLPack exporters, buffers, sequences, numbers.

    copy: `True` for new memory always, `False` for an error where memory cannot be shared, `None` to share
    where possible. requires_grad: `False` cuts the history off, `None` leaves it as it is.
    """
    devices.check_device(device)
    wanted = None if dtype is None else dtypes.as_dtype(dtype)
    if isinstance(obj, Tensor):
        found = obj
    elif isinstance(obj, np.ndarray):
        found = from_numpy(obj)
    elif hasattr(obj, "__dlpack__"):
        from flambeau.ops.dlpack import from_dlpack

        found = from_dlpack(obj)
    elif isinstance(obj, (bytes, bytearray, memoryview)):
        found = frombuffer(obj, dtype=wanted or dtypes.get_default_dtype())
    else:
        if copy is False:
            raise ValueError("can't alias arbitrary sequence into a tensor.")
        return tensor(obj, dtype=wanted, requires_grad=bool(requires_grad))
    if wanted is not None and found.dtype is not wanted:
        if copy is False:
            raise ValueError(
                f"can't alias tensor with dtype '{found.dtype.tensor_type}' into dtype "
                f"'{wanted.tensor_type}'."
            )
        made = found.to(wanted)
    else:
        made = found.clone() if copy else found
    if requires_grad and not made.requires_grad:
        return made.detach().requires_grad_()
    return made.detach() if requires_grad is False else made


@operator(method=False)
def from_file(
    filename: str, shared: bool = False, size: int = 0, *, dtype: dtype | None = None,
    requires_grad: bool = False, **options: Any,
) -> Tensor:  # fmt: skip
    """A vector of `size` elements on the memory of a file; with `shared`, changes are written to it."""
    array = np.memmap(filename, _stored(dtype), "r+" if shared else "c", shape=(size,))
    return finish(array.view(np.ndarray), requires_grad, **_options(options))


@operator(method=False)
def from_numpy(ndarray: np.ndarray) -> Tensor:
    """A tensor on the memory of a NumPy array. Raises `TypeError` for a dtype that tensors lack."""
    if not isinstance(ndarray, np.ndarray):
        raise TypeError(f"expected np.ndarray (got {type(ndarray).__name__})")
    from_numpy_dtype(ndarray.dtype)
    if not ndarray.dtype.isnative:
        raise ValueError("given numpy array has byte order different from the native byte order")
    if any(s < 0 for s in ndarray.strides):
        raise ValueError(
            "At least one stride in the given numpy array is negative, and tensors with negative strides "
            "are not currently supported. (You can probably work around this by making a copy of your "
            "array  with array.copy().) "
        )
    return wrap(ndarray.view(np.ndarray))


@operator(method=False)
def frombuffer(
    buffer: Any, *, dtype: dtype, count: int = -1, offset: int = 0, requires_grad: bool = False
) -> Tensor:
    """A 1-dim tensor on the memory of an object with a buffer."""
    return finish(np.frombuffer(buffer, dtype.numpy, count, offset), requires_grad)


# Complex numbers, and filling ---------------------------------------------------------------------


def _with_parts(real: np.ndarray, imag: np.ndarray) -> np.ndarray:
    shape, stored = np.broadcast_shapes(real.shape, imag.shape), np.result_type(real.dtype, np.complex64)
    made = np.empty(shape, stored)
    made.real, made.imag = real, imag
    return made


#: Not real + 1j * imag, which spoils infinite parts and negative zeros.
_complex_of = Primitive(
    "complex",
    "real imag",
    _with_parts,
    rule=lambda real, imag: Spec(
        np.broadcast_shapes(real.shape, imag.shape), np.result_type(real.dtype, np.complex64)
    ),
    derivative={"real": lambda g: g.real, "imag": lambda g: g.imag},
    broadcasts=True,
)


@operator(method=False)
def complex(real: Tensor, imag: Tensor, *, out: Tensor | None = None) -> Tensor:
    """A complex tensor from its parts, of equal floating-point dtype."""
    if real.dtype is not imag.dtype:
        raise RuntimeError(
            f"Expected object of scalar type {real.dtype.tensor_type} but got scalar type "
            f"{imag.dtype.tensor_type} for second argument"
        )
    made = _complex_of(real, imag)
    return made if out is None else write_out(out, made, "complex")


@operator(method=False)
def polar(abs: Tensor, angle: Tensor, *, out: Tensor | None = None) -> Tensor:
    """A complex tensor from modulus and angle."""
    made = complex(abs * angle.cos(), abs * angle.sin())
    return made if out is None else write_out(out, made, "polar")


def fill_(self: Tensor, value: Any) -> Tensor:
    """Overwrites every element with one number or 0-dim tensor."""
    if isinstance(value, Tensor):
        if value._array.ndim:
            raise RuntimeError(
                "fill_ only supports 0-dimension value tensor but got tensor with "
                f"{value._array.ndim} dimensions."
            )
        return self.copy_(value)
    self._check_inplace()
    if state.busy or self.requires_grad:
        return self._assign(wrap(np.full(self._array.shape, stored_number(value, self.dtype))))
    if self._array.dtype.kind in "iu" or isinstance(value, builtins.complex):
        value = stored_number(value, self.dtype)
    self._array[...] = value
    self._bump()
    return self


operator(fill_, name="fill_", function_name=False)


@operator(name="zero_", function_name=False)
def zero_(self: Tensor) -> Tensor:
    """Overwrites every element with 0."""
    return fill_(self, 0)


@operator(method=False)
def fill(input: Tensor, value: Any) -> Tensor:
    """A tensor like `input` filled with `value`."""
    return fill_(input.clone(), value)
