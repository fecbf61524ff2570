"""Gradients and Jacobians of functions, which may themselves be nested.

Each function here runs the given one on inputs of its own, goes back with a recorded backward
pass, and then cuts the result from those inputs, unless the caller's own graph is behind it
too.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import flambeau
from flambeau.autograd.functional import _grads, jacobian_rows, pushed_forward
from flambeau.autograd.modes import enable_grad, modes
from flambeau.autograd.node import Node, OutputOf
from flambeau.func.trees import leaves_of, map_leaves, with_leaves
from flambeau.tensor.tensor import Tensor

Argnums = int | tuple[int, ...]


class _Inputs:
    """The tensors that one call differentiates by, and how to finish its results."""

    def __init__(self, tree: Any):
        self.records_outside = modes.grad_enabled
        self.own: set[int] = set()
        with enable_grad():
            self.tree = map_leaves(self._tracked, tree)
        self.leaves = tuple(leaves_of(self.tree))

    def _tracked(self, x: Any) -> Any:
        if not isinstance(x, Tensor) or x.dtype.kind < 2:
            return x
        if x.requires_grad and self.records_outside:
            return x.view_as(x)
        made = x.detach().requires_grad_()
        self.own.add(id(made))
        return made

    def finished(self, tree: Any) -> Any:
        """The results, detached unless tensors of the caller's stand behind them."""
        return map_leaves(self._finish, tree)

    def _finish(self, x: Any) -> Any:
        if not isinstance(x, Tensor) or not x.requires_grad:
            return x
        if id(x) in self.own or not self.records_outside:
            return x.detach()
        return x if _reaches_others(x, self.own) else x.detach()


def _reaches_others(x: Tensor, own: set[int]) -> bool:
    """Whether the history of `x` begins at any leaf besides those in `own` (by id)."""
    stack: list[Any] = [x._edge()]
    seen: set[Node] = set()
    while stack:
        edge = stack.pop()
        if edge is None:
            continue
        node = edge.node if type(edge) is OutputOf else edge
        if not isinstance(node, Node):
            if id(node) not in own:
                return True
        elif node not in seen:
            seen.add(node)
            stack.extend(node.edges)
    return False


def _chosen(args: Sequence[Any], argnums: Argnums, function: str) -> Any:
    """The arguments numbered `argnums`, as one tree."""
    count = len(args)
    for n in (argnums,) if isinstance(argnums, int) else argnums:
        if not -count <= n < count:
            raise RuntimeError(f"Got argnum={n}, but only {count} positional inputs")
    if isinstance(argnums, int):
        return args[argnums]
    if not argnums:
        raise RuntimeError("argnums must be non-empty")
    return tuple([args[n] for n in argnums])


def _replaced(args: Sequence[Any], argnums: Argnums, chosen: Any) -> list[Any]:
    """The arguments with those numbered `argnums` replaced."""
    made = list(args)
    if isinstance(argnums, int):
        made[argnums] = chosen
    else:
        for n, x in zip(argnums, chosen, strict=True):
            made[n] = x
    return made


def _split_aux(output: Any, has_aux: bool, function: str) -> tuple[Any, Any]:
    if not has_aux:
        return output, None
    if not (isinstance(output, tuple) and len(output) == 2):
        raise RuntimeError(
            f"{function}: output of function f should be a tuple: (output, aux) if has_aux is "
            "True"
        )
    return output


# Gradients ------------------------------------------------------------------------------------


def grad(
    func: Callable[..., Any], argnums: Argnums = 0, has_aux: bool = False
) -> Callable[..., Any]:
    """The function that gives the gradient of `func` (of one number) by its arguments
    `argnums`.

    With `has_aux`, `func` returns `(output, aux)` and the result is `(gradient, aux)`.
    """
    both = grad_and_value(func, argnums, has_aux)

    @functools.wraps(func)
    def gradient(*args: Any, **kwargs: Any) -> Any:
        found, value = both(*args, **kwargs)
        return (found, value[1]) if has_aux else found

    return gradient


