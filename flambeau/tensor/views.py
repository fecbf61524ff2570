"""Views: tensors that share memory, and their gradients when the memory is changed in place.

A view remembers its base and the steps (primitives with their attributes) that lead from the
base to it. When the base or another view of it changes in place, the history of every view is
out of date; `refresh` takes the steps again from the base's new history. When a view itself is
changed, the change becomes part of the base's history, as a `CopySlices` node.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from flambeau.autograd.modes import enable_grad, modes
from flambeau.autograd.node import Node, OutputOf, PassOn, short_name

if TYPE_CHECKING:
    from flambeau.tensor.tensor import Tensor

#: One step from base to view: a function of a tensor and its further arguments.
Step = tuple[Callable[..., "Tensor"], tuple, dict[str, Any]]
#: A path of steps: the path before the last step, and this; so that views of views share their
#: beginning.
Path = tuple[Any, Step]


#: Ways of making a view after which changing it in place is forbidden, with what the error says
#: of each.
NO_GRAD = (
    "Given that this use case is ambiguous and error-prone, it is forbidden. You can clarify "
    "your code by moving both the view and the inplace either both inside the no_grad block "
    "(if you don't want the inplace to be tracked) or both outside (if you want the inplace to "
    "be tracked)."
)
INFERENCE = NO_GRAD.replace("no_grad", "inference_mode")
MULTIPLE = (
    "This view is the output of a function that returns multiple views. Such functions do not "
    "allow the output views to be modified inplace. You should replace the inplace operation "
    "by an out-of-place one."
)
CUSTOM_FUNCTION = (
    "This view was created inside a custom Function (or because an input was returned as-is) "
    "and the autograd logic to handle view+inplace would override the custom backward "
    "associated with the custom Function, leading to incorrect gradients. This behavior is "
    "forbidden. You can fix this by cloning the output of the custom Function."
)


class View:
    """How a tensor is a view of `base`."""

    __slots__ = ("base", "differentiable", "forbidden", "multiple", "path", "version")

    base: Tensor
    path: Path | None
    #: The version of the shared memory that the view's history belongs to.
    version: int
    #: Whether gradients flow to the base: not for `detach()`.
    differentiable: bool
    #: Why the view may not be changed in place (`NO_GRAD` ...), or `None`.
    forbidden: str | None
    #: For one of several views made by one call, the function's name and the view's number.
    multiple: tuple[str, int] | None

    def is_stale(self, view: Tensor) -> bool:
        """Whether the base took on a new history since the view's was recorded."""
        return (
            self.version != view._version_number()
            and self.differentiable
            and (self.base._requires_grad or view._requires_grad)
        )

    def refresh(self, view: Tensor) -> None:
        """Gives the view a history that begins at the base's present one.

        Raises `RuntimeError` for a view whose making forbids changes of its base.
        """
        if self.forbidden is not None:
            self.refuse(view, "its base or another view of its base has been")
        self.version = view._version_number()
        if not self.base._requires_grad:
            return
        with enable_grad():
            again = self.replay(self.base)
        if again._array.shape != view._array.shape or again._array.strides != view._array.strides:
            raise RuntimeError(
                "This view was made before its base was given another shape in place (by t_(), unsqueeze_() "
                "and the like), and its base or another view was modified inplace since. Make the view anew."
            )
        view._node, view._requires_grad = again._node, again._requires_grad

    def replay(self, tensor: Tensor) -> Tensor:
        """Takes the steps of this view from another tensor of the base's shape and strides."""
        for function, args, kwargs in self.steps:
            tensor = function(tensor, *args, **kwargs)
        return tensor

    @property
    def steps(self) -> list[Step]:
        """The steps from the base to the view, in order."""
        steps, path = [], self.path
        while path is not None:
            path, step = path
            steps.append(step)
        return steps[::-1]

    def refuse(self, view: Tensor, changed: str = "is being") -> None:
        """Raises the error for a change in place that `forbidden` forbids."""
        node, reason = view._node, self.forbidden
        if node is not None:
            slot = node.slot if type(node) is OutputOf else 0
            made_by = short_name(node.node if type(node) is OutputOf else node)
            made_by, slot = self.multiple or (made_by, slot)
            text = f"Output {slot} of {made_by} is a view and {changed} modified inplace."
        elif reason is INFERENCE:
            text = (
                f"A view was created in inference mode and {changed} modified inplace in "
                "normal mode."
            )
        else:
            text = (
                f"A view was created in no_grad mode and {changed} modified inplace with "
                "grad mode enabled."
            )
        raise RuntimeError(f"{text} {reason}")


