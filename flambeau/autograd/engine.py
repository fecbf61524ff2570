"""The backward pass: runs the nodes of a graph from results to leaves, latest first, without
recursion.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from flambeau.autograd.modes import modes
from flambeau.autograd.node import Node, OutputOf, Rare
from flambeau.core.state import set_autocast, state

if TYPE_CHECKING:
    from flambeau.tensor.tensor import Tensor


def run_backward(
    roots: Sequence[Any],
    root_grads: Sequence[Tensor],
    *,
    keep_graph: bool,
    create_graph: bool,
    targets: Sequence[Any] | None = None,
    accumulate: bool = False,
) -> dict[Any, Tensor]:
    """Sends `root_grads` back from the edges `roots`.

    Without `targets`, gradients are added to the `.grad` of every leaf. With `targets` (edges),
    the gradients that arrive there are returned in a dictionary by edge key, or with
    `accumulate` added to the targets' `.grad`; only nodes on a path to a target run.
    """
    waiting, leaf_waiting, runs = _explore(roots, targets)
    wanted = None if targets is None else {_key(t) for t in targets}
    buffers: dict[
        Node, Any
    ] = {}  # the gradient that reached a node; a list where it has several outputs
    leaves: dict[int, Tensor] = {}
    captured: dict[Any, Tensor] = {}
    ready: list[tuple[int, Node]] = []
    before, outer_task = modes.grad_enabled, modes.task
    modes.grad_enabled = create_graph
    narrow = state.autocast
    if narrow is not None:  # gradients have the dtypes of what they are gradients of
        set_autocast(None)
    task = modes.task = Task(waiting, leaf_waiting, runs)
    plain = targets is None and _watched_apply is None  # no one looks on

    def deliver(edge: Any, grad: Tensor | None) -> None:
        """Adds `grad` to what arrived at `edge`; a node that has all of its gradients becomes
        ready.
        """
        if isinstance(edge, Node):
            node = edge
            if node not in waiting:
                return
            if grad is not None:
                if node.outputs == 1:
                    held = buffers.get(node)
                    buffers[node] = grad if held is None else held + grad
                else:
                    _add_to_slot(buffers, node, 0, grad)
        elif type(edge) is OutputOf:
            node = edge.node
            if node not in waiting:
                return
            if grad is not None:
                _add_to_slot(buffers, node, edge.slot, grad)
        else:
            key = id(edge)
            if key not in leaf_waiting:
                return
            if grad is not None:
                held = leaves.get(key)
                leaves[key] = grad if held is None else held + grad
            leaf_waiting[key] -= 1
            if not leaf_waiting[key] and key in leaves:
                _finish_leaf(edge, leaves.pop(key), wanted, captured, accumulate, create_graph)
            return
        count = waiting[node] - 1
        waiting[node] = count
        if not count:
            heapq.heappush(ready, (-node.sequence, node))

    try:
        for edge, grad in zip(roots, root_grads, strict=True):
            deliver(edge, grad)
        while ready:
            node = heapq.heappop(ready)[1]
            arrived = buffers.pop(node, None)
            if plain and arrived is not None and node.rare is None and node.outputs == 1:
                results = node.apply_to(arrived)
                if not keep_graph:
                    node.release()
                for edge, grad in zip(node.edges, results, strict=True):
                    if edge is None:
                        continue
                    if grad is None or not isinstance(edge, Node) or edge.outputs != 1:
                        deliver(edge, grad)
                        continue
                    # `deliver` for the usual edge, without the call.
                    count = waiting.get(edge)
                    if count is not None:
                        held = buffers.get(edge)
                        buffers[edge] = grad if held is None else held + grad
                        waiting[edge] = count - 1
                        if count == 1:
                            heapq.heappush(ready, (-edge.sequence, edge))
                continue
            continues = runs is None or node in runs
            if arrived is None:  # every path to here ended without a gradient
                if not node.runs_without_gradient:
                    for edge in node.edges if continues else ():
                        if edge is not None:
                            deliver(edge, None)
                    continue
                arrived = None if node.outputs == 1 else [None] * node.outputs
            grads = [arrived] if node.outputs == 1 else arrived
            rare = node.rare
            if rare is not None:
                _run_tensor_hooks(rare, grads)
            if wanted is not None:
                for slot, grad in enumerate(grads):
                    if grad is not None and (node, slot) in wanted:
                        captured[node, slot] = grad
                if not continues:
                    continue
            if rare is not None and rare.pre_hooks:
                _run_pre_hooks(rare, grads)
            results = (
                node.apply(grads) if _watched_apply is None else _watched_apply(node, grads)
            )
            if rare is not None and rare.hooks:
                results = _run_hooks(rare, results, grads)
            if not keep_graph:
                node.release()
            for edge, grad in zip(node.edges, results, strict=True):
                if edge is not None:
                    deliver(edge, grad)
        for callback in task.callbacks:
            callback()
    finally:
        modes.grad_enabled, modes.task = before, outer_task
        if narrow is not None:
            set_autocast(narrow)
    return captured


class Task:
    """A backward pass under way: which nodes and leaves it will reach, and what to call at its
    end.
    """

    __slots__ = ("__weakref__", "callbacks", "leaves", "nodes", "runs")

    def __init__(self, nodes: dict[Node, int], leaves: dict[int, int], runs: set[Node] | None):
        self.nodes, self.leaves, self.runs = nodes, leaves, runs
        self.callbacks: list[Callable[[], None]] = []

    def reaches(self, edge: Any) -> bool:
        """Whether a gradient arrives at `edge` in this pass."""
        node = _node_of(edge)
        return id(edge) in self.leaves if node is None else node in self.nodes


def _add_to_slot(buffers: dict[Node, Any], node: Node, slot: int, grad: Tensor) -> None:
    slots = buffers.get(node)
    if slots is None:
        slots = buffers[node] = [None] * node.outputs
    held = slots[slot]
    slots[slot] = grad if held is None else held + grad


#: Set by `autograd.anomaly`: runs a node in place of `node.apply`.
_watched_apply: Any = None


def _key(edge: Any) -> Any:
    if isinstance(edge, Node):
        return edge, 0
    if type(edge) is OutputOf:
        return edge.node, edge.slot
    return id(edge)


def _node_of(edge: Any) -> Node | None:
    if isinstance(edge, Node):
        return edge
    return edge.node if type(edge) is OutputOf else None


def _explore(
    roots: Sequence[Any], targets: Sequence[Any] | None
) -> tuple[dict[Node, int], dict[int, int], set[Node] | None]:
    """How many gradients each node and each leaf (by id) waits for, and, given targets, which
    nodes run.

    Only nodes on a path to a target are waited for, and only those above a target run.
    """
    start = [n for n in map(_node_of, roots) if n is not None]
    runs: set[Node] | None = None
    useful: set[Node] | None = None
    kept_leaves: set[int] | None = None
    if targets is not None:
        runs, useful = _paths(start, targets)
        kept_leaves = {id(t) for t in targets if _node_of(t) is None}
    waiting: dict[Node, int] = {}
    leaves: dict[int, int] = {}
    for edge in roots:
        node = _node_of(edge)
        if node is None:
            if kept_leaves is None or id(edge) in kept_leaves:
                leaves[id(edge)] = leaves.get(id(edge), 0) + 1
        elif useful is None or node in useful:
            waiting[node] = waiting.get(node, 0) + 1
    stack = list(waiting)
    while stack:
        node = stack.pop()
        if runs is not None and node not in runs:
            continue
        for edge in node.edges:
            if isinstance(edge, Node):
                child = edge
            elif edge is None:
                continue
            elif type(edge) is OutputOf:
                child = edge.node
            else:
                key = id(edge)
                if kept_leaves is None or key in kept_leaves:
                    leaves[key] = leaves.get(key, 0) + 1
                continue
            count = waiting.get(child)
            if count is not None:
                waiting[child] = count + 1
            elif useful is None or child in useful:
                waiting[child] = 1
                stack.append(child)
    return waiting, leaves, runs


def _paths(start: Sequence[Node], targets: Sequence[Any]) -> tuple[set[Node], set[Node]]:
    """The nodes whose inputs lead to a target, and those together with the targets' own
    nodes.
    """
    seen = set(start)
    stack = list(seen)
    while stack:
        for edge in stack.pop().edges:
            child = _node_of(edge)
            if child is not None and child not in seen:
                seen.add(child)
                stack.append(child)
    useful = {n for n in map(_node_of, targets) if n is not None}
    leaves = {id(t) for t in targets if _node_of(t) is None}
    runs: set[Node] = set()
    for node in sorted(
        seen, key=lambda n: n.sequence
    ):  # inputs come before what is made of them
        for edge in node.edges:
            if edge is not None:
                child = _node_of(edge)
                if id(edge) in leaves if child is None else child in useful:
                    runs.add(node)
                    useful.add(node)
                    break
    return runs, useful


def _finish_leaf(
    leaf: Tensor,
    grad: Tensor,
    wanted: set | None,
    captured: dict[Any, Tensor],
    accumulate: bool,
    create_graph: bool,
) -> None:
    extra = leaf._extra
    if extra is not None and extra.hooks:
        for hook in list(extra.hooks.values()):
            grad = _replaced(hook, grad)
    if wanted is not None and not accumulate:
        captured[id(leaf)] = grad
        return
    accumulator = None if extra is None or extra.accumulator is None else extra.accumulator.rare
    if accumulator is not None:
        grads: list[Any] = [grad]
        _run_tensor_hooks(accumulator, grads)
        _run_pre_hooks(accumulator, grads)
        (grad,) = grads
    leaf._accumulate_grad(grad, create_graph)
    if extra is not None and extra.post_accumulate_hooks:
        for hook in list(extra.post_accumulate_hooks.values()):
            hook(leaf)
    if accumulator is not None:
        _run_hooks(accumulator, (), (grad,))


def _replaced(hook: Callable[[Tensor], Tensor | None], grad: Tensor) -> Tensor:
    """The gradient after a tensor hook: what it returned, or as it was."""
    found = hook(grad)
    if found is None:
        return grad
    if not hasattr(found, "requires_grad"):
        raise TypeError(f"expected Variable, but hook returned '{type(found).__name__}'")
    if found.shape != grad.shape:
        name = getattr(hook, "__name__", "<unknown>")
        raise RuntimeError(f"hook '{name}' has changed the size of value")
    return found


def _run_tensor_hooks(rare: Rare, grads: list[Tensor | None]) -> None:
    """The hooks of the tensors that a node made; those of `retain_grad` see what the others
    left.
    """
    for slot, hooks in rare.tensor_hooks.items():
        for hook in list(hooks.values()):
            grad = grads[slot]
            if grad is not None:
                grads[slot] = _replaced(hook, grad)
    for slot, owner in rare.retained.items():
        tensor, grad = owner(), grads[slot]
        if tensor is not None and grad is not None:
            tensor._retain(grad)


def _run_pre_hooks(rare: Rare, grads: list[Tensor | None]) -> None:
    for hook in list(rare.pre_hooks.values()):
        replaced = hook(tuple(grads))
        if replaced is not None:
            grads[:] = replaced if isinstance(replaced, tuple) else (replaced,)


def _run_hooks(rare: Rare, results: Sequence[Any], grads: Sequence[Any]) -> Sequence[Any]:
    for hook in list(rare.hooks.values()):
        replaced = hook(tuple(results), tuple(grads))
        if replaced is not None:
            results = replaced if isinstance(replaced, tuple) else (replaced,)
    return results


def backward(
    tensors: Any,
    grad_tensors: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    grad_variables: Any = None,
    inputs: Any = None,
) -> None:
    """Adds the gradients of `tensors` to the `.grad` of the leaves they came from.

    `grad_tensors` weighs each tensor (needed where it has more than one element). With
    `inputs`, only those receive gradients. Raises `RuntimeError` where a tensor has no graph or
    it was freed.
    """
    tensors, grads = _roots(
        tensors, grad_tensors if grad_tensors is not None else grad_variables
    )
    keep = create_graph if retain_graph is None else retain_graph
    targets = None
    if inputs is not None:
        inputs = (inputs,) if hasattr(inputs, "requires_grad") else tuple(inputs)
        if not inputs:
            raise RuntimeError("`inputs` argument to `backward()` cannot be empty.")
        targets = [t._edge() for t in inputs]
        if any(t is None for t in targets):
            raise RuntimeError("One of the differentiated Tensors does not require grad")
    found = run_backward(
        [t._edge() for t in tensors],
        grads,
        keep_graph=keep,
        create_graph=create_graph,
        targets=targets,
        accumulate=True,
    )
    for t, edge in zip(inputs or (), targets or (), strict=True):
        if t._node is not None and _key(edge) in found:
            t._accumulate_grad(found[_key(edge)], create_graph)


def grad(
    outputs: Any,
    inputs: Any,
    grad_outputs: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    only_inputs: bool = True,
    allow_unused: bool | None = None,
    is_grads_batched: bool = False,
    materialize_grads: bool = False,
) -> tuple[Any, ...]:
    """The gradients of the sum of `outputs` (weighed by `grad_outputs`) with respect to each
    input.

    Raises `RuntimeError` for an input that the outputs do not depend on, unless `allow_unused`
    (then `None`) or `materialize_grads` (then zeros).
    """
    if is_grads_batched:
        raise NotImplementedError(
            "autograd.grad(is_grads_batched=True): call grad once a row instead"
        )
    if not only_inputs:
        raise NotImplementedError("autograd.grad(only_inputs=False): use backward() instead")
    if materialize_grads and allow_unused is False:
        raise ValueError(
            "Expected allow_unused to be True or not passed when materialize_grads=True, but "
            "got: allow_unused=False."
        )
    inputs = (inputs,) if hasattr(inputs, "requires_grad") else tuple(inputs)
    outputs, grads = _roots(outputs, grad_outputs)
    targets = [t._edge() for t in inputs]
    if any(t is None for t in targets):
        raise RuntimeError("One of the differentiated Tensors does not require grad")
    keep = create_graph if retain_graph is None else retain_graph
    found = run_backward(
        [t._edge() for t in outputs],
        grads,
        keep_graph=keep,
        create_graph=create_graph,
        targets=targets,
    )
    results: list[Any] = [found.get(_key(t)) for t in targets]
    for i, (given, result) in enumerate(zip(inputs, results, strict=True)):
        if result is None and materialize_grads:
            results[i] = given.detach().new_zeros(given.shape)
        elif result is None and not allow_unused:
            raise RuntimeError(
                f"The differentiated Tensor at index {i} appears to not have been used in the "
                "graph. Set allow_unused=True if this is the desired behavior."
            )
    return tuple(results)


def _roots(outputs: Any, grads: Any) -> tuple[list[Tensor], list[Tensor]]:
    outputs = [outputs] if hasattr(outputs, "requires_grad") else list(outputs)
    if grads is None or hasattr(grads, "requires_grad"):
        grads = [grads] * len(outputs)
    grads = list(grads)
    if len(grads) != len(outputs):
        raise RuntimeError(f"got {len(outputs)} tensors and {len(grads)} gradients")
    for i, (out, g) in enumerate(zip(outputs, grads, strict=True)):
        if not out.requires_grad:
            raise RuntimeError(
                f"element {i} of tensors does not require grad and does not have a grad_fn"
            )
        if g is None:
            if out.numel() != 1:
                raise RuntimeError("grad can be implicitly created only for scalar outputs")
            if not out.dtype.is_floating_point:
                raise RuntimeError(
                    "grad can be implicitly created only for real scalar outputs but got "
                    f"{out.dtype}"
                )
            grads[i] = out._ones()
        elif g.shape != out.shape:
            raise RuntimeError(
                f"Mismatch in shape: grad_output[{i}] has a shape of {g.shape} and output[{i}] "
                f"has a shape of {out.shape}."
            )
        elif g.dtype.is_complex != out.dtype.is_complex:
            raise RuntimeError(
                "For complex Tensors, both grad_output and output are required to have the "
                "same dtype. "
                f"Mismatch in dtype: grad_output[{i}] has a dtype of {g.dtype} and output[{i}] "
                f"has a dtype of {out.dtype}."
            )
    return outputs, grads
