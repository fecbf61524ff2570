"""Rprop: resilient backpropagation (Riedmiller and Braun, 1993)."""

from __future__ import annotations

from flambeau import ops
from flambeau.optim._arithmetic import Scalar
from flambeau.optim.optimizer import Group, Optimizer, Params, State, check_lr
from flambeau.tensor import Tensor

__all__ = ["Rprop"]


class Rprop(Optimizer):
    """Steps of a size of their own for each element: it grows while the gradient keeps its sign.

    Args:
        params: parameters or groups, see `Optimizer`.
        lr: the size of the first steps.
        etas: factors by which sizes shrink and grow.
        step_sizes: the least and greatest size.
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
        etas: tuple[float, float] = (0.5, 1.2),
        step_sizes: tuple[float, float] = (1e-6, 50),
        *,
        capturable: bool = False,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        check_lr(lr)
        if not 0.0 < etas[0] < 1.0 < etas[1]:
            raise ValueError(f"Invalid eta values: {etas[0]}, {etas[1]}")
        defaults = {
            "lr": lr,
            "etas": etas,
            "step_sizes": step_sizes,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
            "capturable": capturable,
        }
        super().__init__(params, defaults)

    def _init_state(self, p: Tensor, group: Group) -> State:
        size = float(group["lr"])
        return {
            "step": self._zero_step(),
            "prev": ops.zeros_like(p),
            "step_size": ops.full_like(p, complex(size, size) if p.is_complex() else size),
        }

    def _update(self, p: Tensor, grad: Tensor, state: State, group: Group) -> None:
        shrink, grow = self._number(group, "etas", 0), self._number(group, "etas", 1)
        least, greatest = (self._number(group, "step_sizes", i) for i in (0, 1))
        size, previous = state["step_size"], state["prev"]
        self._count_step(state)

        agreement = grad * self._kept(previous, group)
        turned = agreement < 0
        unchanged = ops.ones_like(size)
        factor = ops.where(agreement > 0, unchanged * grow, unchanged)
        factor = ops.where(turned, unchanged * shrink, factor)
        size.copy_((size * factor).clamp(least, greatest))
        # Where the sign turned, the element rests for a step.
        grad = ops.where(turned, ops.zeros_like(grad), grad)
        p.addcmul_(grad.sign(), self._kept(size, group), value=-1)
        previous.copy_(grad)