def make_view(view: Tensor, parent: Tensor, step: Step) -> None:
    """Marks `view`, which shares the memory of `parent`, as made from it by `step`."""
    counter = parent._changes
    if counter is None:
        counter = parent._changes = [0]
    view._changes = counter
    origin = parent._view
    made = _new(View)
    made.version = counter[0]
    made.multiple = None
    made.forbidden = None if modes.grad_enabled else INFERENCE if modes.inference else NO_GRAD
    if (
        origin is None
        or not (origin.differentiable or origin.forbidden)
        or (parent._requires_grad and parent._node is None)
    ):
        # A parent that is a detached view, or a leaf, is a base of its own: its history starts anew.
        made.base, made.path, made.differentiable = parent, (None, step), True
    else:
        made.base, made.path = origin.base, (origin.path, step)
        made.differentiable = origin.differentiable
        if origin.forbidden is not None and made.forbidden is None:
            made.forbidden = origin.forbidden
    view._view = made
    if parent._extra is not None and parent._extra.inference:
        view._own_extra().inference = True


def mark_multiple(views: Iterable[Tensor], function: str) -> None:
    """Marks the views that one call of `function` (as in `UnbindBackward0`) returned
    together.
    """
    for number, view in enumerate(views):
        if view._view is not None:
            view._view.multiple = (function, number)
            view._view.forbidden = view._view.forbidden or MULTIPLE


def make_detached(view: Tensor, parent: Tensor) -> None:
    """Marks `view` as `parent.detach()`, for a parent that is itself a view."""
    origin = parent._view
    made = view._view = _new(View)
    made.base, made.path = origin.base.detach(), origin.path
    made.version = view._version_number()
    made.differentiable, made.forbidden, made.multiple = False, None, None


_new = object.__new__


def rebase_history(changed: Tensor, value: Tensor) -> None:
    """After `changed` was overwritten with `value`: its history is now `value`'s."""
    view = changed._view
    edge = value._edge()
    if view is None or not view.differentiable:
        if value is not changed:
            # Copying a leaf is a step of its own.
            _leave_retained(changed)
            if edge is None and changed._node is not None:
                edge = Overwritten(
                    (changed._node,)
                )  # it still counts as depending on what it was
            changed._node = Copied(edge) if edge is value else edge
            changed._requires_grad = edge is not None
            _keep_retained(changed)
        return
    base = view.base
    if not (base._requires_grad or edge is not None):
        view.version = changed._version_number()
        return
    _leave_retained(base)
    base._node = CopySlices(base._edge(), edge, view)
    base._requires_grad = True
    _keep_retained(base)
    _leave_retained(changed)
    view.refresh(changed)
    _keep_retained(changed)


def _leave_retained(tensor: Tensor) -> None:
    """Before its node changes: a tensor that retains its gradient wants the new node's only."""
    if tensor._retains() and tensor._node is not None:
        node = tensor._node
        owner, slot = (node.node, node.slot) if type(node) is OutputOf else (node, 0)
        owner.own_rare().retained.pop(slot, None)


def _keep_retained(tensor: Tensor) -> None:
    if tensor._retains() and tensor._node is not None:
        tensor._follow_node()


class Copied(PassOn):
    """The gradient of an in-place copy of a leaf goes to the leaf unchanged."""

    __slots__ = ()

    def name(self) -> str:
        return "torch::autograd::CopyBackwards"


class Overwritten(Node):
    """What a tensor was before it was overwritten with constants gets a gradient of zero."""

    __slots__ = ()

    def apply(self, grads: Sequence[Any]) -> Sequence[Any]:
        return (grads[0].new_zeros(grads[0].shape),)

    def name(self) -> str:
        return "FillBackward0"


class CopySlices(Node):
    """The gradient of overwriting a view: the base keeps what lies outside it, the value gets
    the rest.
    """

    __slots__ = ("layout", "view")

    def __init__(self, base_edge: Any, value_edge: Any, view: View):
        super().__init__((base_edge, value_edge))
        self.view = _new(View)
        self.view.path = view.path
        self.layout = _memory_order(view.base._array)

    def apply(self, grads: Sequence[Any]) -> Sequence[Any]:
        # The steps of a view are taken on memory that lies as the base's does.
        grad = _lay_out(grads[0], self.layout)
        kept = None
        if self.edges[0] is not None:
            kept = grad.clone()
            self.view.replay(kept).zero_()
        passed = self.view.replay(grad).clone() if self.edges[1] is not None else None
        return kept, passed

    def name(self) -> str:
        return "torch::autograd::CopySlices"


def _memory_order(array: Any) -> tuple[int, ...]:
    """The dimensions, those with the largest steps in memory first."""
    strides = getattr(array, "strides", None)
    if strides is None:
        return tuple(range(array.ndim))
    return tuple(sorted(range(array.ndim), key=lambda i: -abs(strides[i])))


def _lay_out(grad: Any, order: tuple[int, ...]) -> Any:
    """`grad` with its dimensions in memory in the order `order`, without gaps."""
    if order == tuple(range(len(order))):
        return grad.contiguous()
    back = tuple(order.index(i) for i in range(len(order)))
    return grad.permute(order).contiguous().permute(back)


__all__ = ["CopySlices", "OutputOf", "View", "make_view", "mark_multiple", "rebase_history"]
