"""Products of groups of rows with matrices of their own, as mixtures of experts need them."""

from __future__ import annotations

from typing import Any

import numpy as np

from flambeau import ops
from flambeau.autograd import no_grad
from flambeau.core import dtypes
from flambeau.ops.table import Primitive, Spec
from flambeau.tensor import Tensor
from flambeau.tensor.tensor import wrap
from flambeau.tensor.tracing import is_tracing

_DTYPES = (dtypes.float32, dtypes.bfloat16, dtypes.float16)


def grouped_mm(
    mat_a: Tensor, mat_b: Tensor, *, offs: Tensor | None = None, bias: Tensor | None = None, out_dtype: Any = None
) -> Tensor:
    """The products of G groups, which lie behind each other where a factor is a matrix; `offs` (G) int32 says where
    each ends.

    Args:
        mat_a, mat_b: `(n, k)` and `(G, k, m)`: groups of rows, to `(n, m)`, rows behind the last group 0;
            `(G, n, k)` and `(k, m)`: groups of columns, to `(n, m)`;
            `(n, k)` and `(k, m)`: groups of what is summed over, to `(G, n, m)`;
            `(G, n, k)` and `(G, k, m)`: a plain product of stacks, without `offs`.
        bias: not supported, as in PyTorch.
        out_dtype: the dtype of the factors.

    Raises:
        RuntimeError: for factors, offsets or dtypes that do not fit.
    """
    _check(mat_a, mat_b, offs, bias, out_dtype)
    if offs is None:
        return mat_a @ mat_b
    return _grouped(mat_a, mat_b, offs) if is_tracing() else _by_groups(mat_a, mat_b, offs)


def _by_groups(mat_a: Tensor, mat_b: Tensor, offs: Tensor) -> Tensor:
    ends = offs.tolist()
    groups = list(zip([0, *ends], ends, range(len(ends)), strict=False))
    if mat_b.ndim == 3:
        rows = [mat_a[start:end] @ mat_b[g] for start, end, g in groups]
        rest = mat_a.size(0) - (ends[-1] if ends else 0)
        return ops.cat([*rows, mat_a.new_zeros((rest, mat_b.size(-1)))])
    if mat_a.ndim == 3:
        columns = [mat_a[g] @ mat_b[:, start:end] for start, end, g in groups]
        rest = mat_b.size(1) - (ends[-1] if ends else 0)
        return ops.cat([*columns, mat_a.new_zeros((mat_a.size(1), rest))], 1)
    return ops.stack([mat_a[:, start:end] @ mat_b[start:end] for start, end, _ in groups])


def _array(mat_a: np.ndarray, mat_b: np.ndarray, offs: np.ndarray) -> np.ndarray:
    with no_grad():
        return _by_groups(wrap(mat_a), wrap(mat_b), wrap(offs))._array


def _rule(mat_a: Spec, mat_b: Spec, offs: Spec) -> Spec:
    stacked = offs.shape if mat_a.ndim == mat_b.ndim else ()
    return Spec((*stacked, mat_a.shape[-2], mat_b.shape[-1]), mat_a.dtype)


#: `_by_groups` in a compiled program, which learns at each call where groups end. The derivative of each kind is another.
_grouped = Primitive(
    "grouped_mm",
    "mat_a mat_b offs",
    _array,
    rule=_rule,
    derivative={
        "mat_a": lambda g, mat_b, offs: _grouped(g, mat_b.mT, offs),
        "mat_b": lambda g, mat_a, offs: _grouped(mat_a.mT, g, offs),
    },
)


def _check(mat_a: Tensor, mat_b: Tensor, offs: Tensor | None, bias: Any, out_dtype: Any) -> None:
    for name, mat in (("mat_a", mat_a), ("mat_b", mat_b)):
        if mat.dtype not in _DTYPES:
            raise RuntimeError(f"Expected {name} to be Float32, BFloat16 or Float16 matrix, got {mat.dtype.tensor_type}")
        if mat.ndim not in (2, 3):
            raise RuntimeError(f"{name} has to be 2 or 3d")
    both_stacks = mat_a.ndim == mat_b.ndim == 3
    if (mat_a.ndim == 3 or mat_b.ndim == 3) and mat_a.size(-1) != mat_b.size(-2):
        raise RuntimeError("contraction dimension of mat_a and mat_b must match")
    if (offs is None) != both_stacks:
        raise RuntimeError("Have to provide offsets if there is a 2d matrix, or no offset if both matrices are 3d")
    if offs is not None and (offs.ndim != 1 or offs.dtype is not dtypes.int32):
        raise RuntimeError("offs has to be 1D" if offs.ndim != 1 else "Offsets have to be int32")
    if both_stacks and mat_a.size(0) != mat_b.size(0):
        raise RuntimeError("batched dimension has to match")
    if offs is not None and any(m.ndim == 3 and m.size(0) != offs.size(0) for m in (mat_a, mat_b)):
        raise RuntimeError("matrix batch sizes have to match")
    if bias is not None:
        raise RuntimeError("Bias not supported yet")
    if out_dtype is not None and out_dtype is not mat_a.dtype:
        raise RuntimeError("Grouped gemm output dtype must match `mat_a` dtype")
