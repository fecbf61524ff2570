"""What the distributions share: broadcasting of parameters, lazily made ones, probabilities and logits."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from numbers import Number
from typing import Any, Final

from flambeau import ops
from flambeau.autograd import enable_grad
from flambeau.core import dtypes
from flambeau.core.shapes import Size
from flambeau.tensor import Tensor
from flambeau.tensor.tracing import is_tracing

__all__ = [
    "broadcast_all",
    "logits_to_probs",
    "clamp_probs",
    "probs_to_logits",
    "lazy_property",
    "tril_matrix_to_vec",
    "vec_to_tril_matrix",
]

euler_constant: Final[float] = 0.57721566490153286060  # Euler and Mascheroni's


def all_true(valid: Tensor) -> bool:
    """Whether every element is true. A traced program has no values to check, so it passes."""
    return is_tracing() or bool(valid._array.all())


def broadcast_all(*values: Any) -> tuple[Tensor, ...]:
    """Numbers and tensors as tensors of one shape; numbers take the dtype of the first tensor.

    Raises `ValueError` for anything else.
    """
    if not all(isinstance(v, Tensor | Number) for v in values):
        raise ValueError(
            "Input arguments must all be instances of Number, torch.Tensor or objects implementing __torch_function__."
        )
    shapes = {v.shape if isinstance(v, Tensor) else None for v in values}
    if len(shapes) == 1 and None not in shapes:
        return values
    dtype = next((v.dtype for v in values if isinstance(v, Tensor)), dtypes.get_default_dtype())
    return tuple(
        ops.broadcast_tensors(*[v if isinstance(v, Tensor) else ops.tensor(v, dtype=dtype) for v in values])
    )


def as_tensor_like(value: Any, other: Tensor) -> Tensor:
    """`value` itself if it is a tensor, else a tensor of the dtype of `other`."""
    return value if isinstance(value, Tensor) else ops.tensor(value, dtype=other.dtype)


def _standard_normal(shape: Sequence[int], dtype: Any, device: Any = None) -> Tensor:
    """Standard normal numbers, which take no gradient."""
    return ops.randn(tuple(shape), dtype=dtype)


def uniform(shape: Sequence[int], like: Tensor, low: float = 0.0, high: float = 1.0) -> Tensor:
    """Uniform numbers of [low, high) with the dtype of `like`."""
    return ops.empty(tuple(shape), dtype=like.dtype).uniform_(low, high)


def tiny_uniform(shape: Sequence[int], like: Tensor) -> Tensor:
    """Uniform numbers above zero, so that their logarithms are finite."""
    return uniform(shape, like, dtypes.finfo(like.dtype).tiny, 1.0)


def _sum_rightmost(value: Tensor, dim: int) -> Tensor:
    """The sum over the last `dim` dimensions."""
    if dim > 1:
        value = value.flatten(-dim)
    return value.sum(-1) if dim else value


def logits_to_probs(logits: Tensor, is_binary: bool = False) -> Tensor:
    """Probabilities: the sigmoid of each logit, or the softmax over the last dimension."""
    return logits.sigmoid() if is_binary else logits.softmax(-1)


def clamp_probs(probs: Tensor) -> Tensor:
    """Probabilities kept one rounding step away from 0 and 1."""
    eps = dtypes.finfo(probs.dtype).eps
    return probs.clamp(min=eps, max=1 - eps)


def probs_to_logits(probs: Tensor, is_binary: bool = False) -> Tensor:
    """Logits: log(p / (1 - p)) for each probability, or log(p) of categories."""
    kept = clamp_probs(probs)
    return kept.log() - (-kept).log1p() if is_binary else kept.log()


class lazy_property:
    """A method whose value is computed at first use and kept in the instance under its name.

    It is computed with gradients switched on, since it may be first asked for while sampling.
    """

    def __init__(self, wrapped: Callable[[Any], Any]):
        self.wrapped = wrapped
        self.__doc__ = wrapped.__doc__
        self.__name__ = wrapped.__name__

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        if instance is None:
            return self
        with enable_grad():
            value = self.wrapped(instance)
        setattr(instance, self.__name__, value)
        return value


def tril_matrix_to_vec(mat: Tensor, diag: int = 0) -> Tensor:
    """The elements on and below diagonal `diag`, row by row: (*, n, n) -> (*, m)."""
    n = mat.shape[-1]
    if diag < -n or diag >= n:
        raise ValueError(f"diag ({diag}) provided is outside [{-n}, {n - 1}].")
    rows, columns = ops.tril_indices(n, n, diag)
    return mat[..., rows, columns]


def _tril_size(n: int, diag: int) -> int:
    """How many elements an n x n matrix has on and below diagonal `diag`."""
    if diag < 0:
        rows = max(n + diag, 0)
        return rows * (rows + 1) // 2
    missing = max(n - 1 - diag, 0)
    return n * n - missing * (missing + 1) // 2


def vec_to_tril_matrix(vec: Tensor, diag: int = 0) -> Tensor:
    """The matrix with `vec` on and below diagonal `diag`, zeros above: (*, m) -> (*, n, n).

    Raises `ValueError` where no whole n has that many elements there.
    """
    m, n = vec.shape[-1], 0
    while _tril_size(n + 1, diag) <= m:
        n += 1
    if _tril_size(n, diag) != m:
        raise ValueError(
            f"The size of last dimension is {m} which cannot be expressed as "
            "the lower triangular part of a square D x D matrix."
        )
    rows, columns = ops.tril_indices(n, n, diag)
    made = vec.new_zeros(tuple(vec.shape[:-1]) + (n, n))
    made[..., rows, columns] = vec
    return made


def as_size(shape: Any) -> Size:
    """A shape given as any sequence of whole numbers."""
    return shape if isinstance(shape, Size) else Size(shape)


def enumerated(values: Tensor, batch_shape: Sequence[int], expand: bool) -> Tensor:
    """`values`, (n, *event), as (n, *batch, *event), or with batch dimensions of one element."""
    event = tuple(values.shape[1:])
    shaped = values.reshape((-1,) + (1,) * len(batch_shape) + event)
    return shaped.expand((-1, *batch_shape, *event)) if expand else shaped
