"""What a file may name: tensors, their types, and the classes that the user declared safe."""

from __future__ import annotations

import pickle
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import numpy as np

import flambeau
from flambeau.core.device import device, layout
from flambeau.core.dtypes import DTYPES, dtype
from flambeau.core.shapes import Size
from flambeau.ops.sparse import from_parts as sparse_from_parts
from flambeau.serialization.storage import STORAGE_DTYPES, Storage
from flambeau.serialization.unpickler import Allowed, as_key

_declared: dict[str, Any] = {}


def _name_of(entry: Any) -> tuple[str, Any]:
    if isinstance(entry, tuple):
        value, name = entry
        return name, value
    return f"{entry.__module__}.{entry.__qualname__}", entry


def add_safe_globals(safe: Iterable[Any]) -> None:
    """Lets `load(..., weights_only=True)` build these classes and call these functions.

    Arguments:
        safe: classes or functions, or pairs of one and the dotted name that files use for it.
    """
    _declared.update(_name_of(entry) for entry in safe)


def get_safe_globals() -> list[Any]:
    """The classes and functions that were declared safe."""
    return list(_declared.values())


def clear_safe_globals() -> None:
    """Forgets every class and function that was declared safe."""
    _declared.clear()


class safe_globals:
    """Declares classes and functions safe within a `with` block."""

    def __init__(self, safe: Iterable[Any]):
        self.safe = list(safe)

    def __enter__(self) -> None:
        self.before = dict(_declared)
        add_safe_globals(self.safe)

    def __exit__(self, *_: object) -> None:
        _declared.clear()
        _declared.update(self.before)


class StorageType:
    """A storage class as a file names it, such as `torch.FloatStorage`."""

    def __init__(self, dtype: dtype | None):
        self.dtype = dtype


def as_tensor(array: np.ndarray, requires_grad: bool = False) -> flambeau.Tensor:
    """A tensor over `array`'s memory."""
    tensor = flambeau.from_numpy(array)
    return tensor.requires_grad_() if requires_grad else tensor


def check_identity(identity: Any) -> tuple[StorageType, str, str, int]:
    """The type, key, device name and length that a persistent id gives for a storage."""
    if not (isinstance(identity, tuple) and len(identity) >= 5 and identity[0] == "storage"):
        raise pickle.UnpicklingError("the pickle refers to something that is no storage")
    _, kind, key, location, length = identity[:5]
    if not (isinstance(kind, StorageType) and isinstance(key, str) and len(key) < 200):
        raise pickle.UnpicklingError("the pickle refers to a storage of unknown type")
    if type(length) is not int or length < 0 or not isinstance(location, str):
        raise pickle.UnpicklingError("the pickle refers to a storage of unknown length")
    return kind, key, location, length


# the functions that PyTorch's pickles call -------------------------------------------------


def _rebuild_tensor(
    storage: Any, offset: int, size: Any, stride: Any, kind: dtype | None = None
) -> flambeau.Tensor:
    if not isinstance(storage, Storage):
        raise ValueError("a tensor without storage")
    kind = kind or storage.dtype
    if not isinstance(kind, dtype):
        raise ValueError("a tensor without element type")
    return as_tensor(storage.view(kind, offset, tuple(size), tuple(stride)))


def _rebuild_tensor_v2(
    storage: Any,
    offset: int,
    size: Any,
    stride: Any,
    requires_grad: bool,
    backward_hooks: Any,
    metadata: Any = None,
    kind: dtype | None = None,
) -> flambeau.Tensor:
    tensor = _rebuild_tensor(storage, offset, size, stride, kind)
    if metadata and metadata.get("conj"):
        tensor = as_tensor(tensor.numpy().conj())
    if metadata and metadata.get("neg"):
        tensor = as_tensor(-tensor.numpy())
    return tensor.requires_grad_() if requires_grad is True else tensor


def _rebuild_tensor_v3(
    storage: Any,
    offset: int,
    size: Any,
    stride: Any,
    requires_grad: bool,
    backward_hooks: Any,
    kind: dtype,
    metadata: Any = None,
) -> flambeau.Tensor:
    return _rebuild_tensor_v2(
        storage, offset, size, stride, requires_grad, backward_hooks, metadata, kind
    )


def _rebuild_sparse_tensor(kind: Any, data: Any) -> flambeau.Tensor:
    """A sparse tensor from its layout and parts, whose positions are checked like a user's."""
    if not isinstance(kind, layout) or not isinstance(data, tuple):
        raise ValueError("a sparse tensor without layout or parts")
    return sparse_from_parts(kind, data)


def _rebuild_parameter(data: Any, requires_grad: bool, backward_hooks: Any) -> Any:
    return flambeau.nn.Parameter(data, requires_grad=bool(requires_grad))


def _rebuild_parameter_with_state(
    data: Any, requires_grad: bool, backward_hooks: Any, state: Any
) -> Any:
    return _set_attributes(_rebuild_parameter(data, requires_grad, backward_hooks), state)


def _rebuild_from_type(function: Any, kind: Any, arguments: tuple[Any, ...], state: Any) -> Any:
    if not isinstance(function, Allowed):
        raise ValueError("a tensor is built by something that is no function")
    return _set_attributes(function.call(*arguments), state)


def _set_attributes(tensor: Any, state: Any) -> Any:
    attributes = state[0] if isinstance(state, tuple) and state else state
    for name, value in (attributes or {}).items():
        if not isinstance(name, str) or name.startswith("_") or hasattr(type(tensor), name):
            raise ValueError(f"a tensor may not take the attribute {name!r}")
        setattr(tensor, name, value)
    return tensor


