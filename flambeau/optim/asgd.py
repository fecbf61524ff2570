"""Averaged stochastic gradient descent (Polyak and Juditsky, 1992)."""

from __future__ import annotations

from typing import Any

from flambeau import ops
from flambeau.optim._arithmetic import Scalar, scaled_add_
from flambeau.optim.optimizer import (
    Group,
    Optimizer,
    Params,
    State,
    check_at_least_zero,
    check_lr,
    step_dtype,
)
from flambeau.tensor import Tensor

__all__ = ["ASGD"]


class ASGD(Optimizer):
    """Gradient descent that also keeps the average of the parameters, `state[p]["ax"]`.

    Args:
        params: parameters or groups, see `Optimizer`.
        lr: the learning rate to begin with.
        lambd: how fast parameters shrink and the rate falls.
        alpha: the power by which the rate falls.
        t0: the step at which averaging begins.
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
        lr: Scalar = 1e-2,
        lambd: float = 1e-4,
        alpha: float = 0.75,
        t0: float = 1e6,
        weight_decay: float = 0,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
        capturable: bool = False,
    ) -> None:
        check_lr(lr)
        check_at_least_zero(weight_decay=("weight_decay", weight_decay))
        defaults = {
            "lr": lr,
            "lambd": lambd,
            "alpha": alpha,
            "t0": t0,
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
            "eta": ops.full((), float(group["lr"]), dtype=step_dtype()),
            "mu": ops.ones((), dtype=step_dtype()),
            "ax": ops.zeros_like(p),
        }

    def _update(self, p: Tensor, grad: Tensor, state: State, group: Group) -> None:
        lr, lambd = self._number(group, "lr"), self._number(group, "lambd")
        rate, share, average = self._value(state["eta"]), self._value(state["mu"]), state["ax"]
        step = self._count_step(state)
        grad = self._decayed(p, grad, group)

        p.mul_(1 - lambd * rate)
        scaled_add_(p, grad, -rate)
        if isinstance(share, Tensor) or share != 1:
            average.add_((p - average) * share)
        else:
            average.copy_(p)

        new_rate: Any = lr / ((1 + lambd * lr * step) ** self._number(group, "alpha"))
        since: Any = step - self._number(group, "t0")
        new_share = 1 / (since.clamp(min=1) if isinstance(since, Tensor) else max(1, since))
        for kept, value in ((state["eta"], new_rate), (state["mu"], new_share)):
            if isinstance(value, Tensor):
                kept.copy_(value)
            else:
                kept.fill_(value)