def grad_and_value(
    func: Callable[..., Any], argnums: Argnums = 0, has_aux: bool = False
) -> Callable[..., Any]:
    """As `grad`; the result is `(gradient, output)`, or `(gradient, (output, aux))` with
    `has_aux`.
    """

    @functools.wraps(func)
    def both(*args: Any, **kwargs: Any) -> Any:
        inputs = _Inputs(_chosen(args, argnums, "grad"))
        with enable_grad():
            output = func(*_replaced(args, argnums, inputs.tree), **kwargs)
            output, aux = _split_aux(output, has_aux, "grad_and_value(f)(*args)")
            if not isinstance(output, Tensor):
                raise RuntimeError(
                    "grad_and_value(f)(*args): Expected f(*args) to return a Tensor, got "
                    f"{type(output)}"
                )
            if output.ndim:
                raise RuntimeError(
                    "grad_and_value(f)(*args): Expected f(*args) to return a scalar Tensor, "
                    "got tensor "
                    f"with {output.ndim} dims. Maybe you wanted to use the vjp or jacrev APIs "
                    "instead?"
                )
            found = with_leaves(inputs.tree, _grads((output,), inputs.leaves, [None], True))
        value = (output, aux) if has_aux else output
        return inputs.finished(found), inputs.finished(value)

    return both


def vjp(func: Callable[..., Any], *primals: Any, has_aux: bool = False) -> Any:
    """`func(*primals)`, and the function that multiplies a vector, of the output's form, with
    its Jacobian.

    With `has_aux`, `func` returns `(output, aux)`, and `aux` comes third.
    """
    inputs = _Inputs(primals)
    with enable_grad():
        output, aux = _split_aux(func(*inputs.tree), has_aux, "vjp(f, *primals)")
    _check_tensors(output, "vjp(f, *primals)")

    def multiply(
        *cotangents: Any, retain_graph: bool = True, create_graph: bool | None = None
    ) -> Any:
        given = cotangents[0] if len(cotangents) == 1 else cotangents
        weights = leaves_of(given)
        outputs = leaves_of(output)
        if len(weights) != len(outputs) or isinstance(given, Tensor) != isinstance(
            output, Tensor
        ):
            raise RuntimeError(
                f"Expected pytree structure of cotangents to be the same as pytree structure "
                f"of outputs to the function: {len(weights)} for {len(outputs)} tensors"
            )
        with enable_grad():
            found = _grads(tuple(outputs), inputs.leaves, weights, create_graph=True)
        results = inputs.finished(with_leaves(inputs.tree, found))
        return results if len(primals) > 1 else results[0:1]

    shown = inputs.finished(output)
    return (shown, multiply, inputs.finished(aux)) if has_aux else (shown, multiply)


def jvp(
    func: Callable[..., Any],
    primals: tuple[Any, ...],
    tangents: tuple[Any, ...],
    *,
    strict: bool = False,
    has_aux: bool = False,
) -> Any:
    """`func(*primals)`, and the product of its Jacobian with `tangents`."""
    if not isinstance(primals, tuple):
        raise RuntimeError(
            "jvp(f, primals, tangents): Expected primals to be a tuple. E.g. it should be "
            "valid to call f(*primals)."
        )
    moves = leaves_of(tangents)
    if len(moves) != len(leaves_of(primals)) or not isinstance(tangents, tuple):
        raise RuntimeError(
            "jvp(f, primals, tangents): Expected primals and tangents to have the same python "
            "structure."
        )
    inputs = _Inputs(primals)
    with enable_grad():
        output, aux = _split_aux(func(*inputs.tree), has_aux, "jvp")
        _check_tensors(output, "jvp(f, primals, tangents)")
        found = pushed_forward(
            tuple(leaves_of(output)), inputs.leaves, moves, create_graph=True
        )
    shown, moved = inputs.finished(output), inputs.finished(with_leaves(output, found))
    return (shown, moved, inputs.finished(aux)) if has_aux else (shown, moved)


