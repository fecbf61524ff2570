"""Operators on the rows of tensors that lie in order, by kernels of every length (`kernels/rowwise.py`): softmax, its
logarithm and their gradients, and layer normalisation.

Each function fills new arrays, or returns `None` where the operators' own lines serve: few elements, other dtypes, memory
that does not lie in order. What decides is shape and dtype.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from flambeau.autograd import enable_grad, grad
from flambeau.autograd.modes import modes
from flambeau.ops.on_kernels import CHAINED, FLOATS
from flambeau.ops.table import PRIMITIVES, Primitive, wants_grad
from flambeau.tensor.tensor import Tensor, wrap
from flambeau.tensor.tracing import state

_known: dict[Any, Any] = {}


def _kernel(key: tuple, make: Callable[[Any], Any]) -> Any:
    """The kernel of a key, which `make` makes of the module `kernels.rowwise`."""
    found = _known.get(key)
    if found is None:
        from flambeau.kernels import rowwise

        found = _known[key] = make(rowwise)
    return found


def fits(x: np.ndarray, *others: np.ndarray) -> bool:
    """Whether kernels take these arrays, of one shape."""
    if x.size < CHAINED or x.dtype not in FLOATS or not x.flags.c_contiguous:
        return False
    return all([o.shape == x.shape and o.dtype == x.dtype and o.flags.c_contiguous for o in others])


def softmax(x: np.ndarray, logarithm: bool) -> np.ndarray | None:
    """exp(x) over its sum along the last dimension, or the logarithm of that."""
    if not fits(x):
        return None
    place = ((x.dtype, "place"),)
    run = _kernel(
        ("softmax", x.dtype, logarithm),
        lambda k: k.Rowwise(k.LOG_SOFTMAX if logarithm else k.SOFTMAX, (6 if logarithm else 5,), place, place),
    )
    out, length = np.empty(x.shape, x.dtype), x.shape[-1]
    run(x.size // length, length, x, out)
    return out


def softmax_gradient(g: np.ndarray, out: np.ndarray, logarithm: bool) -> np.ndarray | None:
    """The gradient of `softmax`, from that of its result and the result."""
    if not fits(out, g):
        return None
    place = ((out.dtype, "place"),)
    run = _kernel(
        ("softmax gradient", out.dtype, logarithm),
        lambda k: k.Rowwise(k.LOG_SOFTMAX_GRADIENT if logarithm else k.SOFTMAX_GRADIENT, (5,), place * 2, place),
    )
    made, length = np.empty(out.shape, out.dtype), out.shape[-1]
    run(out.size // length, length, g, out, made)
    return made


# ---- cross-entropy

#: The logarithm of a row's sum of exponentials; and from x, these and a factor the gradient but for the targets' places.
_LOG_OF_SUM = (
    ("input", 0), ("reduce", "max", 0), ("sub", 0, 1), ("exp", 2), ("reduce", "sum", 3), ("log", 4), ("add", 5, 1),
)  # fmt: skip
_SHARES = (("input", 0), ("input", 1), ("sub", 0, 1), ("exp", 2), ("input", 2), ("mul", 3, 4))


def _class_losses(x: np.ndarray, target: np.ndarray, mean: bool, memo: list, composition: Any) -> np.ndarray:
    dtype = x.dtype
    run = _kernel(
        ("log of sum", dtype), lambda k: k.Rowwise(_LOG_OF_SUM, (6,), ((dtype, "place"),), ((dtype, "row"),))
    )
    logs = np.empty(len(x), dtype)
    run(*x.shape, x, logs)
    memo.append(logs)
    total = (logs - x[np.arange(len(x)), target]).sum()
    return np.asarray(total / len(x) if mean else total, dtype)


def _class_loss_gradient(g: Tensor, x: Tensor, target: Tensor, mean: bool, memo: list, composition: Any) -> Tensor:
    if modes.grad_enabled or state.tracer is not None:
        with enable_grad():
            return grad(composition(x), x, g, create_graph=True)[0]
    array, (logs,) = x._array, memo
    dtype = array.dtype
    run = _kernel(
        ("shares", dtype),
        lambda k: k.Rowwise(_SHARES, (5,), ((dtype, "place"), (dtype, "row"), (dtype, "one")), ((dtype, "place"),)),
    )
    made, factor = np.empty(array.shape, dtype), np.asarray(g._array / len(array) if mean else g._array, dtype)
    run(*array.shape, array, logs, factor, made)
    made[np.arange(len(array)), target._array] -= factor
    return wrap(made)


_class_loss = Primitive(
    "class loss as a kernel", "x target", _class_losses, derivative={"x": _class_loss_gradient}, node_name="NllLossBackward0"
)
del PRIMITIVES[_class_loss.name]  # traced programs have its parts


def class_loss(x: Tensor, target: Tensor, mean: bool, composition: Callable[[Tensor], Tensor]) -> Tensor | None:
    """The cross-entropy of logits (n, classes) with class numbers (n,) that all count, meant or summed up; `None` where
    `composition`, which does it by operators, serves.
    """
    if state.busy and (state.tracer is not None or state.autocast is not None or state.watcher is not None or modes.inference):
        return None
    if x._array.ndim != 2 or x._array.itemsize < 4 or not fits(x._array) or target._array.dtype != np.int64:
        return None
    memo: list[np.ndarray] = []
    out = wrap(_class_losses(x._array, target._array, mean, memo, composition))
    if modes.grad_enabled and wants_grad((x,)):
        _class_loss.attach(out, (x, target), {"mean": mean, "memo": memo, "composition": composition})
    return out


# ---- layer normalisation

#: Of x: 7 is x less its mean, 11 the root of the inverse variance, 12 the product of both.
_NORMALISED = (
    ("input", 0), ("length",), ("reduce", "sum", 0), ("div", 2, 1), ("sub", 0, 3), ("mul", 4, 4), ("reduce", "sum", 5),
    ("div", 6, 1), ("input", 1), ("add", 7, 8), ("rsqrt", 9), ("mul", 4, 10),
)  # fmt: skip


def _nodes(scaled: bool, shifted: bool) -> tuple[tuple, ...]:
    """Inputs: x, eps, and weight and bias, if there are."""
    nodes, last = list(_NORMALISED), 11
    for there, operation in ((scaled, "mul"), (shifted, "add")):
        if there:
            nodes += [("input", sum(n[0] == "input" for n in nodes)), (operation, last, len(nodes))]
            last = len(nodes) - 1
    return tuple(nodes)


def _gradient_nodes(scaled: bool) -> tuple[tuple, ...]:
    """The gradient of x. Inputs: x, eps, gradient of the result, and weight, if there is."""
    nodes = [*_NORMALISED, ("input", 2)]
    if scaled:
        nodes += [("input", 3), ("mul", 12, 13)]
    g = len(nodes) - 1
    nodes += [("reduce", "sum", g), ("div", g + 1, 1), ("mul", g, 11), ("reduce", "sum", g + 3), ("div", g + 4, 1)]
    nodes += [("mul", 11, g + 5), ("sub", g, g + 2), ("sub", g + 7, g + 6), ("mul", g + 8, 10)]
    return tuple(nodes)


def _run(
    key: str, nodes: tuple, places: list[np.ndarray], eps: float, columns: list[np.ndarray], length: int,
    results: tuple[int, ...] = (-1,),
) -> list[np.ndarray]:  # fmt: skip
    """Nodes of an expression: the first as x is stored, others in float32 at least."""
    x = places[0]
    wide = np.dtype(np.float64 if x.dtype == np.float64 else np.float32)
    kinds = [(x.dtype, "place"), (wide, "one"), *[(p.dtype, "place") for p in places[1:]], *[(c.dtype, "column") for c in columns]]
    made = [x.dtype, *[wide] * (len(results) - 1)]
    where = [r % len(nodes) for r in results]
    run = _kernel((key, *kinds, *where), lambda k: k.Rowwise(nodes, where, kinds, [(d, "place") for d in made]))
    outs = [np.empty(x.shape, d) for d in made]
    run(x.size // length, length, x, np.array(eps, wide), *places[1:], *columns, *outs)
    return outs


def _layer_norm(x: np.ndarray, weight: Any, bias: Any, rank: int, eps: float) -> np.ndarray:
    columns = [c for c in (weight, bias) if c is not None]
    nodes = _nodes(weight is not None, bias is not None)
    return _run(f"layer norm {weight is not None}", nodes, [x], eps, columns, math.prod(x.shape[x.ndim - rank :]))[0]


def _gradient(which: int) -> Callable[..., Tensor]:
    """The derivative for input, weight or bias."""

    def formula(g: Tensor, x: Tensor, weight: Any, bias: Any, rank: int, eps: float, composition: Any, memo: list) -> Tensor:
        given, wanted = (x, weight, bias), (x, weight, bias)[which]
        if modes.grad_enabled or state.tracer is not None or not fits(x._array, g._array):
            again = modes.grad_enabled or state.tracer is not None
            with enable_grad():
                if not again:
                    given = tuple(None if t is None else t.detach().requires_grad_() for t in given)
                    wanted = given[which]
                return grad(composition(*given, rank, eps), wanted, g, create_graph=again)[0]
        shape = x._array.shape
        lead, length = tuple(range(x.ndim - rank)), math.prod(shape[x.ndim - rank :])
        if which == 2:
            return g.sum(lead) if lead else g
        columns = [] if weight is None else [weight._array]
        if which == 0 or not memo:  # the gradient of x, and the weight's before it is summed
            nodes, places = _gradient_nodes(weight is not None), [x._array, g._array]
            if weight is None:
                return wrap(_run("input", nodes, places, eps, [], length)[0])
            made, product = _run("both", (*nodes, ("mul", 11, 12)), places, eps, columns, length, (-2, -1))
            memo.append(wrap(product))
            if which == 0:
                return wrap(made)
        product = memo.pop()
        return (product.sum(lead) if lead else product).to(x.dtype)

    return formula


_primitive = Primitive(
    "layer norm as a kernel",
    "x weight? bias?",
    lambda x, weight, bias, rank, eps, composition, memo: _layer_norm(x, weight, bias, rank, eps),
    derivative={"x": _gradient(0), "weight": _gradient(1), "bias": _gradient(2)},
    node_name="NativeLayerNormBackward0",
)
del PRIMITIVES[_primitive.name]  # traced programs have its parts


def layer_norm(x: Tensor, weight: Any, bias: Any, rank: int, eps: float, composition: Callable[..., Tensor]) -> Tensor:
    """Normalised over the last `rank` dimensions; `composition` does it by operators."""
    if state.busy and (state.tracer is not None or state.autocast is not None or state.watcher is not None):
        return composition(x, weight, bias, rank, eps)
    tensors = [t for t in (x, weight, bias) if t is not None]
    array = x._array
    if not fits(array) or not all([t._array.dtype == array.dtype and t._array.flags.c_contiguous for t in tensors]):
        return composition(x, weight, bias, rank, eps)
    scale, shift = (None if t is None else t._array for t in (weight, bias))
    out = wrap(_layer_norm(array, scale, shift, rank, eps))
    if modes.grad_enabled:
        if wants_grad(tensors):
            _primitive.attach(out, (x, weight, bias), {"rank": rank, "eps": eps, "composition": composition, "memo": []})
    elif modes.inference:
        out._own_extra().inference = True
    return out
