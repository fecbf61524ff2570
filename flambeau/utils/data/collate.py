"""Making a batch out of samples."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, MutableMapping, MutableSequence, Sequence
from typing import Any

import numpy as np

from flambeau import ops
from flambeau.core.dtypes import float64
from flambeau.tensor import Tensor

__all__ = ["collate", "default_collate", "default_collate_fn_map", "default_convert"]

CollateMap = Mapping[Any, Callable[..., Any]]
_UNCOLLATABLE = (
    "default_collate: batch must contain tensors, numpy arrays, numbers, dicts or lists; found {}"
)
_TEXT_OR_OBJECT = "SUOa"  # kinds of NumPy arrays that hold no numbers


def _rebuilt_mapping(like: Mapping[Any, Any], values: dict[Any, Any]) -> Any:
    """`values` as a mapping of the same type, which may carry attributes of its own."""
    try:
        if isinstance(like, MutableMapping):
            rebuilt = copy.copy(like)
            rebuilt.update(values)
            return rebuilt
        return type(like)(values)  # type: ignore[call-arg]
    except TypeError:  # the type copies or constructs in another way
        return values


def _rebuilt_sequence(like: Sequence[Any], values: list[Any]) -> Any:
    """`values` as a sequence of the same type, which may carry attributes of its own."""
    try:
        if isinstance(like, MutableSequence):
            rebuilt = copy.copy(like)
            for position, value in enumerate(values):
                rebuilt[position] = value
            return rebuilt
        return type(like)(values)  # type: ignore[call-arg]
    except TypeError:  # the type copies or constructs in another way, as `range`
        return values


def default_convert(data: Any) -> Any:
    """NumPy arrays and numbers as tensors, also inside containers; all else as it is."""
    if isinstance(data, Tensor):
        return data
    if isinstance(data, np.ndarray):
        return data if data.dtype.kind in _TEXT_OR_OBJECT else ops.as_tensor(data)
    if isinstance(data, np.generic) and not isinstance(data, (np.str_, np.bytes_)):
        return ops.as_tensor(data)
    if isinstance(data, Mapping):
        return _rebuilt_mapping(data, {key: default_convert(data[key]) for key in data})
    if isinstance(data, tuple):
        converted = [default_convert(each) for each in data]
        return type(data)(*converted) if hasattr(data, "_fields") else converted
    if isinstance(data, Sequence) and not isinstance(data, (str, bytes)):
        return _rebuilt_sequence(data, [default_convert(each) for each in data])
    return data


def collate(batch: Sequence[Any], *, collate_fn_map: CollateMap | None = None) -> Any:
    """Collates samples of any nesting.

    Args:
        batch: samples of the same structure.
        collate_fn_map: for each type of leaf, `fn(batch, collate_fn_map=...)`.

    Raises:
        TypeError: for a leaf whose type is not in the map.
        RuntimeError: for sequences of different lengths.
    """
    first = batch[0]
    for kind in [type(first), *(collate_fn_map or ())]:
        if collate_fn_map and kind in collate_fn_map and isinstance(first, kind):
            return collate_fn_map[kind](batch, collate_fn_map=collate_fn_map)

    def each(samples: Sequence[Any]) -> Any:
        return collate(samples, collate_fn_map=collate_fn_map)

    if isinstance(first, Mapping):
        values = {key: each([sample[key] for sample in batch]) for key in first}
        return _rebuilt_mapping(first, values)
    if isinstance(first, tuple) and hasattr(first, "_fields"):
        return type(first)(*(each(samples) for samples in zip(*batch, strict=False)))
    if isinstance(first, Sequence):
        if any(len(sample) != len(first) for sample in batch):
            raise RuntimeError("each element in list of batch should be of equal size")
        columns = [each(samples) for samples in zip(*batch, strict=True)]
        return columns if isinstance(first, tuple) else _rebuilt_sequence(first, columns)
    raise TypeError(_UNCOLLATABLE.format(type(first)))


def _collate_tensors(batch: Sequence[Tensor], *, collate_fn_map: Any = None) -> Tensor:
    if batch[0].is_sparse:
        raise RuntimeError(
            "Batches of sparse tensors are not currently supported by the default collate_fn; "
            "please provide a custom collate_fn to handle them appropriately."
        )
    return ops.stack(list(batch), 0)


def _collate_arrays(batch: Sequence[Any], *, collate_fn_map: Any = None) -> Any:
    if batch[0].dtype.kind in _TEXT_OR_OBJECT:
        raise TypeError(_UNCOLLATABLE.format(batch[0].dtype))
    return collate([ops.as_tensor(array) for array in batch], collate_fn_map=collate_fn_map)


def _collate_numpy_numbers(batch: Sequence[Any], *, collate_fn_map: Any = None) -> Tensor:
    return ops.as_tensor(np.asarray(batch))


def _collate_floats(batch: Sequence[float], *, collate_fn_map: Any = None) -> Tensor:
    return ops.tensor(list(batch), dtype=float64)


def _collate_ints(batch: Sequence[int], *, collate_fn_map: Any = None) -> Tensor:
    return ops.tensor(list(batch))


def _keep_text(batch: Any, *, collate_fn_map: Any = None) -> Any:
    return batch


default_collate_fn_map: dict[Any, Callable[..., Any]] = {
    Tensor: _collate_tensors,
    np.ndarray: _collate_arrays,
    (np.bool_, np.number, np.object_): _collate_numpy_numbers,
    float: _collate_floats,
    int: _collate_ints,
    str: _keep_text,
    bytes: _keep_text,
}


def default_collate(batch: Sequence[Any]) -> Any:
    """Samples as one batch: tensors, arrays and numbers stacked, containers part by part.

    Strings stay a list; tuples become lists. Raises as `collate`.
    """
    return collate(batch, collate_fn_map=default_collate_fn_map)
