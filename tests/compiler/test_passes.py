"""Each pass on small graphs, and the graph's own checks."""

from __future__ import annotations

import numpy as np
import pytest

import flambeau as torch
from flambeau.compiler.backends.kinds import kind_of
from flambeau.compiler.backends.memory import Lifetime, plan
from flambeau.compiler.graph import Graph, constant
from flambeau.compiler.passes.assemble import assemble
from flambeau.compiler.passes.common import merge_common
from flambeau.compiler.passes.dead import drop_dead
from flambeau.compiler.passes.decompose import decompose
from flambeau.compiler.passes.fold import fold_constants
from flambeau.compiler.passes.fuse import fuse
from flambeau.compiler.passes.recompute import recompute
from flambeau.compiler.passes.simplify import simplify
from flambeau.compiler.passes.views_last import views_last
from flambeau.ops.table import PRIMITIVES as P

F32 = np.dtype(np.float32)


def start(*shape: int) -> tuple:
    graph = Graph()
    return graph, graph.add_input(shape, F32)


def names(graph: Graph) -> list[str]:
    return [n.primitive.name for n in graph.nodes]


def test_dead_nodes_go() -> None:
    g, x = start(3)
    kept = g.call(P["neg"], x)
    g.call(P["exp"], kept)
    g.outputs = [kept]
    assert names(drop_dead(g)) == ["neg"]


def test_equal_nodes_merge() -> None:
    g, x = start(3)
    a, b = g.call(P["mul"], x, 2.0), g.call(P["mul"], x, 2.0)
    g.outputs = [g.call(P["add"], a, b), g.call(P["mul"], x, 2)]
    merged = merge_common(g)
    merged.verify()
    assert names(merged) == ["mul", "add", "mul"]  # 2 and 2.0 differ


def test_views_of_views_and_identities() -> None:
    g, x = start(2, 3)
    y = g.call(P["view"], g.call(P["view"], x, size=(3, 2)), size=(2, 3))
    y = g.call(P["permute"], g.call(P["permute"], y, dims=(1, 0)), dims=(1, 0))
    y = g.call(P["mul"], g.call(P["clone"], y, order="K"), 1.0)
    g.outputs = [y]
    simple = drop_dead(simplify(g))
    simple.verify()
    assert simple.nodes == [] and simple.outputs == simple.inputs


def test_transposed_product_is_a_product_of_transposes() -> None:
    g, x = start(2, 3)
    w = g.add_input((3, 4), F32)
    g.outputs = [g.call(P["permute"], g.call(P["mm"], x, w), dims=(1, 0))]
    simple = drop_dead(simplify(g))
    simple.verify()
    assert names(simple)[-1] == "mm" and simple.outputs[0].shape == (4, 2)


def test_pointwise_operators_move_before_views() -> None:
    g, x = start(6, 5)
    bias, other = g.add_input((5,), F32), g.add_input((2, 3, 5), F32)
    seen = g.call(P["view"], x, size=(2, 3, 5))
    active = g.call(P["relu"], g.call(P["add"], seen, bias))
    g.outputs = [g.call(P["mul"], active, 2.0), g.call(P["add"], active, other)]
    late = drop_dead(views_last(g))
    late.verify()
    assert names(late) == ["add", "relu", "view", "mul", "view", "add"]
    assert [n.outputs[0].shape for n in late.nodes][:2] == [(6, 5), (6, 5)]


def test_a_bias_as_long_as_what_the_view_changed_stays_behind_it() -> None:
    g, x = start(6, 5)
    per_row = g.add_input((3, 1), F32)
    g.outputs = [g.call(P["add"], g.call(P["view"], x, size=(2, 3, 5)), per_row)]
    assert names(views_last(g)) == ["view", "add"]


def test_sums_over_what_a_view_split_are_one() -> None:
    g, x = start(6, 5)
    seen = g.call(P["view"], x, size=(2, 3, 5))
    g.outputs = [g.call(P["sum"], seen, dims=(0, 1), keepdim=True), g.call(P["sum"], x, dims=(0,), keepdim=True)]
    merged = merge_common(drop_dead(views_last(g)))
    merged.verify()
    assert names(merged) == ["sum", "view"]


def test_sums_of_a_bias_gradient_are_one() -> None:
    g, x = start(8, 5)
    weight = g.add_input((5, 2), F32)
    steps = [g.call(P["mul"], x, float(k)) for k in range(4)]
    products = [g.call(P["mm"], s, weight, turned=False) for s in steps]
    sums = [g.call(P["sum"], s, dims=(0,), keepdim=True) for s in steps]
    total = sums[0]
    for s in sums[1:]:
        total = g.call(P["add"], total, s)
    g.outputs = [total, *products]
    whole = drop_dead(assemble(g))
    whole.verify()
    assert names(whole).count("sum") == 1 and names(whole).count("add") == 0


def test_constants_fold_through_views_of_views() -> None:
    def biases(x: torch.Tensor) -> torch.Tensor:
        table = torch.arange(6, dtype=torch.float32).view(2, 3)
        return x + table.permute(1, 0).contiguous().view(6)

    found = torch.compile(biases, fullgraph=True)(torch.zeros(6))
    assert found.tolist() == [0, 3, 1, 4, 2, 5]


def test_constants_fold() -> None:
    g, x = start(3)
    c = g.call(P["exp"], constant(np.zeros(3, np.float32)))
    g.outputs = [g.call(P["add"], x, c)]
    folded = fold_constants(g)
    folded.verify()
    assert names(folded) == ["add"] and folded.nodes[0].inputs[1].number == 1


