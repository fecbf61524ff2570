"""Activations that overwrite their input: the same results and gradients, also one after another."""

from __future__ import annotations

import numpy as np
import pytest

import flambeau
from flambeau import Tensor
from flambeau.nn import functional as F

ACTIVATIONS = [
    "celu", "elu", "hardsigmoid", "hardswish", "hardtanh", "leaky_relu", "mish", "relu", "relu6", "rrelu",
    "selu", "silu",
]  # fmt: skip


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_overwriting_changes_nothing(name: str, compiled: bool) -> None:
    flambeau.manual_seed(0)
    x = flambeau.randn(40, requires_grad=True)

    def loss(inplace: bool) -> Tensor:
        flambeau.manual_seed(1)
        y = getattr(F, name)(x * 1, inplace=inplace)
        return F.dropout(y, 0.5, True, inplace).square().sum()

    (expected,) = flambeau.autograd.grad(loss(False), x)
    overwriting = flambeau.compile(loss) if compiled else loss
    (found,) = flambeau.autograd.grad(overwriting(True), x)
    np.testing.assert_allclose(found.numpy(), expected.numpy(), rtol=1e-4, atol=1e-6)
