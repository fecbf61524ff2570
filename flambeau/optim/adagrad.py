"""Adagrad (Duchi et al., 2011)."""

from __future__ import annotations

from typing import Any

from flambeau import ops
from flambeau.autograd import no_grad
from flambeau.optim._arithmetic import Scalar, product_add_, quotient_add_
from flambeau.optim.optimizer import (
    Group,
    Optimizer,
    Params,
    State,
    check_at_least_zero,
    check_lr,
    check_paths,
)
from flambeau.tensor import Tensor

__all__ = ["Adagrad"]


class Adagrad(Optimizer):
    """Steps along the gradient divided by the root of the sum of all squared gradients.

    Args:
        params: parameters or groups, see `Optimizer`.
        lr: the learning rate.
        lr_decay: how fast it falls with the steps.
        weight_decay: adds `weight_decay * p` to the gradient.
        initial_accumulator_value: the sum to begin with.
        eps: added to the root.
        foreach: accepted: there is one way of computing, the fast one.
        maximize: go up instead of down.
        differentiable: let autograd differentiate through the step.
        fused: accepted, as `foreach`.

    Raises:
        ValueError: for an option outside its range.
    """

    def __init__(
        self,
        params: Params,
        lr: Scalar = 1e-2,
        lr_decay: float = 0,
        weight_decay: float = 0,
        initial_accumulator_value: float = 0,
        eps: float = 1e-10,
        foreach: bool | None = None,
        *,
        maximize: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        check_lr(lr)
        check_at_least_zero(
            lr_decay=("lr_decay", lr_decay),
            weight_decay=("weight_decay", weight_decay),
            initial=("initial_accumulator_value", initial_accumulator_value),
            eps=("epsilon", eps),
        )
        defaults = {
            "lr": lr,
            "lr_decay": lr_decay,
            "eps": eps,
            "weight_decay": weight_decay,
            "initial_accumulator_value": initial_accumulator_value,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
            "fused": fused,
        }
        super().__init__(params, defaults)
        check_paths(fused, foreach, differentiable)
        with no_grad():
            for group in self.param_groups:
                for p in group["params"]:
                    self._state_of(p, group)

    def share_memory(self) -> None:
        """Moves the sums into memory that other processes can map."""
        for state in self.state.values():
            state["sum"].share_memory_()

    def _init_state(self, p: Tensor, group: Group) -> State:
        initial = group["initial_accumulator_value"]
        if p.is_complex():
            initial = complex(initial, initial)
        return {"step": self._zero_step(), "sum": ops.full_like(p, initial)}

    def _update(self, p: Tensor, grad: Tensor, state: State, group: Group) -> None:
        step = self._count_step(state)
        grad = self._decayed(p, grad, group)
        rate = self._number(group, "lr") / (1 + (step - 1) * self._number(group, "lr_decay"))
        if grad._sparse:
            self._update_rows(p, grad, state["sum"], group["eps"], rate)
            return
        product_add_(state["sum"], grad, grad, 1)
        root = state["sum"].sqrt().add_(self._number(group, "eps"))
        quotient_add_(p, grad, root, -rate)

    def _update_rows(self, p: Tensor, grad: Tensor, total: Tensor, eps: float, rate: Any) -> None:
        """The step of those elements that a sparse gradient has."""
        grad = grad.coalesce()  # type: ignore[attr-defined]
        at, values = tuple(grad.indices().unbind(0)), grad.values()
        total[at] = total[at] + values * values
        p[at] = p[at] - values / (total[at].sqrt() + eps) * rate

    def _check_gradient(self, p: Tensor, grad: Tensor) -> None:
        """Sparse gradients are welcome, but not with a weight decay."""
        if grad.is_sparse and any(g["weight_decay"] for g in self.param_groups):
            raise RuntimeError("weight_decay option is not compatible with sparse gradients")
