"""Derivatives at ties and at the ends of ranges, and parts of complex numbers that are infinite."""

from __future__ import annotations

import math

import numpy as np
import pytest

import flambeau as torch


@pytest.mark.parametrize("name", ["median", "nanmedian", "max", "min", "amax", "amin"])
def test_equal_elements_share_the_gradient(name: str) -> None:
    x = torch.tensor([1.0, 3.0, 1.0, 1.0] if "min" in name else [2.0, 1.0, 2.0, 2.0], requires_grad=True)
    getattr(x, name)().backward()
    extreme = x.detach() == getattr(x.detach(), name)()
    np.testing.assert_allclose(x.grad.numpy(), extreme.numpy() / 3)


def test_a_median_that_is_nan() -> None:
    x = torch.tensor([1.0, math.nan, 2.0], requires_grad=True)
    x.median().backward()
    assert x.grad.tolist() == [0, 1, 0]


@pytest.mark.parametrize("p", [0.5, 1.0, 1.5, 2.0, 3.0, math.inf])
def test_norms_of_zeros_have_finite_gradients(p: float) -> None:
    x = torch.tensor([0.0, 0.0, 4.0], dtype=torch.float64, requires_grad=True)
    x.norm(p).backward()
    np.testing.assert_allclose(x.grad.numpy(), [0, 0, 1])


def test_parts_of_complex_numbers_stay_as_they_are() -> None:
    real, imag = [1.0, math.inf, -1.0, math.nan], [math.inf, 1.0, -0.0, 2.0]
    made = torch.complex(torch.tensor(real), torch.tensor(imag))
    np.testing.assert_array_equal(made.real.numpy(), np.float32(real))
    np.testing.assert_array_equal(made.imag.numpy(), np.float32(imag))
    assert math.copysign(1, made.imag[2].item()) == -1


def test_complex_takes_gradients_of_both_parts() -> None:
    real = torch.ones(2, 1, dtype=torch.float64, requires_grad=True)
    imag = torch.full((3,), 2.0, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda a, b: torch.complex(a, b) ** 2, (real, imag))
    assert tuple(torch.complex(real, imag).shape) == (2, 3)
