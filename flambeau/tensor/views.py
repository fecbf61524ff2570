"""Views: tensors that share memory, and their gradients when the memory is changed in place.

A view remembers its base and the steps (primitives with their attributes) that lead from the base to it.
When the base or another view of it changes in place, the history of every view is out of date; `refresh`
takes the steps again from the base's new history. When a view itself is changed, the change becomes part
of the base's history, as a `CopySlices` node.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from flambeau.autograd.modes import enable_grad, modes
from flambeau.autograd.node import Node, OutputOf

if TYPE_CHECKING:
    from flambeau.tensor.tensor import Tensor

#: One step from base to view: a function of a tensor and its further arguments.
Step = tuple[Callable[..., "Tensor"], tuple, dict[str, Any]]


class View:
    """How a tensor is a view of `base`."""

    __slots__ = ("base", "steps", "version", "differentiable", "without_grad", "multi_output")

    def __init__(self, base: Tensor, steps: tuple[Step, ...], view: Tensor, differentiable: bool = True):
        self.base = base
        self.steps = steps
        self.version = view._version_number()
        self.differentiable = differentiable
        self.without_grad = not modes.grad_enabled and not modes.inference
        self.multi_output = False

    def is_stale(self, view: Tensor) -> bool:
        """Whether the base took on a new history since the view's was recorded."""
        return (
            self.differentiable
            and self.version != view._version_number()
            and (self.base._requires_grad or view._requires_grad)
        )

    def refresh(self, view: Tensor) -> None:
        """Gives the view a history that begins at the base's present one."""
        self.version = view._version_number()
        if not self.base._requires_grad:
            return
        with enable_grad():
            again = self.replay(self.base)
        view._node, view._requires_grad = again._node, again._requires_grad

    def replay(self, tensor: Tensor) -> Tensor:
        """Takes the steps of this view from another tensor of the base's shape."""
        for function, args, kwargs in self.steps:
            tensor = function(tensor, *args, **kwargs)
        return tensor


def make_view(view: Tensor, parent: Tensor, step: Step) -> None:
    """Marks `view`, which shares the memory of `parent`, as made from it by `step`."""
    counter = parent._version
    if counter is None:
        counter = parent._version = [0]
    view._version = counter
    origin = parent._view
    made = _new(View)
    made.version = counter[0]
    made.without_grad = not modes.grad_enabled and not modes.inference
    made.multi_output = False
    if origin is None:
        made.base, made.steps, made.differentiable = parent, (step,), True
    else:
        made.base, made.steps = origin.base, (*origin.steps, step)
        made.differentiable = origin.differentiable
        made.without_grad |= origin.without_grad
    view._view = made
    if parent._extra is not None and parent._extra.inference:
        view._own_extra().inference = True


_new = object.__new__


def rebase_history(changed: Tensor, value: Tensor) -> None:
    """After `changed` was overwritten with `value`: its history is now `value`'s."""
    view = changed._view
    if view is None or not view.differentiable:
        changed._node, changed._requires_grad = value._node, value._requires_grad
        if value._requires_grad and value._node is None:  # a leaf: copying it is a step of its own
            changed._node = Copied(value)
        return
    base = view.base
    if not (base._requires_grad or value._requires_grad):
        return
    base._node = CopySlices(base._edge(), value._edge(), view)
    base._requires_grad = True
    view.refresh(changed)


class Copied(Node):
    """The gradient of an in-place copy of a leaf goes to the leaf unchanged."""

    __slots__ = ()

    def __init__(self, leaf: Tensor):
        super().__init__((leaf,))

    def apply(self, grads: Sequence[Any]) -> Sequence[Any]:
        return grads

    def name(self) -> str:
        return "CopyBackwards"


class CopySlices(Node):
    """The gradient of overwriting a view: the base keeps what lies outside it, the value gets the rest."""

    __slots__ = ("view",)

    def __init__(self, base_edge: Any, value_edge: Any, view: View):
        super().__init__((base_edge, value_edge))
        self.view = View.__new__(View)
        self.view.steps = view.steps

    def apply(self, grads: Sequence[Any]) -> Sequence[Any]:
        (grad,) = grads
        kept = None
        if self.edges[0] is not None:
            kept = grad.clone()
            self.view.replay(kept).zero_()
        passed = self.view.replay(grad).clone() if self.edges[1] is not None else None
        return kept, passed

    def name(self) -> str:
        return "CopySlices"


__all__ = ["CopySlices", "OutputOf", "View", "make_view", "rebase_history"]
