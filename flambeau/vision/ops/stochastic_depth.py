"""Stochastic depth: Huang et al., "Deep networks with stochastic depth", 2016 (arXiv:1603.09382)."""

from __future__ import annotations

import flambeau
from flambeau import Tensor, nn

__all__ = ["StochasticDepth", "stochastic_depth"]


def stochastic_depth(input: Tensor, p: float, mode: str, training: bool = True) -> Tensor:
    """Drops a residual branch at random; what is kept is divided by the chance of keeping it.

    Arguments:
        input: the branch's result, samples along the first dimension.
        p: the probability of dropping.
        mode: "batch" drops all samples together, "row" each one on its own.
        training: does nothing if `False`.

    Raises:
        ValueError: for a `p` outside [0, 1] or an unknown mode.
    """
    if not 0 <= p <= 1:
        raise ValueError(f"drop probability has to be between 0 and 1, but got {p}")
    if mode not in ("batch", "row"):
        raise ValueError(f"mode has to be either 'batch' or 'row', but got {mode}")
    if not training or p == 0:
        return input
    keep = 1 - p
    shape = [input.shape[0] if mode == "row" else 1] + [1] * (input.ndim - 1)
    kept = flambeau.empty(shape, dtype=input.dtype, device=input.device).bernoulli_(keep)
    return input * (kept / keep if keep > 0 else kept)


class StochasticDepth(nn.Module):
    """See `stochastic_depth`."""

    def __init__(self, p: float, mode: str):
        super().__init__()
        self.p = p
        self.mode = mode

    def forward(self, input: Tensor) -> Tensor:
        """`input`, or zeros, in training; `input` in evaluation."""
        return stochastic_depth(input, self.p, self.mode, self.training)

    def extra_repr(self) -> str:
        """The arguments, for printing."""
        return f"p={self.p}, mode={self.mode}"
