"""Products that sum over shared dimensions: einsum, tensordot, kron, inner, vdot, cross; and distances, cdist."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from flambeau.core.shapes import broadcast_shapes, wrap_dim
from flambeau.ops.factorizations import linalg_operator
from flambeau.ops.matmul import matmul
from flambeau.ops.norm import vector_norm_of
from flambeau.ops.pointwise import expect_tensor
from flambeau.ops.table import operator
from flambeau.tensor.tensor import Tensor

# einsum -------------------------------------------------------------------------------------------


@operator(method=False)
def einsum(equation: Any, *operands: Any) -> Tensor:
    """Einstein's summation: `einsum("bij,bjk->bik", x, y)` multiplies stacks of matrices.

    A letter stands for a dimension; one that is not in the result is summed over, one that an operand has twice
    takes its diagonal, and `...` stands for dimensions that broadcast. Without `->`, the result has the letters
    that occur once, in alphabetical order. Operands may also alternate with lists of numbers below 52, which
    stand for letters: `einsum(x, [0, 1], y, [1, 2], [0, 2])`. Products are taken from left to right.
    """
    if not isinstance(equation, str):
        equation, operands = _spelled_out(equation, *operands)
    if len(operands) == 1 and isinstance(operands[0], (list, tuple)):
        operands = tuple(operands[0])
    if not operands:
        raise RuntimeError("einsum(): must provide at least one operand")
    inputs, result = _parsed(equation.replace(" ", ""), operands)
    sizes: dict[Any, int] = {}
    terms = []
    for labels, operand in zip(inputs, operands, strict=True):
        term, names = _diagonals(operand, labels)
        for name, size in zip(names, term._array.shape, strict=True):
            if sizes.setdefault(name, size) != size:
                if sizes[name] != 1 and size != 1:
                    raise RuntimeError(
                        f"einsum(): subscript {name} has size {size} for operand {len(terms)} which does not "
                        f"broadcast with previously seen size {sizes[name]}"
                    )
                sizes[name] = max(sizes[name], size)
        terms.append((term, names))
    total, names = terms[0]
    for place, (term, more) in enumerate(terms[1:], 1):
        needed = set(result).union(*(n for _, n in terms[place + 1 :]))
        total, names = _pair(total, names, term, more, needed)
    gone = tuple(i for i, name in enumerate(names) if name not in result)
    if gone:
        total = total.sum(gone)
        names = [name for name in names if name in result]
    total = total.permute([names.index(name) for name in result]) if list(result) != names else total
    return total


def _spelled_out(*arguments: Any) -> tuple[str, tuple]:
    """The equation and the operands of the form with lists of numbers."""
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

    def text(labels: Sequence[Any]) -> str:
        for label in labels:
            if label is not Ellipsis and not 0 <= label < 52:
                raise ValueError(f"einsum(): subscripts must be in [0, 52), got {label}")
        return "".join("..." if label is Ellipsis else letters[label] for label in labels)

    pairs = len(arguments) // 2
    equation = ",".join(text(arguments[2 * i + 1]) for i in range(pairs))
    if len(arguments) % 2:
        equation += "->" + text(arguments[-1])
    return equation, tuple(arguments[2 * i] for i in range(pairs))


def _parsed(equation: str, operands: Sequence[Tensor]) -> tuple[list[list[Any]], list[Any]]:
    """Labels for every dimension of each operand and of the result; those of `...` are negative numbers."""
    left, arrow, right = equation.partition("->")
    parts = left.split(",")
    if len(parts) != len(operands):
        word = "more" if len(operands) > len(parts) else "fewer"
        raise RuntimeError(f"einsum(): {word} operands were provided than specified in the equation")
    inputs = []
    widest = 0
    for place, (part, operand) in enumerate(zip(parts, operands, strict=True)):
        expect_tensor(operand, "einsum")
        before, dots, after = part.partition("...")
        for letter in before + after:
            if not letter.isalpha():
                raise RuntimeError(
                    f"einsum(): invalid subscript given at index {equation.find(letter)} in the equation string, "
                    "subscripts must be in [a-zA-Z]"
                )
        spread = operand.ndim - len(before) - len(after)
        if spread < 0 or (spread and not dots):
            raise RuntimeError(
                f"einsum(): the number of subscripts in the equation ({len(before) + len(after)}) "
                f"{'is more than' if spread < 0 else 'does not match'} the number of dimensions ({operand.ndim}) for "
                f"operand {place}" + ("" if dots else " and no ellipsis was given")
            )
        widest = max(widest, spread)
        inputs.append([*before, *range(-spread, 0), *after])
    spread_labels = list(range(-widest, 0))
    if not arrow:
        letters = left.replace("...", "").replace(",", "")
        return inputs, [*spread_labels, *sorted(c for c in set(letters) if letters.count(c) == 1)]
    before, dots, after = right.partition("...")
    result: list[Any] = [*before, *(spread_labels if dots else []), *after]
    known = {label for labels in inputs for label in labels}
    for label in result:
        if result.count(label) > 1:
            raise RuntimeError(f"einsum(): output subscript {label} appears more than once in the output")
        if label not in known:
            raise RuntimeError(
                f"einsum(): output subscript {label} does not appear in the equation for any input operand"
            )
    return inputs, result


def _diagonals(x: Tensor, labels: list[Any]) -> tuple[Tensor, list[Any]]:
    """`x` with one dimension for each label: of repeated ones the diagonal."""
    labels = list(labels)
    for label in dict.fromkeys(labels):
        while labels.count(label) > 1:
            first = labels.index(label)
            second = labels.index(label, first + 1)
            sizes = x._array.shape[first], x._array.shape[second]
            if sizes[0] != sizes[1]:
                raise RuntimeError(
                    f"einsum(): subscript {label} is repeated for operand but the sizes don't match, "
                    f"{sizes[1]} != {sizes[0]}"
                )
            x = x.diagonal(0, first, second)
            del labels[second], labels[first]
            labels.append(label)
    return x, labels


def _pair(
    a: Tensor, a_names: list[Any], b: Tensor, b_names: list[Any], needed: set[Any]
) -> tuple[Tensor, list[Any]]:
    """The product of two terms, summed over what neither the result nor a later term needs, by one `matmul`."""
    a, a_names = _summed(a, a_names, needed | set(b_names))
    b, b_names = _summed(b, b_names, needed | set(a_names))
    shared = [n for n in a_names if n in b_names]
    stack = [n for n in shared if n in needed]
    inner = [n for n in shared if n not in needed]
    of_a, of_b = [n for n in a_names if n not in b_names], [n for n in b_names if n not in a_names]
    size_a = dict(zip(a_names, a._array.shape, strict=True))
    size_b = dict(zip(b_names, b._array.shape, strict=True))
    if not inner:  # nothing to sum over: a plain product
        names = [*stack, *of_a, *of_b]
        return _laid_out(a, a_names, names) * _laid_out(b, b_names, names), names
    sizes = {n: max(size_a.get(n, 1), size_b.get(n, 1)) for n in shared}
    a = _laid_out(a, a_names, [*stack, *of_a, *inner])
    b = _laid_out(b, b_names, [*stack, *inner, *of_b])
    a = a.expand(*(sizes[n] if n in inner else size_a[n] for n in [*stack, *of_a, *inner]))
    b = b.expand(*(sizes[n] if n in inner else size_b[n] for n in [*stack, *inner, *of_b]))
    count = math.prod(sizes[n] for n in inner)
    rows, columns = math.prod(size_a[n] for n in of_a), math.prod(size_b[n] for n in of_b)
    left = a.reshape(*(size_a[n] for n in stack), rows, count)
    right = b.reshape(*(size_b[n] for n in stack), count, columns)
    product = matmul(left, right)
    shape = [sizes[n] for n in stack] + [size_a[n] for n in of_a] + [size_b[n] for n in of_b]
    return product.reshape(shape), [*stack, *of_a, *of_b]


def _summed(x: Tensor, names: list[Any], needed: set[Any]) -> tuple[Tensor, list[Any]]:
    gone = tuple(i for i, n in enumerate(names) if n not in needed)
    return (x.sum(gone), [n for n in names if n in needed]) if gone else (x, names)


def _laid_out(x: Tensor, names: list[Any], wanted: list[Any]) -> Tensor:
    """`x` with its dimensions in the order of `wanted`, and 1 for those it lacks."""
    order = [names.index(n) for n in wanted if n in names]
    x = x.permute(order) if order != list(range(len(order))) else x
    for place, n in enumerate(wanted):
        if n not in names:
            x = x.unsqueeze(place)
    return x


# Sums over pairs of dimensions --------------------------------------------------------------------


@operator(method=False)
def tensordot(a: Tensor, b: Tensor, dims: Any = 2, out: Tensor | None = None) -> Tensor:
    """The sum of products over dimensions of `a` and `b`: the last `dims` of one with the first of the other, or
    those that two lists name.
    """
    if isinstance(dims, Tensor):
        dims = dims.tolist()
    if isinstance(dims, int):
        if dims < 0:
            raise RuntimeError(f"tensordot expects dims >= 0, but got dims={dims}")
        if dims > min(a.ndim, b.ndim):
            raise RuntimeError(f"tensordot expects dims < ndim_a or ndim_b, but got dims={dims}")
        of_a, of_b = list(range(a.ndim - dims, a.ndim)), list(range(dims))
    else:
        first, second = dims
        of_a = [wrap_dim(d, a.ndim) for d in ([first] if isinstance(first, int) else first)]
        of_b = [wrap_dim(d, b.ndim) for d in ([second] if isinstance(second, int) else second)]
    if len(of_a) != len(of_b):
        raise RuntimeError("both dimension lists should have same length")
    for i, j in zip(of_a, of_b, strict=True):
        m, n = a._array.shape[i], b._array.shape[j]
        if m == n:
            continue
        if m == 1:
            b = b.sum(j, True)
        elif n == 1:
            a = a.sum(i, True)
        else:
            raise RuntimeError(
                f"contracted dimensions need to match, but first has size {m} in dim {i} and second has size {n} in dim {j}"
            )
    rest_a = [i for i in range(a.ndim) if i not in of_a]
    rest_b = [j for j in range(b.ndim) if j not in of_b]
    shape = [a._array.shape[i] for i in rest_a] + [b._array.shape[j] for j in rest_b]
    count = math.prod(a._array.shape[i] for i in of_a)
    rows = math.prod(a._array.shape[i] for i in rest_a)
    columns = math.prod(b._array.shape[j] for j in rest_b)
    left = a.permute(rest_a + of_a).reshape(rows, count)
    right = b.permute(of_b + rest_b).reshape(count, columns)
    result = (left @ right).reshape(shape)
    return result if out is None else out.resize_(result.shape).copy_(result)


@operator(out=True)
def inner(input: Tensor, other: Tensor) -> Tensor:
    """The sum of products over the last dimensions, (*a, n) and (*b, n) -> (*a, *b); numbers multiply."""
    if not input.ndim or not other.ndim:
        return input * other
    if input._array.shape[-1] != other._array.shape[-1]:
        raise RuntimeError(
            f"inner() the last dimension must match on both input tensors but got shapes {list(input.shape)} and "
            f"{list(other.shape)}"
        )
    return tensordot(input, other, ([-1], [-1]))


@operator(out=True)
def vdot(input: Tensor, other: Tensor) -> Tensor:
    """The sum of conj(input) other over two vectors."""
    return input.conj().dot(other)


@operator(out=True)
def kron(input: Tensor, other: Tensor) -> Tensor:
    """Kronecker's product: each element of `input` times all of `other`, laid out as blocks."""
    rank = max(input.ndim, other.ndim)
    a_shape = (1,) * (rank - input.ndim) + tuple(input._array.shape)
    b_shape = (1,) * (rank - other.ndim) + tuple(other._array.shape)
    a = input.reshape([n for size in a_shape for n in (size, 1)])
    b = other.reshape([n for size in b_shape for n in (1, size)])
    return (a * b).reshape([m * n for m, n in zip(a_shape, b_shape, strict=True)])


