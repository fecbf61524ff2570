"""Jacobians, Hessians and their products with vectors, of functions of tensors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import flambeau
from flambeau.autograd.engine import grad
from flambeau.autograd.modes import enable_grad
from flambeau.tensor.tensor import Tensor

__all__ = ["hessian", "hvp", "jacobian", "jvp", "vhp", "vjp"]

Tensors = tuple[Tensor, ...]


# Arguments and results ------------------------------------------------------------------------


def _as_tuple(given: Any, what: str, function: str) -> tuple[bool, Tensors]:
    """Whether `given` was a tuple, and it as one. Raises `TypeError` unless all are tensors."""
    is_tuple = isinstance(given, tuple)
    items = given if is_tuple else (given,)
    for i, item in enumerate(items):
        if not isinstance(item, Tensor):
            if is_tuple:
                raise TypeError(
                    f"The {what} given to {function} must be either a Tensor or a tuple of "
                    f"Tensors but the value at index {i} has type {type(item)}."
                )
            raise TypeError(
                f"The {what} given to {function} must be either a Tensor or a tuple of Tensors "
                f"but the given {what} has type {type(item)}."
            )
    return is_tuple, tuple(items)


def _prepared(inputs: Tensors, create_graph: bool) -> Tensors:
    """Inputs to differentiate by: connected to the caller's graph with `create_graph`, else
    leaves.
    """
    if create_graph:
        return tuple(
            [x.view_as(x) if x.requires_grad else x.detach().requires_grad_() for x in inputs]
        )
    return tuple([x.detach().requires_grad_() for x in inputs])


def _finished(results: Any, create_graph: bool) -> Any:
    if isinstance(results, tuple):
        return tuple([_finished(r, create_graph) for r in results])
    return results if create_graph else results.detach()


def _unpacked(results: tuple[Any, ...], was_tuple: bool) -> Any:
    return results if was_tuple else results[0]


def _check_vector(v: Tensors, like: Tensors, function: str, of: str) -> None:
    if len(v) != len(like):
        raise RuntimeError(
            f"v is a tuple of invalid length: should be {len(like)} but got {len(v)}."
        )
    for i, (a, b) in enumerate(zip(v, like, strict=True)):
        if a.shape != b.shape:
            where = f"Entry {i} in v" if len(v) > 1 else "v"
            raise RuntimeError(
                f"{where} has invalid size: should be {b.shape} but got {a.shape}."
            )


def _check_strict(results: Sequence[Tensor], what: str, strict: bool) -> None:
    if not strict:
        return
    for i, r in enumerate(results):
        if not r.requires_grad:
            raise RuntimeError(
                f"Output {i} of the user-provided function does not require gradients. The "
                "outputs must be computed in a differentiable manner from the input when "
                "running in strict mode."
                if what == "outputs"
                else f"The {what} of the user-provided function is independent of input {i}. This "
                "is not allowed in strict mode when create_graph=True."
            )


def _grads(
    outputs: Tensors,
    inputs: Tensors,
    weights: Any,
    create_graph: bool,
    strict: bool = False,
    of: str = "The output",
) -> Tensors:
    """The gradients, with zeros for inputs that do not matter (an error with `strict`)."""
    pairs = [(o, w) for o, w in zip(outputs, weights, strict=True) if o.requires_grad]
    found: Sequence[Any] = [None] * len(inputs)
    if pairs:
        found = grad(
            [o for o, _ in pairs],
            inputs,
            [w for _, w in pairs],
            retain_graph=True,
            create_graph=create_graph,
            allow_unused=True,
        )
    if strict and any(g is None for g in found):
        missing = [g is None for g in found].index(True)
        raise RuntimeError(
            f"{of} of the user-provided function is independent of input {missing}. This is "
            "not allowed in strict mode."
        )
    return tuple(
        [flambeau.zeros_like(x) if g is None else g for g, x in zip(found, inputs, strict=True)]
    )


# Products -------------------------------------------------------------------------------------


def vjp(
    func: Callable[..., Any],
    inputs: Any,
    v: Any = None,
    create_graph: bool = False,
    strict: bool = False,
) -> tuple[Any, Any]:
    """`func(*inputs)`, and the product of `v` with the Jacobian there.

    `v` has the shape of the output and may be left out for an output of one element. Raises
    `RuntimeError` for a `v` that does not fit, and with `strict` where the output does not
    depend on an input.
    """
    with enable_grad():
        was_tuple, inputs = _as_tuple(inputs, "inputs", "vjp")
        inputs = _prepared(inputs, create_graph)
        outputs_tuple, outputs = _as_tuple(
            func(*inputs), "outputs of the user-provided function", "vjp"
        )
        _check_strict(outputs, "outputs", strict)
        if v is None:
            if len(outputs) != 1 or outputs[0].numel() != 1:
                raise RuntimeError(
                    "The vector v can only be None if the user-provided function returns a "
                    "single Tensor with a single element."
                )
            v = flambeau.ones_like(outputs[0])
        _, v = _as_tuple(v, "v", "vjp")
        _check_vector(v, outputs, "vjp", "outputs")
        found = _grads(outputs, inputs, v, create_graph, strict)
    return (
        _unpacked(_finished(outputs, create_graph), outputs_tuple),
        _unpacked(_finished(found, create_graph), was_tuple),
    )


def jvp(
    func: Callable[..., Any],
    inputs: Any,
    v: Any = None,
    create_graph: bool = False,
    strict: bool = False,
) -> tuple[Any, Any]:
    """`func(*inputs)`, and the product of the Jacobian there with `v`, which has the inputs'
    shapes.

    Computed by going back twice: the gradient is linear in the incoming gradient, and the
    derivative by that is the product wanted.
    """
    with enable_grad():
        _, inputs = _as_tuple(inputs, "inputs", "jvp")
        inputs = _prepared(inputs, create_graph)
        if v is None:
            if len(inputs) != 1 or inputs[0].numel() != 1:
                raise RuntimeError(
                    "The vector v can only be None if the input to the user-provided function "
                    "is a single Tensor with a single element."
                )
            v = flambeau.ones_like(inputs[0])
        _, v = _as_tuple(v, "v", "jvp")
        _check_vector(v, inputs, "jvp", "inputs")
        outputs_tuple, outputs = _as_tuple(
            func(*inputs), "outputs of the user-provided function", "jvp"
        )
        _check_strict(outputs, "outputs", strict)
        found = pushed_forward(outputs, inputs, v, create_graph, strict)
    return (
        _unpacked(_finished(outputs, create_graph), outputs_tuple),
        _unpacked(_finished(found, create_graph), outputs_tuple),
    )


def pushed_forward(
    outputs: Tensors, inputs: Tensors, v: Any, create_graph: bool, strict: bool = False
) -> Tensors:
    """The directional derivatives of recorded `outputs` for a motion `v` of `inputs`."""
    weights = tuple([flambeau.zeros_like(o).requires_grad_(o.requires_grad) for o in outputs])
    back = _grads(outputs, inputs, weights, create_graph=True, strict=strict)
    return _grads(back, weights, v, create_graph)


def vhp(
    func: Callable[..., Any],
    inputs: Any,
    v: Any = None,
    create_graph: bool = False,
    strict: bool = False,
) -> tuple[Any, Any]:
    """`func(*inputs)` (one number), and the product of `v` with its Hessian there."""
    with enable_grad():
        was_tuple, inputs = _as_tuple(inputs, "inputs", "vhp")
        inputs = _prepared(inputs, create_graph)
        v = _default_vector(v, inputs, "vhp")
        outputs_tuple, outputs = _scalar_output(func(*inputs), "vhp")
        _check_strict(outputs, "outputs", strict)
        first = _grads(outputs, inputs, [None], create_graph=True, strict=strict)
        _check_strict(first, "jacobian", strict)
        found = _grads(first, inputs, v, create_graph, strict)
    return (
        _unpacked(_finished(outputs, create_graph), outputs_tuple),
        _unpacked(_finished(found, create_graph), was_tuple),
    )


def hvp(
    func: Callable[..., Any],
    inputs: Any,
    v: Any = None,
    create_graph: bool = False,
    strict: bool = False,
) -> tuple[Any, Any]:
    """`func(*inputs)` (one number), and the product of its Hessian there with `v`."""
    with enable_grad():
        was_tuple, inputs = _as_tuple(inputs, "inputs", "hvp")
        inputs = _prepared(inputs, create_graph)
        v = _default_vector(v, inputs, "hvp")
        outputs_tuple, outputs = _scalar_output(func(*inputs), "hvp")
        _check_strict(outputs, "outputs", strict)
        first = _grads(outputs, inputs, [None], create_graph=True, strict=strict)
        _check_strict(first, "jacobian", strict)
        found = pushed_forward(first, inputs, v, create_graph)
    return (
        _unpacked(_finished(outputs, create_graph), outputs_tuple),
        _unpacked(_finished(found, create_graph), was_tuple),
    )


def _default_vector(v: Any, inputs: Tensors, function: str) -> Tensors:
    if v is None:
        if len(inputs) != 1 or inputs[0].numel() != 1:
            raise RuntimeError(
                "The vector v can only be None if the input to the user-provided function is a "
                "single Tensor with a single element."
            )
        return (flambeau.ones_like(inputs[0]),)
    _, v = _as_tuple(v, "v", function)
    _check_vector(v, inputs, function, "inputs")
    return v


def _scalar_output(found: Any, function: str) -> tuple[bool, Tensors]:
    is_tuple, outputs = _as_tuple(found, "outputs of the user-provided function", function)
    if is_tuple:
        raise RuntimeError(f"The function given to {function} should return a single Tensor")
    if outputs[0].numel() != 1:
        raise RuntimeError(
            f"The Tensor returned by the function given to {function} should contain a single "
            "element"
        )
    return is_tuple, outputs


# Whole matrices -------------------------------------------------------------------------------


def jacobian(
    func: Callable[..., Any],
    inputs: Any,
    create_graph: bool = False,
    strict: bool = False,
    vectorize: bool = False,
    strategy: str = "reverse-mode",
) -> Any:
    """The derivatives of every output element by every input element.

    One tensor of shape `output.shape + input.shape`; nested in tuples where there are several
    outputs (outside) or inputs (inside). `vectorize` and `strategy` change nothing but speed in
    PyTorch, and nothing at all here.
    """
    if strategy not in ("reverse-mode", "forward-mode"):
        raise AssertionError(
            f"Expected strategy to be either 'forward-mode' or 'reverse-mode', but got "
            f"{strategy}"
        )
    if strategy == "forward-mode" and create_graph:
        raise NotImplementedError(
            "torch.autograd.functional.jacobian: `create_graph=True` and "
            '`strategy="forward-mode"` are not supported together (yet).'
        )
    with enable_grad():
        was_tuple, inputs = _as_tuple(inputs, "inputs", "jacobian")
        inputs = _prepared(inputs, create_graph)
        outputs_tuple, outputs = _as_tuple(
            func(*inputs), "outputs of the user-provided function", "jacobian"
        )
        _check_strict(outputs, "outputs", strict)
        rows = [
            jacobian_rows(o, inputs, create_graph, strict, f"Output {i}")
            for i, o in enumerate(outputs)
        ]
    shaped = tuple([_unpacked(_finished(r, create_graph), was_tuple) for r in rows])
    return _unpacked(shaped, outputs_tuple)


def jacobian_rows(
    output: Tensor,
    inputs: Tensors,
    create_graph: bool,
    strict: bool = False,
    of: str = "The output",
) -> Tensors:
    """The Jacobian of one recorded output by each input, one backward pass an element."""
    count = output.numel()
    collected: list[list[Tensor]] = [[] for _ in inputs]
    for k in range(count):
        weight = flambeau.zeros(count, dtype=output.dtype)
        weight[k] = 1
        found = _grads((output,), inputs, [weight.view(output.shape)], create_graph, strict, of)
        for rows, g in zip(collected, found, strict=True):
            rows.append(g)
    return tuple(
        [
            flambeau.stack(rows).view(*output.shape, *x.shape)
            if rows
            else flambeau.zeros(*output.shape, *x.shape, dtype=x.dtype)
            for rows, x in zip(collected, inputs, strict=True)
        ]
    )


def hessian(
    func: Callable[..., Any],
    inputs: Any,
    create_graph: bool = False,
    strict: bool = False,
    vectorize: bool = False,
    outer_jacobian_strategy: str = "reverse-mode",
) -> Any:
    """The second derivatives of a function of one number: a tensor, or a tuple of tuples of
    them.
    """
    was_tuple, inputs = _as_tuple(inputs, "inputs", "hessian")
    if outer_jacobian_strategy not in ("reverse-mode", "forward-mode"):
        raise AssertionError(
            "Expected strategy to be either 'forward-mode' or 'reverse-mode', but got "
            f"{outer_jacobian_strategy}"
        )

    def gradient(*given: Tensor) -> Tensors:
        _, outputs = _scalar_output(func(*given), "hessian")
        _check_strict(outputs, "outputs", strict)
        return _grads(outputs, given, [None], create_graph=True, strict=strict)

    found = jacobian(gradient, inputs, create_graph=create_graph, strict=strict)
    return _unpacked(tuple([_unpacked(row, was_tuple) for row in found]), was_tuple)
