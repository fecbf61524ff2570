"""RMSprop (Hinton, lecture notes, 2012), centred as in Graves (2013)."""

from __future__ import annotations

from flambeau import ops
from flambeau.optim._arithmetic import (
    Scalar,
    approach_,
    product_add_,
    quotient_add_,
    scaled_add_,
)
from flambeau.optim.optimizer import (
    Group,
    Optimizer,
    Params,
    State,
    check_at_least_zero,
    check_lr,
)
from flambeau.tensor import Tensor

__all__ = ["RMSprop"]


class RMSprop(Optimizer):
    """Steps along the gradient divided by the root of its mean square.

    Args:
        params: parameters or groups, see `Optimizer`.
        lr: the learning rate.
        alpha: the decay rate of the mean square.
        eps: added to the root.
        weight_decay: adds `weight_decay * p` to the gradient.
        momentum: share of the former steps.
        centered: divide by the standard deviation instead.
        capturable: accepted, as `foreach`.
        foreach: accepted: there is one way of computing, the fast one.
        maximize: go up instead of down.
        differentiable: let autograd differentiate through the step.

    Raises:
        ValueError: for an option outside its range.
    """

    def __init__(
        self,
        params: Params,
        lr: Scalar = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum: float = 0,
        centered: bool = False,
        capturable: bool = False,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        check_lr(lr)
        check_at_least_zero(
            eps=("epsilon", eps),
            momentum=("momentum", momentum),
            weight_decay=("weight_decay", weight_decay),
            alpha=("alpha", alpha),
        )
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "alpha": alpha,
            "eps": eps,
            "centered": centered,
            "weight_decay": weight_decay,
            "capturable": capturable,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
        }
        super().__init__(params, defaults)

    def _init_state(self, p: Tensor, group: Group) -> State:
        state = {"step": self._zero_step(), "square_avg": ops.zeros_like(p)}
        if group["momentum"] > 0:
            state["momentum_buffer"] = ops.zeros_like(p)
        if group["centered"]:
            state["grad_avg"] = ops.zeros_like(p)
        return state

    def _update(self, p: Tensor, grad: Tensor, state: State, group: Group) -> None:
        lr, alpha = self._number(group, "lr"), self._number(group, "alpha")
        mean_square = state["square_avg"]
        self._count_step(state)
        grad = self._decayed(p, grad, group)

        product_add_(mean_square.mul_(alpha), grad, grad, 1 - alpha)
        variance = mean_square
        if self._is_set(group, "centered"):
            mean = approach_(state["grad_avg"], grad, 1 - alpha)
            variance = mean_square.addcmul(mean, mean, value=-1)
        root = variance.sqrt().add_(self._number(group, "eps"))
        if self._is_set(group, "momentum"):
            buffer = state["momentum_buffer"].mul_(self._number(group, "momentum"))
            buffer.addcdiv_(grad, root)
            scaled_add_(p, self._kept(buffer, group), -lr)
        else:
            quotient_add_(p, grad, root, -lr)
