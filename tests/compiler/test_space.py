"""Convolutions of rows and volumes: compiled, which makes them of planes, and eager, on NumPy."""

from __future__ import annotations

import numpy as np
import pytest

import flambeau
from flambeau.nn import functional as F

# name: input, weight, options
CASES = {
    "row": ((3, 4, 30), (6, 4, 5), {"padding": 2}),
    "row, strided and dilated": ((2, 6, 41), (4, 3, 3), {"stride": 2, "dilation": 3, "groups": 2}),
    "depthwise row": ((2, 3, 40), (3, 1, 5), {"padding": 2, "groups": 3}),
    "volume": ((2, 3, 6, 9, 10), (5, 3, 3, 3, 3), {"padding": 1}),
    "many small volumes": ((7, 2, 3, 5, 6), (4, 2, 2, 3, 3), {"padding": (1, 0, 1)}),
    "strided volume": ((2, 3, 9, 8, 7), (4, 3, 3, 3, 2), {"stride": (3, 2, 2), "padding": (1, 1, 0)}),
    "dilated volume": ((1, 4, 7, 9, 9), (6, 2, 3, 3, 3), {"dilation": (3, 1, 2), "padding": (3, 0, 2), "groups": 2}),
    "taps that reach nothing": ((1, 2, 1, 6, 6), (3, 2, 3, 3, 3), {"padding": (1, 1, 1)}),
}


def convolution(x: flambeau.Tensor, w: flambeau.Tensor, options: dict) -> flambeau.Tensor:
    return (F.conv1d if x.ndim == 3 else F.conv3d)(x, w, **options)


def gradients(x: flambeau.Tensor, w: flambeau.Tensor, g: flambeau.Tensor, options: dict) -> tuple:
    x, w = x.detach().requires_grad_(), w.detach().requires_grad_()
    out = convolution(x, w, options)
    return (out, *flambeau.autograd.grad(out, (x, w), g))


@pytest.mark.parametrize("case", sorted(CASES))
def test_values_and_gradients(case: str) -> None:
    x_shape, w_shape, options = CASES[case]
    flambeau.manual_seed(0)
    x, w = flambeau.randn(x_shape), flambeau.randn(w_shape)
    g = flambeau.randn(convolution(x, w, options).shape)
    exact = gradients(x.double(), w.double(), g.double(), options)
    compiled = flambeau.compile(lambda x, w, g: gradients(x, w, g, options), fullgraph=True)
    for _ in range(2):
        for mine, true in zip(compiled(x, w, g), exact, strict=True):
            scale = float(true.abs().max())
            np.testing.assert_allclose(mine.detach().numpy() / scale, true.detach().numpy() / scale, atol=5e-6)
