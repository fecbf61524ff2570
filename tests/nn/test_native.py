"""Layers and losses on tensors that are large enough for a native program: values, gradients, names, as small ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import flambeau as torch
import flambeau.nn.functional as F
from flambeau.ops import native

CASES: dict[str, Callable[..., Any]] = {
    "gelu": F.gelu,
    "gelu tanh": lambda x: F.gelu(x, approximate="tanh"),
    "silu": F.silu, "mish": F.mish, "elu": F.elu, "selu": F.selu, "celu": F.celu, "softplus": F.softplus,
    "leaky": lambda x: F.leaky_relu(x, negative_slope=0.2),
    "relu6": F.relu6, "hardswish": F.hardswish, "hardsigmoid": F.hardsigmoid, "logsigmoid": F.logsigmoid,
    "softsign": F.softsign, "tanhshrink": F.tanhshrink, "softshrink": F.softshrink, "hardshrink": F.hardshrink,
    "glu": lambda x: F.glu(x, 1),
    "mse": lambda x: F.mse_loss(x, x.detach() * 0.5),
    "l1": lambda x: F.l1_loss(x, x.detach() * 0.5),
    "smooth": lambda x: F.smooth_l1_loss(x, x.detach() * 0.5, beta=0.3),
    "huber": lambda x: F.huber_loss(x, x.detach() * 0.5, delta=0.3),
    "bce": lambda x: F.binary_cross_entropy(x.sigmoid(), x.detach().abs().clamp(max=1)),
    "bce of logits": lambda x: F.binary_cross_entropy_with_logits(x, x.detach().abs().clamp(max=1)),
    "cross entropy": lambda x: F.cross_entropy(x.flatten(1), torch.arange(len(x)), ignore_index=1, label_smoothing=0.1),
    "probabilities": lambda x: F.cross_entropy(x.flatten(1), x.detach().flatten(1).softmax(1)),
    "nll": lambda x: F.nll_loss(F.log_softmax(x, 1), x.detach().abs()[:, 0].long() % 3),
    "bilinear": lambda x: F.interpolate(x, scale_factor=1.5, mode="bilinear"),
    "bicubic": lambda x: F.interpolate(x, size=(9, 30), mode="bicubic"),
    "nearest": lambda x: F.interpolate(x, size=(9, 30)),
    "adaptive": lambda x: F.adaptive_avg_pool2d(x, (3, 7)),
    "grid": lambda x: F.grid_sample(x, torch.linspace(-1.1, 1.1, 24).reshape(1, 3, 4, 2).expand(4, -1, -1, -1)),
    "conv3d": lambda x: F.conv3d(x.unsqueeze(1), torch.ones(2, 1, 2, 3, 3).double() / 7, stride=(1, 2, 2), padding=1),
    "transposed": lambda x: F.conv_transpose3d(x.unsqueeze(1), torch.ones(1, 2, 2, 3, 3).double() / 7, stride=2),
    "pool3d": lambda x: F.max_pool3d(x, 2, stride=1),
    "pool3d positions": lambda x: F.max_pool3d(x, 2, return_indices=True)[0],
}  # fmt: skip


@pytest.mark.filterwarnings("ignore:Default grid_sample")
@pytest.mark.parametrize("case", CASES)
def test_large_tensors_as_small_ones(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    start = torch.randn(4, 6, 10, 12, dtype=torch.float64)
    results = []
    for large in (False, True):
        monkeypatch.setattr(native, "_is_large", lambda x, worth, large=large: large)
        x = start.clone().requires_grad_()
        out = CASES[case](x)
        out.sin().sum().backward()
        results.append((out.detach().numpy(), x.grad.numpy()))
    for small, large in zip(*results, strict=True):
        np.testing.assert_allclose(large, small, rtol=1e-9, atol=1e-12)


def test_nodes_have_their_names() -> None:
    x = torch.randn(40, 1000, requires_grad=True)
    assert F.gelu(x).grad_fn.name() == "GeluBackward0"
    assert F.leaky_relu(x).grad_fn.name() == "LeakyReluBackward0"
    assert F.cross_entropy(x, torch.arange(40)).grad_fn.name() == "NllLossBackward0"


def test_targets_are_checked_on_large_tensors_too() -> None:
    x, target = torch.randn(40, 1000), torch.arange(40)
    target[3] = 1000
    with pytest.raises(IndexError, match="Target 1000 is out of bounds"):
        F.cross_entropy(x, target)
