"""The transforms themselves.

Those of one dimension take (*, n, *) along `dim`; `n` cuts the input off or fills it up with zeros. Those of
several dimensions take the sizes `s` of the dimensions `dim`. Whole numbers are taken as the default dtype.
"""

from __future__ import annotations

from collections.abc import Sequence

from flambeau.ops import fourier
from flambeau.ops.table import operator
from flambeau.tensor.tensor import Tensor

Sizes = Sequence[int] | None
_transform = operator(method=False, function_name=False, out=True)


@_transform
def fft(input: Tensor, n: int | None = None, dim: int = -1, norm: str | None = None) -> Tensor:
    """The spectrum of `input` along `dim`: (*, n, *) complex."""
    return fourier.one_way(input, "fft_fft", n, dim, norm, False)


@_transform
def ifft(input: Tensor, n: int | None = None, dim: int = -1, norm: str | None = None) -> Tensor:
    """The inverse of `fft`."""
    return fourier.one_way(input, "fft_ifft", n, dim, norm, True)


@_transform
def rfft(input: Tensor, n: int | None = None, dim: int = -1, norm: str | None = None) -> Tensor:
    """The first half, (*, n // 2 + 1, *), of the spectrum of real numbers; the rest mirrors it."""
    return fourier.half_spectrum(input, "fft_rfft", n, dim, norm, False)


@_transform
def irfft(input: Tensor, n: int | None = None, dim: int = -1, norm: str | None = None) -> Tensor:
    """The inverse of `rfft`: `n` real numbers, 2 * (size - 1) by default."""
    return fourier.from_half_spectrum(input, "fft_irfft", n, dim, norm, True)


@_transform
def hfft(input: Tensor, n: int | None = None, dim: int = -1, norm: str | None = None) -> Tensor:
    """The real spectrum, (*, n, *), of a signal whose second half mirrors the given one."""
    return fourier.from_half_spectrum(input, "fft_hfft", n, dim, norm, False)


@_transform
def ihfft(input: Tensor, n: int | None = None, dim: int = -1, norm: str | None = None) -> Tensor:
    """The inverse of `hfft`: half a signal, (*, n // 2 + 1, *)."""
    return fourier.half_spectrum(input, "fft_ihfft", n, dim, norm, True)


@_transform
def fftn(input: Tensor, s: Sizes = None, dim: Sizes = None, norm: str | None = None) -> Tensor:
    """The spectrum over several dimensions."""
    return fourier.one_way_several(input, "fft_fftn", s, dim, norm, False)


@_transform
def ifftn(input: Tensor, s: Sizes = None, dim: Sizes = None, norm: str | None = None) -> Tensor:
    """The inverse of `fftn`."""
    return fourier.one_way_several(input, "fft_ifftn", s, dim, norm, True)


@_transform
def rfftn(input: Tensor, s: Sizes = None, dim: Sizes = None, norm: str | None = None) -> Tensor:
    """The half of the spectrum of real numbers over several dimensions; the last is halved."""
    return fourier.half_spectrum_several(input, "fft_rfftn", s, dim, norm, False)


@_transform
def irfftn(input: Tensor, s: Sizes = None, dim: Sizes = None, norm: str | None = None) -> Tensor:
    """The inverse of `rfftn`."""
    return fourier.from_half_spectrum_several(input, "fft_irfftn", s, dim, norm, True)


@_transform
def hfftn(input: Tensor, s: Sizes = None, dim: Sizes = None, norm: str | None = None) -> Tensor:
    """The real spectrum of a signal of which half is given, over several dimensions."""
    return fourier.from_half_spectrum_several(input, "fft_hfftn", s, dim, norm, False)


@_transform
def ihfftn(input: Tensor, s: Sizes = None, dim: Sizes = None, norm: str | None = None) -> Tensor:
    """The inverse of `hfftn`."""
    return fourier.half_spectrum_several(input, "fft_ihfftn", s, dim, norm, True)


@_transform
def fft2(input: Tensor, s: Sizes = None, dim: Sizes = (-2, -1), norm: str | None = None) -> Tensor:
    """`fftn` over the last two dimensions."""
    return fourier.one_way_several(input, "fft_fftn", s, dim, norm, False)


@_transform
def ifft2(input: Tensor, s: Sizes = None, dim: Sizes = (-2, -1), norm: str | None = None) -> Tensor:
    """`ifftn` over the last two dimensions."""
    return fourier.one_way_several(input, "fft_ifftn", s, dim, norm, True)


@_transform
def rfft2(input: Tensor, s: Sizes = None, dim: Sizes = (-2, -1), norm: str | None = None) -> Tensor:
    """`rfftn` over the last two dimensions."""
    return fourier.half_spectrum_several(input, "fft_rfftn", s, dim, norm, False)


@_transform
def irfft2(input: Tensor, s: Sizes = None, dim: Sizes = (-2, -1), norm: str | None = None) -> Tensor:
    """`irfftn` over the last two dimensions."""
    return fourier.from_half_spectrum_several(input, "fft_irfftn", s, dim, norm, True)


@_transform
def hfft2(input: Tensor, s: Sizes = None, dim: Sizes = (-2, -1), norm: str | None = None) -> Tensor:
    """`hfftn` over the last two dimensions."""
    return fourier.from_half_spectrum_several(input, "fft_hfftn", s, dim, norm, False)


@_transform
def ihfft2(input: Tensor, s: Sizes = None, dim: Sizes = (-2, -1), norm: str | None = None) -> Tensor:
    """`ihfftn` over the last two dimensions."""
    return fourier.half_spectrum_several(input, "fft_ihfftn", s, dim, norm, True)
