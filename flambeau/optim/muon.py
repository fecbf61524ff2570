"""Muon: momentum whose update is made orthogonal (Jordan, 2024; Liu et al., 2025)."""

from __future__ import annotations

import math

from flambeau import ops
from flambeau.core.dtypes import bfloat16
from flambeau.optim._arithmetic import Scalar, approach_, scaled_add_
from flambeau.optim.optimizer import Group, Optimizer, Params, State
from flambeau.tensor import Tensor

__all__ = ["Muon"]


class Muon(Optimizer):
    """For the matrices of hidden layers: steps along the orthogonal matrix nearest to the momentum.

    Args:
        params: matrices or groups of them; give biases and embeddings to another optimizer.
        lr: the learning rate.
        weight_decay: shrinks `p` itself.
        momentum: share of the former steps.
        nesterov: look one step ahead.
        ns_coefficients: of the Newton-Schulz iteration's polynomial.
        eps: the least norm to divide by.
        ns_steps: how many iterations.
        adjust_lr_fn: how the rate follows the shape: `"original"` (also `None`) or
            `"match_rms_adamw"`.

    Raises:
        ValueError: for an option outside its range, or a parameter that is no matrix.
    """

    def __init__(
        self,
        params: Params,
        lr: Scalar = 1e-3,
        weight_decay: float = 0.1,
        momentum: float = 0.95,
        nesterov: bool = True,
        ns_coefficients: tuple[float, float, float] = (3.4445, -4.7750, 2.0315),
        eps: float = 1e-7,
        ns_steps: int = 5,
        adjust_lr_fn: str | None = None,
    ) -> None:
        if isinstance(lr, Tensor) and lr.numel() != 1:
            raise ValueError("Tensor lr must be 1-element")
        for title, value in (
            ("Learning rate", lr), ("momentum", momentum), ("weight decay", weight_decay),
        ):  # fmt: skip
            if not value >= 0.0:
                raise ValueError(f"{title} should be >= 0 but is: {value}")
        if adjust_lr_fn not in (None, "original", "match_rms_adamw"):
            raise ValueError(f"Adjust learning rate function {adjust_lr_fn} is not supported")
        defaults = {
            "lr": lr,
            "weight_decay": weight_decay,
            "momentum": momentum,
            "nesterov": nesterov,
            "ns_coefficients": ns_coefficients,
            "eps": eps,
            "ns_steps": ns_steps,
            "adjust_lr_fn": adjust_lr_fn,
        }
        super().__init__(params, defaults)
        for group in self.param_groups:
            for p in group["params"]:
                if p.dim() != 2:
                    raise ValueError(
                        "Muon only supports 2D parameters whereas we found a parameter with "
                        f"size: {p.size()}"
                    )

    def _check_gradient(self, p: Tensor, grad: Tensor) -> None:
        if p.is_complex():
            raise RuntimeError("Muon does not support complex parameters")
        super()._check_gradient(p, grad)

    def _init_state(self, p: Tensor, group: Group) -> State:
        return {"momentum_buffer": ops.zeros_like(p)}

    def _update(self, p: Tensor, grad: Tensor, state: State, group: Group) -> None:
        lr, momentum = self._number(group, "lr"), self._number(group, "momentum")
        buffer = approach_(state["momentum_buffer"], grad, 1 - momentum)
        update = buffer
        if self._is_set(group, "nesterov"):
            update = approach_(grad.clone(), buffer, momentum)
        update = _orthogonalised(
            update, group["ns_coefficients"], group["ns_steps"], group["eps"]
        )
        p.mul_(1 - lr * self._number(group, "weight_decay"))
        factor = _shape_factor(group["adjust_lr_fn"], p.shape)
        scaled_add_(p, update.to(p.dtype), -(lr * factor))


def _shape_factor(adjust_lr_fn: str | None, shape: tuple[int, ...]) -> float:
    rows, columns = shape
    if adjust_lr_fn == "match_rms_adamw":
        return 0.2 * math.sqrt(max(rows, columns))
    return math.sqrt(max(1, rows / columns))


def _orthogonalised(
    matrix: Tensor, coefficients: tuple[float, float, float], steps: int, eps: float
) -> Tensor:
    """The matrix with its singular values moved towards 1, in bfloat16.

    Newton-Schulz: `X <- a X + (b G + c G^2) X` with `G = X X^T`, after dividing by the norm.
    """
    if steps >= 100:
        raise ValueError("Number of steps must be less than 100 for computational efficiency")
    if len(coefficients) != 3:
        raise ValueError("Coefficients must be a tuple of exactly 3 values")
    a, b, c = coefficients
    wide = matrix.size(0) <= matrix.size(1)
    x = _rounded(matrix)
    x = x if wide else x.t()
    norm = _rounded(x.square().sum().sqrt())
    x = _rounded(x / norm.clamp(min=eps))
    for _ in range(steps):
        gram = _rounded(ops.matmul(x, x.t()))
        mixed = _rounded(b * gram + c * ops.matmul(gram, gram))
        x = _rounded(a * x + ops.matmul(mixed, x))
    return x if wide else x.t()


def _rounded(x: Tensor) -> Tensor:
    """A float32 tensor with the values that bfloat16 can hold: sums are kept in float32."""
    return x.to(bfloat16).float()
