"""`compile`: what it is asked for, in PyTorch's words."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from flambeau.compiler.compiled import CompiledFunction
from flambeau.compiler.errors import InvalidBackend

_MODES = ("default", "lite", "reduce-overhead", "max-autotune-no-cudagraphs", "max-autotune")
_EAGER = ("eager", "aot_eager")


def compile(
    model: Callable[..., Any] | None = None,
    *,
    fullgraph: bool = False,
    dynamic: bool | None = None,
    backend: str | Callable[..., Any] = "inductor",
    mode: str | None = None,
    options: dict[str, Any] | None = None,
    disable: bool = False,
) -> Any:
    """A function, a module or a whole training step as one native program.

    The program is traced at the first call, and again for new shapes, dtypes, constants or modes. After
    `torch._dynamo.config.recompile_limit` of them (8), further ones run eagerly, with a warning.

    Args:
        model: what to compile; left out, `compile(...)` is a decorator.
        fullgraph: make what cannot be traced an error; otherwise it runs eagerly, with a warning.
        dynamic: whether Python numbers that change from call to call (arguments, attributes, globals) are inputs of the
            program: `None` for those that were seen to change, `True` at once, `False` never. Shapes are always
            specialised.
        backend: "inductor" is PyTorch's name for the default and means this compiler; "eager" and "aot_eager" run the
            function as it is.
        mode: "max-autotune" (also with "-no-cudagraphs") builds the program by several schedules, times them, and
            remembers the fastest on disk; PyTorch's other names mean the usual program.
        options: `max_autotune` is the mode of this name; other options of `torch._inductor.config` change nothing.
        disable: do nothing.

    Raises:
        RuntimeError: for an unknown backend, mode or option.
        Unsupported: (at a call) with `fullgraph`, for what cannot be traced.
    """
    _check(mode, backend)
    tunes = mode is not None and mode.startswith("max-autotune")
    if options is not None:
        if mode is not None:
            raise RuntimeError(
                "Either mode or options can be specified, but both can't be specified at the same time."
            )
        tunes = _checked_options(options).get("max_autotune", False)
    if model is None:
        return functools.partial(
            compile, fullgraph=fullgraph, dynamic=dynamic, backend=backend, mode=mode,
            options=options, disable=disable,
        )  # fmt: skip
    if not callable(model):
        raise AssertionError(f"A callable function is expected, but {type(model)} is provided.")
    if disable or backend in _EAGER:
        return model
    from flambeau.nn.module import Module

    if isinstance(model, Module):
        from flambeau.compiler.module import OptimizedModule

        return OptimizedModule(model, CompiledFunction(model, fullgraph, tune=tunes, dynamic=dynamic))
    compiled = CompiledFunction(model, fullgraph, tune=tunes, dynamic=dynamic)
    functools.update_wrapper(compiled, model)
    return compiled


def _check(mode: str | None, backend: Any) -> None:
    if mode is not None and mode not in _MODES:
        raise RuntimeError(f"Unrecognized mode={mode}, should be one of: {', '.join(_MODES)}")
    if callable(backend):
        raise NotImplementedError(
            "torch.compile(backend=...) with a function of one's own: programs here are no torch.fx graphs; "
            'there are "inductor", which is this compiler, and "eager"'
        )
    if backend not in ("inductor", "cpu", *_EAGER):
        raise InvalidBackend(backend)


def _checked_options(options: dict[str, Any]) -> dict[str, Any]:
    """`options`, if PyTorch's code generator has all of them."""
    from flambeau._inductor import config

    known = config.to_dict()
    found = {}
    for name, value in options.items():
        key, _, part = name.replace("-", "_").partition(".")
        current = known.get(key, found)
        if part and current is not found:
            current = getattr(current, part, found)
        if current is found:
            raise RuntimeError(f"Unexpected optimization option {key}, known options are {list(known)}")
        if isinstance(current, bool) and not isinstance(value, bool):
            raise RuntimeError(
                f"Unexpected type of attr {key}, got {type(value).__name__} should be {type(current).__name__}"
            )
        found[key] = value
    return found
