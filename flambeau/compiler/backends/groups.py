"""How groups of nodes become steps, one function for each kind of group."""

from __future__ import annotations

from collections.abc import Callable

from flambeau.compiler.backends import families
from flambeau.compiler.backends.calls import KernelCall
from flambeau.compiler.backends.expressions import BOOL, REDUCTIONS, Builder, axes_of
from flambeau.compiler.backends.joined import Member, joined_call, together
from flambeau.compiler.backends.kinds import kind_of, slab_axes, takes_epilogue
from flambeau.compiler.backends.lowering import Lowering, Step
from flambeau.compiler.backends.place import Place, batch_last, has_batch_last, whole
from flambeau.compiler.backends.placement import destinations, parts_of
from flambeau.compiler.backends.work import Work
from flambeau.compiler.graph import Graph, Node, Value
from flambeau.compiler.passes.fuse import fuse
from flambeau.compiler.passes.group import Group
from flambeau.compiler.passes.join import join
from flambeau.compiler.passes.recompute import recompute
from flambeau.compiler.schedule import Schedule
from flambeau.compiler.views import contiguous_strides
from flambeau.kernels import slabs


def lower(graph: Graph, schedule: Schedule) -> Lowering:
    """The steps that compute a graph."""
    groups = recompute(graph, fuse(graph, kind_of, takes_epilogue, slab_axes))
    groups = join(graph, groups)
    low = Lowering(graph, schedule, destinations(graph, groups))
    for group in groups:
        if group.kind != "view":
            for value in group.outputs:
                low.located[value] = low.destined.get(value) or whole(value)
        _EMITTERS[group.kind](low, group)
    return low


def _view(low: Lowering, group: Group) -> None:
    (node,) = group.nodes
    base, *rest = node.inputs
    (out,) = node.outputs
    try:
        low.located[out] = low.locate(base).view(
            (node.primitive, tuple(rest), node.attributes)
        )
    except ValueError:
        # A reshape across strides: the base is put in order first.
        group.notes.append("copied: its strides do not allow the view")
        target = low.located[out] = whole(out)
        ordered = target.seen(base.shape, contiguous_strides(base.shape, 1))
        low.add_step(group, [low.kernels.copy(low.locate(base), ordered)], [out])


# Pointwise nodes and reductions -----------------------------------------------------------------------


def _reads_lanes(low: Lowering, group: Group, shape: tuple[int, ...]) -> bool:
    """Whether something of this shape that the group reads has its samples side by side."""
    return any(
        has_batch_last(low.located[v]) for v in group.inputs if v in low.located and v.shape == shape
    )


def _pointwise(low: Lowering, group: Group) -> None:
    member = _member(low, group)
    low.add_step(group, [member.alone(low.kernels)], group.outputs, [member.places])


def _joined(low: Lowering, group: Group) -> None:
    """One kernel for all members whose tensors it can go through, others for the rest."""
    calls = []
    members = [_member(low, m) for m in group.members]
    for described, alike in together(members):
        if described is None or len(alike) == 1:
            calls += [m.alone(low.kernels) for m in alike]
            group.notes.append(f"{len(alike)} by themselves, as their memory lies")
        else:
            call, records = joined_call(low.kernels, described, alike)
            low.records.append(records)
            calls.append(call)
            group.notes.append(f"{len(alike)} tensors in one kernel")
    low.add_step(group, calls, group.outputs, [m.places for m in members])


def _member(low: Lowering, group: Group) -> Member:
    """What a pointwise group computes, and where."""
    shape = group.outputs[0].shape
    builder = Builder()
    elements, operands = low.expression(builder, group.nodes, shape)
    # The result lies as its inputs do, so that layouts follow from convolutions onwards.
    if _reads_lanes(low, group, shape):
        for value in group.outputs:
            if value not in low.destined:
                low.located[value] = batch_last(value)
    outputs = [low.located[v] for v in group.outputs]
    results = tuple(elements[v].position for v in group.outputs)
    return Member(tuple(builder.nodes), results, operands, outputs)


def _slab(low: Lowering, group: Group) -> None:
    """Reductions over the same dimensions of one shape, what they are made of, and what is made of them."""
    first = next(n for n in group.nodes if n.primitive.name in REDUCTIONS)
    shape, axes = first.values[0].shape, tuple(sorted(axes_of(first)))
    row = tuple(1 if d in axes else n for d, n in enumerate(shape))
    builder = Builder()
    elements, operands = low.expression(builder, group.nodes, shape)
    lanes = _reads_lanes(low, group, shape)
    outputs = []
    for value in group.outputs:
        if value.shape == shape:
            if lanes:
                low.located[value] = batch_last(value)
            outputs.append(low.located[value])
        else:
            one = whole(value).seen(row, contiguous_strides(row, 1))
            outputs.append(one.broadcast(shape))
    results = tuple(elements[v].position for v in group.outputs)
    ins, ends = [p.operand for p in operands], [p.operand for p in outputs]
    nodes = tuple(builder.nodes)
    kernel = low.kernels.kernel(
        ("slab", shape, axes, *ins, "to", *ends, nodes, results),
        lambda name: slabs.emit(low.kernels.module, name, shape, axes, ins, ends, nodes, results),
    )
    low.add_step(group, [(kernel, [*operands, *outputs])], group.outputs)


