"""The backward pass: what it computes, where gradients go, what it refuses, what it frees."""

from __future__ import annotations

import gc
import threading
import tracemalloc
import weakref
from collections.abc import Callable

import pytest

import flambeau as torch


def leaf(*values: float) -> torch.Tensor:
    return torch.tensor(values, requires_grad=True)


# Values ---------------------------------------------------------------------------------------


def test_gradients_of_shared_parts_add_up() -> None:
    x = leaf(1.0, 2.0)
    y = x * 3
    (y * y + y).sum().backward()
    assert x.grad.tolist() == [21.0, 39.0]


def test_backward_accumulates() -> None:
    x = leaf(1.0)
    for _ in range(3):
        (x * 2).sum().backward()
    assert x.grad.tolist() == [6.0]


def test_several_losses_with_weights() -> None:
    x = leaf(2.0, 3.0)
    torch.autograd.backward([x.sum(), x.prod()], [torch.tensor(1.0), torch.tensor(2.0)])
    assert x.grad.tolist() == [7.0, 5.0]


def test_second_and_third_order() -> None:
    x = leaf(2.0)
    (first,) = torch.autograd.grad((x**4).sum(), x, create_graph=True)
    (second,) = torch.autograd.grad(first.sum(), x, create_graph=True)
    (third,) = torch.autograd.grad(second.sum(), x)
    assert (first.item(), second.item(), third.item()) == (32.0, 48.0, 48.0)


def test_backward_only_to_inputs() -> None:
    x, w = leaf(1.0, 2.0), leaf(3.0, 4.0)
    y = x * w
    y.sum().backward(inputs=[x])
    assert x.grad.tolist() == [3.0, 4.0] and w.grad is None
    z = x * 2
    (z * z).sum().backward(inputs=z)
    assert z.grad.tolist() == [4.0, 8.0] and x.grad.tolist() == [3.0, 4.0]


def test_grad_returns_and_does_not_accumulate() -> None:
    x, unused = leaf(1.0), leaf(1.0)
    y = x * 2
    assert torch.autograd.grad(y.sum(), [x, y], retain_graph=True)[0].item() == 2.0
    assert x.grad is None
    assert torch.autograd.grad(y.sum(), [x, unused], allow_unused=True)[1] is None
    zeros = torch.autograd.grad((x * 2).sum(), [x, unused], materialize_grads=True)[1]
    assert zeros.tolist() == [0.0]


def test_complex_gradients_are_conjugate_wirtinger() -> None:
    z = torch.tensor([3 + 4j], requires_grad=True)
    z.abs().sum().backward()
    assert z.grad.item() == pytest.approx(0.6 + 0.8j)


# Accumulated gradients ------------------------------------------------------------------------


def test_gradients_never_share_memory() -> None:
    a, b = leaf(1.0, 1.0), leaf(1.0, 1.0)
    (a + b).sum().backward()
    a.grad.add_(5)
    assert b.grad.tolist() == [1.0, 1.0]
    given = torch.ones(2)
    c = leaf(1.0, 1.0)
    c.backward(given)
    given.add_(1)
    assert c.grad.tolist() == [1.0, 1.0]


def test_a_gradient_lies_in_memory_as_its_leaf() -> None:
    x = torch.ones(2, 3).t().requires_grad_()
    (x * 2).sum().backward()
    assert x.grad.stride() == x.stride()


def test_a_gradient_that_is_a_view_is_added_to_in_place() -> None:
    x, flat = torch.ones(3, requires_grad=True), torch.zeros(6)
    x.grad = flat[::2]
    (x * 2).sum().backward()
    assert flat.tolist() == [2.0, 0.0, 2.0, 0.0, 2.0, 0.0]


def test_assigned_gradients_must_fit() -> None:
    x = leaf(1.0, 2.0)
    for wrong, error in (
        (torch.ones(3), RuntimeError),
        (torch.ones(2, dtype=torch.float64), RuntimeError),
        (3, TypeError),
        (x, RuntimeError),
    ):
        with pytest.raises(error):
            x.grad = wrong
    x.grad = torch.ones(2)
    del x.grad
    assert x.grad is None


