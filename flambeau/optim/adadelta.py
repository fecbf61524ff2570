"""Adadelta (Zeiler, 2012)."""

from __future__ import annotations

from flambeau import ops
from flambeau.optim._arithmetic import Scalar, product_add_, scaled_add_
from flambeau.optim.optimizer import (
    Group,
    Optimizer,
    Params,
    State,
    check_at_least_zero,
    check_lr,
)
from flambeau.tensor import Tensor

__all__ = ["Adadelta"]


class Adadelta(Optimizer):
    """Steps whose size follows from the ratio of past steps to past gradients.

    Args:
        params: parameters or groups, see `Optimizer`.
        lr: a factor of the step.
        rho: the decay rate of the two means of squares.
        eps: added to both.
        weight_decay: adds `weight_decay * p` to the gradient.
        foreach: accepted: there is one way of computing, the fast one.
        capturable: accepted, as `foreach`.
        maximize: go up instead of down.
        differentiable: let autograd differentiate through the step.

    Raises:
        ValueError: for an option outside its range.
    """

    def __init__(
        self,
        params: Params,
        lr: Scalar = 1.0,
        rho: float = 0.9,
        eps: float = 1e-6,
        weight_decay: float = 0,
        foreach: bool | None = None,
        *,
        capturable: bool = False,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        check_lr(lr)
        if not 0.0 <= rho <= 1.0:
            raise ValueError(f"Invalid rho value: {rho}")
        check_at_least_zero(eps=("epsilon", eps), weight_decay=("weight_decay", weight_decay))
        defaults = {
            "lr": lr,
            "rho": rho,
            "eps": eps,
            "weight_decay": weight_decay,
            "maximize": maximize,
            "capturable": capturable,
            "foreach": foreach,
            "differentiable": differentiable,
        }
        super().__init__(params, defaults)

    def _init_state(self, p: Tensor, group: Group) -> State:
        return {
            "step": self._zero_step(),
            "square_avg": ops.zeros_like(p),
            "acc_delta": ops.zeros_like(p),
        }

    def _update(self, p: Tensor, grad: Tensor, state: State, group: Group) -> None:
        rho, eps = self._number(group, "rho"), self._number(group, "eps")
        mean_square, mean_square_step = state["square_avg"], state["acc_delta"]
        self._count_step(state)
        grad = self._decayed(p, grad, group)

        product_add_(mean_square.mul_(rho), grad, grad, 1 - rho)
        step = (mean_square_step + eps).sqrt() / (mean_square + eps).sqrt() * grad
        product_add_(mean_square_step.mul_(rho), step, step, 1 - rho)
        scaled_add_(p, step, -self._number(group, "lr"))
