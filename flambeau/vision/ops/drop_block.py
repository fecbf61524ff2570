"""DropBlock: squares of a feature map set to 0 while training.

G. Ghiasi, T.-Y. Lin, Q. V. Le, "DropBlock: A regularization method for convolutional networks", NeurIPS 2018.
"""

from __future__ import annotations

import flambeau
from flambeau.nn import Module
from flambeau.nn import functional as F
from flambeau.tensor import Tensor


def drop_block2d(
    input: Tensor, p: float, block_size: int, inplace: bool = False, eps: float = 1e-6, training: bool = True
) -> Tensor:
    """Features `(N, C, H, W)` without some blocks, the rest scaled up to the same sum.

    Args:
        input: the features.
        p: about which share of the pixels is dropped.
        block_size: the side of a block in pixels, at most the map's.
        inplace: overwrite the input.
        eps: keeps the scale finite where everything is dropped.
        training: return the input as it is unless set.

    Raises:
        ValueError: if `p` is no probability, the input has another rank, or the block's side is even.
    """
    return _drop(input, p, block_size, inplace, eps, training, 2)


def drop_block3d(
    input: Tensor, p: float, block_size: int, inplace: bool = False, eps: float = 1e-6, training: bool = True
) -> Tensor:
    """`drop_block2d` of volumes `(N, C, D, H, W)`."""
    return _drop(input, p, block_size, inplace, eps, training, 3)


def _drop(
    input: Tensor, p: float, block_size: int, inplace: bool, eps: float, training: bool, rank: int
) -> Tensor:
    if p < 0.0 or p > 1.0:
        raise ValueError(f"drop probability has to be between 0 and 1, but got {p}.")
    if input.dim() != rank + 2:
        raise ValueError(f"input should be {rank + 2} dimensional. Got {input.dim()} dimensions.")
    if not training or p == 0.0:
        return input
    sizes = input.shape[2:]
    block = min(block_size, *sizes)
    if block % 2 == 0:
        raise ValueError(f"block size should be odd. Got {block} which is even.")
    # The share of first pixels of blocks, such that about p of all pixels are dropped.
    valid = pixels = 1
    for size in sizes:
        valid, pixels = valid * (size - block + 1), pixels * size
    share = p * pixels / (block**rank * valid)
    starts = flambeau.empty(
        (*input.shape[:2], *(size - block + 1 for size in sizes)), dtype=input.dtype, device=input.device
    ).bernoulli_(share)
    around = F.pad(starts, [block // 2] * (2 * rank), value=0)
    pool = F.max_pool2d if rank == 2 else F.max_pool3d
    keep = 1 - pool(around, stride=1, kernel_size=block, padding=block // 2)
    scale = keep.numel() / (eps + keep.sum())
    return input.mul_(keep).mul_(scale) if inplace else input * keep * scale


class DropBlock2d(Module):
    """See `drop_block2d`."""

    def __init__(self, p: float, block_size: int, inplace: bool = False, eps: float = 1e-6) -> None:
        super().__init__()
        self.p = p
        self.block_size = block_size
        self.inplace = inplace
        self.eps = eps

    def forward(self, input: Tensor) -> Tensor:
        """Features of the same shape."""
        return drop_block2d(input, self.p, self.block_size, self.inplace, self.eps, self.training)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(p={self.p}, block_size={self.block_size}, inplace={self.inplace})"


class DropBlock3d(DropBlock2d):
    """See `drop_block3d`."""

    def forward(self, input: Tensor) -> Tensor:
        """Volumes of the same shape."""
        return drop_block3d(input, self.p, self.block_size, self.inplace, self.eps, self.training)
