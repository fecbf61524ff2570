"""`save`: any object into a file that `load`, and PyTorch's, reads."""

from __future__ import annotations

import io
import os
import pickle
import sys
from collections import OrderedDict
from pathlib import Path
from typing import IO, Any, ClassVar

import numpy as np

import flambeau
from flambeau.core.device import device, layout
from flambeau.core.dtypes import dtype, from_numpy_dtype
from flambeau.core.shapes import Size
from flambeau.ops.sparse import Sparse
from flambeau.serialization.archive import ArchiveWriter
from flambeau.serialization.storage import WITHOUT_STORAGE_CLASS

_PROTOCOL = 2


def save(
    obj: Any,
    f: str | os.PathLike[str] | IO[bytes],
    pickle_module: Any = pickle,
    pickle_protocol: int = _PROTOCOL,
    _use_new_zipfile_serialization: bool = True,
) -> None:
    """Writes `obj` to the file `f` in PyTorch's zip format.

    Tensors that share memory share it again when loaded. PyTorch reads the file, as far as it
    holds tensors and plain data.

    Arguments:
        obj: any object that pickle can write; tensors may stand anywhere in it.
        f: a path, or a file open for writing bytes.
    """
    if pickle_module is not pickle:
        raise NotImplementedError("save(pickle_module=…): only Python's own pickle works")
    if pickle_protocol != _PROTOCOL:
        raise NotImplementedError(f"save(pickle_protocol={pickle_protocol}): only 2 works")
    if not _use_new_zipfile_serialization:
        raise NotImplementedError(
            "save(_use_new_zipfile_serialization=False): the legacy format is read, not "
            "written; leave the argument out"
        )
    if isinstance(f, (str, os.PathLike)):
        with open(f, "wb") as file:
            _write(obj, file, Path(f).stem or "archive")
    elif hasattr(f, "write"):
        _write(obj, f, "archive")
    else:
        raise AttributeError(
            f"expected 'f' to be string, path, or a file-like object with a 'write' "
            f"attribute, got {type(f).__name__}"
        )


def _write(obj: Any, file: IO[bytes], name: str) -> None:
    stream = io.BytesIO()
    pickler = _Pickler(stream)
    pickler.dump(obj)
    with ArchiveWriter(file, name) as archive:
        archive.write("data.pkl", stream.getvalue())
        for key, memory in enumerate(pickler.storages):
            archive.write(f"data/{key}", memoryview(memory))
        archive.finish(sys.byteorder)


class _Name:
    """A dotted name to be written as PyTorch's, though PyTorch need not be installed."""

    def __init__(self, module: str, name: str):
        self.module = module
        self.name = name

    def __call__(self) -> None:
        raise TypeError(f"{self.module}.{self.name} stands for a name in a file")


class _Memory:
    """A storage, as the pickler meets it among a tensor's arguments."""

    def __init__(self, kind: _Name, key: str, length: int):
        self.id = ("storage", kind, key, "cpu", length)


_REBUILD_TENSOR = _Name("torch._utils", "_rebuild_tensor_v2")
_REBUILD_TYPED_TENSOR = _Name("torch._utils", "_rebuild_tensor_v3")
_REBUILD_SPARSE = _Name("torch._utils", "_rebuild_sparse_tensor")
_REBUILD_PARAMETER = _Name("torch._utils", "_rebuild_parameter")
_UNTYPED = _Name("torch.storage", "UntypedStorage")
_SIZE = _Name("torch", "Size")
_DEVICE = _Name("torch", "device")
_LAYOUT = _Name("torch.serialization", "_get_layout")