def test_softmax_is_decomposed() -> None:
    g, x = start(3, 5)
    g.outputs = [g.call(P["softmax"], x, dim=1)]
    parts = decompose(g)
    parts.verify()
    assert names(parts) == ["amax", "sub", "exp", "sum", "div"]


def test_a_chain_is_one_kernel_and_a_reduction_takes_it_in() -> None:
    g, x = start(4, 6)
    y = g.call(P["exp"], g.call(P["neg"], x))
    g.outputs = [y]
    assert [len(group.nodes) for group in fuse(g, kind_of)] == [2]
    g, x = start(4, 6)
    y = g.call(P["exp"], g.call(P["neg"], x))
    g.outputs = [g.call(P["sum"], y, dims=(1,), keepdim=False)]
    (group,) = fuse(g, kind_of)
    assert group.kind == "reduce" and len(group.nodes) == 3


def test_fusion_makes_no_cycle() -> None:
    g, x = start(4, 4)
    y = g.call(P["neg"], x)
    z = g.call(P["mm"], y, y)
    g.outputs = [g.call(P["add"], y, z)]
    groups = fuse(g, kind_of)
    assert [group.kind for group in groups] == ["pointwise", "matmul", "pointwise"]


def _two_stages(factor: bool, shape: tuple[int, ...] = (64, 64)) -> tuple[Graph, list]:
    """s = sigmoid(x), a product of s, and a gradient that needs s (1 - s)."""
    g, x = start(*shape)
    s = g.call(P["sigmoid"], x)
    slope = g.call(P["mul"], g.call(P["sub"], 1, s), s) if factor else g.call(P["exp"], s)
    y = g.call(P["mm"], s, s, turned=False)
    g.outputs = [y, g.call(P["mul"], y, slope)]
    return g, fuse(g, kind_of)


def test_cheap_factors_are_computed_where_they_are_read() -> None:
    g, groups = _two_stages(factor=True)
    assert [len(group.outputs) for group in groups] == [2, 1, 1]
    early, _, late = groups = recompute(g, groups)
    assert [n.primitive.name for n in early.nodes] == ["sigmoid"] and early.outputs == [early.nodes[0].outputs[0]]
    assert [n.primitive.name for n in late.nodes] == ["sub", "mul", "mul"]
    assert early.outputs[0] in late.inputs
    g.verify()


def test_what_costs_much_is_stored() -> None:
    g, groups = _two_stages(factor=False)
    assert [len(group.outputs) for group in recompute(g, groups)] == [2, 1, 1]


def test_a_value_that_leaves_the_program_is_stored() -> None:
    g, _ = _two_stages(factor=True)
    g.outputs.append(g.nodes[2].outputs[0])
    assert [len(group.outputs) for group in recompute(g, fuse(g, kind_of))] == [2, 1, 1]


def test_groups_that_would_wait_for_each_other_are_taken_apart() -> None:
    """A number that an early group reads late is computed by the group that reads what the early one feeds."""
    g, x = start(6)
    rate, number = g.add_input((), F32), g.add_input((), F32)
    early = g.call(P["mul"], x, 3)
    total = g.call(P["sum"], g.call(P["sin"], early), dims=(0,), keepdim=False)
    loss = g.call(P["add"], total, number)
    step = g.call(P["neg"], rate)
    late = g.call(P["mul"], g.call(P["cos"], early), step)
    g.outputs = [loss, late, g.call(P["add"], g.call(P["mul"], loss, 0.5), g.call(P["mul"], number, step))]
    groups = fuse(g, kind_of)
    made: set = set(g.inputs)
    for group in groups:
        assert all(v in made or v.constant is not None for v in group.inputs)
        made |= {v for n in group.nodes for v in n.outputs}
    assert {n for group in groups for n in group.nodes} == set(g.nodes)


def test_verifier_finds_a_wrong_shape() -> None:
    g, x = start(3)
    y = g.call(P["neg"], x)
    y.shape = (4,)
    g.outputs = [y]
    with pytest.raises(AssertionError, match="the graph says"):
        g.verify()


def test_blocks_that_live_together_do_not_overlap() -> None:
    random = np.random.default_rng(0)
    blocks = []
    for _ in range(200):
        first = int(random.integers(0, 50))
        blocks.append(
            Lifetime(int(random.integers(1, 5000)), first, first + int(random.integers(0, 9)))
        )
    offsets, total = plan(blocks)
    for i, (a, b) in enumerate(zip(blocks, offsets, strict=True)):
        assert b % 128 == 0 and b + a.nbytes <= total
        for c, d in list(zip(blocks, offsets, strict=True))[:i]:
            apart = b + a.nbytes <= d or d + c.nbytes <= b
            assert apart or a.last < c.first or c.last < a.first


def test_equal_programs_have_equal_texts() -> None:
    texts = set()
    for _ in range(2):
        g, x = start(3)
        g.outputs = [g.call(P["add"], x, constant(np.arange(3, dtype=np.float32)))]
        texts.add(g.text())
    assert len(texts) == 1


def test_explain_names_graph_and_kernels() -> None:
    f = torch.compile(lambda x, w: (x @ w).relu().sum())
    assert "not called" in f.explain()
    f(torch.randn(4, 5), torch.randn(5, 6))
    text = f.explain()
    assert "matmul: mm" in text and "GFLOP/s" in text and "return" in text
