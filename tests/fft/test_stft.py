"""Short-time spectra: SciPy's values, the way back, derivatives, errors."""

from __future__ import annotations

import numpy as np
import pytest

import flambeau as torch
from flambeau.autograd import gradcheck

SIGNAL = np.random.default_rng(0).normal(size=(2, 60))


@pytest.mark.parametrize("mode", ["reflect", "constant", "replicate", "circular"])
def test_pieces_are_transformed(mode: str) -> None:
    window = np.hanning(12)
    found = torch.stft(torch.from_numpy(SIGNAL), 16, 4, 12, torch.from_numpy(window), pad_mode=mode, return_complex=True)
    padded = np.pad(SIGNAL, ((0, 0), (8, 8)), {"replicate": "edge", "circular": "wrap"}.get(mode, mode))
    weights = np.pad(window, 2)
    pieces = np.lib.stride_tricks.sliding_window_view(padded, 16, axis=1)[:, ::4] * weights
    np.testing.assert_allclose(found.numpy(), np.fft.rfft(pieces).swapaxes(1, 2), atol=1e-12)


@pytest.mark.parametrize("onesided", [True, False])
@pytest.mark.parametrize("normalized", [True, False])
def test_the_way_back(onesided: bool, normalized: bool) -> None:
    window = torch.from_numpy(np.hanning(18)[1:-1].copy())
    x = torch.from_numpy(SIGNAL)
    options = {"n_fft": 16, "hop_length": 4, "window": window, "onesided": onesided, "normalized": normalized}
    spectra = torch.stft(x, return_complex=True, **options)
    np.testing.assert_allclose(torch.istft(spectra, length=60, **options).numpy(), SIGNAL, atol=1e-12)
    one = torch.istft(spectra[0], length=60, **options)
    np.testing.assert_allclose(one.numpy(), SIGNAL[0], atol=1e-12)


def test_derivatives() -> None:
    x = torch.from_numpy(SIGNAL[:, :12].copy()).requires_grad_()
    assert gradcheck(lambda x: torch.stft(x, 8, return_complex=True), (x,))
    z = torch.stft(x.detach(), 8, return_complex=True).requires_grad_()
    assert gradcheck(lambda z: torch.istft(z, 8), (z,))


def test_errors() -> None:
    x = torch.from_numpy(SIGNAL)
    with pytest.raises(RuntimeError, match="return_complex"):
        torch.stft(x, 8)
    with pytest.raises(RuntimeError, match="hop_length > 0"):
        torch.stft(x, 8, 0, return_complex=True)
    with pytest.raises(RuntimeError, match="1D window"):
        torch.stft(x, 8, window=torch.ones(5), return_complex=True)
    with pytest.raises(RuntimeError, match="complex-valued"):
        torch.istft(x, 8)
