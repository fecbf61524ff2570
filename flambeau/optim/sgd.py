"""Stochastic gradient descent."""

from __future__ import annotations

from flambeau import ops
from flambeau.autograd import no_grad
from flambeau.optim._arithmetic import Scalar, scaled_add, scaled_add_
from flambeau.optim.optimizer import Group, Optimizer, Params, State, check_lr, check_paths
from flambeau.tensor import Tensor
from flambeau.tensor.tracing import concrete, guard, is_tracing

__all__ = ["SGD"]


class SGD(Optimizer):
    """Gradient descent with momentum: `b = momentum b + (1 - dampening) g`, `p -= lr b`.

    Args:
        params: parameters or groups, see `Optimizer`.
        lr: the learning rate.
        momentum: share of the former steps.
        dampening: keeps this share of the gradient out of the momentum.
        weight_decay: adds `weight_decay * p` to the gradient.
        nesterov: look one step ahead (Sutskever et al., 2013).
        maximize: go up instead of down.
        foreach: accepted: there is one way of computing, the fast one.
        differentiable: let autograd differentiate through the step.
        fused: accepted, as `foreach`.

    Raises:
        ValueError: for a negative option, or `nesterov` without momentum or with dampening.
    """

    def __init__(
        self,
        params: Params,
        lr: Scalar = 1e-3,
        momentum: float = 0,
        dampening: float = 0,
        weight_decay: float = 0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        check_lr(lr)
        if momentum < 0.0:
            raise ValueError(f"Invalid momentum value: {momentum}")
        if weight_decay < 0.0:
            raise ValueError(f"Invalid weight_decay value: {weight_decay}")
        if nesterov and (momentum <= 0 or dampening != 0):
            raise ValueError("Nesterov momentum requires a momentum and zero dampening")
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "dampening": dampening,
            "weight_decay": weight_decay,
            "nesterov": nesterov,
            "maximize": maximize,
            "foreach": foreach,
            "differentiable": differentiable,
            "fused": fused,
        }
        super().__init__(params, defaults)
        check_paths(fused, foreach, differentiable)

    def _check_gradient(self, p: Tensor, grad: Tensor) -> None:
        """Sparse gradients are welcome."""

    def _state_of(self, p: Tensor, group: Group) -> State:
        # Without momentum there is none, and the state_dict stays empty.
        return self.state[p] if self._is_set(group, "momentum") else {}

    def _update(self, p: Tensor, grad: Tensor, state: State, group: Group) -> None:
        step = self._decayed(p, grad, group)
        if self._is_set(group, "momentum"):
            momentum = self._number(group, "momentum")
            buffer = self._moved_buffer(p, step, state, group, momentum)
            nesterov = self._is_set(group, "nesterov")
            step = scaled_add(step, buffer, momentum) if nesterov else buffer
        scaled_add_(p, step, -self._number(group, "lr"))

    def _moved_buffer(
        self, p: Tensor, grad: Tensor, state: State, group: Group, momentum: Scalar
    ) -> Tensor:
        """The momentum after this step; on the first step it is the gradient itself."""
        buffer = state.get("momentum_buffer")
        if buffer is None and not is_tracing():
            buffer = state["momentum_buffer"] = grad.detach().clone()
            return buffer
        dampened = self._is_set(group, "dampening")
        # Only dampening tells the first step from the others: 0 * momentum + g is g.
        first = dampened and guard(lambda: self.state[p].get("momentum_buffer") is None)
        if buffer is None:
            with concrete(), no_grad():
                buffer = state["momentum_buffer"] = ops.zeros_like(p)
        if first:
            return buffer.copy_(grad)
        dampening = self._number(group, "dampening")
        return scaled_add_(buffer.mul_(momentum), grad, 1 - dampening)
