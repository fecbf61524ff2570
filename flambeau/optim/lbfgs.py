"""L-BFGS (Nocedal, 1980; Liu and Nocedal, 1989), with a strong Wolfe line search.

The line search is Nocedal and Wright's, "Numerical Optimization", algorithms 3.5 and 3.6.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from flambeau import ops
from flambeau.autograd import enable_grad, no_grad
from flambeau.optim._arithmetic import Scalar, scaled_add_
from flambeau.optim.optimizer import Optimizer, Params, State, _as_real, check_lr
from flambeau.tensor import Tensor

__all__ = ["LBFGS"]

#: Evaluates the loss and its gradient after a step of this length along the direction.
Objective = Callable[[float], tuple[float, Tensor]]


class LBFGS(Optimizer):
    """Newton's method with a Hessian known from the last gradients; needs a closure.

    Args:
        params: parameters; one group only.
        lr: the length of a step (without a line search).
        max_iter: iterations in one `step`.
        max_eval: evaluations of the closure in one `step`, 1.25 `max_iter` if `None`.
        tolerance_grad: stop where no gradient is larger.
        tolerance_change: stop where loss or parameters change less.
        history_size: how many gradients to remember.
        line_search_fn: `None` or `"strong_wolfe"`.

    Raises:
        ValueError: for an option outside its range, or several groups.
    """

    def __init__(
        self,
        params: Params,
        lr: Scalar = 1,
        max_iter: int = 20,
        max_eval: int | None = None,
        tolerance_grad: float = 1e-7,
        tolerance_change: float = 1e-9,
        history_size: int = 100,
        line_search_fn: str | None = None,
    ) -> None:
        check_lr(lr)
        defaults = {
            "lr": lr,
            "max_iter": max_iter,
            "max_eval": max_iter * 5 // 4 if max_eval is None else max_eval,
            "tolerance_grad": tolerance_grad,
            "tolerance_change": tolerance_change,
            "history_size": history_size,
            "line_search_fn": line_search_fn,
        }
        super().__init__(params, defaults)
        if len(self.param_groups) != 1:
            raise ValueError("LBFGS doesn't support per-parameter options (parameter groups)")
        self._params: list[Tensor] = self.param_groups[0]["params"]

    # The parameters as one vector -----------------------------------------------------------------

    def _gradient(self) -> Tensor:
        """All gradients on end, 0 where there is none."""
        parts = []
        for p in self._params:
            grad = ops.zeros_like(p) if p.grad is None else p.grad
            grad = grad.to_dense() if grad.is_sparse else grad
            parts.append(_as_real(grad.detach()).reshape(-1))
        return ops.cat(parts)

    def _move(self, length: float, direction: Tensor) -> None:
        """Adds `length * direction` to the parameters."""
        start = 0
        for p in map(_as_real, self._params):
            count = p.numel()
            part = direction[start : start + count].reshape(p.shape)
            p.add_(part, alpha=length)
            start += count

    def _objective(self, closure: Callable[[], Any], direction: Tensor) -> Objective:
        origin = [p.detach().clone() for p in self._params]

        def evaluate(length: float) -> tuple[float, Tensor]:
            self._move(length, direction)
            loss = float(closure())
            gradient = self._gradient()
            for p, values in zip(self._params, origin, strict=True):
                p.copy_(values)
            return loss, gradient

        return evaluate

    # A step ---------------------------------------------------------------------------------------

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Runs up to `max_iter` iterations.

        Args:
            closure: clears the gradients, computes the loss and its gradients, returns the loss.

        Returns:
            the loss before the first iteration.

        Raises:
            TypeError: without a closure.
        """
        if closure is None:
            raise TypeError("LBFGS.step() missing 1 required positional argument: 'closure'")
        with no_grad():
            return self._iterate(enable_grad()(closure))

    def _iterate(self, closure: Callable[[], Any]) -> Any:
        group = self.param_groups[0]
        state = self.state[self._params[0]]  # the state is one, kept with the first parameter
        state.setdefault("func_evals", 0)
        state.setdefault("n_iter", 0)
        first_loss = closure()
        loss = float(first_loss)
        evaluations = 1
        state["func_evals"] += 1
        gradient = self._gradient()
        if self._flat(gradient):
            return first_loss

        for iteration in range(1, group["max_iter"] + 1):
            state["n_iter"] += 1
            direction = self._direction(state, gradient)
            state["prev_flat_grad"] = gradient.clone()
            state["prev_loss"] = previous_loss = loss
            length = float(group["lr"])
            if state["n_iter"] == 1:
                length *= min(1.0, 1.0 / gradient.abs().sum().item())
            state["d"], state["t"] = direction, length
            slope = gradient.dot(direction).item()
            if slope > -group["tolerance_change"]:
                break

            count = 0
            if group["line_search_fn"] is not None:
                if group["line_search_fn"] != "strong_wolfe":
                    raise RuntimeError("only 'strong_wolfe' is supported")
                found = _strong_wolfe(
                    self._objective(closure, direction),
                    length,
                    direction,
                    _Trial(0.0, loss, gradient, slope),
                    most=group["max_eval"] - evaluations,
                )
                (length, loss, gradient, _), count = found
                self._move(length, direction)
                state["t"] = length
            else:
                self._move(length, direction)
                # The last iteration's loss would be computed again by the next step.
                if iteration != group["max_iter"]:
                    loss, gradient, count = float(closure()), self._gradient(), 1
            evaluations += count
            state["func_evals"] += count
            if (
                evaluations >= group["max_eval"]
                or self._flat(gradient)
                or (direction * length).abs().max().item() <= group["tolerance_change"]
                or abs(loss - previous_loss) < group["tolerance_change"]
            ):
                break
        return first_loss

    def _flat(self, gradient: Tensor) -> bool:
        return gradient.abs().max().item() <= self.param_groups[0]["tolerance_grad"]

    def _direction(self, state: State, gradient: Tensor) -> Tensor:
        """Minus the gradient, multiplied by the inverse Hessian (the two-loop recursion)."""
        if state["n_iter"] == 1:
            state["old_dirs"], state["old_stps"], state["ro"] = [], [], []
            state["H_diag"] = 1
            return gradient.neg()
        changes, steps, inverses = state["old_dirs"], state["old_stps"], state["ro"]
        change = gradient - state["prev_flat_grad"]
        step = state["d"] * state["t"]
        curvature = change.dot(step)
        if curvature.item() > 1e-10:
            size = self.param_groups[0]["history_size"]
            if len(changes) == size:
                for history in (changes, steps, inverses):
                    history.pop(0)
            changes.append(change)
            steps.append(step)
            inverses.append(1.0 / curvature)
            state["H_diag"] = curvature / change.dot(change)

        factors: list[Tensor] = []
        direction = gradient.neg()
        memory = list(zip(changes, steps, inverses, strict=True))
        for change, step, inverse in reversed(memory):
            factors.append(step.dot(direction) * inverse)
            scaled_add_(direction, change, -factors[-1])
        direction = direction * state["H_diag"]
        for (change, step, inverse), factor in zip(memory, reversed(factors), strict=True):
            scaled_add_(direction, step, factor - change.dot(direction) * inverse)
        return direction

    def _counts_in_tensors(self) -> bool:
        return False

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self._params = self.param_groups[0]["params"]


