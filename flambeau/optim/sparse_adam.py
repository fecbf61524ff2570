"""SparseAdam: Adam that touches only the rows that a sparse gradient names."""

from __future__ import annotations

import math

from flambeau import ops
from flambeau.optim._arithmetic import Scalar
from flambeau.optim.optimizer import Group, Optimizer, Params, State, check_betas
from flambeau.tensor import Tensor

__all__ = ["SparseAdam"]


class SparseAdam(Optimizer):
    """For embeddings with sparse gradients: the moments of rows without a gradient stay as they are.

    Args:
        params: parameters or groups, see `Optimizer`.
        lr: the learning rate.
        betas: the decay rates of the two means.
        eps: added to the root.
        maximize: go up instead of down.

    Raises:
        ValueError: for an option outside its range, or a complex parameter.
    """

    def __init__(
        self,
        params: Params,
        lr: Scalar = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        maximize: bool = False,
    ) -> None:
        if isinstance(lr, Tensor) and lr.numel() != 1:
            raise ValueError("Tensor lr must be 1-element")
        if not lr > 0.0:
            raise ValueError(f"Invalid learning rate: {lr}")
        if not eps > 0.0:
            raise ValueError(f"Invalid epsilon value: {eps}")
        check_betas(betas)
        defaults = {"lr": lr, "betas": betas, "eps": eps, "maximize": maximize}
        super().__init__(params, defaults)
        for kind, is_kind, text in (
            ("Sparse", lambda p: p.is_sparse, "SparseAdam requires dense parameter tensors"),
            (
                "Complex",
                lambda p: p.is_complex(),
                "SparseAdam does not support complex parameters",
            ),
        ):
            found = [
                [number, position]
                for number, group in enumerate(self.param_groups)
                for position, p in enumerate(group["params"])
                if is_kind(p)
            ]
            if found:
                raise ValueError(f"{kind} params at indices {found}: {text}")

    def _check_gradient(self, p: Tensor, grad: Tensor) -> None:
        if not grad.is_sparse:
            raise RuntimeError(
                "SparseAdam does not support dense gradients, please consider Adam instead"
            )

    def _counts_in_tensors(self) -> bool:
        return False

    def _init_state(self, p: Tensor, group: Group) -> State:
        return {"step": 0, "exp_avg": ops.zeros_like(p), "exp_avg_sq": ops.zeros_like(p)}

    def _update(self, p: Tensor, grad: Tensor, state: State, group: Group) -> None:
        beta1, beta2 = group["betas"]
        state["step"] += 1
        step = state["step"]
        grad = grad.coalesce()
        at, values = tuple(grad.indices().unbind(0)), grad.values()
        if values.numel() == 0:
            return
        mean = state["exp_avg"][at] + (values - state["exp_avg"][at]) * (1 - beta1)
        squares = state["exp_avg_sq"][at]
        mean_square = squares + (values.square() - squares) * (1 - beta2)
        state["exp_avg"][at] = mean
        state["exp_avg_sq"][at] = mean_square
        root = mean_square.sqrt().add_(group["eps"])
        lr = float(group["lr"])
        size = lr * math.sqrt(1 - beta2**step) / (1 - beta1**step)
        p[at] = p[at] - size * (mean / root)