@linalg_operator
def linalg_cross(input: Tensor, other: Tensor, *, dim: int = -1) -> Tensor:
    """The vector product of triples along `dim`, broadcast."""
    if input.ndim != other.ndim:
        raise RuntimeError("linalg.cross: inputs must have the same number of dimensions.")
    dim = wrap_dim(dim, input.ndim)
    sizes = input._array.shape[dim], other._array.shape[dim]
    if sizes != (3, 3):
        raise RuntimeError(
            f"linalg.cross: inputs dimension {dim} must have length 3. Got {sizes[0]} and {sizes[1]}"
        )
    shape = broadcast_shapes(input._array.shape, other._array.shape)
    a, b = input.expand(*shape), other.expand(*shape)
    return a.roll(-1, dim) * b.roll(-2, dim) - a.roll(-2, dim) * b.roll(-1, dim)


@operator(out=True)
def cross(input: Tensor, other: Tensor, dim: int | None = None) -> Tensor:
    """As `linalg.cross`; along the first dimension of size 3 where none is given."""
    if dim is None:
        fitting = [d for d, n in enumerate(input._array.shape) if n == 3]
        if not fitting:
            raise RuntimeError("no dimension of size 3 in input")
        dim = fitting[0]
    return linalg_cross(input, other, dim=dim)