# Line search --------------------------------------------------------------------------------------


class _Trial(NamedTuple):
    """A step length with the loss, gradient, and slope along the direction that it gives."""

    length: float
    loss: float
    gradient: Tensor
    slope: float


def _cubic_minimum(a: _Trial, b: _Trial, bounds: tuple[float, float] | None = None) -> float:
    """Where the cubic through both trials' losses and slopes is least, within the bounds."""
    low, high = bounds or (min(a.length, b.length), max(a.length, b.length))
    if a.length > b.length:
        a, b = b, a
    first = a.slope + b.slope - 3 * (a.loss - b.loss) / (a.length - b.length)
    square = first**2 - a.slope * b.slope
    if square < 0:
        return (low + high) / 2.0
    root = square**0.5
    share = (b.slope + root - first) / (b.slope - a.slope + 2 * root)
    return min(max(b.length - (b.length - a.length) * share, low), high)


def _strong_wolfe(
    evaluate: Objective,
    length: float,
    direction: Tensor,
    start: _Trial,
    sufficient: float = 1e-4,
    curvature: float = 0.9,
    tolerance_change: float = 1e-9,
    most: int = 25,
) -> tuple[_Trial, int]:
    """A step length that satisfies the strong Wolfe conditions.

    Args:
        evaluate: loss and gradient at a length.
        length: the length to try first.
        direction: where it goes.
        start: the trial of length 0.
        sufficient: the share of the slope that the loss must fall by.
        curvature: the share of the slope that may be left.
        tolerance_change: the least bracket.
        most: how many lengths to try.

    Returns:
        the best trial, and how many lengths were tried.
    """

    def attempt(length: float) -> _Trial:
        loss, gradient = evaluate(length)
        return _Trial(length, loss, gradient, gradient.dot(direction).item())

    def too_high(trial: _Trial) -> bool:
        return trial.loss > start.loss + sufficient * trial.length * start.slope

    def flat_enough(trial: _Trial) -> bool:
        return abs(trial.slope) <= -curvature * start.slope

    trial, previous = attempt(length), start
    evaluations, tried = 1, 0
    bracket: list[_Trial] = []
    while tried < most:  # find a bracket around a good length
        if too_high(trial) or (tried > 1 and trial.loss >= previous.loss):
            bracket = [previous, trial]
            break
        if flat_enough(trial):
            return trial, evaluations
        if trial.slope >= 0:
            bracket = [previous, trial]
            break
        bounds = (trial.length + 0.01 * (trial.length - previous.length), trial.length * 10)
        length = _cubic_minimum(previous, trial, bounds)
        previous, trial = trial, attempt(length)
        evaluations, tried = evaluations + 1, tried + 1
    if not bracket:
        bracket = [start, trial]

    bracket.sort(key=lambda each: each.loss)
    low, high = bracket
    widest = direction.abs().max().item()
    stuck = False
    while tried < most:  # narrow it
        if abs(high.length - low.length) * widest < tolerance_change:
            break
        length = _cubic_minimum(low, high)
        left, right = sorted((low.length, high.length))
        margin = 0.1 * (right - left)
        # A length too near to an end twice, or beyond it, is moved inwards.
        if min(right - length, length - left) < margin:
            if stuck or length >= right or length <= left:
                nearer_right = abs(length - right) < abs(length - left)
                length = right - margin if nearer_right else left + margin
                stuck = False
            else:
                stuck = True
        else:
            stuck = False
        trial = attempt(length)
        evaluations, tried = evaluations + 1, tried + 1
        if too_high(trial) or trial.loss >= low.loss:
            high = trial
            if high.loss < low.loss:
                low, high = high, low
            continue
        if flat_enough(trial):
            return trial, evaluations
        if trial.slope * (high.length - low.length) >= 0:
            high = low
        low = trial
    return low, evaluations
