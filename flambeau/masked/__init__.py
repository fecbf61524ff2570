"""Reductions and normalizations of the elements that a mask picks, as `torch.masked`.

`mask` is True for the elements that count, and broadcasts to the input; without one all do. Of no elements at
all a reduction gives its own neutral element (0 for a sum, 1 for a product, infinity for a minimum), or NaN.
"""

from flambeau.masked.normalizations import (
    cumprod,
    cumsum,
    log_softmax,
    logaddexp,
    normalize,
    softmax,
    softmin,
)
from flambeau.masked.reductions import (
    amax,
    amin,
    argmax,
    argmin,
    logsumexp,
    mean,
    median,
    norm,
    prod,
    std,
    sum,
    var,
)

__all__ = [
    "amax", "amin", "argmax", "argmin", "cumprod", "cumsum", "log_softmax", "logaddexp", "logsumexp", "mean",
    "median", "norm", "normalize", "prod", "softmax", "softmin", "std", "sum", "var",
]  # fmt: skip
