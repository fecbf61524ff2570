"""In-place updates whose scalar is a Python number or, while a program is traced, a 0-dim tensor.

Eager steps use PyTorch's fused forms (`add_(x, alpha=...)`), so that rounding agrees with PyTorch's;
a traced scalar is an input of the program, so it enters as an ordinary factor.
"""

from __future__ import annotations

from flambeau.ops.sparse import add_to_rows
from flambeau.tensor import Tensor

#: A hyper-parameter: a number, or a 0-dim tensor that stands for one.
Scalar = float | Tensor


def scaled_add(x: Tensor, y: Tensor, factor: Scalar) -> Tensor:
    """`x + factor * y`."""
    if isinstance(factor, Tensor):
        return x + y * factor
    return x.add(y, alpha=factor)


def scaled_add_(x: Tensor, y: Tensor, factor: Scalar) -> Tensor:
    """`x += factor * y`."""
    if y._sparse:
        return add_to_rows(x, y, float(factor))
    if isinstance(factor, Tensor):
        return x.add_(y * factor)
    return x.add_(y, alpha=factor)


def product_add_(x: Tensor, y: Tensor, z: Tensor, factor: Scalar) -> Tensor:
    """`x += factor * y * z`."""
    if isinstance(factor, Tensor):
        return x.add_(y * z * factor)
    return x.addcmul_(y, z, value=factor)


def quotient_add_(x: Tensor, y: Tensor, z: Tensor, factor: Scalar) -> Tensor:
    """`x += factor * y / z`."""
    if isinstance(factor, Tensor):
        return x.add_(y / z * factor)
    return x.addcdiv_(y, z, value=factor)


def approach_(x: Tensor, y: Tensor, share: Scalar) -> Tensor:
    """`x += share * (y - x)`."""
    if isinstance(share, Tensor):
        return x.add_((y - x) * share)
    return x.lerp_(y, share)