# Distances ----------------------------------------------------------------------------------------

_MATMUL = "use_mm_for_euclid_dist"


@operator(method=False)
def cdist(
    x1: Tensor, x2: Tensor, p: float = 2.0, compute_mode: str | None = _MATMUL + "_if_necessary"
) -> Tensor:
    """The `p`-norm of the difference of every pair of rows, (*, n, m) and (*, k, m) -> (*, n, k).

    Euclidean distances of more than 25 rows are computed as |a|^2 + |b|^2 - 2 a b, which is fast but loses
    digits where rows are near each other; `compute_mode="donot_use_mm_for_euclid_dist"` does not.
    """
    expect_tensor(x1, "cdist")
    expect_tensor(x2, "cdist", "x2")
    if x1.ndim < 2 or x2.ndim < 2:
        raise RuntimeError(f"cdist only supports at least 2D tensors, X1 got: {x1.ndim}D")
    if x1._array.shape[-1] != x2._array.shape[-1]:
        raise RuntimeError(
            f"X1 and X2 must have the same number of columns. X1: {x1._array.shape[-1]} X2: {x2._array.shape[-1]}"
        )
    if p < 0:
        raise RuntimeError("cdist only supports non-negative p values")
    modes = {None: 0, _MATMUL + "_if_necessary": 0, _MATMUL: 1, "donot_" + _MATMUL: 2}
    if compute_mode not in modes:
        raise ValueError(f"{compute_mode} is not a valid value for compute_mode")
    mode = modes[compute_mode]
    rows = x1._array.shape[-2], x2._array.shape[-2]
    if p == 2 and (mode == 1 or (mode == 0 and max(rows) > 25)) and x1._array.shape[-1]:
        squares = (x1 * x1).sum(-1, True) + (x2 * x2).sum(-1).unsqueeze(-2) - 2 * (x1 @ x2.transpose(-2, -1))
        near = squares <= 0
        return squares.masked_fill(near, 1).sqrt().masked_fill(near, 0)
    difference = x1.unsqueeze(-2) - x2.unsqueeze(-3)
    if not x1._array.shape[-1]:
        return difference.sum(-1)
    return vector_norm_of(difference, float(p), (difference.ndim - 1,), False)


