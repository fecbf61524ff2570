"""Derivatives just where a formula changes its branch: a network whose last layer starts from zeros stands there."""

from __future__ import annotations

import math

import numpy as np
import pytest

import flambeau as torch
import flambeau.nn.functional as F

X = np.array([-3.0, 0.0, 2.0, 0.0])
TARGET = np.array([0.0, 1.0, 1.0, 0.25])


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def derivatives(f: object) -> tuple[np.ndarray, np.ndarray]:
    """The first and second derivatives at X."""
    x = torch.tensor(X, requires_grad=True)
    (first,) = torch.autograd.grad(f(x).sum(), x, create_graph=True)  # type: ignore[operator]
    (second,) = torch.autograd.grad(first.sum(), x)
    return first.detach().numpy(), second.numpy()


def test_logsigmoid() -> None:
    first, second = derivatives(F.logsigmoid)
    np.testing.assert_allclose(first, sigmoid(-X))
    np.testing.assert_allclose(second, -sigmoid(X) * sigmoid(-X))


def test_softplus() -> None:
    first, second = derivatives(F.softplus)
    np.testing.assert_allclose(first, sigmoid(X))
    np.testing.assert_allclose(second, sigmoid(X) * sigmoid(-X))


def test_binary_cross_entropy_with_logits() -> None:
    target = torch.tensor(TARGET)
    first, second = derivatives(lambda x: F.binary_cross_entropy_with_logits(x, target, reduction="none"))
    np.testing.assert_allclose(first, sigmoid(X) - TARGET)
    np.testing.assert_allclose(second, sigmoid(X) * sigmoid(-X))


def test_binary_cross_entropy_with_logits_and_weights() -> None:
    target, weight = torch.tensor(TARGET), torch.tensor(3.0, dtype=torch.float64)
    first, _ = derivatives(
        lambda x: F.binary_cross_entropy_with_logits(x, target, pos_weight=weight, reduction="none")
    )
    np.testing.assert_allclose(first, (1 - TARGET) * sigmoid(X) - 3 * TARGET * sigmoid(-X), atol=1e-15)


def test_binary_cross_entropy() -> None:
    p, t = np.array([0.2, 0.7, 1.0, 0.0, 1.0]), np.array([1.0, 0.25, 1.0, 0.0, 0.0])
    x = torch.tensor(p, requires_grad=True)
    loss = F.binary_cross_entropy(x, torch.tensor(t), reduction="none")
    np.testing.assert_allclose(loss.detach()[2:].numpy(), [0, 0, 100])  # logarithms are at least -100
    (first,) = torch.autograd.grad(loss.sum(), x, create_graph=True)
    np.testing.assert_allclose(first.detach().numpy(), (p - t) / np.maximum(p * (1 - p), 1e-12))
    (second,) = torch.autograd.grad(first[:2].sum(), x)
    expected = t / p.clip(0.1) ** 2 + (1 - t) / (1 - p).clip(0.1) ** 2
    np.testing.assert_allclose(second[:2].numpy(), expected[:2])
    with pytest.raises(RuntimeError, match="all elements of input should be between 0 and 1"):
        F.binary_cross_entropy(x * 2, x)


def test_multilabel_margin_loss_counts_no_margin_that_is_just_kept() -> None:
    x = torch.tensor([[0.0, -1.0, 3.0]], dtype=torch.float64, requires_grad=True)
    F.multilabel_margin_loss(x, torch.tensor([[0, -1, -1]])).backward()
    np.testing.assert_allclose(x.grad.numpy(), [[-1 / 3, 0, 1 / 3]])


def test_threshold_keeps_nan() -> None:
    assert F.threshold(torch.tensor([float("nan"), 0.0, 2.0]), 1.0, 5.0)[0].isnan()


def test_compiled() -> None:
    x = torch.tensor(X, requires_grad=True)
    torch.compile(lambda x: F.logsigmoid(x).sum(), fullgraph=True)(x).backward()
    np.testing.assert_allclose(x.grad.numpy(), sigmoid(-X))


@pytest.mark.parametrize("count", [1, 1 << 16])
def test_relu_hands_gradients_through_at_nan(count: int) -> None:
    x = torch.tensor([math.nan, -1.0, 2.0] * count, requires_grad=True)
    torch.relu(x).sum().backward()
    assert x.grad[:3].tolist() == [1, 0, 1]


def test_xlogy_without_a_gradient_has_none_of_negative_numbers() -> None:
    x = torch.tensor([-1.0, 2.0], requires_grad=True)
    torch.xlogy(x, x).backward(torch.zeros(2))
    assert x.grad.tolist() == [0, 0]
