"""What the graph saves: hooks on saved tensors, anomaly detection, checkpoints, inference
mode.
"""

from __future__ import annotations

import warnings
from typing import Any

import pytest

import flambeau as torch
from flambeau.autograd import anomaly, graph
from flambeau.autograd.profiler import profile, record_function
from flambeau.utils.checkpoint import CheckpointError, checkpoint, checkpoint_sequential


def leaf(*values: float) -> torch.Tensor:
    return torch.tensor(values, requires_grad=True)


# Saved tensors --------------------------------------------------------------------------------


def test_saved_tensors_pass_through_the_hooks() -> None:
    log = []

    def pack(x: torch.Tensor) -> Any:
        log.append("pack")
        return x.detach().numpy()

    def unpack(kept: Any) -> torch.Tensor:
        log.append("unpack")
        return torch.tensor(kept)

    x = leaf(1.0, 2.0)
    with graph.saved_tensors_hooks(pack, unpack):
        y = (x.exp() * x).sum()
    packed = len(log)
    (first,) = torch.autograd.grad(y, x, create_graph=True)
    (second,) = torch.autograd.grad(first.sum(), x)
    e = torch.tensor([1.0, 2.0]).exp()
    assert packed == 3 and "unpack" in log
    torch.testing.assert_close(first.detach(), e * torch.tensor([2.0, 3.0]))
    torch.testing.assert_close(second, e * torch.tensor([3.0, 4.0]))


def test_hooks_can_be_forbidden() -> None:
    with (
        graph.disable_saved_tensors_hooks("not here"),
        pytest.raises(RuntimeError, match="not here"),
        graph.saved_tensors_hooks(lambda x: x, lambda x: x),
    ):
        pass


def test_save_on_cpu_copies() -> None:
    x = leaf(2.0)
    with graph.save_on_cpu():
        y = (x * x * x).sum()
    y.backward()
    assert x.grad.item() == 12.0


def test_increment_version() -> None:
    v = leaf(1.0) * 1
    y = v * v
    graph.increment_version(v)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.sum().backward()


def test_gradient_edges() -> None:
    x = leaf(1.0)
    assert graph.get_gradient_edge(x).node.variable is x
    assert graph.get_gradient_edge(x * 2).node.name() == "MulBackward0"
    with pytest.raises(NotImplementedError, match="clone the tensor"):
        graph.allow_mutation_on_saved_tensors()


# Anomalies ------------------------------------------------------------------------------------


def test_a_nan_is_named_by_its_forward_line() -> None:
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        with pytest.raises(RuntimeError, match="'SqrtBackward0' returned nan values") as caught:
            with torch.autograd.detect_anomaly():
                x = leaf(-1.0)
                y = torch.sqrt(x)  # the line to be named
                (y * 0).sum().backward()
    texts = [str(w.message) for w in seen]
    assert any("Anomaly Detection has been enabled" in t for t in texts)
    assert any(
        "Error detected in SqrtBackward0" in t and "the line to be named" in t for t in texts
    )
    assert "the line to be named" in caught.value.__notes__[0]
    assert not anomaly.is_anomaly_enabled()


def test_anomalies_of_an_unwatched_forward() -> None:
    y = leaf(-1.0).sqrt().sum()
    with (
        torch.autograd.set_detect_anomaly(True),
        pytest.warns(UserWarning, match="No forward pass information"),
        pytest.raises(RuntimeError),
    ):
        y.backward()
    y = leaf(-1.0).sqrt().sum()
    with torch.autograd.set_detect_anomaly(True, check_nan=False):
        y.backward()


# Checkpoints ----------------------------------------------------------------------------------


WEIGHTS = [torch.randn(4, 4).requires_grad_() for _ in range(3)]


def noisy_net(x: torch.Tensor) -> torch.Tensor:
    for w in WEIGHTS:
        x = torch.relu(x @ w) * torch.rand(4)
    return x


