"""Spectra of short pieces of a signal, one after the other: stft and istft."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from flambeau.ops import fourier
from flambeau.ops.creation import ones as make_ones
from flambeau.ops.creation import zeros as make_zeros
from flambeau.ops.joining import cat
from flambeau.ops.padding import constant_pad_nd
from flambeau.ops.table import operator
from flambeau.tensor.tensor import Tensor, wrap


def _window_of(window: Tensor | None, win_length: int, n_fft: int, like: Tensor) -> Tensor:
    """The window in the middle of `n_fft` points, zeros around it; ones where none is given."""
    kind = like.dtype.to_real() if like.is_complex() else like.dtype
    found = make_ones(win_length, dtype=kind) if window is None else window
    if win_length == n_fft:
        return found
    left = (n_fft - win_length) // 2
    return cat([make_zeros(left, dtype=found.dtype), found, make_zeros(n_fft - win_length - left, dtype=found.dtype)])


def _lengthened(x: Tensor, by: int, mode: str) -> Tensor:
    """(B, L) with `by` more points at each end, taken from the signal as `mode` says."""
    if mode == "constant":
        return constant_pad_nd(x, [by, by])
    size = x._array.shape[-1]
    places = np.arange(-by, size + by)
    if mode == "reflect":
        if by >= size:
            raise RuntimeError(
                f"stft: a signal of {size} points cannot be reflected by {by}; padding must be less than its length"
            )
        places = np.abs(places)
        places = np.where(places >= size, 2 * (size - 1) - places, places)
    elif mode == "replicate":
        places = np.clip(places, 0, size - 1)
    elif mode == "circular":
        places = places % size
    else:
        raise NotImplementedError(f"Unrecognised padding mode {mode}")
    return x.index_select(-1, wrap(places))


def _check(n_fft: int, hop: int, win_length: int, window: Tensor | None, name: str) -> None:
    if hop <= 0:
        raise RuntimeError(f"{name}: expected hop_length > 0, but got hop_length={hop}")
    if not 0 < win_length <= n_fft:
        raise RuntimeError(f"{name}: expected 0 < win_length <= n_fft, but got win_length={win_length}")
    if window is not None and (window.ndim != 1 or window._array.shape[0] != win_length):
        raise RuntimeError(
            f"{name}: expected a 1D window tensor of size equal to win_length={win_length}, but got window with size "
            f"{list(window.shape)}"
        )


@operator
def stft(
    input: Tensor, n_fft: int, hop_length: int | None = None, win_length: int | None = None,
    window: Tensor | None = None, center: bool = True, pad_mode: str = "reflect", normalized: bool = False,
    onesided: bool | None = None, return_complex: bool | None = None, align_to_window: bool | None = None,
) -> Tensor:  # fmt: skip
    """(L) or (B, L) -> (frequencies, frames) or (B, frequencies, frames): the spectrum of each windowed piece.

    Arguments:
        n_fft: the points of a piece; real signals give n_fft // 2 + 1 frequencies unless `onesided` is False.
        hop_length: from one piece to the next, n_fft // 4 by default.
        win_length, window: the weights of a piece; all ones by default.
        center: whether pieces are about their time; the signal is then padded by n_fft // 2, as `pad_mode` says.
        normalized: divides by sqrt(n_fft).
        return_complex: False gives pairs of real numbers, (..., 2).
    """
    if input.ndim not in (1, 2):
        raise RuntimeError(f"stft: expected a 1D or 2D tensor of floating types, got {input.ndim}D")
    hop = n_fft // 4 if hop_length is None else hop_length
    length = n_fft if win_length is None else win_length
    is_complex = input.is_complex() or (window is not None and window.is_complex())
    if return_complex is None:
        if not is_complex:
            raise RuntimeError("stft requires the return_complex parameter be given for real inputs, and will further require that return_complex=True in a future PyTorch release.")
        return_complex = True
    _check(n_fft, hop, length, window, "stft")
    x = input.unsqueeze(0) if input.ndim == 1 else input
    if center:
        if align_to_window is not None:
            raise RuntimeError("stft align_to_window should only be set when center = false")
        x = _lengthened(x, n_fft // 2, pad_mode)
    if not 0 < n_fft <= x._array.shape[-1]:
        raise RuntimeError(f"stft: expected 0 < n_fft < {x._array.shape[-1]}, but got n_fft={n_fft}")
    pieces = x.unfold(-1, n_fft, hop) * _window_of(window, length, n_fft, input)
    half_only = (not is_complex) if onesided is None else onesided
    if half_only and is_complex:
        raise RuntimeError("Cannot have onesided output if window or input is complex")
    norm = "ortho" if normalized else None
    if half_only:
        spectra = fourier.half_spectrum(pieces, "fft_rfft", None, -1, norm, False)
    else:
        spectra = fourier.one_way(pieces, "fft_fft", None, -1, norm, False)
    found = spectra.transpose(1, 2)
    found = found.squeeze(0) if input.ndim == 1 else found
    if return_complex:
        return found
    from flambeau.ops.complexes import view_as_real

    return view_as_real(found.contiguous())


@operator
def istft(
    input: Tensor, n_fft: int, hop_length: int | None = None, win_length: int | None = None,
    window: Tensor | None = None, center: bool = True, normalized: bool = False, onesided: bool | None = None,
    length: int | None = None, return_complex: bool = False,
) -> Tensor:  # fmt: skip
    """Undoes `stft`: pieces are added where they overlap and divided by the squares of their windows.

    Source: Griffin and Lim, Signal estimation from modified short-time Fourier transform, 1984.

    Raises `RuntimeError` where the windows leave a gap.
    """
    hop = n_fft // 4 if hop_length is None else hop_length
    size = n_fft if win_length is None else win_length
    _check(n_fft, hop, size, window, "istft")
    if not input.is_complex():
        raise RuntimeError("istft requires a complex-valued input tensor matching the output from stft with return_complex=True.")
    if input.ndim not in (2, 3):
        raise RuntimeError(f"istft: expected a tensor with 2 or 3 dimensions, but got {input.ndim}")
    x = input.unsqueeze(0) if input.ndim == 2 else input
    bins, frames = x._array.shape[1:]
    half_only = bins != n_fft if onesided is None else onesided
    if bins != (n_fft // 2 + 1 if half_only else n_fft):
        raise RuntimeError(f"istft: expected the frequency dimension (2nd to the last) of the input tensor to match n_fft, but got {bins}")
    if half_only and return_complex:
        raise RuntimeError("istft: cannot have onesided input if return_complex is true")
    norm = "ortho" if normalized else None
    spectra = x.transpose(1, 2)
    if return_complex:
        pieces = fourier.one_way(spectra, "fft_ifft", None, -1, norm, True)
    else:  # of a whole spectrum the first half says it all
        half = spectra[..., : n_fft // 2 + 1]
        pieces = fourier.from_half_spectrum(half, "fft_irfft", n_fft, -1, norm, True)
    weights = _window_of(window, size, n_fft, pieces)
    pieces = pieces * weights
    total = n_fft + hop * (frames - 1)
    sums = _overlapped(pieces, total, hop)
    squares = weights * weights
    shares = _overlapped(squares.expand(1, frames, n_fft), total, hop)
    start = n_fft // 2 if center else 0
    stop = start + length if length is not None else total - (n_fft // 2 if center else 0)
    within = min(stop, total)
    sums, shares = sums[:, start:within], shares[:, start:within]
    if within > start and float(shares.abs().min()) < 1e-11:
        raise RuntimeError("istft: window overlap add min: 1")
    found = sums / shares
    if stop > total:
        warnings.warn(
            "The length of signal is shorter than the length parameter. Result is being padded with zeros in the tail. "
            "Please check your center and hop_length settings", stacklevel=2,
        )  # fmt: skip
        found = cat([found, found.new_zeros(found._array.shape[0], stop - total)], 1)
    return found.squeeze(0) if input.ndim == 2 else found


def _overlapped(pieces: Tensor, total: int, hop: int) -> Tensor:
    """(B, frames, n) -> (B, total): pieces added up, each `hop` after the one before."""
    batch, frames, size = pieces._array.shape
    from flambeau.ops.ranges import arange

    places = (arange(frames).unsqueeze(1) * hop + arange(size)).reshape(-1)
    flat: Any = pieces.reshape(batch, frames * size)
    return flat.new_zeros(batch, total).index_add(1, places, flat)
