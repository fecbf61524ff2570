"""Padding of the last dimensions."""

from __future__ import annotations

from collections.abc import Sequence

from flambeau import ops
from flambeau.ops import where
from flambeau.tensor import Tensor


def _positions(size: int, before: int, after: int, mode: str) -> Tensor:
    """For each element of a padded dimension, the element of the unpadded one that it repeats."""
    if mode == "circular":  # what negative padding crops is not part of the circle
        first, last = max(-before, 0), size - max(-after, 0)
        return first + ops.arange(-max(before, 0), last - first + max(after, 0)) % (last - first)
    index = ops.arange(-before, size + after)
    if mode == "replicate":
        return index.clamp(0, size - 1)
    folded = index.abs()
    return where(folded >= size, 2 * (size - 1) - folded, folded)


def pad(
    input: Tensor, pad: Sequence[int], mode: str = "constant", value: float | None = None
) -> Tensor:
    """`pad` = (left, right, top, bottom, ...) elements around the last dimensions.

    mode: "constant" (with `value`), "reflect", "replicate" or "circular". Raises `RuntimeError` for more
    padding than the mode can fill.
    """
    pad = tuple(int(p) for p in pad)
    if len(pad) % 2:
        raise RuntimeError("Padding length must be divisible by 2")
    if len(pad) // 2 > input.ndim:
        raise RuntimeError(
            "Padding length should be less than or equal to two times the input dimension but got padding "
            f"length {len(pad)} and input of dimension {input.ndim}"
        )
    if mode == "constant":
        return ops.constant_pad_nd(input, pad, 0 if value is None else value)
    if value is not None and value != 0:
        raise ValueError(f'Padding mode "{mode}" doesn\'t take in value argument')
    if mode not in ("reflect", "replicate", "circular"):
        raise NotImplementedError(f"Unrecognised padding mode {mode}")
    spatial = len(pad) // 2
    if input.ndim not in (spatial + 1, spatial + 2):
        raise NotImplementedError(
            "Only 2D, 3D, 4D, 5D padding with non-constant padding are supported for now"
        )
    out = input
    for i in range(spatial):
        before, after = pad[2 * i], pad[2 * i + 1]
        if before == 0 == after:
            continue
        dim = input.ndim - 1 - i
        size = input.size(dim)
        if mode == "reflect" and (before >= size or after >= size):
            raise RuntimeError(
                "Argument #4: Padding size should be less than the corresponding input dimension, but got: "
                f"padding ({before}, {after}) at dimension {dim} of input {list(input.shape)}"
            )
        if mode == "circular" and (before > size or after > size):
            raise RuntimeError("Padding value causes wrapping around more than once.")
        if size + before + after < 0 or size == 0:
            raise RuntimeError(
                f"input (H: {size}) is too small for padding ({before}, {after}) at dimension {dim}"
            )
        out = out.index_select(dim, _positions(size, before, after, mode))
    return out.clone() if out is input else out
