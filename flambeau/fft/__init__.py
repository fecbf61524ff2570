"""Fourier transforms, as `torch.fft`. `norm` says where the factor 1/N goes: with the inverse transform
(`"backward"`, the default), with the forward one (`"forward"`), or half to each (`"ortho"`, 1/sqrt(N)).
"""

from flambeau.fft.frequencies import fftfreq, fftshift, ifftshift, rfftfreq
from flambeau.fft.transforms import (
    fft,
    fft2,
    fftn,
    hfft,
    hfft2,
    hfftn,
    ifft,
    ifft2,
    ifftn,
    ihfft,
    ihfft2,
    ihfftn,
    irfft,
    irfft2,
    irfftn,
    rfft,
    rfft2,
    rfftn,
)

__all__ = [
    "fft", "fft2", "fftfreq", "fftn", "fftshift", "hfft", "hfft2", "hfftn", "ifft", "ifft2", "ifftn",
    "ifftshift", "ihfft", "ihfft2", "ihfftn", "irfft", "irfft2", "irfftn", "rfft", "rfft2", "rfftfreq", "rfftn",
]  # fmt: skip
