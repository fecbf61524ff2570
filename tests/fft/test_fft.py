"""The Fourier transforms: NumPy's results, first and second derivatives, traced, and their errors."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

import flambeau as torch
from flambeau.autograd import gradcheck, gradgradcheck

RANDOM = np.random.default_rng(0)
REAL = RANDOM.normal(size=(3, 4, 6))
COMPLEX = REAL + 1j * RANDOM.normal(size=REAL.shape)
OF_REAL = {"rfft", "rfft2", "rfftn", "ihfft", "ihfft2", "ihfftn"}
ONE = ["fft", "ifft", "rfft", "irfft", "hfft", "ihfft"]
SEVERAL = ["fft2", "ifft2", "rfft2", "irfft2", "fftn", "ifftn", "rfftn", "irfftn"]
OURS_ALONE = ["hfft2", "hfftn", "ihfft2", "ihfftn"]


def signal(name: str) -> np.ndarray:
    return REAL if name in OF_REAL else COMPLEX


@pytest.mark.parametrize("norm", [None, "backward", "ortho", "forward"])
@pytest.mark.parametrize("name", ONE)
def test_one_dimension(name: str, norm: str | None) -> None:
    x = signal(name)
    for n in (None, 3, 5, 6, 9):
        for dim in (-1, 0):
            expected = getattr(np.fft, name)(x, n, dim, norm)
            found = getattr(torch.fft, name)(torch.from_numpy(x), n, dim, norm)
            np.testing.assert_allclose(found.numpy(), expected, atol=1e-12)


@pytest.mark.parametrize("norm", [None, "ortho", "forward"])
@pytest.mark.parametrize("name", SEVERAL)
def test_several_dimensions(name: str, norm: str | None) -> None:
    x = signal(name)
    for sizes, dims in ((None, None), ((5, 3), (0, 2)), ((4, 7), (-1, 1)), (None, (2, 0))):
        if dims is None and name.endswith("2"):
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            expected = getattr(np.fft, name)(x, sizes, dims, norm)
        found = getattr(torch.fft, name)(torch.from_numpy(x), sizes, dims, norm)
        np.testing.assert_allclose(found.numpy(), expected, atol=1e-12)


def test_hermitian_transforms_of_several_dimensions_undo_each_other() -> None:
    x = torch.from_numpy(REAL)
    for norm in ("backward", "ortho", "forward"):
        half = torch.fft.ihfftn(x, norm=norm)
        assert half.shape == (3, 4, 4)
        np.testing.assert_allclose(torch.fft.hfftn(half, s=x.shape, norm=norm).numpy(), REAL, atol=1e-12)
    whole = np.fft.fftn(np.asarray(torch.fft.hfft2(x.to(torch.complex128), (5, 10)).numpy()), axes=(1, 2))
    assert whole.shape == (3, 5, 10)


@pytest.mark.parametrize("name", [*ONE, *SEVERAL, *OURS_ALONE])
def test_derivatives(name: str) -> None:
    x = torch.from_numpy(signal(name)[:, :2, :5].copy()).requires_grad_()
    function = getattr(torch.fft, name)
    assert gradcheck(lambda x: function(x, norm="ortho"), (x,))
    assert gradgradcheck(lambda x: function(x, norm="forward") ** 2, (x,))


@pytest.mark.parametrize("name", ONE)
def test_derivatives_of_odd_and_padded_sizes(name: str) -> None:
    x = torch.from_numpy(signal(name)[0].copy()).requires_grad_()
    for n in (5, 8):
        assert gradcheck(lambda x, n=n: getattr(torch.fft, name)(x, n, 0), (x,))


def test_dtypes() -> None:
    assert torch.fft.fft(torch.arange(4)).dtype is torch.complex64
    assert torch.fft.rfft(torch.ones(4, dtype=torch.float64)).dtype is torch.complex128
    assert torch.fft.irfft(torch.ones(4, dtype=torch.complex64)).dtype is torch.float32


def test_compiled() -> None:
    def spectrum(x: Any) -> Any:
        return torch.fft.irfft(torch.fft.rfft(x) * 2).sum(0)

    x = torch.randn(3, 8)
    np.testing.assert_allclose(torch.compile(spectrum)(x).numpy(), (2 * x).sum(0).numpy(), atol=1e-5)


def test_frequencies_and_shifts() -> None:
    for n in (1, 4, 5):
        np.testing.assert_allclose(torch.fft.fftfreq(n, 0.5).numpy(), np.fft.fftfreq(n, 0.5), rtol=1e-6)
        np.testing.assert_allclose(torch.fft.rfftfreq(n, 0.5).numpy(), np.fft.rfftfreq(n, 0.5), rtol=1e-6)
    x = torch.from_numpy(REAL)
    for dim in (None, 1, (0, 2)):
        np.testing.assert_array_equal(torch.fft.fftshift(x, dim).numpy(), np.fft.fftshift(REAL, dim))
        np.testing.assert_array_equal(torch.fft.ifftshift(x, dim).numpy(), np.fft.ifftshift(REAL, dim))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: torch.fft.fft(torch.ones(3), n=0), r"Invalid number of data points \(0\)"),
        (lambda: torch.fft.rfft(torch.ones(3, dtype=torch.complex64)), "rfft expects a real input"),
        (lambda: torch.fft.fft(torch.ones(3), norm="whole"), "Invalid normalization mode"),
        (lambda: torch.fft.fftn(torch.ones(3, 3), dim=(0, 0)), "must be unique"),
        (lambda: torch.fft.fftn(torch.ones(3, 3), s=(1,), dim=(0, 1)), "same length"),
        (lambda: torch.fft.fft(torch.ones(3, dtype=torch.bfloat16)), "Unsupported dtype"),
    ],
    ids=["size", "complex", "norm", "repeated", "lengths", "dtype"],
)
def test_errors(call: Any, message: str) -> None:
    with pytest.raises(RuntimeError, match=message):
        call()
