"""Layers of batches without samples: empty results, and gradients of zeros for what the layer learns."""

from __future__ import annotations

from typing import Any

import pytest

import flambeau as torch
from flambeau import nn

LAYERS: dict[str, tuple[Any, tuple[int, ...], tuple[int, ...]]] = {
    "linear": (lambda: nn.Linear(3, 4), (3,), (4,)),
    "conv1d": (lambda: nn.Conv1d(2, 4, 3, groups=2), (2, 6), (4, 4)),
    "conv2d": (lambda: nn.Conv2d(2, 4, 3, stride=2), (2, 7, 9), (4, 3, 4)),
    "conv3d": (lambda: nn.Conv3d(2, 4, 2), (2, 3, 4, 5), (4, 2, 3, 4)),
    "transposed": (lambda: nn.ConvTranspose2d(2, 4, 3), (2, 5, 6), (4, 7, 8)),
    "max_pool": (lambda: nn.MaxPool2d(2), (2, 6, 7), (2, 3, 3)),
    "average_pool": (lambda: nn.AvgPool2d(2), (2, 6, 7), (2, 3, 3)),
    "adaptive_max": (lambda: nn.AdaptiveMaxPool2d(2), (2, 6, 7), (2, 2, 2)),
    "adaptive_average": (lambda: nn.AdaptiveAvgPool2d(2), (2, 6, 7), (2, 2, 2)),
    "batch_norm": (lambda: nn.BatchNorm2d(2), (2, 6, 7), (2, 6, 7)),
    "layer_norm": (lambda: nn.LayerNorm(7), (7,), (7,)),
    "transformer": (lambda: nn.TransformerEncoderLayer(4, 2, 5, batch_first=True), (3, 4), (3, 4)),
}


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("name", LAYERS)
def test_layers(name: str, compiled: bool) -> None:
    make, size, wanted = LAYERS[name]
    layer, x = make(), torch.randn(0, *size, requires_grad=True)
    out = (torch.compile(layer, fullgraph=True) if compiled else layer)(x)
    assert tuple(out.shape) == (0, *wanted)
    out.sum().backward()
    assert x.grad.shape == x.shape
    for p in layer.parameters():
        assert p.grad.shape == p.shape and not p.grad.count_nonzero()


def test_functions() -> None:
    images = torch.randn(0, 2, 3, 3, requires_grad=True)
    out = nn.functional.grid_sample(images, torch.randn(0, 4, 4, 2), align_corners=False)
    out.sum().backward()
    assert out.shape == (0, 2, 4, 4) and images.grad.shape == images.shape
    rows = torch.randn(0, 3, requires_grad=True)
    rows.prod(1).sum().backward()
    assert rows.grad.shape == (0, 3)


def test_steep_functions_of_bfloat16() -> None:
    x = torch.linspace(-3, 3, 40_000, dtype=torch.bfloat16).requires_grad_()
    for f in (nn.functional.elu, nn.functional.selu, nn.functional.logsigmoid, lambda y: y.clamp(-1, 1)):
        (gradient,) = torch.autograd.grad(f(x).sum(), x)
        assert gradient.dtype is torch.bfloat16 and bool(gradient.isfinite().all())
