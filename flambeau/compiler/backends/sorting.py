"""Places in order as kernels: sorting, and the first few."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flambeau.compiler.backends.families import emits
from flambeau.compiler.graph import Node
from flambeau.kernels import topk
from flambeau.kernels.kernel import Kernel
from flambeau.kernels.language import Module
from flambeau.kernels.pointwise import Operand
from flambeau.kernels.sort import Sorting

if TYPE_CHECKING:
    from flambeau.compiler.backends.work import Work


@emits("sort")
def sort(work: Work, node: Node) -> None:
    """The places that put a dimension in order, or the first of them."""
    a, rank = node.attributes, len(node.outputs[0].shape)
    order = [*(d for d in range(rank) if d != a["dim"]), a["dim"]]
    x, out = (work.place(v).moved(order) for v in (node.values[0], node.outputs[0]))
    sorting = Sorting(x.shape, a["descending"], out.shape[-1])

    def emit(module: Module, name: str, operands: list[Operand]) -> Kernel:
        return topk.emit(module, name, sorting, *operands)

    work.native(("sort", sorting), [x, out], emit)
