"""The nodes of the backward graph, and the tensors they save.

A node stands for one recorded operator. `edges` has one entry an input: the node that made the
input, the input itself where it is a leaf, or `None` where no gradient is wanted. The engine
calls `apply` with the gradients of the outputs and sends what it returns along the edges.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from flambeau.autograd.modes import modes

if TYPE_CHECKING:
    from flambeau.tensor.tensor import Tensor

next_sequence = itertools.count().__next__

FREED_MESSAGE = (
    "Trying to backward through the graph a second time (or directly access saved tensors "
    "after they have already been freed). Saved intermediate values of the graph are freed "
    "when you call .backward() or autograd.grad(). Specify retain_graph=True if you need to "
    "backward through the graph a second time or if you need to access saved tensors after "
    "calling backward."
)


class Rare:
    """What few nodes have: hooks, and the user's notes."""

    __slots__ = ("hooks", "metadata", "pre_hooks", "retained", "tensor_hooks")

    def __init__(self) -> None:
        self.hooks: dict[int, Callable] = {}
        self.pre_hooks: dict[int, Callable] = {}
        #: For each output slot, the hooks of the tensor made there: {slot: {id: hook}}.
        self.tensor_hooks: dict[int, dict[int, Callable]] = {}
        #: The tensors that `retain_grad` was called on, by output slot, held weakly.
        self.retained: dict[int, Callable[[], Tensor | None]] = {}
        self.metadata: dict = {}


#: Set by `autograd.anomaly`: called with each node that is made while anomalies are looked for.
on_new_node: Callable[[Node], None] | None = None


class Node:
    """One recorded operator. `sequence` grows with time, so later operators run first in
    backward.
    """

    __slots__ = ("__weakref__", "edges", "rare", "sequence")

    edges: tuple[Any, ...]
    sequence: int
    rare: Rare | None
    outputs = 1
    #: Whether `apply` is called also where no gradient reached any output.
    runs_without_gradient = False

    def __init__(self, edges: tuple[Any, ...]):
        self.edges = edges
        self.sequence = next_sequence()
        self.rare = None
        if on_new_node is not None:
            on_new_node(self)

    def apply(self, grads: Sequence[Tensor | None]) -> Sequence[Tensor | None]:
        """The gradients of the inputs, one an edge, from those of the outputs."""
        raise NotImplementedError

    def apply_to(self, grad: Tensor) -> Sequence[Tensor | None]:
        """`apply` for a node with one output."""
        return self.apply([grad])

    def release(self) -> None:
        """Frees what was saved for the backward pass."""

    def name(self) -> str:
        return type(self).__name__

    def own_rare(self) -> Rare:
        if self.rare is None:
            self.rare = Rare()
        return self.rare

    @property
    def metadata(self) -> dict:
        """A dictionary for the user's own notes."""
        return self.own_rare().metadata

    @property
    def next_functions(self) -> tuple[tuple[Node | None, int], ...]:
        """The nodes of the inputs with the number of the output that the input was."""
        return tuple(_public_edge(e) for e in self.edges)

    def register_hook(self, hook: Callable) -> RemovableHandle:
        """Calls `hook(grad_inputs, grad_outputs)` after this node; what it returns replaces the
        former.
        """
        return RemovableHandle(self.own_rare().hooks, hook)

    def register_prehook(self, hook: Callable) -> RemovableHandle:
        """Calls `hook(grad_outputs)` before this node; what it returns replaces the
        gradients.
        """
        return RemovableHandle(self.own_rare().pre_hooks, hook)

    def add_tensor_hook(self, slot: int, hook: Callable) -> RemovableHandle:
        """Calls `hook(grad)` with the gradient of output `slot` once it is complete."""
        return RemovableHandle(self.own_rare().tensor_hooks.setdefault(slot, {}), hook)

    def __repr__(self) -> str:
        return f"<{self.name()} object at {id(self):#x}>"


class OutputOf:
    """One output of a node with several: what such a tensor holds as its node."""

    __slots__ = ("node", "slot")

    def __init__(self, node: Node, slot: int):
        self.node, self.slot = node, slot

    @property
    def sequence(self) -> int:
        return self.node.sequence


class AccumulateGrad(Node):
    """The end of a path at a leaf, as `next_functions` shows it. The engine itself adds to
    `.grad`.
    """

    __slots__ = ("variable",)

    def __init__(self, variable: Tensor):
        super().__init__(())
        self.variable = variable

    def apply(self, grads: Sequence[Tensor | None]) -> Sequence[Tensor | None]:
        raise RuntimeError("AccumulateGrad is run by the engine only")

    def name(self) -> str:
        return "torch::autograd::AccumulateGrad"

    def __repr__(self) -> str:
        return f"<AccumulateGrad object at {id(self):#x}>"