# Refusals -------------------------------------------------------------------------------------


def backward_twice() -> None:
    x = leaf(1.0)
    y = (x * x).sum()
    y.backward()
    y.backward()


def change_leaf() -> None:
    leaf(1.0).add_(1)


def change_view_of_leaf() -> None:
    leaf(1.0, 2.0)[0].add_(1)


def change_saved_input() -> None:
    x = leaf(1.0) * 1
    y = x * x
    x.add_(1)
    y.sum().backward()


def change_saved_result() -> None:
    y = leaf(1.0).exp()
    y.add_(1)
    y.sum().backward()


REFUSALS: list[tuple[Callable[[], object], str]] = [
    (backward_twice, "Trying to backward through the graph a second time"),
    (change_leaf, "^a leaf Variable that requires grad is being used in an in-place operation"),
    (change_view_of_leaf, "^a view of a leaf Variable that requires grad is being used"),
    (
        change_saved_input,
        r"modified by an inplace operation: \[torch.FloatTensor \[1\]\], which is output 0 of "
        "Add, is at version 1; expected version 0 instead",
    ),
    (change_saved_result, "which is output 0 of Exp, is at version 1; expected version 0"),
    (
        lambda: (leaf(1.0, 2.0) * 2).backward(),
        "grad can be implicitly created only for scalar outputs",
    ),
    (lambda: torch.ones(1).backward(), "element 0 of tensors does not require grad"),
    (lambda: (leaf(1.0) * 2).backward(torch.ones(3)), r"Mismatch in shape: grad_output\[0\]"),
    (
        lambda: torch.autograd.grad(leaf(1.0).sum(), leaf(1.0)),
        "at index 0 appears to not have been used in the graph",
    ),
    (
        lambda: torch.autograd.grad(leaf(1.0).sum(), torch.ones(1)),
        "One of the differentiated Tensors does not require grad",
    ),
    (lambda: leaf(1.0).sum().backward(inputs=[]), "cannot be empty"),
    (
        lambda: torch.ones(2, dtype=torch.int64).requires_grad_(),
        "only Tensors of floating point dtype",
    ),
    (
        lambda: (leaf(1.0) * 2).requires_grad_(False),
        "you can only change requires_grad flags of leaf",
    ),
    (lambda: (leaf(1.0) * 2).numpy(), "Can't call numpy\\(\\) on Tensor that requires grad"),
    (lambda: (leaf(1.0, 2.0) * 2)[0].detach_(), "Can't detach views in-place"),
    (
        lambda: torch.zeros(2).expand(3, 2).mul_(2),
        "more than one element of the written-to tensor refers to a single memory location",
    ),
]


@pytest.mark.parametrize(("run", "text"), REFUSALS, ids=range(len(REFUSALS)))
def test_what_is_refused(run: Callable[[], object], text: str) -> None:
    with pytest.raises(RuntimeError, match=text):
        run()


def test_a_kept_graph_runs_again() -> None:
    x = leaf(3.0)
    y = (x * x).sum()
    y.backward(retain_graph=True)
    y.backward()
    assert x.grad.item() == 12.0


def test_reading_grad_of_a_non_leaf_warns() -> None:
    with pytest.warns(UserWarning, match="not a leaf Tensor"):
        assert (leaf(1.0) * 2).grad is None


# The graph ------------------------------------------------------------------------------------


def test_the_graph_can_be_read() -> None:
    x = leaf(1.0)
    y = (x * 2 + 1).sum()
    names, node = [], y.grad_fn
    while node is not None:
        names.append(node.name())
        node = node.next_functions[0][0] if node.next_functions else None
    assert names == [
        "SumBackward0",
        "AddBackward0",
        "MulBackward0",
        "torch::autograd::AccumulateGrad",
    ]
    assert x.is_leaf and x.grad_fn is None and not y.is_leaf and y.output_nr == 0