def _refuse(what: str) -> Callable[..., Any]:
    def call(*_: Any) -> Any:
        raise NotImplementedError(
            f"the file holds {what}, which Flambeau does not have; convert it to a dense "
            "floating-point tensor in PyTorch and save it again"
        )

    return call


def _ordered_dict(*items: Any) -> OrderedDict[Any, Any]:
    if items and not (len(items) == 1 and isinstance(items[0], (list, dict))):
        raise ValueError("an OrderedDict takes one list of pairs")
    if items and isinstance(items[0], list):
        return OrderedDict([(as_key(key), value) for key, value in items[0]])
    return OrderedDict(*items)


def _update_ordered_dict(target: OrderedDict[Any, Any], state: Any) -> None:
    if not isinstance(state, dict) or any(key.startswith("__") for key in state):
        raise ValueError("an OrderedDict's state must be a dictionary of plain names")
    target.__dict__.update(state)


def _counter(*items: Any) -> Counter[Any]:
    if items and type(items[0]) is not dict:
        raise ValueError("a Counter takes one dictionary")
    return Counter(*items)


def _set(items: Any = ()) -> set[Any]:
    if type(items) is not list:
        raise ValueError("a set takes a list")
    return set(map(as_key, items))


def _bytearray(data: Any = b"", encoding: str | None = None) -> bytearray:
    # A number would ask for that much memory, whatever the size of the file.
    if isinstance(data, str):
        return bytearray(data, encoding or "latin-1")
    if not isinstance(data, (bytes, bytearray)):
        raise ValueError("a bytearray takes bytes")
    return bytearray(data)


def _encode(text: Any, encoding: Any = "latin1") -> bytes:
    if not isinstance(text, str) or encoding not in ("latin1", "latin-1", "utf-8", "ascii"):
        raise ValueError("only text can be encoded, as latin1 or utf-8")
    return text.encode(encoding)


def _device(kind: Any, index: Any = None) -> device:
    return device(kind, index)


def _layout(name: Any) -> layout:
    found = getattr(flambeau, str(name).removeprefix("torch."), None)
    if not isinstance(found, layout):
        raise ValueError(f"unknown layout {name!r}")
    return found


def _size(numbers: Any = ()) -> Size:
    if not all(type(number) is int for number in numbers):
        raise ValueError("a Size takes integers")
    return Size(numbers)


def _complex(real: Any, imaginary: Any) -> complex:
    return complex(float(real), float(imaginary))


def _table() -> dict[str, Any]:
    functions: dict[str, Any] = {
        "collections.Counter": _counter,
        "builtins.set": _set,
        "__builtin__.set": _set,
        "builtins.bytearray": _bytearray,
        "__builtin__.bytearray": _bytearray,
        "builtins.complex": _complex,
        "__builtin__.complex": _complex,
        "_codecs.encode": _encode,
        "torch.device": _device,
        "torch.Size": _size,
        "torch.serialization._get_layout": _layout,
        "torch._utils._rebuild_tensor": _rebuild_tensor,
        "torch._utils._rebuild_tensor_v2": _rebuild_tensor_v2,
        "torch._utils._rebuild_tensor_v3": _rebuild_tensor_v3,
        "torch._utils._rebuild_parameter": _rebuild_parameter,
        "torch._utils._rebuild_parameter_with_state": _rebuild_parameter_with_state,
        "torch._tensor._rebuild_from_type_v2": _rebuild_from_type,
        "torch.Tensor": _refuse("a bare torch.Tensor constructor call"),
        "torch.nn.parameter.Parameter": _refuse("a bare Parameter constructor call"),
        "torch._utils._rebuild_qtensor": _refuse("a quantized tensor"),
        "torch._utils._rebuild_sparse_tensor": _rebuild_sparse_tensor,
        "torch._utils._rebuild_nested_tensor": _refuse("a nested tensor"),
        "torch._utils._rebuild_meta_tensor_no_storage": _refuse("a tensor on the meta device"),
    }
    table: dict[str, Any] = {name: Allowed(name, call) for name, call in functions.items()}
    table["collections.OrderedDict"] = Allowed(
        "collections.OrderedDict", _ordered_dict, _update_ordered_dict
    )
    for name, kind in DTYPES.items():
        table[f"torch.{name}"] = kind
    for name, held in STORAGE_DTYPES.items():
        table[f"torch.{name}"] = table[f"torch.cuda.{name}"] = StorageType(held)
    table["torch.storage.UntypedStorage"] = table["torch.UntypedStorage"] = StorageType(None)
    return table


_builtin = _table()


def find_allowed(module: str, name: str) -> Any:
    """What `module.name` stands for in a file; `UnpicklingError` if it is not allowed."""
    full = f"{module}.{name}"
    if full in _builtin:
        return _builtin[full]
    if full in _declared:
        return _as_allowed(full, _declared[full])
    raise pickle.UnpicklingError(
        f"Weights only load failed: the file asks for {full}, which is not on the list of "
        "safe names. If you trust where the file comes from, either declare the class with "
        f"flambeau.serialization.add_safe_globals([{name}]), or load with "
        "weights_only=False, which runs whatever code the file holds."
    )


def _as_allowed(name: str, value: Any) -> Any:
    if isinstance(value, type):
        return Allowed(name, value, _restore, partial(value.__new__, value))
    return Allowed(name, value) if callable(value) else value


def _restore(target: Any, state: Any) -> None:
    if hasattr(target, "__setstate__"):
        target.__setstate__(state)
    else:
        target.__dict__.update(state)