def linearize(func: Callable[..., Any], *primals: Any) -> tuple[Any, Callable[..., Any]]:
    """`func(*primals)`, and the function that multiplies its Jacobian there with tangents."""
    inputs = _Inputs(primals)
    with enable_grad():
        output = func(*inputs.tree)
        outputs = tuple(leaves_of(output))
        weights = tuple([flambeau.zeros_like(o).requires_grad_() for o in outputs])
        back = _grads(outputs, inputs.leaves, weights, create_graph=True)

    def move(*tangents: Any) -> Any:
        with enable_grad():
            found = _grads(back, weights, leaves_of(tangents), create_graph=True)
        return map_leaves(Tensor.detach, with_leaves(output, found))

    return inputs.finished(output), move


def _check_tensors(output: Any, call: str) -> None:
    for o in leaves_of(output):
        if not isinstance(o, Tensor):
            raise RuntimeError(
                f"{call}: Expected f to return tensors only, got unsupported type {type(o)}"
            )


# Jacobians ------------------------------------------------------------------------------------


def jacrev(
    func: Callable[..., Any],
    argnums: Argnums = 0,
    *,
    has_aux: bool = False,
    chunk_size: int | None = None,
    _preallocate_and_copy: bool = False,
) -> Callable[..., Any]:
    """The function that gives the Jacobian of `func` by its arguments `argnums`, row by row.

    The result has the form of the output, in it the form of the arguments, in it tensors of
    shape `output.shape + argument.shape`.
    """
    return _jacobian(func, argnums, has_aux, jacobian_rows)


def jacfwd(
    func: Callable[..., Any],
    argnums: Argnums = 0,
    has_aux: bool = False,
    *,
    chunk_size: int | None = None,
    randomness: str = "error",
) -> Callable[..., Any]:
    """As `jacrev`, column by column where there are fewer of these."""
    return _jacobian(func, argnums, has_aux, _columns)


def hessian(func: Callable[..., Any], argnums: Argnums = 0) -> Callable[..., Any]:
    """The function that gives the second derivatives of `func` by its arguments `argnums`."""
    return jacrev(jacrev(func, argnums), argnums)


def _jacobian(
    func: Callable[..., Any], argnums: Argnums, has_aux: bool, matrix: Callable[..., Any]
) -> Callable[..., Any]:
    @functools.wraps(func)
    def jacobian(*args: Any, **kwargs: Any) -> Any:
        inputs = _Inputs(_chosen(args, argnums, "jacrev"))
        with enable_grad():
            output = func(*_replaced(args, argnums, inputs.tree), **kwargs)
            output, aux = _split_aux(output, has_aux, "jacrev")
            _check_tensors(output, "jacrev(f)(*args)")
            blocks = [
                with_leaves(inputs.tree, matrix(o, inputs.leaves, True))
                for o in leaves_of(output)
            ]
        found = inputs.finished(with_leaves(output, blocks))
        return (found, inputs.finished(aux)) if has_aux else found

    return jacobian


def _columns(
    output: Tensor, inputs: tuple[Tensor, ...], create_graph: bool
) -> tuple[Tensor, ...]:
    """The Jacobian of one recorded output by each input, one element of the inputs at a
    time.
    """
    if not output.requires_grad or sum(x.numel() for x in inputs) >= output.numel():
        return jacobian_rows(output, inputs, create_graph)
    weight = flambeau.zeros_like(output).requires_grad_()
    back = _grads((output,), inputs, [weight], create_graph=True)
    results = []
    for g, x in zip(back, inputs, strict=True):
        columns = []
        for k in range(x.numel()):
            basis = flambeau.zeros(x.numel(), dtype=x.dtype)
            basis[k] = 1
            (column,) = _grads((g,), (weight,), [basis.view(x.shape)], create_graph)
            columns.append(column)
        results.append(flambeau.stack(columns, -1).view(*output.shape, *x.shape))
    return tuple(results)
