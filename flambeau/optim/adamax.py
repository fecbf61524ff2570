"""Adamax: Adam with the infinity norm (Kingma and Ba, 2014)."""

from __future__ import annotations

from flambeau import ops
from flambeau.optim._arithmetic import Scalar, approach_, quotient_add_
from flambeau.optim.optimizer import (
    Group,
    Optimizer,
    Params,
    State,
    check_at_least_zero,
    check_betas,
    check_lr,
)
from flambeau.tensor import Tensor

__all__ = ["Adamax"]


class Adamax(Optimizer):
    """Steps along the mean gradient divided by the decaying maximum of its size.

    Args:
        params: parameters or groups, see `Optimizer`.
        lr: the learning rate.
        betas: the decay rates of mean and maximum.
        eps: added to the size of the gradient.
        weight_decay: adds `weight_decay * p` to the gradient.
        foreach: accepted: there is one way of computing, the fast one.
        maximize: go up instead of down.
        differentiable: let autograd differentiate through the step.
        capturable: accepted, as `foreach`.

    Raises:
        ValueError: for an option outside its range.
    """

    def __init__(
        self,
        params: Params,
        lr: Scalar = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        foreach: bool | None = None,
        *,
        maximize: bool = False,
        differentiable: bool = False,
        capturable: bool = False,
    ) -> None:
        check_lr(lr)
        check_at_least_zero(eps=("epsilon", eps))
        check_betas(betas)
        check_at_least_zero(weight_decay=("weight_decay", weight_decay))
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
            "capturable": capturable,
        }
        super().__init__(params, defaults)

    def _init_state(self, p: Tensor, group: Group) -> State:
        return {
            "step": self._zero_step(),
            "exp_avg": ops.zeros_like(p),
            "exp_inf": ops.zeros_like(p),
        }

    def _update(self, p: Tensor, grad: Tensor, state: State, group: Group) -> None:
        lr = self._number(group, "lr")
        beta1, beta2 = self._number(group, "betas", 0), self._number(group, "betas", 1)
        mean, largest = state["exp_avg"], state["exp_inf"]
        step = self._count_step(state)
        grad = self._decayed(p, grad, group)

        approach_(mean, grad, 1 - beta1)
        size = grad.abs().add_(self._number(group, "eps"))
        largest.copy_(ops.maximum(largest * beta2, size))
        mean, root = self._kept(mean, group), self._kept(largest, group)
        quotient_add_(p, mean, root, -(lr / (1 - beta1**step)))