def test_modes_nest_and_belong_to_their_thread() -> None:
    seen = []

    @torch.no_grad()
    def without() -> bool:
        return torch.is_grad_enabled()

    @torch.enable_grad()
    def steps():
        yield torch.is_grad_enabled()
        yield torch.is_grad_enabled()

    with torch.no_grad():
        assert not torch.is_grad_enabled() and list(steps()) == [True, True]
        thread = threading.Thread(target=lambda: seen.append(torch.is_grad_enabled()))
        thread.start()
        thread.join()
    assert seen == [True] and torch.is_grad_enabled() and without() is False
    torch.set_grad_enabled(False)
    assert not (leaf(1.0) * 2).requires_grad
    torch.set_grad_enabled(True)


def test_threads_run_backward_at_once() -> None:
    w = torch.ones(4, requires_grad=True)
    results = []

    def work(k: int) -> None:
        for _ in range(50):
            (g,) = torch.autograd.grad((w.exp() * k).sum(), w)
        results.append((k, g[0].item()))

    threads = [threading.Thread(target=work, args=(k,)) for k in range(1, 5)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert sorted(results) == [(k, pytest.approx(k * 2.7182817)) for k in range(1, 5)]


# Depth and memory -----------------------------------------------------------------------------


def test_a_chain_of_a_hundred_thousand_nodes() -> None:
    x = torch.ones(2, requires_grad=True)
    y = x
    for _ in range(100_000):
        y = y * 1.0
    y.sum().backward()
    assert x.grad.tolist() == [1.0, 1.0]
    del y  # nor does freeing it recurse
    y = x
    for _ in range(100_000):
        y = y * 1.0
    del y


def test_a_chain_of_views_and_of_changes_in_place() -> None:
    x = torch.ones(2, requires_grad=True)
    y = x
    for _ in range(5_000):
        y = y.view(2)
    y.sum().backward()
    z = x * 1
    part = z[:1]
    for _ in range(500):
        part.mul_(1.0)
    z.sum().backward()
    assert x.grad.tolist() == [2.0, 2.0]


def test_backward_frees_what_it_saved() -> None:
    x = torch.ones(1000, 250, requires_grad=True)
    x.exp().log().sum().backward()  # loads the code of the kernels
    x.grad = None
    gc.collect()
    tracemalloc.start()
    try:
        y = x
        for _ in range(10):
            y = y.exp().log()
        loss = y.sum()
        del y
        held = tracemalloc.get_traced_memory()[0]
        loss.backward()
        after, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert after < held / 4  # the gradient of x remains
    assert peak < 1.5 * held


def test_no_cycles_keep_a_graph_alive() -> None:
    x = torch.ones(3, requires_grad=True)
    gc.collect()
    gc.disable()
    try:
        kept = []
        y = x.exp()
        kept += [weakref.ref(y), weakref.ref(y.grad_fn)]
        v = x.exp()[1:]
        kept += [weakref.ref(v.grad_fn), weakref.ref(v._base)]
        w = x * 1
        part = w[1:]
        part.mul_(2)
        kept += [weakref.ref(w), weakref.ref(part)]
        h = x * 1
        h.retain_grad()
        h.register_hook(lambda g: g)
        h.sum().backward()
        kept += [weakref.ref(h)]
        (g,) = torch.autograd.grad(x.exp().sum(), x, create_graph=True)
        kept += [weakref.ref(g.grad_fn)]
        del y, v, w, part, h, g
        assert [r() for r in kept] == [None] * len(kept)
    finally:
        gc.enable()


def test_a_result_that_no_derivative_needs_may_change_in_place() -> None:
    """The derivative of a pooling needs the positions of the maxima, not the maxima."""
    image = torch.rand(1, 1, 4, 4, requires_grad=True)
    pooled = torch.nn.functional.max_pool2d(image - 0.5, 2)
    pooled.relu_().sum().backward()
    assert image.grad is not None
    assert image.grad.sum() == (pooled > 0).sum()
