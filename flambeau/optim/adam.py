"""Adam (Kingma and Ba, 2014) and AdamW (Loshchilov and Hutter, 2017)."""

from __future__ import annotations

from typing import Any

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
    check_paths,
)
from flambeau.tensor import Tensor

__all__ = ["Adam", "AdamW"]


class Adam(Optimizer):
    """Steps along the mean gradient divided by the root of the mean squared gradient.

    Args:
        params: parameters or groups, see `Optimizer`.
        lr: the learning rate.
        betas: the decay rates of the two means.
        eps: added to the root.
        weight_decay: adds `weight_decay * p` to the gradient.
        amsgrad: divide by the greatest root so far (Reddi et al., 2018).
        foreach: accepted: there is one way of computing, the fast one.
        maximize: go up instead of down.
        capturable: accepted, as `foreach`.
        differentiable: let autograd differentiate through the step.
        fused: accepted, as `foreach`.
        decoupled_weight_decay: shrink `p` itself instead, as AdamW.

    Raises:
        ValueError: for an option outside its range.
    """

    def __init__(
        self,
        params: Params,
        lr: Scalar = 1e-3,
        betas: tuple[Scalar, Scalar] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        amsgrad: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
        decoupled_weight_decay: bool = False,
    ) -> None:
        if isinstance(lr, Tensor) and foreach and not capturable:
            raise ValueError(
                "lr as a Tensor is not supported for capturable=False and foreach=True"
            )
        check_lr(lr)
        check_at_least_zero(eps=("epsilon", eps))
        check_betas(betas)
        check_at_least_zero(weight_decay=("weight_decay", weight_decay))
        _check_kinds_of_betas(betas, foreach, capturable)
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "amsgrad": amsgrad,
            "maximize": maximize,
            "foreach": foreach,
            "capturable": capturable,
            "differentiable": differentiable,
            "fused": fused,
            "decoupled_weight_decay": decoupled_weight_decay,
        }
        super().__init__(params, defaults)
        check_paths(fused, foreach, differentiable)

    def _check_gradient(self, p: Tensor, grad: Tensor) -> None:
        if grad.is_sparse:
            raise RuntimeError(
                "Adam does not support sparse gradients, please consider SparseAdam instead"
            )

    def _init_state(self, p: Tensor, group: Group) -> State:
        state = {
            "step": self._zero_step(),
            "exp_avg": ops.zeros_like(p),
            "exp_avg_sq": ops.zeros_like(p),
        }
        if group["amsgrad"]:
            state["max_exp_avg_sq"] = ops.zeros_like(p)
        return state

    def _update(self, p: Tensor, grad: Tensor, state: State, group: Group) -> None:
        lr = self._number(group, "lr")
        beta1, beta2 = self._number(group, "betas", 0), self._number(group, "betas", 1)
        mean, mean_square = state["exp_avg"], state["exp_avg_sq"]
        step = self._count_step(state)

        grad = self._with_weight_decay(p, grad, group, lr)
        approach_(mean, grad, 1 - beta1)
        product_add_(mean_square.mul_(beta2), grad, grad, 1 - beta2)
        if self._is_set(group, "amsgrad"):
            greatest = state["max_exp_avg_sq"]
            mean_square = greatest.copy_(ops.maximum(greatest, mean_square))

        # Both means began at 0; dividing by these makes up for it.
        correction1 = 1 - beta1**step
        correction2 = (1 - beta2**step) ** 0.5
        root = (mean_square.sqrt() / correction2).add_(self._number(group, "eps"))
        mean = self._kept(mean, group)
        quotient_add_(p, mean, root, -(lr / correction1))


class AdamW(Adam):
    """Adam whose weight decay shrinks the parameters instead of entering the gradient.

    Arguments as `Adam`, with `weight_decay` of 0.01.
    """

    def __init__(
        self,
        params: Params,
        lr: Scalar = 1e-3,
        betas: tuple[Scalar, Scalar] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        super().__init__(
            params,
            lr,
            betas,
            eps,
            weight_decay,
            amsgrad,
            foreach=foreach,
            maximize=maximize,
            capturable=capturable,
            differentiable=differentiable,
            fused=fused,
            decoupled_weight_decay=True,
        )

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        for group in self.param_groups:  # whatever the file says: this is AdamW
            group["decoupled_weight_decay"] = True


def _check_kinds_of_betas(
    betas: tuple[Scalar, Scalar], foreach: bool | None, capturable: bool
) -> None:
    kinds = [isinstance(beta, Tensor) for beta in betas]
    if any(kinds) != all(kinds) or not all(isinstance(b, (float, Tensor)) for b in betas):
        raise ValueError("betas must be either both floats or both Tensors")
    for index, beta in enumerate(betas):
        if not isinstance(beta, Tensor):
            continue
        if foreach and not capturable:
            raise ValueError(
                f"betas[{index}] as a Tensor is not supported for capturable=False and "
                "foreach=True"
            )
        if beta.numel() != 1:
            raise ValueError(f"Tensor betas[{index}] must be 1-element")
