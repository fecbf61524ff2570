"""Attention as kernels: what the family "attention" becomes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flambeau.compiler.backends.families import emits
from flambeau.compiler.backends.place import Place
from flambeau.compiler.graph import Node, Value
from flambeau.kernels import attention
from flambeau.kernels.language import Module
from flambeau.kernels.pointwise import Operand
from flambeau.ops.attention import shape_of

if TYPE_CHECKING:
    from flambeau.compiler.backends.work import Work

_EMITTERS = {
    "forward": attention.emit_forward,
    "query": attention.emit_query_gradient,
    "key value": attention.emit_key_value_gradient,
}


@emits("attention")
def attend(work: Work, node: Node) -> None:
    """The result and its sums, the gradient of the queries, or those of keys and values."""
    if node.outputs[0].dtype.itemsize < 4:
        raise NotImplementedError("attention of halves")
    (which,) = node.primitive.lowering.options
    a = node.attributes
    query, key, value, mask, *others = node.inputs
    shape = shape_of(query.shape, key.shape, value.shape, a["scale"], a["causal"])

    def matrices(x: Value) -> Place:
        place = work.place(x)
        return place.broadcast((*shape.batch, *place.shape[-2:]))

    inputs = [matrices(x) for x in (query, key, value)]
    if mask is not None:
        inputs.append(work.place(mask).broadcast((*shape.batch, shape.queries, shape.keys)))
    inputs += [work.place(x) for x in others]
    outputs = [work.place(v) for v in node.outputs]
    if which == "forward" and a["turned"]:
        rank = len(outputs[0].shape)
        outputs[0] = outputs[0].moved([*range(rank - 3), rank - 2, rank - 3, rank - 1])

    def emit(module: Module, name: str, operands: list[Operand]) -> attention.Kernel:
        without = [*operands[:3], None, *operands[3:]] if mask is None else operands
        return _EMITTERS[which](module, name, shape, *without)  # type: ignore[operator]

    work.native(("attention", which, shape, mask is None), [*inputs, *outputs], emit)