def gradients(use_reentrant: bool | None) -> list[Any]:
    torch.manual_seed(5)
    x = torch.ones(2, 4, requires_grad=True)
    for w in WEIGHTS:
        w.grad = None
    y = (
        noisy_net(x)
        if use_reentrant is None
        else checkpoint(noisy_net, x, use_reentrant=use_reentrant)
    )
    y.sum().backward()
    return [t.grad.tolist() for t in (*WEIGHTS, x)] + [torch.rand(1).item()]


@pytest.mark.parametrize("use_reentrant", [False, True])
def test_a_checkpoint_changes_nothing(use_reentrant: bool) -> None:
    assert gradients(use_reentrant) == gradients(None)


def test_a_checkpoint_runs_the_part_again_only_in_backward() -> None:
    runs = []

    def part(x: torch.Tensor) -> torch.Tensor:
        runs.append(1)
        return x.exp().sin()

    x = leaf(1.0)
    y = checkpoint(part, x, use_reentrant=False)
    assert len(runs) == 1 and y.grad_fn.name() == "SinBackward0"
    (first,) = torch.autograd.grad(y.sum(), x, create_graph=True)
    assert len(runs) == 2
    (second,) = torch.autograd.grad(first.sum(), x)
    e = x.detach().exp()
    torch.testing.assert_close(second, e * e.cos() - e * e * e.sin())


def test_parts_that_differ_are_found() -> None:
    runs = []

    def fewer(x: torch.Tensor) -> torch.Tensor:
        runs.append(1)
        return (x.exp() * x if len(runs) == 1 else x + 1).sum()

    with pytest.raises(CheckpointError, match="A different number of tensors was saved"):
        checkpoint(fewer, leaf(1.0), use_reentrant=False).backward()
    runs.clear()

    def smaller(x: torch.Tensor) -> torch.Tensor:
        runs.append(1)
        return (x if len(runs) == 1 else x[:1]).exp().sum()

    with pytest.raises(CheckpointError, match="different metadata"):
        checkpoint(smaller, leaf(1.0, 2.0), use_reentrant=False).backward()


def test_checkpoint_sequential_and_refusals() -> None:
    x = leaf(0.5)
    steps = [torch.sin, torch.exp, torch.tanh, torch.cos]
    checkpoint_sequential(steps, 2, x, use_reentrant=False).sum().backward()
    y = leaf(0.5)
    torch.cos(torch.tanh(torch.exp(torch.sin(y)))).sum().backward()
    assert x.grad.item() == y.grad.item()
    with pytest.raises(
        RuntimeError, match="use_reentrant=True, torch.utils.checkpoint is incompat"
    ):
        torch.autograd.grad(checkpoint(torch.exp, x, use_reentrant=True).sum(), x)
    with pytest.warns(UserWarning, match="use_reentrant parameter should be passed"):
        checkpoint(torch.exp, x)
    with pytest.raises(ValueError, match="Unexpected keyword"):
        checkpoint(torch.exp, x, use_reentrant=True, foo=1)


# Inference mode and the profiler --------------------------------------------------------------


def test_inference_tensors() -> None:
    w = torch.zeros(3)
    with torch.inference_mode():
        made, view = torch.ones(2), w.view(-1)
        made.add_(1)
        assert torch.is_inference_mode_enabled() and (made * 2).is_inference()
    assert (
        made.is_inference() and made.view(-1).is_inference() and not made.clone().is_inference()
    )
    assert not view.is_inference() and not view.requires_grad
    with pytest.raises(RuntimeError, match="Inplace update to inference tensor"):
        made.add_(1)
    with pytest.raises(RuntimeError, match="inference tensor outside InferenceMode"):
        made.requires_grad_()
    with pytest.raises(RuntimeError, match="A view was created in inference mode"):
        view.mul_(torch.ones(3, requires_grad=True))


def test_record_function() -> None:
    with profile() as measured:
        for _ in range(3):
            with record_function("part"):
                torch.ones(2)
    (part,) = [a for a in measured.key_averages() if a.key == "part"]
    assert part.count == 3 and "part" in measured.key_averages().table()
