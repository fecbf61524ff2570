"""Adafactor (Shazeer and Stern, 2018): second moments of a matrix kept as a row and a column."""

from __future__ import annotations

import math
from typing import Any

from flambeau import ops
from flambeau.core.dtypes import finfo
from flambeau.optim._arithmetic import Scalar, approach_, scaled_add_
from flambeau.optim.optimizer import Group, Optimizer, Params, State
from flambeau.tensor import Tensor

__all__ = ["Adafactor"]


class Adafactor(Optimizer):
    """Steps relative to the size of the parameter, along the gradient over its root mean square.

    Args:
        params: parameters or groups, see `Optimizer`.
        lr: the greatest relative step.
        beta2_decay: the power of the step by which new squares lose weight.
        eps: the least mean square (the dtype's epsilon if `None`) and the least parameter size.
        d: the greatest root mean square of an update.
        weight_decay: shrinks `p` itself.
        foreach: accepted: there is one way of computing, the fast one.
        maximize: go up instead of down.

    Raises:
        ValueError: for an option outside its range.
    """

    def __init__(
        self,
        params: Params,
        lr: Scalar = 1e-2,
        beta2_decay: float = -0.8,
        eps: tuple[float | None, float] = (None, 1e-3),
        d: float = 1.0,
        weight_decay: float = 0.0,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
    ) -> None:
        if isinstance(lr, Tensor) and lr.numel() != 1:
            raise ValueError("Tensor lr must be 1-element")
        if not lr >= 0.0:
            raise ValueError(f"Learning rate should be >= 0 but is: {lr}")
        if not beta2_decay <= 0.0:
            raise ValueError(f"beta2_decay should be <= 0 but is: {beta2_decay}")
        if eps[0] is not None and not eps[0] >= 0.0:
            raise ValueError(f"epsilon1 should be >= 0 but is: {eps[0]}")
        if not eps[1] >= 0.0:
            raise ValueError(f"epsilon2 should be >= 0 but is: {eps[1]}")
        if not d >= 1.0:
            raise ValueError(f"Clipping threshold d should be >= 1 but is: {d}")
        if not weight_decay >= 0.0:
            raise ValueError(f"weight_decay should be >= 0 but is: {weight_decay}")
        defaults = {
            "lr": lr,
            "beta2_decay": beta2_decay,
            "eps": eps,
            "d": d,
            "weight_decay": weight_decay,
            "foreach": foreach,
            "maximize": maximize,
        }
        super().__init__(params, defaults)

    def _check_gradient(self, p: Tensor, grad: Tensor) -> None:
        if p.is_complex():
            raise RuntimeError("Adafactor does not support complex parameters")
        super()._check_gradient(p, grad)

    def _init_state(self, p: Tensor, group: Group) -> State:
        state: State = {"step": self._zero_step()}
        if p.dim() > 1:
            *leading, rows, columns = p.shape
            state["row_var"] = p.new_zeros((*leading, rows, 1))
            state["col_var"] = p.new_zeros((*leading, 1, columns))
        else:
            state["variance"] = ops.zeros_like(p)
        return state

    def _update(self, p: Tensor, grad: Tensor, state: State, group: Group) -> None:
        lr = self._number(group, "lr")
        eps1 = finfo(p.dtype).eps if group["eps"][0] is None else self._number(group, "eps", 0)
        step: Any = self._count_step(state)
        new_share = step ** self._number(group, "beta2_decay")
        relative = _least(lr, 1 / step**0.5)
        size = _greatest(self._number(group, "eps", 1), _root_mean_square(p, self))
        if self._is_set(group, "weight_decay"):
            p.mul_(1 - lr * self._number(group, "weight_decay"))

        if grad.dim() > 1:
            rows, columns = state["row_var"], state["col_var"]
            approach_(rows, grad.square().sum(-1, keepdim=True) / grad.size(-1), new_share)
            approach_(columns, grad.square().sum(-2, keepdim=True) / grad.size(-2), new_share)
            mean = rows.mean(-2, keepdim=True).clamp(min=eps1)
            mean_square = ops.matmul(rows, columns) / mean
        else:
            mean_square = approach_(state["variance"], grad.square(), new_share)
        update = mean_square.clamp(min=eps1 * eps1).rsqrt() * grad
        clip = _greatest(1.0, _root_mean_square(update, self) / self._number(group, "d"))
        scaled_add_(p, update, -(size * relative) / clip)


def _root_mean_square(x: Tensor, owner: Optimizer) -> Scalar:
    return owner._value(x.square().sum().sqrt()) / math.sqrt(x.numel())


def _least(a: Scalar, b: Scalar) -> Scalar:
    if isinstance(a, Tensor) or isinstance(b, Tensor):
        return ops.where(ops.as_tensor(a) < b, a, b)
    return min(a, b)


def _greatest(a: Scalar, b: Scalar) -> Scalar:
    if isinstance(a, Tensor) or isinstance(b, Tensor):
        return ops.where(ops.as_tensor(a) > b, a, b)
    return max(a, b)
