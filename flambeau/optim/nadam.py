"""NAdam: Adam with Nesterov momentum (Dozat, 2016)."""

from __future__ import annotations

from flambeau import ops
from flambeau.optim._arithmetic import Scalar, approach_, product_add_, quotient_add_
from flambeau.optim.optimizer import (
    Group,
    Optimizer,
    Params,
    State,
    check_at_least_zero,
    check_betas,
    check_lr,
    step_dtype,
)
from flambeau.tensor import Tensor

__all__ = ["NAdam"]


class NAdam(Optimizer):
    """Adam whose mean gradient is looked at one step ahead, with a rising momentum.

    Args:
        params: parameters or groups, see `Optimizer`.
        lr: the learning rate.
        betas: the decay rates of the two means.
        eps: added to the root.
        weight_decay: adds `weight_decay * p` to the gradient.
        momentum_decay: how fast the momentum rises.
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
        lr: Scalar = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum_decay: float = 4e-3,
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
        check_at_least_zero(
            weight_decay=("weight_decay", weight_decay),
            momentum_decay=("momentum_decay", momentum_decay),
        )
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "momentum_decay": momentum_decay,
            "decoupled_weight_decay": decoupled_weight_decay,
            "maximize": maximize,
            "foreach": foreach,
            "capturable": capturable,
            "differentiable": differentiable,
        }
        super().__init__(params, defaults)

    def _init_state(self, p: Tensor, group: Group) -> State:
        return {
            "step": self._zero_step(),
            "mu_product": ops.ones((), dtype=step_dtype()),
            "exp_avg": ops.zeros_like(p),
            "exp_avg_sq": ops.zeros_like(p),
        }

    def _update(self, p: Tensor, grad: Tensor, state: State, group: Group) -> None:
        lr = self._number(group, "lr")
        beta1, beta2 = self._number(group, "betas", 0), self._number(group, "betas", 1)
        decay = self._number(group, "momentum_decay")
        mean, mean_square = state["exp_avg"], state["exp_avg_sq"]
        step = self._count_step(state)
        grad = self._with_weight_decay(p, grad, group, lr)

        momentum = beta1 * (1.0 - 0.5 * (0.96 ** (step * decay)))
        next_momentum = beta1 * (1.0 - 0.5 * (0.96 ** ((step + 1) * decay)))
        state["mu_product"] *= momentum
        product = self._value(state["mu_product"])

        approach_(mean, grad, 1 - beta1)
        product_add_(mean_square.mul_(beta2), grad, grad, 1 - beta2)
        root = (mean_square / (1 - beta2**step)).sqrt().add_(self._number(group, "eps"))
        mean = self._kept(mean, group)
        quotient_add_(p, grad, root, -lr * (1.0 - momentum) / (1.0 - product))
        quotient_add_(p, mean, root, -lr * next_momentum / (1.0 - product * next_momentum))
