"""Running sums and products along a dimension, and the recurrence that the products' derivative is."""

from __future__ import annotations

from typing import Any

import numpy as np

from flambeau.core.shapes import wrap_dim
from flambeau.ops import on_kernels
from flambeau.ops.joining import cat
from flambeau.ops.reduce import as_number
from flambeau.ops.table import Primitive, operator
from flambeau.tensor.tensor import Tensor
from flambeau.tensor.tracing import is_tracing


def _running(function: Any) -> Any:
    """`function` up to each position; narrow numbers are joined in double precision, as in PyTorch."""

    def run(x: np.ndarray, dim: int) -> np.ndarray:
        fast = on_kernels.running(x, dim, function is np.cumprod)
        if fast is not None:
            return fast
        work = x.astype(np.float64) if x.dtype.itemsize <= 4 and x.dtype.kind in "fV" else x
        return np.asarray(function(work, axis=dim)).astype(x.dtype, copy=False)

    return run


_cumsum = Primitive(
    "cumsum",
    "input",
    _running(np.cumsum),
    rule=lambda x, dim: x,
    derivative={"input": lambda g, dim: _reverse_cumsum(g, dim)},
)
_cumprod = Primitive(
    "cumprod",
    "input",
    _running(np.cumprod),
    rule=lambda x, dim: x,
    derivative={"input": lambda g, input, out, dim: _cumprod_gradient(g, input, out, dim)},
)


def _reverse_cumsum(x: Tensor, dim: int) -> Tensor:
    return x.flip(dim).cumsum(dim).flip(dim)


def _cumprod_gradient(g: Tensor, input: Tensor, out: Tensor, dim: int) -> Tensor:
    """sum over j >= i of g_j * prod of the input up to j without i; exact where the input has zeros."""
    if not is_tracing() and not bool((input.detach() == 0).any()):
        return _reverse_cumsum(g * out.conj(), dim) / input.conj()
    # The product of what stands before i, times s_i = g_i + x_(i+1) s_(i+1), which divides by no zero.
    return _shifted(out, dim, False, 1).conj() * linear_recurrence(
        _shifted(input, dim, True, 0).conj(), g, dim=dim, back=True
    )


def _shifted(x: Tensor, dim: int, back: bool, fill: float) -> Tensor:
    """At each place along `dim` the element before it, or with `back` behind it; `fill` where there is none."""
    size = x._array.shape[dim]
    if not size:
        return x
    edge = x.new_full((*x._array.shape[:dim], 1, *x._array.shape[dim + 1 :]), fill)
    return cat([x.narrow(dim, 1, size - 1), edge] if back else [edge, x.narrow(dim, 0, size - 1)], dim)


def _recurrence_array(factor: np.ndarray, term: np.ndarray, dim: int, back: bool) -> np.ndarray:
    turned = slice(None, None, -1) if back else slice(None)
    out = np.empty(term.shape, term.dtype)
    factors, terms, results = (np.moveaxis(x, dim, 0)[turned] for x in (factor, term, out))
    so_far = np.zeros(terms.shape[1:], np.result_type(term.dtype, np.float32))
    for k in range(len(terms)):
        so_far = factors[k] * so_far + terms[k]
        results[k] = so_far
    return out


def _recurrence_term(g: Tensor, factor: Tensor, dim: int, back: bool) -> Tensor:
    """The same the other way round: what comes through the next element has the next one's factor."""
    return linear_recurrence(_shifted(factor, dim, not back, 0).conj(), g, dim=dim, back=not back)


def _recurrence_factor(g: Tensor, factor: Tensor, out: Tensor, dim: int, back: bool) -> Tensor:
    return _recurrence_term(g, factor, dim, back) * _shifted(out, dim, back, 0).conj()


#: s_i = factor_i * s_(i-1) + term_i along `dim`, s being 0 before the first; with `back`, of s_(i+1).
linear_recurrence = Primitive(
    "linear_recurrence",
    "factor term",
    _recurrence_array,
    rule=lambda factor, term, dim, back: term,
    derivative={"factor": _recurrence_factor, "term": _recurrence_term},
)


def _cumulative(primitive: Primitive, input: Tensor, dim: int, dtype: Any) -> Tensor:
    x = as_number(input, dtype)
    dim = wrap_dim(dim, x.ndim)
    return primitive(x, dim=dim) if x.ndim else x.clone()


@operator(inplace=True, out=True)
def cumsum(input: Tensor, dim: int, *, dtype: Any = None) -> Tensor:
    """Running sums along `dim`."""
    return _cumulative(_cumsum, input, dim, dtype)


@operator(inplace=True, out=True)
def cumprod(input: Tensor, dim: int, *, dtype: Any = None) -> Tensor:
    """Running products along `dim`."""
    return _cumulative(_cumprod, input, dim, dtype)
