"""RAdam: Adam that rectifies the variance of its first steps (Liu et al., 2019)."""

from __future__ import annotations

from typing import Any

from flambeau import ops
from flambeau.optim._arithmetic import Scalar, approach_, product_add_
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

__all__ = ["RAdam"]


class RAdam(Optimizer):
    """Adam that divides by the root only once enough steps make it reliable.

    Args:
        params: parameters or groups, see `Optimizer`.
        lr: the learning rate.
        betas: the decay rates of the two means.
        eps: added to the root.
        weight_decay: adds `weight_decay * p` to the gradient.
        decoupled_weight_decay: shrink `p` itself instead, as AdamW.
        foreach: accepted: there is one way of computing, the fast one.
        maximize: go up instead of down.
        capturable: accepted, as `foreach`.
        differentiable: let autograd differentiate through the step.

    Raises:
        ValueError: for an option outside its range.
    """

    def __init__(
        self,
        params: Params,
        lr: Scalar = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        decoupled_weight_decay: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
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
            "maximize": maximize,
            "foreach": foreach,
            "capturable": capturable,
            "decoupled_weight_decay": decoupled_weight_decay,
            "differentiable": differentiable,
        }
        super().__init__(params, defaults)

    def _init_state(self, p: Tensor, group: Group) -> State:
        return {
            "step": self._zero_step(),
            "exp_avg": ops.zeros_like(p),
            "exp_avg_sq": ops.zeros_like(p),
        }

    def _update(self, p: Tensor, grad: Tensor, state: State, group: Group) -> None:
        lr = self._number(group, "lr")
        beta1, beta2 = self._number(group, "betas", 0), self._number(group, "betas", 1)
        mean, mean_square = state["exp_avg"], state["exp_avg_sq"]
        step = self._count_step(state)
        grad = self._with_weight_decay(p, grad, group, lr)

        approach_(mean, grad, 1 - beta1)
        product_add_(mean_square.mul_(beta2), grad, grad, 1 - beta2)
        correction = 1 - beta2**step
        update = mean / (1 - beta1**step) * lr

        # rho is the length of the moving average; below 5 its variance is out of hand.
        rho_inf = 2 / (1 - beta2) - 1
        rho = rho_inf - 2 * step * (beta2**step) / correction
        rectified: Any = rho > 5.0
        adaptive = correction**0.5 / mean_square.sqrt().add_(self._number(group, "eps"))
        if isinstance(rectified, Tensor):
            safe = ops.where(rectified, rho, 6.0)  # any value whose square root exists
            p.sub_(ops.where(rectified, update * adaptive * _rectifier(safe, rho_inf), update))
        elif rectified:
            p.sub_(update * adaptive * _rectifier(rho, rho_inf))
        else:
            p.sub_(update)


def _rectifier(rho: Scalar, rho_inf: Scalar) -> Scalar:
    """The ratio of the standard deviations at infinity and now."""
    ratio = (rho - 4) * (rho - 2) * rho_inf / ((rho_inf - 4) * (rho_inf - 2) * rho)
    return ratio**0.5
