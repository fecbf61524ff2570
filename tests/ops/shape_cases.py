"""Calls of the shape and index operators, for the tests of derivatives and of compiled programs.

Each case is a function of float tensors and the shapes of those.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import flambeau as torch

INDEX = torch.tensor([[0, 2, 1], [3, 0, 0]])
VECTOR = torch.tensor([2, 0, 2])
MASK = torch.tensor([[True, False, True, True], [False, True, True, False], [True, True, False, False]])
SHIFTED = torch.tensor([3.0, 4.0])

CASES: dict[str, tuple[Callable[..., Any], tuple[tuple[int, ...], ...]]] = {
    "hsplit": (lambda a: torch.hsplit(a, 2)[1], ((3, 4),)),
    "vsplit": (lambda a: torch.vsplit(a, [1])[1], ((3, 4),)),
    "dsplit": (lambda a: torch.dsplit(a, 2)[0], ((2, 3, 4),)),
    "tensor_split": (lambda a: torch.tensor_split(a, (1, 2), 1)[1], ((3, 4),)),
    "unsafe_chunk": (lambda a: torch.unsafe_chunk(a, 2)[1], ((3, 4),)),
    "unsafe_split": (lambda a: torch.unsafe_split(a, 2, 1)[1], ((3, 4),)),
    "unflatten": (lambda a: torch.unflatten(a, 1, (2, -1)), ((3, 4),)),
    "swapaxes": (lambda a: torch.swapaxes(a, 0, 1), ((3, 4),)),
    "atleast_3d": (lambda a: torch.atleast_3d(a), ((3, 4),)),
    "hstack": (lambda a, b: torch.hstack([a, b]), ((3, 2), (3, 1))),
    "vstack": (lambda a, b: torch.vstack([a, b]), ((3,), (2, 3))),
    "dstack": (lambda a, b: torch.dstack([a, b]), ((3, 2), (3, 2))),
    "column_stack": (lambda a, b: torch.column_stack([a, b]), ((3,), (3, 2))),
    "repeat_interleave": (lambda a: torch.repeat_interleave(a, 3, 1), ((2, 3),)),
    "repeat_interleave counts": (
        lambda a: torch.repeat_interleave(a, torch.tensor([2, 0, 1]), 1, output_size=3), ((2, 3),),
    ),
    "block_diag": (lambda a, b: torch.block_diag(a, b), ((2, 3), (2,))),
    "_chunk_cat": (lambda a, b: torch._chunk_cat([a, b], 0, 2), ((3, 2), (4, 1))),
    "meshgrid": (lambda a, b: sum(torch.meshgrid(a, b, indexing="xy")), ((3,), (2,))),
    "cartesian_prod": (lambda a, b: torch.cartesian_prod(a, b), ((3,), (2,))),
    "combinations": (lambda a: torch.combinations(a, 2), ((4,),)),
    "vander": (lambda a: torch.vander(a, 3), ((3,),)),
    "fliplr": (lambda a: torch.fliplr(a), ((2, 3),)),
    "rot90": (lambda a: torch.rot90(a, 1, (0, 2)), ((2, 3, 2),)),
    "rot90 back": (lambda a: torch.rot90(a, -1, (1, 0)), ((2, 3),)),
    "diag": (lambda a: torch.diag(a, 1), ((3,),)),
    "diag of matrix": (lambda a: torch.diag(a, -1), ((3, 4),)),
    "diag_embed": (lambda a: torch.diag_embed(a, 1, 0, 2), ((2, 3),)),
    "diagflat": (lambda a: torch.diagflat(a, -1), ((2, 2),)),
    "trace": (lambda a: torch.trace(a), ((3, 4),)),
    "tril": (lambda a: torch.tril(a, 1), ((2, 3, 4),)),
    "triu": (lambda a: torch.triu(a, -1), ((3, 4),)),
    "as_strided": (lambda a: torch.as_strided(a * 1, (3, 3), (2, 1), 1), ((3, 4),)),
    "as_strided of a part": (lambda a: (a * 1)[1:].as_strided((2, 2), (1, 2), 5), ((3, 4),)),
    "diagonal_copy": (lambda a: torch.diagonal_copy(a, 1), ((3, 4),)),
    "unfold_copy": (lambda a: torch.unfold_copy(a, 1, 3, 1), ((2, 5),)),
    "expand_copy": (lambda a: torch.expand_copy(a, (2, 3)), ((3,),)),
    "split_with_sizes_copy": (lambda a: torch.split_with_sizes_copy(a, [1, 2])[1], ((3, 2),)),
    "narrow_copy": (lambda a: torch.narrow_copy(a, 1, 1, 2), ((2, 4),)),
    "slice_scatter": (lambda a, b: torch.slice_scatter(a, b, 1, 0, 4, 2), ((3, 4), (3, 2))),
    "select_scatter": (lambda a, b: torch.select_scatter(a, b, 1, -1), ((3, 4), (3,))),
    "diagonal_scatter": (lambda a, b: torch.diagonal_scatter(a, b, 1), ((3, 4), (3,))),
    "as_strided_scatter": (
        lambda a, b: torch.as_strided_scatter(a * 1, b, (2, 2), (4, 1), 1), ((3, 4), (2, 2)),
    ),
    "take": (lambda a: torch.take(a, INDEX), ((2, 3),)),
    "put": (lambda a, b: torch.put(a, torch.tensor([1, 4]), b), ((2, 3), (2,))),
    "put accumulate": (
        lambda a, b: torch.put(a, torch.tensor([1, 1, 4]), b, accumulate=True), ((2, 3), (3,)),
    ),
    "take_along_dim": (lambda a: torch.take_along_dim(a, INDEX[:, :1], 0), ((4, 3),)),
    "masked_scatter": (lambda a, b: torch.masked_scatter(a, MASK, b), ((3, 4), (9,))),
    "_unsafe_masked_index": (
        lambda a: torch._unsafe_masked_index(a, MASK[0, :3], [torch.tensor([0, 9, 1])], 0), ((3,),),
    ),
    "index_add": (lambda a, b: torch.index_add(a, 1, VECTOR, b, alpha=2), ((2, 3), (2, 3))),
    "index_copy": (lambda a, b: torch.index_copy(a, 1, VECTOR[:2], b), ((2, 3), (2, 2))),
    "index_fill": (lambda a: torch.index_fill(a, 1, VECTOR, 3.0), ((2, 3),)),
    "index_fill by a tensor": (lambda a, b: torch.index_fill(a, 1, VECTOR, b), ((2, 3), ())),
    "scatter": (lambda a, b: torch.scatter(a, 1, INDEX.t()[:, :1], b), ((3, 4), (3, 2))),
    "scatter a number": (lambda a: torch.scatter(a, 0, INDEX, 2.0), ((4, 3),)),
    "scatter multiply": (lambda a, b: torch.scatter(a, 0, INDEX, b, reduce="multiply"), ((4, 3), (2, 3))),
    **{
        f"scatter_reduce {reduce} {keep}": (
            lambda a, b, reduce=reduce, keep=keep: torch.scatter_reduce(
                a, 0, INDEX, b, reduce, include_self=keep
            ),
            ((4, 3), (2, 3)),
        )
        for reduce in ("sum", "prod", "mean", "amax", "amin")
        for keep in (True, False)
    },
    **{
        f"index_reduce {reduce} {keep}": (
            lambda a, b, reduce=reduce, keep=keep: torch.index_reduce(
                a, 1, VECTOR, b, reduce, include_self=keep
            ),
            ((2, 3), (2, 3)),
        )
        for reduce in ("prod", "mean", "amax", "amin")
        for keep in (True, False)
    },
    "nan_to_num": (lambda a: torch.nan_to_num(a), ((2, 3),)),
    "div floor": (lambda a: torch.div(a, SHIFTED[0].to(a.dtype), rounding_mode="floor") + a, ((2, 3),)),
    "gather": (lambda a: torch.gather(a, 0, INDEX), ((4, 3),)),
    "index_select": (lambda a: torch.index_select(a, 0, VECTOR), ((3, 2),)),
}  # fmt: skip
COMPLEX: dict[str, tuple[Callable[..., Any], tuple[int, ...]]] = {
    "view_as_real": (torch.view_as_real, (2, 3)),
    "real": (lambda a: a.real, (2, 3)),
    "imag": (lambda a: a.imag, (2, 3)),
    "conj": (lambda a: a.conj() * a, (2, 3)),
    "view_as_complex": (lambda a: torch.view_as_complex(torch.view_as_real(a) * 2), (2, 3)),
    "scatter multiply": (
        lambda a: torch.scatter(a, 1, torch.tensor([[0, 0], [1, 2]]), a * 2, reduce="multiply"), (2, 3),
    ),
    "as_strided": (lambda a: torch.as_strided(a, (2, 2), (2, 1)), (2, 3)),
    "tril": (torch.tril, (3, 3)),
}  # fmt: skip
