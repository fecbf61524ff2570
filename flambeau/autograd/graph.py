"""Looking at the backward graph, and deciding how it keeps its tensors."""

from __future__ import annotations

import functools
import threading
import weakref
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from flambeau.autograd.modes import modes
from flambeau.autograd.node import Node, OutputOf, accumulator_of
from flambeau.core.state import add_busy
from flambeau.tensor.tensor import Tensor

__all__ = [
    "GradientEdge",
    "Node",
    "allow_mutation_on_saved_tensors",
    "disable_saved_tensors_hooks",
    "get_gradient_edge",
    "increment_version",
    "register_multi_grad_hook",
    "save_on_cpu",
    "saved_tensors_hooks",
]


class GradientEdge(NamedTuple):
    """Where a gradient goes: a node and the number of its output."""

    node: Node
    output_nr: int
    ownership_token: Any = None


def get_gradient_edge(tensor: Tensor) -> GradientEdge:
    """The edge that the gradient of `tensor` takes. Raises `RuntimeError` if it requires
    none.
    """
    if not tensor.requires_grad:
        raise RuntimeError(
            "It is not possible to get the gradient edge for a Tensor that does not require "
            "gradients"
        )
    node = tensor._edge()
    if type(node) is OutputOf:
        return GradientEdge(node.node, node.slot)
    return GradientEdge(accumulator_of(tensor) if node is tensor else node, 0)


def increment_version(tensor: Tensor | Sequence[Tensor]) -> None:
    """Counts a change in place that was made behind autograd's back, as through `numpy()`."""
    for t in (tensor,) if isinstance(tensor, Tensor) else tensor:
        t._bump()


class saved_tensors_hooks:
    """Inside, each tensor that is kept for backward is kept as `pack_hook(tensor)`.

    `unpack_hook` makes the tensor of it again when backward needs it. The innermost pair holds.
    """

    def __init__(
        self, pack_hook: Callable[[Tensor], Any], unpack_hook: Callable[[Any], Tensor]
    ):
        self.pack_hook, self.unpack_hook = pack_hook, unpack_hook

    def __enter__(self) -> None:
        if modes.hooks_disabled is not None:
            raise RuntimeError(modes.hooks_disabled)
        modes.saved_hooks = (*modes.saved_hooks, (self.pack_hook, self.unpack_hook))
        add_busy(1)  # the shortest path of operators saves without asking

    def __exit__(self, *exc: object) -> None:
        modes.saved_hooks = modes.saved_hooks[:-1]
        add_busy(-1)


class save_on_cpu(saved_tensors_hooks):
    """Keeps saved tensors as copies in main memory, where here they are anyway."""

    def __init__(self, pin_memory: bool = False, device_type: str = "cuda"):
        super().__init__(lambda tensor: tensor.detach().clone(), lambda kept: kept)


class disable_saved_tensors_hooks:
    """Inside, entering `saved_tensors_hooks` raises `RuntimeError` with `error_message`."""

    def __init__(self, error_message: str):
        self.error_message = error_message

    def __enter__(self) -> None:
        self.before = modes.hooks_disabled
        if modes.saved_hooks:
            raise RuntimeError(self.error_message)
        modes.hooks_disabled = self.error_message

    def __exit__(self, *exc: object) -> None:
        modes.hooks_disabled = self.before

    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def within(*args: Any, **kwargs: Any) -> Any:
            with disable_saved_tensors_hooks(self.error_message):
                return function(*args, **kwargs)

        return within


def allow_mutation_on_saved_tensors() -> Any:
    """Raises `NotImplementedError`: clone a tensor before changing it in place instead."""
    raise NotImplementedError(
        "autograd.graph.allow_mutation_on_saved_tensors: clone the tensor before changing it "
        "in place"
    )


class _MultiHandle:
    def __init__(self, handles: Sequence[Any]):
        self.handles = tuple(handles)

    def remove(self) -> None:
        for handle in self.handles:
            handle.remove()

    def __enter__(self) -> _MultiHandle:
        return self

    def __exit__(self, *exc: object) -> None:
        self.remove()


def register_multi_grad_hook(
    tensors: Sequence[Tensor], fn: Callable[..., None], *, mode: str = "all"
) -> _MultiHandle:
    """Calls `fn` in each backward pass once the gradients of `tensors` are known.

    With `mode="all"`, `fn(grads)` is called after the last of those that this pass computes
    (`None` stands for the others). With `mode="any"`, `fn(grad)` is called at the first.
    """
    if mode not in ("all", "any"):
        raise ValueError(f"Expects mode to be one of ('all', 'any') but got {mode}")
    lock = threading.Lock()
    edges = [t._edge() for t in tensors]
    seen: weakref.WeakKeyDictionary[Any, list[Any]] = weakref.WeakKeyDictionary()

    def arrived(position: int, grad: Tensor) -> None:
        task = modes.task
        with lock:
            first = task not in seen
            grads = seen.setdefault(task, [None] * len(edges))
            grads[position] = grad
            expected = sum(task.reaches(e) for e in edges)
            complete = sum(g is not None for g in grads) == expected
        if mode == "any":
            if first:
                fn(grad)
        elif complete:
            fn(tuple(grads))

    return _MultiHandle(
        [t.register_hook(functools.partial(arrived, i)) for i, t in enumerate(tensors)]
    )
