"""Checks derivatives against finite differences: `gradcheck`, and `gradgradcheck` for second
order.

Both sides are compared in real coordinates: a complex tensor counts as its real and imaginary
parts. In these coordinates PyTorch's convention for complex gradients, dL/dRe + i dL/dIm, is an
ordinary Jacobian product, and nothing special is left to do for complex functions.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

import flambeau
from flambeau.tensor.tensor import Tensor, wrap

__all__ = ["GradcheckError", "gradcheck", "gradgradcheck"]


class GradcheckError(RuntimeError):
    """A derivative differs from the finite difference, or a gradient has the wrong form."""


def gradcheck(
    func: Callable[..., Any],
    inputs: Any,
    *,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    raise_exception: bool = True,
    nondet_tol: float = 0.0,
    check_undefined_grad: bool = True,
    check_grad_dtypes: bool = False,
    check_batched_grad: bool = False,
    check_batched_forward_grad: bool = False,
    check_forward_ad: bool = False,
    check_backward_ad: bool = True,
    fast_mode: bool = False,
    masked: bool | None = None,
) -> bool:
    """Whether `backward` through `func(*inputs)` agrees with central differences of width
    `eps`.

    Checks every floating-point input that requires a gradient against every differentiable
    output; they should be float64 or complex128. With `fast_mode`, one random projection of the
    Jacobian is compared instead of all of it.

    Args:
        nondet_tol: how much two backward passes may differ.
        check_undefined_grad: also run backward with the gradients of some outputs missing.
        check_grad_dtypes: also demand that gradients have the dtype of their inputs.

    Raises:
        GradcheckError: where they disagree (with `raise_exception=False` the result is
            `False`).
        ValueError: no input requires a gradient.
        NotImplementedError: for the checks of batched gradients and of forward mode.
    """
    if check_batched_grad or check_batched_forward_grad:
        raise NotImplementedError(
            "gradcheck(check_batched_grad=True): check one gradient at a time"
        )
    if check_forward_ad:
        raise NotImplementedError(
            "gradcheck(check_forward_ad=True): forward mode is derived from backward mode "
            "here, so check_backward_ad covers it"
        )
    if not check_backward_ad:
        return True
    inputs = (inputs,) if isinstance(inputs, Tensor) else tuple(inputs)
    check = _Check(func, inputs, eps, atol, rtol, nondet_tol)
    try:
        check.form_of_gradients(check_grad_dtypes)
        if fast_mode:
            check.projection()
        else:
            check.jacobians()
        if check_undefined_grad:
            check.missing_gradients()
    except GradcheckError:
        if raise_exception:
            raise
        return False
    return True


def gradgradcheck(
    func: Callable[..., Any],
    inputs: Any,
    grad_outputs: Any = None,
    *,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    gen_non_contig_grad_outputs: bool = False,
    raise_exception: bool = True,
    nondet_tol: float = 0.0,
    check_undefined_grad: bool = True,
    check_grad_dtypes: bool = False,
    check_batched_grad: bool = False,
    check_fwd_over_rev: bool = False,
    check_rev_over_rev: bool = True,
    fast_mode: bool = False,
    masked: bool = False,
) -> bool:
    """As `gradcheck`, for the gradients of `func` as functions of its inputs and of
    `grad_outputs`.

    `grad_outputs` is drawn at random unless given; `gen_non_contig_grad_outputs` gives those
    strides.
    """
    if check_fwd_over_rev:
        raise NotImplementedError(
            "gradgradcheck(check_fwd_over_rev=True): use check_rev_over_rev"
        )
    inputs = (inputs,) if isinstance(inputs, Tensor) else tuple(inputs)
    outputs = _differentiable(func(*inputs))
    if grad_outputs is None:
        random = np.random.default_rng(0)
        weights = [_random_like(o, random, gen_non_contig_grad_outputs) for o in outputs]
    else:
        weights = [grad_outputs] if isinstance(grad_outputs, Tensor) else list(grad_outputs)
    weights = [w if w.requires_grad else w.detach().requires_grad_() for w in weights]
    positions = [i for i, x in enumerate(inputs) if _takes_part(x)]

    def gradients(*arguments: Any) -> tuple[Tensor, ...]:
        given, weights = arguments[: len(inputs)], arguments[len(inputs) :]
        # Copies, so that an input which is also an output has a node of its own.
        given = [x.view_as(x) if i in positions else x for i, x in enumerate(given)]
        outputs = _differentiable(func(*given))
        found = flambeau.autograd.grad(
            outputs,
            [given[i] for i in positions],
            weights,
            create_graph=True,
            allow_unused=True,
        )
        return tuple(g for g in found if g is not None)

    return gradcheck(
        gradients,
        (*inputs, *weights),
        eps=eps,
        atol=atol,
        rtol=rtol,
        raise_exception=raise_exception,
        nondet_tol=nondet_tol,
        check_undefined_grad=check_undefined_grad,
        check_grad_dtypes=check_grad_dtypes,
        check_batched_grad=check_batched_grad,
        fast_mode=fast_mode,
    )


class _Check:
    """One function at one point, with the comparisons that `gradcheck` makes there."""

    def __init__(
        self,
        func: Callable[..., Any],
        inputs: tuple[Any, ...],
        eps: float,
        atol: float,
        rtol: float,
        nondet_tol: float,
    ):
        self.func, self.inputs = func, inputs
        self.eps, self.atol, self.rtol, self.nondet_tol = eps, atol, rtol, nondet_tol
        self.checked = [x for x in inputs if _takes_part(x)]
        self._check_inputs()
        for x in self.checked:
            if not x.is_leaf:
                x.retain_grad()
        self.outputs = _differentiable(func(*inputs))

    def _check_inputs(self) -> None:
        if not self.checked:
            raise ValueError(
                "gradcheck expects at least one input tensor to require gradient, but none of "
                "the them have requires_grad=True."
            )
        for i, x in enumerate(self.inputs):
            if not _takes_part(x):
                continue
            if x.dtype not in (flambeau.float64, flambeau.complex128):
                warnings.warn(
                    f"Input #{i} requires gradient and is not a double precision floating "
                    "point or complex. This check will likely fail if all the inputs are not "
                    "of double precision "
                    "floating point or complex. ",
                    stacklevel=4,
                )
            if any(s == 0 and n > 1 for s, n in zip(x.stride(), x.shape, strict=True)):
                raise RuntimeError(
                    f"The {i}th input has a dimension with stride 0. gradcheck only supports "
                    "inputs that are non-overlapping to be able to compute the numerical "
                    "gradients correctly. You should call .contiguous on the input before "
                    "passing it to gradcheck."
                )

    # Backward ---------------------------------------------------------------------------------

    def backward(self, output: Tensor, weight: np.ndarray) -> list[np.ndarray]:
        """The gradients of the checked inputs in real coordinates, for `weight` as incoming
        gradient.
        """
        grads = self._grads([output], [_from_coordinates(weight, output)])
        return [
            np.zeros(_size(x)) if g is None else _coordinates(g)
            for x, g in zip(self.checked, grads, strict=True)
        ]

    def _grads(self, outputs: Sequence[Tensor], weights: Sequence[Tensor]) -> tuple[Any, ...]:
        return flambeau.autograd.grad(
            outputs, self.checked, weights, retain_graph=True, allow_unused=True
        )

    def form_of_gradients(self, check_dtypes: bool) -> None:
        """Gradients have the shapes of their inputs, and are zero for a zero incoming
        gradient.
        """
        if not self.outputs:
            return self._no_outputs()
        zeros = [flambeau.zeros_like(o) for o in self.outputs]
        for x, g in zip(self.checked, self._grads(self.outputs, zeros), strict=True):
            if g is None:
                continue
            if g.shape != x.shape:
                raise GradcheckError("grad is incorrect size")
            if check_dtypes and g.dtype is not x.dtype:
                raise GradcheckError("Gradient has dtype mismatch")
            if g.is_complex() and not x.is_complex():
                raise GradcheckError("Gradient has dtype mismatch")
            if not np.all(_coordinates(g) == 0):
                raise GradcheckError("backward not multiplied by grad_output")

    def _no_outputs(self) -> None:
        """Without a differentiable output the function must not depend on the inputs at all."""
        for i, x in enumerate(self.checked):
            for column in self._differences(x):
                if any(np.any(part) for part in column):
                    raise GradcheckError(
                        f"Numerical gradient for function expected to be zero (input {i})"
                    )

    def missing_gradients(self) -> None:
        """Backward also runs with the gradient of only one of several outputs."""
        if len(self.outputs) < 2:
            return
        for o in self.outputs:
            try:
                self._grads([o], [flambeau.zeros_like(o)])
            except RuntimeError as error:
                raise GradcheckError(
                    f"Expected backward function to handle undefined output grads.\n\n{error}"
                ) from error

    # Finite differences -----------------------------------------------------------------------

    def _values(self) -> list[np.ndarray]:
        found = self.func(
            *[x.detach().requires_grad_() if _takes_part(x) else x for x in self.inputs]
        )
        kept = [o for o in _as_tuple(found) if isinstance(o, Tensor) and _is_real_or_complex(o)]
        return [_coordinates(o).copy() for o in kept if o.requires_grad or not self.outputs]

    def _along(self, x: Tensor, direction: np.ndarray) -> list[np.ndarray]:
        """The central difference of every output as `x` moves along `direction`."""
        kept = x._array.copy()
        step = _from_coordinates(direction * self.eps, x)._array
        try:
            x._array[...] = kept + step
            above = self._values()
            x._array[...] = kept - step
            below = self._values()
        finally:
            x._array[...] = kept
        return [(a - b) / (2 * self.eps) for a, b in zip(above, below, strict=True)]

    def _differences(self, x: Tensor) -> Iterator[list[np.ndarray]]:
        for k in range(_size(x)):
            direction = np.zeros(_size(x))
            direction[k] = 1
            yield self._along(x, direction)

    # Comparison -------------------------------------------------------------------------------

    def jacobians(self) -> None:
        """Compares every column of every Jacobian."""
        numerical = {}
        for i, x in enumerate(self.checked):
            columns = list(self._differences(x))
            for j, o in enumerate(self.outputs):
                numerical[i, j] = np.array([c[j] for c in columns]).reshape(_size(x), _size(o))
        for j, o in enumerate(self.outputs):
            analytical = [np.zeros((_size(x), _size(o))) for x in self.checked]
            for k in range(_size(o)):
                weight = np.zeros(_size(o))
                weight[k] = 1
                found, again = self.backward(o, weight), self.backward(o, weight)
                for i, (a, b) in enumerate(zip(found, again, strict=True)):
                    analytical[i][:, k] = a
                    self._check_repeatable(a, b)
            for i, a in enumerate(analytical):
                self._compare(a, numerical[i, j], i, j)

    def projection(self) -> None:
        """Compares `v @ J @ u` for random `u` and `v`: wrong Jacobians agree with probability
        zero.
        """
        random = np.random.default_rng(0)
        weights = [_unit(_size(o), random) for o in self.outputs]
        for i, x in enumerate(self.checked):
            direction = _unit(_size(x), random)
            moved = self._along(x, direction)
            for j, (o, weight) in enumerate(zip(self.outputs, weights, strict=True)):
                found, again = self.backward(o, weight)[i], self.backward(o, weight)[i]
                self._check_repeatable(found, again)
                self._compare(np.dot(found, direction), np.dot(weight, moved[j]), i, j)

    def _check_repeatable(self, first: np.ndarray, second: np.ndarray) -> None:
        if first.size and np.max(np.abs(first - second)) > self.nondet_tol:
            raise GradcheckError(
                "Backward is not reentrant, i.e., running backward with same input and "
                "grad_output multiple times gives different values, although analytical "
                "gradient matches numerical "
                f"gradient.The tolerance for nondeterminism was {self.nondet_tol}."
            )

    def _compare(self, analytical: Any, numerical: Any, i: int, j: int) -> None:
        if not np.allclose(analytical, numerical, self.rtol, self.atol, equal_nan=False):
            raise GradcheckError(
                f"Jacobian mismatch for output {j} with respect to input {i},\n"
                f"numerical:{numerical}\nanalytical:{analytical}\n"
            )


def _unit(size: int, random: np.random.Generator) -> np.ndarray:
    vector = random.uniform(0.1, 1.0, size) * random.choice([-1.0, 1.0], size)
    return vector / max(float(np.linalg.norm(vector)), 1e-30)


def _random_like(x: Tensor, random: np.random.Generator, spread: bool) -> Tensor:
    """Numbers in the shape and dtype of `x`; `spread` leaves gaps between them in memory."""
    values = _from_coordinates(random.standard_normal(_size(x)), x)._array
    if spread and values.ndim:
        wide = np.zeros((*values.shape, 2), values.dtype)
        wide[..., 0] = values
        values = wide[..., 0]
    return wrap(values)


def _as_tuple(found: Any) -> tuple[Any, ...]:
    return tuple(found) if isinstance(found, (tuple, list)) else (found,)


def _differentiable(found: Any) -> list[Tensor]:
    return [o for o in _as_tuple(found) if isinstance(o, Tensor) and o.requires_grad]


def _is_real_or_complex(x: Tensor) -> bool:
    return x.is_floating_point() or x.is_complex()


def _takes_part(x: Any) -> bool:
    return isinstance(x, Tensor) and x.requires_grad


def _size(x: Tensor) -> int:
    """How many real coordinates `x` has."""
    return x.numel() * (2 if x.is_complex() else 1)


def _coordinates(x: Tensor) -> np.ndarray:
    """The elements as one float64 vector; real and imaginary parts alternate."""
    array = np.ascontiguousarray(x._array).reshape(-1)
    if x.is_complex():
        return array.astype(np.complex128).view(np.float64)
    return array.astype(np.float64)


def _from_coordinates(vector: np.ndarray, like: Tensor) -> Tensor:
    """The inverse of `_coordinates`, in the shape and dtype of `like`."""
    if like.is_complex():
        vector = vector.view(np.complex128)
    return wrap(vector.reshape(like._array.shape).astype(like._array.dtype))