def _reduce(low: Lowering, group: Group) -> None:
    *prologue, node = group.nodes
    source = node.values[0]
    shape, axes = source.shape, axes_of(node)
    builder = Builder()
    elements, operands = low.expression(builder, prologue, shape)
    if source not in elements:
        operands = [low.locate(source).broadcast(shape)]
        elements[source] = builder.input(0, source.dtype)
    element = elements[source]
    op = REDUCTIONS[node.primitive.name]
    if op in ("any", "all"):
        element = builder.cast(element, BOOL)
    left = tuple(n for d, n in enumerate(shape) if d not in axes)
    (out,) = node.outputs
    target = whole(out).seen(left, contiguous_strides(left, 1))
    call = low.kernels.reduction(operands, target, axes, builder.nodes, op, element)
    low.add_step(group, [call], [out])


# Products and families --------------------------------------------------------------------------------


def _matmul(low: Lowering, group: Group) -> None:
    node, *epilogue = group.nodes
    a, b = map(low.locate, node.values)
    (out,) = group.outputs
    batch = out.shape[:-2]
    a, b = a.broadcast((*batch, *a.shape[-2:])), b.broadcast((*batch, *b.shape[-2:]))
    end = low.epilogue(node, epilogue, [out])
    nodes = (*end.nodes, ("convert", end.results[0], out.dtype.name))  # the last is stored
    a, b = _usual(a), _usual(b)
    packed = None if batch else low.packed(node.values[1], a, b)
    call = low.kernels.product(a, b, low.located[out], nodes, end.extras, packed)
    low.add_step(group, [call], [out])


def _usual(place: Place) -> Place:
    """With the stride of the last dimension 1 where it has only one element."""
    if place.shape[-1] == 1 and place.strides[-1] == 0:
        return place.seen(place.shape, (*place.strides[:-1], 1))
    return place


def _family(low: Lowering, group: Group) -> None:
    """A node whose kernels a family makes; the host computes what none can."""
    node, *after = group.nodes
    work = Work(low, node)
    work.after, work.results = after, group.outputs
    try:
        families.EMITTERS[node.primitive.lowering.family](work, node)
    except NotImplementedError as e:
        group.notes.append(f"on the host: {e}")
        _host_alone(low, group, node, after)
        return
    low.add_step(group, work.calls, [*group.outputs, *work.temporaries], changed=work.changed)


def _host_alone(low: Lowering, group: Group, node: Node, after: list[Node]) -> None:
    """The host computes a node; what was to be its epilogue runs by itself."""
    outputs, group.nodes, group.outputs = group.outputs, [node], list(node.outputs)
    _host(low, group)
    if after:
        rest = Group("pointwise", after, outputs)
        _pointwise(low, rest)


def _host(low: Lowering, group: Group) -> None:
    (node,) = group.nodes
    reads = [low.locate(v).root for v in node.values if v.constant is None]
    for value in node.outputs:
        low.located[value] = whole(value)
    step = Step(group, list(dict.fromkeys(reads)), list(node.outputs), node=node)
    low.steps.append(step)


# Copies -----------------------------------------------------------------------------------------------


def _copies(low: Lowering, group: Group) -> None:
    (node,) = group.nodes
    (out,) = node.outputs
    if node.primitive.name == "cat":
        if len(out.shape) == 4 and all(has_batch_last(low.locate(v)) for v in node.values):
            low.located[out] = batch_last(out)
        calls = _joins(low, node, low.located[out])
        if len(calls) < len(node.values):
            group.notes.append(f"{len(node.values) - len(calls)} parts were written in place")
    else:
        calls = _copies_of(low, node, out)
    low.add_step(group, calls, [out])


def _joins(low: Lowering, node: Node, joined: Place) -> list[KernelCall]:
    """Copies those parts of a concatenation that were not made where they belong."""
    parts = [(low.locate(value), place) for value, place in parts_of(node, joined)]
    return [low.kernels.copy(s, target) for s, target in parts if not s.is_same(target)]


def _copies_of(low: Lowering, node: Node, out: Value) -> list[KernelCall]:
    name, attributes = node.primitive.name, node.attributes
    target = whole(out)
    first = low.locate(node.values[0])
    if name == "view_put":
        inside = target
        for step in attributes["steps"]:
            inside = inside.view(step)
        return [low.kernels.copy(first, target), low.kernels.copy(low.locate(node.values[1]), inside)]
    if name == "slice_backward":
        starts, steps, fill = attributes["starts"], attributes["steps"], 0
    else:
        starts, steps, fill = attributes["before"], (1,) * len(out.shape), attributes["value"]
    offset = sum(a * s for a, s in zip(starts, target.strides, strict=True))
    strides = [s * t for s, t in zip(target.strides, steps, strict=True)]
    return [
        low.kernels.fill(fill, target),
        low.kernels.copy(first, target.seen(first.shape, strides, offset)),
    ]


_EMITTERS: dict[str, Callable[[Lowering, Group], None]] = {
    "view": _view, "pointwise": _pointwise, "joined": _joined, "slab": _slab, "reduce": _reduce, "matmul": _matmul,
    "family": _family, "copies": _copies, "host": _host,
}  # fmt: skip
