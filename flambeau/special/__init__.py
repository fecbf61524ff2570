"""Special functions, as `torch.special`: pointwise, of floating-point tensors; whole numbers become the default dtype."""

from typing import Any as _Any

from flambeau.ops import OPERATORS as _OPERATORS
from flambeau.ops.special_operators import SPECIAL as _SPECIAL

#: Functions that have the same name at the top.
_SHARED = (
    "digamma", "erf", "erfc", "erfinv", "exp2", "expm1", "i0", "log1p", "log_softmax", "logit", "logsumexp", "round",
    "sinc", "softmax",
)  # fmt: skip

globals().update({name: _OPERATORS[name] for name in _SHARED})
globals().update(_SPECIAL)
expit = _OPERATORS["sigmoid"]

__all__ = sorted({*_SHARED, *_SPECIAL, "expit"})


def __getattr__(name: str) -> _Any:
    raise AttributeError(f"module 'flambeau.special' has no attribute '{name}'")
