"""Matrix products and what is made of them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from flambeau.autograd.modes import modes
from flambeau.core import dtypes
from flambeau.core.shapes import broadcast_shapes
from flambeau.kernels.blas import keep_to_one_thread
from flambeau.ops import on_kernels
from flambeau.ops.autocasting import narrowed
from flambeau.ops.pointwise import expect_tensor
from flambeau.ops.table import Kernel, Primitive, Spec, operator, sparse_form, wants_grad
from flambeau.tensor.tensor import Tensor, wrap
from flambeau.tensor.tracing import state

keep_to_one_thread()


def _product(a: np.ndarray, b: np.ndarray, turned: bool = False) -> np.ndarray:
    if a.size * b.shape[-1] >= on_kernels.PRODUCTS and a.shape[-1] == b.shape[-2]:
        fast = on_kernels.product(a, b)
        if fast is not None:
            return fast
    if a.ndim == 2 and b.ndim == 2 and a.dtype.itemsize > 2:
        return a.dot(b)
    if a.dtype.itemsize == 2 and a.dtype.kind in "fV":
        return np.matmul(a.astype(np.float32), b.astype(np.float32)).astype(a.dtype)
    if a.dtype.kind == "b":
        return np.matmul(a, b)
    return np.matmul(a, b).astype(a.dtype, copy=False)


def _rule(a: Spec, b: Spec, turned: bool = False) -> Spec:
    """(*, n, k) x (*, k, m) -> (*, n, m)"""
    if a.shape[-1] != b.shape[-2]:
        if a.ndim == b.ndim == 2:
            raise RuntimeError(
                f"mat1 and mat2 shapes cannot be multiplied ({a.shape[0]}x{a.shape[1]} and "
                f"{b.shape[0]}x{b.shape[1]})"
            )
        raise RuntimeError(
            f"Expected size for first two dimensions of batch2 tensor to be: [{a.shape[0]}, "
            f"{a.shape[-1]}] but got: [{b.shape[0]}, {b.shape[-2]}]."
        )
    batch = broadcast_shapes(a.shape[:-2], b.shape[:-2])
    return Spec((*batch, a.shape[-2], b.shape[-1]), a.dtype)


def _adjoint(x: Tensor) -> Tensor:
    swapped = x.transpose(-2, -1)
    return swapped.conj() if x._array.dtype.kind == "c" else swapped


def _left(g: Tensor, mat2: Tensor) -> Tensor:
    return matmul(g, _adjoint(mat2))


def _right(g: Tensor, input: Tensor, turned: bool) -> Tensor:
    if turned:  # like mat2, its gradient lies by columns: a weight, of which mat2 is a view, gets it in order
        return _adjoint(matmul(_adjoint(g), input))
    return matmul(_adjoint(input), g)


def _is_turned(b: np.ndarray) -> bool:
    """Whether a matrix lies by columns, and is so large that turning its gradient would take long."""
    return b.size >= 4096 and b.ndim == 2 and b.strides[0] == b.itemsize and not state.busy and b.dtype.kind == "f"


#: The dtypes whose products of two matrices BLAS computes.
DOT = frozenset(map(np.dtype, ("f4", "f8", "c8", "c16")))
_TURNED, _PLAIN = {"turned": True}, {"turned": False}
#: (*, n, k) x (*, k, m) -> (*, n, m); leading dimensions broadcast.
_mm = Primitive(
    "mm",
    "input mat2",
    _product,
    rule=_rule,
    derivative={"input": _left, "mat2": _right},
    lowering=Kernel("matmul"),
    broadcasts=True,
)


def mm(a: Tensor, b: Tensor) -> Tensor:
    """The product of stacks of matrices of equal dtype."""
    if a._array.dtype != b._array.dtype:
        raise RuntimeError(
            f"expected m1 and m2 to have the same dtype, but got: {_ctype(a)} != {_ctype(b)}"
        )
    if a._array.shape[-1] != b._array.shape[-2]:
        _rule(Spec(a._array.shape, a._array.dtype), Spec(b._array.shape, b._array.dtype))
    return _mm(a, b, turned=_is_turned(b._array))


def _ctype(x: Tensor) -> str:
    names = {"float32": "float", "float64": "double", "int64": "long int", "int32": "int"}
    return names.get(x.dtype.name, x.dtype.name)


def _require_rank(x: Tensor, rank: int, function: str, argument: str) -> None:
    expect_tensor(x, function, argument)
    if x.ndim != rank:
        kind = {1: "vector", 2: "matrix", 3: "3D tensor"}[rank]
        raise RuntimeError(f"{function}: Expected {argument} to be a {kind}, got {x.ndim}D")


@operator(out=True, name="mm", aliases=("spmm",))
def matrix_matrix(input: Tensor, mat2: Tensor) -> Tensor:
    """The product of two matrices, (n, k) x (k, m) -> (n, m)."""
    _require_rank(input, 2, "mm", "self")
    _require_rank(mat2, 2, "mm", "mat2")
    if input._sparse or mat2._sparse:
        return sparse_form("matmul")(input, mat2)
    return matmul(input, mat2)


@operator(out=True)
def bmm(input: Tensor, mat2: Tensor) -> Tensor:
    """Products of two stacks of matrices, (b, n, k) x (b, k, m) -> (b, n, m)."""
    _require_rank(input, 3, "bmm", "batch1")
    _require_rank(mat2, 3, "bmm", "batch2")
    if input._array.shape[0] != mat2._array.shape[0]:
        raise RuntimeError(
            "Expected size for first two dimensions of batch2 tensor to be: "
            f"[{input.shape[0]}, {input.shape[2]}] but got: [{mat2.shape[0]}, {mat2.shape[1]}]."
        )
    return matmul(input, mat2)


@operator(out=True)
def mv(input: Tensor, vec: Tensor) -> Tensor:
    """A matrix times a vector."""
    _require_rank(input, 2, "mv", "input")
    _require_rank(vec, 1, "mv", "vec")
    if input._array.shape[1] != vec._array.shape[0]:
        raise RuntimeError(
            f"size mismatch, got input ({input.shape[0]}), mat ({input.shape[0]}x{input.shape[1]}), vec "
            f"({vec.shape[0]})"
        )
    return matmul(input, vec)


@operator(out=True)
def dot(input: Tensor, tensor: Tensor) -> Tensor:
    """The sum of products of two vectors. Raises `RuntimeError` unless both are 1-dim of equal size."""
    if input.ndim != 1 or tensor.ndim != 1:
        raise RuntimeError(
            f"1D tensors expected, but got {input.ndim}D and {tensor.ndim}D tensors"
        )
    if input.dtype is not tensor.dtype:
        raise RuntimeError(
            "dot : expected both vectors to have same dtype, but found "
            f"{input.dtype.tensor_type} and {tensor.dtype.tensor_type}"
        )
    if input._array.size != tensor._array.size:
        raise RuntimeError(
            "inconsistent tensor size, expected tensor [{}] and src [{}] to have the same number of "
            "elements, but got {} and {} elements respectively".format(
                *(x._array.size for x in (input, tensor, input, tensor))
            )
        )
    return matmul(input, tensor)


@operator(out=True)
def matmul(input: Tensor, other: Tensor) -> Tensor:
    """The matrix product: vectors count as rows on the left and columns on the right, and dimensions
    before the last two broadcast. Raises `RuntimeError` for shapes or dtypes that do not fit.
    """
    if not (isinstance(input, Tensor) and isinstance(other, Tensor)):
        expect_tensor(input, "matmul")
        expect_tensor(other, "matmul", "other")
    a, b = input, other
    x, y = a._array, b._array
    left, right = x.ndim, y.ndim
    if left == 2 == right:
        stored = x.dtype
        if stored is y.dtype and stored in DOT and x.shape[1] == y.shape[0] and not state.busy:
            if x.size * y.shape[1] < on_kernels.PRODUCTS:
                out, attributes = wrap(x.dot(y)), _PLAIN
            else:
                out, attributes = wrap(_product(x, y)), _TURNED if _is_turned(y) else _PLAIN
            if modes.grad_enabled and wants_grad((a, b)):
                _mm.attach_short(out, (a, b), attributes, True)
            return out
        return mm(*narrowed(a, b)) if state.autocast is not None else mm(a, b)
    if a._sparse or b._sparse:
        return sparse_form("matmul")(a, b)
    if state.autocast is not None:
        a, b = narrowed(a, b)
    if left == 0 or right == 0:
        raise RuntimeError(
            f"both arguments to matmul need to be at least 1D, but they are {left}D and {right}D"
        )
    if left == 1 and right <= 2 and a._array.shape[0] != b._array.shape[0]:
        raise RuntimeError(
            f"size mismatch, got input ({a.shape[0]}), mat ({a.shape[0]}), vec ({b.shape[0]})"
            if right == 1
            else f"mat1 and mat2 shapes cannot be multiplied (1x{a.shape[0]} and {b.shape[0]}x{b.shape[1]})"
        )
    if left == 1:
        a = a.unsqueeze(0)
    if right == 1:
        b = b.unsqueeze(1)
    if left > 2 and b.ndim == 2:
        shape = a._array.shape
        out = mm(a.reshape(math.prod(shape[:-1]), shape[-1]), b).reshape(*shape[:-1], b._array.shape[-1])
    else:
        out = mm(a, b)
    if left == 1:
        out = out.squeeze(-2)
    return out.squeeze(-1) if right == 1 else out


def _matmul_method(self: Tensor, other: Any) -> Any:
    return matmul(self, other) if isinstance(other, Tensor) else NotImplemented


Tensor.__matmul__ = _matmul_method  # type: ignore[attr-defined]
Tensor.__rmatmul__ = lambda self, other: matmul(other, self)  # type: ignore[attr-defined]


def _scaled(x: Tensor, factor: Any) -> Tensor:
    if isinstance(factor, float) and x.dtype.kind < dtypes.FLOATING:
        factor = int(factor)  # a factor of whole numbers is a whole number
    if isinstance(factor, (int, float)) and factor == 1:
        return x
    return x & bool(factor) if x.dtype is dtypes.bool else x * factor


def _combined(input: Tensor, product: Tensor, beta: Any, alpha: Any) -> Tensor:
    """`beta * input + alpha * product`; with `beta` 0 even NaN in `input` is ignored."""
    product = _scaled(product, alpha)
    if isinstance(beta, (int, float)) and beta == 0:
        return product.expand(broadcast_shapes(input._array.shape, product._array.shape)).clone()
    return _scaled(input, beta) + product


@operator(inplace=True, out=True)
def addmm(input: Tensor, mat1: Tensor, mat2: Tensor, *, beta: Any = 1, alpha: Any = 1) -> Tensor:
    """`beta * input + alpha * (mat1 @ mat2)`."""
    if state.autocast is not None:
        input, mat1, mat2 = narrowed(input, mat1, mat2)
    _require_rank(mat1, 2, "addmm", "mat1")
    _require_rank(mat2, 2, "addmm", "mat2")
    product = sparse_form("matmul") if mat1._sparse or mat2._sparse else mm
    return _combined(input, product(mat1, mat2), beta, alpha)


@operator(inplace=True, out=True)
def addmv(input: Tensor, mat: Tensor, vec: Tensor, *, beta: Any = 1, alpha: Any = 1) -> Tensor:
    """`beta * input + alpha * (mat @ vec)`."""
    return _combined(input, mv(mat, vec), beta, alpha)


@operator(inplace=True, out=True)
def addbmm(input: Tensor, batch1: Tensor, batch2: Tensor, *, beta: Any = 1, alpha: Any = 1) -> Tensor:
    """`beta * input + alpha * sum of the products of two stacks`."""
    if state.autocast is not None:
        input, batch1, batch2 = narrowed(input, batch1, batch2)
    return _combined(input, bmm(batch1, batch2).sum(0), beta, alpha)


@operator(inplace=True, out=True)
def baddbmm(input: Tensor, batch1: Tensor, batch2: Tensor, *, beta: Any = 1, alpha: Any = 1) -> Tensor:
    """`beta * input + alpha * (batch1 @ batch2)`, matrix by matrix."""
    if state.autocast is not None:
        input, batch1, batch2 = narrowed(input, batch1, batch2)
    return _combined(input, bmm(batch1, batch2), beta, alpha)


@operator(inplace=True, out=True)
def addr(input: Tensor, vec1: Tensor, vec2: Tensor, *, beta: Any = 1, alpha: Any = 1) -> Tensor:
    """`beta * input + alpha * outer(vec1, vec2)`."""
    return _combined(input, outer(vec1, vec2), beta, alpha)


@operator(out=True, aliases=("ger",))
def outer(input: Tensor, vec2: Tensor) -> Tensor:
    """Every product of an element of one vector and one of the other."""
    _require_rank(input, 1, "outer", "self")
    _require_rank(vec2, 1, "outer", "vec2")
    return input.unsqueeze(1) * vec2.unsqueeze(0)


@operator(method=False)
def linear(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """`input @ weight.T + bias`: (*, in) x (out, in) -> (*, out)."""
    if weight.ndim not in (1, 2):
        raise RuntimeError(f"linear(): weight must be 1D or 2D, got {weight.ndim}D")
    if state.autocast is not None:
        input, weight, bias = narrowed(input, weight, bias)
    product = matmul(input, weight.t())
    return product if bias is None else product + bias


__all__ = ["addmm", "bmm", "dtypes", "linear", "matmul", "mm"]