def accumulator_of(leaf: Tensor) -> AccumulateGrad:
    """The one `AccumulateGrad` of a leaf; hooks put on it stay."""
    extra = leaf._own_extra()
    if extra.accumulator is None:
        extra.accumulator = AccumulateGrad(leaf)
    return extra.accumulator


def _public_edge(edge: Any) -> tuple[Node | None, int]:
    if edge is None:
        return None, 0
    if type(edge) is OutputOf:
        return edge.node, edge.slot
    if isinstance(edge, Node):
        return edge, 0
    return accumulator_of(edge), 0


class RemovableHandle:
    """Undoes the registration of a hook with `remove()`, or at the end of a `with` block."""

    _ids = itertools.count()

    def __init__(self, hooks: dict[int, Callable], hook: Callable):
        self.hooks = hooks
        self.id = next(RemovableHandle._ids)
        hooks[self.id] = hook

    def remove(self) -> None:
        self.hooks.pop(self.id, None)

    def __enter__(self) -> RemovableHandle:
        return self

    def __exit__(self, *exc: object) -> None:
        self.remove()


class SavedTensor:
    """A tensor kept for the backward pass, with the version it had.

    The result of the node itself is kept as an alias without its node, so that node and tensor
    do not hold each other; `unpack` gives the node back.
    """

    __slots__ = ("edge", "hooks", "is_output", "packed", "tensor", "version")

    def __init__(self, tensor: Tensor, is_output: bool = False):
        self.is_output = is_output
        self.hooks = modes.saved_hooks[-1] if modes.saved_hooks else None
        self.version = tensor._version_number()
        self.edge = None
        if self.hooks is not None:
            self.edge = None if is_output else tensor._edge()
            hooks, enabled = modes.saved_hooks, modes.grad_enabled
            modes.saved_hooks, modes.grad_enabled = (), False  # what packing saves is not packed again
            try:
                self.packed = self.hooks[0](
                    tensor.detach() if tensor._node is not None else tensor
                )
            finally:
                modes.saved_hooks, modes.grad_enabled = hooks, enabled
            self.tensor = None
        else:
            self.tensor = tensor._alias() if is_output else tensor

    def unpack(self, owner: Node, slot: int = 0) -> Tensor:
        """The tensor, with its history. Raises `RuntimeError` if it was changed in place
        since.
        """
        edge = self.edge
        if self.hooks is not None:
            tensor = self.hooks[1](self.packed)
            if not hasattr(tensor, "_array"):
                raise TypeError(
                    "Output of saved tensor unpack_hook expected to be a Tensor but got result "
                    "of type "
                    f"{type(tensor).__name__}"
                )
        else:
            tensor = self.tensor
            if tensor._version_number() != self.version:
                owner_or_none = owner if self.is_output else None
                raise RuntimeError(changed_message(tensor, self.version, owner_or_none, slot))
        if self.is_output:
            edge = owner if owner.outputs == 1 else OutputOf(owner, slot)
        if edge is not None and tensor is not edge:
            tensor = tensor._alias()
            tensor._requires_grad = True
            tensor._node = edge if isinstance(edge, (Node, OutputOf)) else PassOn(edge)
        return tensor


class PassOn(Node):
    """Hands a gradient on as it is: the history of an alias of a leaf."""

    __slots__ = ()

    def __init__(self, leaf: Tensor):
        super().__init__((leaf,))

    def apply(self, grads: Sequence[Tensor | None]) -> Sequence[Tensor | None]:
        return grads


def short_name(node: Node) -> str:
    """The operator's name alone, as errors write it: `Mul` for `MulBackward0`."""
    return re.sub(r"Backward\d*$", "", node.name().rpartition("::")[2])


def changed_message(tensor: Tensor, expected: int, owner: Node | None, slot: int) -> str:
    kind = f"torch.{tensor.dtype.tensor_type}Tensor"
    node = owner or tensor.grad_fn
    source = ""
    if node is not None:
        source = f", which is output {slot} of {short_name(node)},"
    return (
        "one of the variables needed for gradient computation has been modified by an inplace "
        f"operation: [{kind} {list(tensor.shape)}]{source} is at version "
        f"{tensor._version_number()}; expected version {expected} instead. Hint: enable "
        "anomaly detection to find the operation that failed to compute its gradient, with "
        "torch.autograd.set_detect_anomaly(True, check_nan=False)."
    )
