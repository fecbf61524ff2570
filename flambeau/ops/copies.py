"""The operators that copy what a view shows: `diagonal_copy` is `diagonal` in memory of its own.

They are made from the table of views; none is written by itself.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flambeau.core import device as devices
from flambeau.ops import complexes, parts, shape, strided
from flambeau.ops.table import operator
from flambeau.tensor.tensor import Tensor

#: The views by their names.
VIEWS: dict[str, Callable[..., Any]] = {
    "alias": lambda input: input.view(input.shape),
    "as_strided": strided.as_strided,
    "detach": Tensor.detach,
    "diagonal": parts.diagonal,
    "expand": shape.expand,
    "narrow": parts.narrow,
    "permute": shape.permute,
    "select": parts.select,
    "slice": parts.slice_along,
    "split": parts.split,
    "split_with_sizes": parts.split_with_sizes,
    "squeeze": shape.squeeze,
    "t": shape.t,
    "transpose": shape.transpose,
    "unbind": parts.unbind,
    "unfold": parts.unfold,
    "unsqueeze": shape.unsqueeze,
    "view": shape.view,
    "view_as_complex": complexes.view_as_complex,
    "view_as_real": complexes.view_as_real,
}


def _copying(name: str, view: Callable[..., Any]) -> None:
    def call(input: Tensor, *args: Any, **kwargs: Any) -> Any:
        shown = view(input, *args, **kwargs)
        if isinstance(shown, tuple):
            return tuple(map(_copy, shown))
        return _copy(shown)

    call.__name__ = call.__qualname__ = f"{name}_copy"
    call.__doc__ = f"What `{name}` shows, as a copy."
    operator(call, method=name == "narrow", out=True)


def _copy(x: Tensor) -> Tensor:
    return x.clone(memory_format=devices.contiguous_format)


for _name, _view in VIEWS.items():
    _copying(_name, _view)
