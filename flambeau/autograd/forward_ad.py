"""Forward mode with dual numbers, derived from backward mode.

A dual tensor is a tensor whose motion (tangent) is known. Operators record it as they record
anything; `unpack_dual` asks for the tangent of a result, by going back twice (see
`functional.pushed_forward`).
"""

from __future__ import annotations

from typing import NamedTuple

import flambeau
from flambeau.autograd.modes import enable_grad
from flambeau.tensor.tensor import Tensor

__all__ = [
    "UnpackedDualTensor",
    "dual_level",
    "enter_dual_level",
    "exit_dual_level",
    "make_dual",
    "unpack_dual",
]

#: For each level that is entered, the dual tensors made there with their tangents.
_levels: list[list[tuple[Tensor, Tensor]]] = []


class UnpackedDualTensor(NamedTuple):
    """What `unpack_dual` returns; the tangent is `None` for a tensor that does not move."""

    primal: Tensor
    tangent: Tensor | None


def enter_dual_level() -> int:
    """Begins a level of forward mode. Raises `RuntimeError` inside another."""
    if _levels:
        raise RuntimeError("Nested forward mode AD is not supported at the moment")
    _levels.append([])
    return len(_levels) - 1


def exit_dual_level(*, level: int | None = None) -> None:
    """Ends the level of forward mode: the tangents made in it are gone."""
    if not _levels:
        raise RuntimeError("Trying to exit a forward AD level but none was entered")
    _levels.pop()


class dual_level:
    """A level of forward mode as a context manager."""

    def __enter__(self) -> int:
        return enter_dual_level()

    def __exit__(self, *exc: object) -> None:
        exit_dual_level()


def make_dual(tensor: Tensor, tangent: Tensor, *, level: int | None = None) -> Tensor:
    """`tensor`, moving along `tangent` of the same shape and dtype. Raises `RuntimeError`
    otherwise.
    """
    if not _levels:
        raise RuntimeError(
            "Trying to create a dual Tensor for forward AD but no level exists, make sure to "
            "enter_dual_level() first."
        )
    if not (tensor.is_floating_point() or tensor.is_complex()):
        raise ValueError(
            f"Expected primal to be floating point or complex, but got: {tensor.dtype}"
        )
    if tangent.shape != tensor.shape:
        raise RuntimeError(
            f"Expected tangent to have the shape of primal, {list(tensor.shape)}, but got "
            f"{list(tangent.shape)}"
        )
    with enable_grad():
        dual = (
            tensor.view_as(tensor) if tensor.requires_grad else tensor.detach().requires_grad_()
        )
    _levels[-1].append((dual, tangent))
    return dual


def unpack_dual(tensor: Tensor, *, level: int | None = None) -> UnpackedDualTensor:
    """The tensor and its tangent in the present level."""
    if not _levels or not _levels[-1] or not tensor.requires_grad:
        return UnpackedDualTensor(tensor, None)
    for dual, tangent in _levels[-1]:
        if dual is tensor:
            return UnpackedDualTensor(tensor, tangent)
    duals = tuple([d for d, _ in _levels[-1]])
    with enable_grad():
        weight = flambeau.zeros_like(tensor).requires_grad_()
        back = flambeau.autograd.grad(tensor, duals, weight, create_graph=True, allow_unused=True)
        if all(g is None for g in back):
            return UnpackedDualTensor(tensor, None)
        pairs = [(g, t) for g, (_, t) in zip(back, _levels[-1], strict=True) if g is not None and g.requires_grad]
        moved = [None]
        if pairs:
            moved = flambeau.autograd.grad(
                [g for g, _ in pairs], weight, [t for _, t in pairs], create_graph=True, allow_unused=True
            )
        tangent = flambeau.zeros_like(tensor) if moved[0] is None else moved[0]
        recorded = any(t.requires_grad for _, t in _levels[-1])
    return UnpackedDualTensor(tensor.detach(), tangent if recorded else tangent.detach())
