"""Derivatives just where a formula changes its branch: a network whose last layer starts from zeros stands there."""

from __future__ import annotations

import numpy as np

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


def test_compiled() -> None:
    x = torch.tensor(X, requires_grad=True)
    torch.compile(lambda x: F.logsigmoid(x).sum(), fullgraph=True)(x).backward()
    np.testing.assert_allclose(x.grad.numpy(), sigmoid(-X))