class _Pickler(pickle._Pickler):
    """Pickles tensors by PyTorch's names and leaves their memory to records of its own.

    Python's written-out pickler is the base because it lets a name be written that no module
    here defines.
    """

    dispatch: ClassVar[dict[type, Any]] = dict(pickle._Pickler.dispatch)

    def __init__(self, stream: IO[bytes]):
        super().__init__(stream, _PROTOCOL)
        self.storages: list[np.ndarray] = []
        self._keys: dict[tuple[int, int], tuple[str, dtype]] = {}
        self._alive: list[Any] = []  # the memo goes by id, so what it names must not die
        self._names: dict[str, _Name] = {}

    def persistent_id(self, obj: Any) -> Any:
        return obj.id if type(obj) is _Memory else None

    def reducer_override(self, obj: Any) -> Any:
        if isinstance(obj, flambeau.Tensor):
            return self._keep(self._reduce_tensor(obj))
        if isinstance(obj, Size):
            return self._keep((_SIZE, (tuple(obj),)))
        if isinstance(obj, device):
            where = (obj.type,) if obj.index is None else (obj.type, obj.index)
            return self._keep((_DEVICE, where))
        if isinstance(obj, layout):
            return self._keep((_LAYOUT, (f"torch.{obj.name}",)))
        return NotImplemented

    def _keep(self, reduced: Any) -> Any:
        self._alive.append(reduced)
        return reduced

    def _reduce_tensor(self, tensor: flambeau.Tensor) -> Any:
        if isinstance(tensor, Sparse):
            return _REBUILD_SPARSE, (tensor.layout, tensor.parts())
        if isinstance(tensor, flambeau.nn.Parameter):
            data = tensor.detach()
            return _REBUILD_PARAMETER, (data, tensor.requires_grad, OrderedDict())
        if tensor.requires_grad and not tensor.is_leaf:
            tensor = tensor.detach().requires_grad_()
        array = tensor.detach().numpy()
        kind = from_numpy_dtype(array.dtype)
        array, memory = _with_memory(array)
        key = self._key(memory, kind)
        size = tuple(int(n) for n in array.shape)
        stride = tuple(step // kind.itemsize for step in array.strides)
        offset = (_address(array) - _address(memory)) // kind.itemsize
        rest = (offset, size, stride, bool(tensor.requires_grad), OrderedDict())
        if kind.name in WITHOUT_STORAGE_CLASS:
            storage = _Memory(_UNTYPED, key, memory.nbytes)
            return _REBUILD_TYPED_TENSOR, (storage, *rest, kind)
        name = self._name("torch", f"{kind.tensor_type}Storage")
        storage = _Memory(name, key, memory.nbytes // kind.itemsize)
        return _REBUILD_TENSOR, (storage, *rest)

    def _key(self, memory: np.ndarray, kind: dtype) -> str:
        place = (_address(memory), memory.nbytes)
        if memory.nbytes == 0 or place not in self._keys:
            self._keys[place] = (str(len(self.storages)), kind)
            self.storages.append(memory.reshape(-1).view(np.uint8))
        key, first = self._keys[place]
        if first is not kind:
            raise RuntimeError(
                "Cannot save multiple tensors or storages that view the same data as "
                f"different types: {first} and {kind}"
            )
        return key

    def _name(self, module: str, name: str) -> _Name:
        return self._names.setdefault(f"{module}.{name}", _Name(module, name))

    def save_name(self, obj: _Name) -> None:
        self.write(pickle.GLOBAL + f"{obj.module}\n{obj.name}\n".encode())
        self.memoize(obj)

    def save_dtype(self, obj: dtype) -> None:
        self.write(pickle.GLOBAL + f"torch\n{obj.name}\n".encode())
        self.memoize(obj)


_Pickler.dispatch[_Name] = _Pickler.save_name
_Pickler.dispatch[dtype] = _Pickler.save_dtype


def _address(array: np.ndarray) -> int:
    return int(array.__array_interface__["data"][0])


def _with_memory(array: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The array and the flat memory that it views; of a copy, where that memory has holes."""
    memory = array
    while isinstance(memory.base, np.ndarray):
        memory = memory.base
    whole = memory.flags.c_contiguous or memory.flags.f_contiguous
    aligned = (_address(array) - _address(memory)) % array.itemsize == 0
    if whole and aligned and all(step % array.itemsize == 0 for step in array.strides):
        return array, memory.reshape(-1, order="A")
    copy = np.array(array, order="C")
    return copy, copy.reshape(-1)
