"""Splitting batches over devices and putting results together again: with one device, both leave things as they are."""

from __future__ import annotations

from typing import Any

from flambeau import ops
from flambeau.core.device import check_device
from flambeau.tensor import Tensor

__all__ = ["gather", "scatter", "scatter_kwargs"]


def is_namedtuple(obj: Any) -> bool:
    """Whether an object is a named tuple."""
    return isinstance(obj, tuple) and hasattr(obj, "_asdict") and hasattr(obj, "_fields")


def _devices(target: Any) -> list[Any]:
    return [check_device(d) for d in (target if isinstance(target, (list, tuple)) else [target])]


def scatter(inputs: Any, target_gpus: Any, dim: int = 0) -> Any:
    """Tensors in `inputs` split along `dim`, one piece a device; other objects are repeated.

    Args:
        inputs: tensors in containers, nested in any way.
        target_gpus: the devices; each must be the processor.
        dim: the dimension to split.
    """
    count = len(_devices(target_gpus))

    def pieces(x: Any) -> list[Any]:
        if isinstance(x, Tensor):
            return list(x.chunk(count, dim)) if count > 1 else [x]
        if is_namedtuple(x):
            return [type(x)(*parts) for parts in zip(*map(pieces, x), strict=False)]
        if isinstance(x, tuple) and x:
            return list(zip(*map(pieces, x), strict=False))
        if isinstance(x, list) and x:
            return [list(parts) for parts in zip(*map(pieces, x), strict=False)]
        if isinstance(x, dict) and x:
            return [type(x)(parts) for parts in zip(*map(pieces, x.items()), strict=False)]
        return [x] * count

    return pieces(inputs)


def scatter_kwargs(inputs: tuple, kwargs: dict[str, Any] | None, target_gpus: Any, dim: int = 0) -> tuple:
    """`scatter` of positional and of keyword arguments, filled up to the same number of pieces."""
    positional = scatter(inputs, target_gpus, dim) if inputs else []
    named = scatter(kwargs, target_gpus, dim) if kwargs else []
    length = max(len(positional), len(named))
    positional += [()] * (length - len(positional))
    named += [{}] * (length - len(named))
    return tuple(positional), tuple(named)


def gather(outputs: Any, target_device: Any, dim: int = 0) -> Any:
    """The results of several devices as one, tensors joined along `dim`."""
    _devices(target_device)

    def joined(parts: Any) -> Any:
        first = parts[0]
        if isinstance(first, Tensor):
            if all(p.dim() == 0 for p in parts):
                return ops.stack(list(parts))
            return ops.cat(list(parts), dim)
        if first is None:
            return None
        if isinstance(first, dict):
            return type(first)((key, joined([p[key] for p in parts])) for key in first)
        if is_namedtuple(first):
            return type(first)._make(map(joined, zip(*parts, strict=True)))
        return type(first)(map(joined, zip(*parts, strict=True)))

    return joined(outputs)
