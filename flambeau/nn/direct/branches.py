"""Branches and loops as functions: `torch.cond` and `torch.while_loop`, run as plain Python runs them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flambeau.tensor import Tensor


def cond(pred: Any, true_fn: Callable[..., Any], false_fn: Callable[..., Any], operands: Any = ()) -> Any:
    """`true_fn(*operands)` if `pred` (a bool, or a tensor with one element), else `false_fn(*operands)`.

    Raises `RuntimeError` for arguments of another kind.
    """
    if not isinstance(pred, (bool, int, float, Tensor)):
        raise RuntimeError(f"Expected pred to be bool or tensor, but got {pred}.")
    if isinstance(pred, Tensor) and pred.numel() != 1:
        raise RuntimeError(f"Expected bool or single-element tensor, but got {pred}.")
    if not callable(true_fn) or not callable(false_fn):
        raise RuntimeError("Expect both branches to be callable.")
    if not isinstance(operands, (tuple, list)) or not _holds_tensors(operands):
        raise RuntimeError(
            "Expect operands to be a tuple of possibly nested dict/list/tuple that only consists of tensor leaves, "
            f"but got {operands}."
        )
    return (true_fn if bool(pred) else false_fn)(*operands)


def _holds_tensors(x: Any) -> bool:
    if isinstance(x, dict):
        return all(map(_holds_tensors, x.values()))
    if isinstance(x, (tuple, list)):
        return all(map(_holds_tensors, x))
    return isinstance(x, (Tensor, int))


def while_loop(cond_fn: Callable[..., Any], body_fn: Callable[..., Any], carried_inputs: Any) -> Any:
    """`carried_inputs` after `body_fn` has replaced them for as long as `cond_fn` of them is true.

    Raises `RuntimeError` for arguments of another kind, or a body that returns another number of values.
    """
    if not callable(cond_fn):
        raise RuntimeError("Expect cond_fn to be callable.")
    if not callable(body_fn):
        raise RuntimeError("Expect body_fn to be callable.")
    if not isinstance(carried_inputs, (tuple, list)):
        raise RuntimeError(
            f"Expect carried_inputs to be a tuple or list of possibly nested dict/list/tuple, but got {carried_inputs}."
        )
    carried = tuple(carried_inputs)
    while _truth(cond_fn(*carried)):
        following = body_fn(*carried)
        if not isinstance(following, (tuple, list)) or len(following) != len(carried):
            raise RuntimeError(
                f"body_fn should return {len(carried)} values, as many as it takes, but got {following}"
            )
        carried = tuple(following)
    return carried


def _truth(pred: Any) -> bool:
    if not isinstance(pred, (bool, Tensor)) or (isinstance(pred, Tensor) and pred.numel() != 1):
        raise RuntimeError(f"cond_fn must return a boolean scalar tensor or a boolean but got {pred}")
    return bool(pred)
