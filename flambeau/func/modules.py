"""Modules as functions of their parameters."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import flambeau
from flambeau.tensor.tensor import Tensor


def functional_call(
    module: Any,
    parameter_and_buffer_dicts: Any,
    args: Any = None,
    kwargs: dict[str, Any] | None = None,
    *,
    tie_weights: bool = True,
    strict: bool = False,
) -> Any:
    """`module(*args, **kwargs)` with other tensors in place of its parameters and buffers.

    Args:
        parameter_and_buffer_dicts: tensors by name, as `named_parameters` has them; or several
            such dictionaries.
        tie_weights: a parameter that the module has under several names is replaced under all.
        strict: raise `RuntimeError` for missing and unexpected names.
    """
    if isinstance(parameter_and_buffer_dicts, Sequence):
        given: dict[str, Tensor] = {}
        for part in parameter_and_buffer_dicts:
            for key in part:
                if key in given:
                    raise ValueError(
                        f"{key} appears in multiple dictionaries; behavior of functional call is "
                        "ambiguous"
                    )
            given.update(part)
    elif isinstance(parameter_and_buffer_dicts, dict):
        given = parameter_and_buffer_dicts
    else:
        raise ValueError(
            "Expected parameter_and_buffer_dicts to be a dict, or a list/tuple of dicts, but "
            "got "
            f"{type(parameter_and_buffer_dicts)}"
        )
    args = () if args is None else args if isinstance(args, tuple) else (args,)
    with _replaced(module, given, tie_weights, strict):
        return module(*args, **(kwargs or {}))


def _slots(module: Any) -> Iterator[tuple[str, dict[str, Any], str]]:
    """Every parameter and buffer: its full name, the dictionary that holds it, and its name
    there.
    """
    for prefix, part in module.named_modules(remove_duplicate=False):
        for held in (part._parameters, part._buffers):
            for name, tensor in held.items():
                if tensor is not None:
                    yield (f"{prefix}.{name}" if prefix else name), held, name


@contextmanager
def _replaced(module: Any, given: dict[str, Tensor], tie: bool, strict: bool) -> Iterator[None]:
    slots = list(_slots(module))
    names = {full for full, _, _ in slots}
    if strict:
        missing, unexpected = names - given.keys(), given.keys() - names
        problems = []
        if unexpected:
            problems.append(f"Unexpected key(s): {', '.join(map(repr, sorted(unexpected)))}.")
        if missing:
            problems.append(f"Missing key(s): {', '.join(map(repr, sorted(missing)))}.")
        if problems:
            raise RuntimeError(
                f"Error(s) in reparametrizing for {type(module).__name__}:\n\t"
                + "\n\t".join(problems)
            )
    wanted = dict(given)
    if tie:
        by_tensor: dict[int, Tensor] = {}
        for full, held, name in slots:
            if full in given:
                known = by_tensor.setdefault(id(held[name]), given[full])
                if known is not given[full]:
                    raise ValueError(
                        f"functional_call got multiple values for keys tied to {full}, which "
                        "are tied. Consider using tie_weights=False"
                    )
        for full, held, name in slots:
            if id(held[name]) in by_tensor:
                wanted[full] = by_tensor[id(held[name])]
    before = [(held, name, held[name], full) for full, held, name in slots if full in wanted]
    try:
        for held, name, _, full in before:
            held[name] = wanted[full]
        yield
    finally:
        for held, name, tensor, full in before:
            if full in given and held[name] is not wanted[full]:
                given[full] = held[name]  # a buffer that the module replaced
            held[name] = tensor


def stack_module_state(models: Sequence[Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The parameters and the buffers of several modules of one class, each stacked along
    dimension 0.
    """
    if not models:
        raise RuntimeError("stack_module_state: Expected at least one model, got 0.")
    if len({m.training for m in models}) > 1:
        raise RuntimeError(
            "stack_module_state: Expected all models to have the same training/eval mode."
        )
    if len({type(m) for m in models}) > 1:
        raise RuntimeError("stack_module_state: Expected all models to be of the same class.")

    def stacked(named: Callable[[Any], Any]) -> dict[str, Any]:
        states = [dict(named(m)) for m in models]
        return {key: _stack([s[key] for s in states]) for key in states[0]}

    return stacked(lambda m: m.named_parameters()), stacked(lambda m: m.named_buffers())


def _stack(tensors: Sequence[Tensor]) -> Tensor:
    needs_grad = tensors[0].requires_grad
    if any(t.requires_grad != needs_grad for t in tensors):
        raise RuntimeError(
            "Expected parameters from each model to have the same .requires_grad"
        )
    return flambeau.stack([t.detach() for t in tensors]).requires_grad_(needs_grad)


def functionalize(func: Callable[..., Any], *, remove: str = "mutations") -> Callable[..., Any]:
    """The function itself: views and changes in place need no rewriting here."""
    return func


def replace_all_batch_norm_modules_(root: Any) -> Any:
    """`root`, whose batch normalisations keep no running moments any more, so that nothing changes in place."""
    for part in root.modules():
        if isinstance(part, flambeau.nn.modules.batchnorm._BatchNorm):
            part.running_mean = part.running_var = part.num_batches_tracked = None
            part.track_running_stats = False
    return root


def debug_unwrap(tensor: Tensor, *, recurse: bool = True) -> Tensor:
    """The tensor itself: functions of functions work on plain tensors here, which can be looked at everywhere."""
    if not isinstance(tensor, Tensor):
        raise ValueError(f"debug_unwrap: expected a tensor, but got {type(tensor).__name__}")
    return tensor
