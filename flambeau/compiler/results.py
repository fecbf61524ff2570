"""Which memory the tensors show that a traced function returned: new memory, or that of something else.

As in eager execution, results that share memory go on sharing it: the program makes each piece of new memory once, and
views of it, or of arguments and captured tensors, are taken again from the real tensors at each call.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flambeau.compiler.layouts import is_dense, is_in_order
from flambeau.compiler.numbers import Given, Number
from flambeau.compiler.sources import Argument, Captured, GradientOf, Result, Shown
from flambeau.compiler.symbols import Storage, Symbol
from flambeau.compiler.trees import map_tensors, map_tree
from flambeau.tensor.tensor import Tensor, wrap
from flambeau.tensor.tracing import Untraceable

if TYPE_CHECKING:
    from flambeau.compiler.trace import Tracer


class Returned:
    """The tensors that a traced function returned.

    `new` are those that each call makes anew, as the traced function knows them.
    """

    def __init__(self, tracer: Tracer, results: Any):
        self.tracer, self.tree = tracer, results
        self.new: list[Tensor] = []
        self._bases: dict[int, Tensor] = {}  # by the id of the storage
        self._made: dict[int, Any] = {}  # by the id of the tensor
        self._gradients = {id(value): owner for owner, value in tracer.grads.values() if value is not None}
        tensors: dict[int, Tensor] = {}
        map_tensors(results, lambda t: tensors.setdefault(id(t), t))
        alone: dict[int, tuple[Storage, list[Tensor]]] = {}
        for tensor in tensors.values():
            if self._is_new(tensor):
                storage = tensor._array.storage
                alone.setdefault(id(storage), (storage, []))[1].append(tensor)
        for storage, group in alone.values():
            self._choose(storage, group)

    def _is_new(self, tensor: Tensor) -> bool:
        symbol = tensor._array
        return (
            isinstance(symbol, Symbol)
            and symbol.storage.source < 0
            and id(tensor) not in self.tracer.arguments
            and self._gradient_of(symbol) is None
        )

    def _gradient_of(self, symbol: Symbol) -> tuple[Any, Tensor] | None:
        """The owner of the `.grad` whose memory a symbol shows, and that `.grad`."""
        for owner, value in self.tracer.grads.values():
            if value is not None and isinstance(value._array, Symbol) and value._array.storage is symbol.storage:
                return owner, value
        return None

    def _choose(self, storage: Storage, group: list[Tensor]) -> None:
        """Which tensors of one memory are made, so that the others can be taken as views of these."""
        wholes = [t for t in group if not t._array.steps]
        tracked = [t for t in group if _is_tracked(t)]
        base = next((t for t in wholes if _is_tracked(t)), None)
        if base is None and tracked:
            view = tracked[0]._view
            base = view.base if view is not None and view.differentiable and not view.base._array.steps else None
        if base is None:
            base = wholes[0] if wholes else wrap(self.tracer.whole(storage))
        if len(group) == 1 and group[0] is not base and group[0]._array.size < base._array.size:
            self.new.append(group[0])  # a part alone need not hold on to the rest
            return
        self._bases[id(storage)] = base
        self.new.append(base)
        self.new += [t for t in tracked if t is not base and (t._view is None or t._view.base is not base)]

    def finish(self) -> Any:
        """What was returned, with a `Result` or `Shown` for each tensor; the values of new ones become outputs."""
        trace, graph = self.tracer.trace, self.tracer.graph
        for tensor in self.new:
            if tensor._retains():
                raise Untraceable("a result that retains its gradient")
            symbol, order = tensor._array, None
            value = self.tracer.read(symbol)
            if is_dense(symbol) and not is_in_order(symbol):
                from flambeau.ops.shape import _permute

                order = tuple(sorted(range(symbol.ndim), key=lambda d: -symbol.strides[d]))
                value = graph.call(_permute, value, dims=order)
            graph.outputs.append(value)
            made = Result(len(graph.outputs) - 1, order, _is_leaf(tensor), type(tensor))
            trace.new.append(made)
            self._made[id(tensor)] = made
        return map_tree(self.tree, lambda x: self._described(x) if isinstance(x, Tensor) else _given(x))

    def described(self, tensor: Tensor) -> Any:
        """The `Result` that a tensor became, or `None`."""
        return self._made.get(id(tensor))

    def _described(self, tensor: Tensor) -> Any:
        if id(tensor) not in self._made:
            self._made[id(tensor)] = self._shown(tensor)
        return self._made[id(tensor)]

    def _shown(self, tensor: Tensor) -> Shown:
        tracer, symbol = self.tracer, tensor._array
        position = tracer.arguments.get(id(tensor))
        if position is not None:
            return Shown(Argument(position))
        if not isinstance(symbol, Symbol):
            return Shown(tracer.captured(tensor))
        tracked = tensor.requires_grad
        if (gradient := self._gradient_of(symbol)) is not None:
            owner, value = gradient
            of = GradientOf(tracer.owner(owner))
            return Shown(of) if value is tensor else Shown(of, symbol.steps, tracked)
        if symbol.storage.source < 0:
            return Shown(self._made[id(self._bases[id(symbol.storage)])], symbol.steps, tracked)
        source = tracer.trace.sources[symbol.storage.source]
        if isinstance(source, GradientOf):
            if any(tracer.owner(owner) == source.owner for owner, _ in tracer.grads.values()):
                raise Untraceable("a gradient of before the call that is returned")
            held = tracer.grad_input(source)
            return Shown(source) if held is tensor else Shown(source, symbol.steps, tracked)
        if isinstance(source, (Argument, Captured)):
            return Shown(source, symbol.steps, tracked)
        raise Untraceable("a result that shares memory with a gradient")


def _given(x: Any) -> Any:
    return Given(x.read) if type(x) is Number else x


def _is_tracked(tensor: Tensor) -> bool:
    return tensor.requires_grad and tensor._fresh_node() is not None


def _is_leaf(tensor: Tensor) -> bool:
    return tensor._requires_grad and tensor._node is None
