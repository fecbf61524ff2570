"""Calling a module with hooks: the global hook tables, and the gates of full backward hooks.

A module without hooks never comes here: `Module.__call__` goes straight to `forward`.
"""

from __future__ import annotations

import warnings
import weakref
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from flambeau.autograd import Function
from flambeau.tensor import Tensor
from flambeau.utils.hooks import RemovableHandle

if TYPE_CHECKING:
    from flambeau.nn.module import Module

Hook = Callable[..., Any]


class _GlobalHooks:
    """The hooks that run for every module of the process."""

    def __init__(self) -> None:
        self.forward_pre: OrderedDict[int, Hook] = OrderedDict()
        self.forward: OrderedDict[int, Hook] = OrderedDict()
        self.forward_with_kwargs: OrderedDict[int, bool] = OrderedDict()
        self.forward_always_called: OrderedDict[int, bool] = OrderedDict()
        self.backward_pre: OrderedDict[int, Hook] = OrderedDict()
        self.backward: OrderedDict[int, Hook] = OrderedDict()
        self.backward_is_full: bool | None = None
        self.buffer_registration: OrderedDict[int, Hook] = OrderedDict()
        self.module_registration: OrderedDict[int, Hook] = OrderedDict()
        self.parameter_registration: OrderedDict[int, Hook] = OrderedDict()

    def any_call_hook(self) -> bool:
        return bool(self.forward_pre or self.forward or self.backward_pre or self.backward)


GLOBAL = _GlobalHooks()
_MIXED_BACKWARD_HOOKS = (
    "Cannot use both regular backward hooks and full backward hooks {}. "
    "Please use only one of them."
)


def add_hook(
    hooks: OrderedDict[int, Hook],
    hook: Hook,
    *,
    prepend: bool = False,
    flags: Sequence[tuple[bool, OrderedDict[int, bool]]] = (),
) -> RemovableHandle:
    """Enters `hook` into `hooks`, and its id into each dictionary of `flags` whose flag is set."""
    handle = RemovableHandle(hooks, extra_dict=[table for _, table in flags])
    hooks[handle.id] = hook
    for flag, table in flags:
        if flag:
            table[handle.id] = True
    if prepend:
        hooks.move_to_end(handle.id, last=False)
    return handle


def register_module_buffer_registration_hook(hook: Hook) -> RemovableHandle:
    """Runs `hook(module, name, buffer)` whenever a buffer is registered; it may return another."""
    return add_hook(GLOBAL.buffer_registration, hook)


def register_module_module_registration_hook(hook: Hook) -> RemovableHandle:
    """Runs `hook(module, name, child)` whenever a child is registered; it may return another."""
    return add_hook(GLOBAL.module_registration, hook)


def register_module_parameter_registration_hook(hook: Hook) -> RemovableHandle:
    """Runs `hook(module, name, param)` when a parameter is registered; it may return another."""
    return add_hook(GLOBAL.parameter_registration, hook)


def register_module_forward_pre_hook(hook: Hook) -> RemovableHandle:
    """Runs `hook(module, args)` before the forward of every module; it may return new args."""
    return add_hook(GLOBAL.forward_pre, hook)


def register_module_forward_hook(
    hook: Hook, *, with_kwargs: bool = False, always_call: bool = False
) -> RemovableHandle:
    """Runs `hook(module, args, output)` after the forward of every module.

    Args:
        hook: may return a new output.
        with_kwargs: call it as `hook(module, args, kwargs, output)`.
        always_call: run it even when the forward raised.
    """
    flags = [
        (with_kwargs, GLOBAL.forward_with_kwargs),
        (always_call, GLOBAL.forward_always_called),
    ]
    return add_hook(GLOBAL.forward, hook, flags=flags)


def _set_global_backward_kind(full: bool) -> None:
    if GLOBAL.backward_is_full is (not full):
        raise RuntimeError(_MIXED_BACKWARD_HOOKS.format("as a global Module hook"))
    GLOBAL.backward_is_full = full


def register_module_backward_hook(hook: Hook) -> RemovableHandle:
    """The deprecated kind that sees only the last operation of each module.

    Raises:
        RuntimeError: if full backward hooks are registered globally.
    """
    _set_global_backward_kind(full=False)
    return add_hook(GLOBAL.backward, hook)


def register_module_full_backward_pre_hook(hook: Hook) -> RemovableHandle:
    """Runs `hook(module, grad_output)` before the backward pass of every module."""
    return add_hook(GLOBAL.backward_pre, hook)


def register_module_full_backward_hook(hook: Hook) -> RemovableHandle:
    """Runs `hook(module, grad_input, grad_output)` when a module's input gradients are known.

    Raises:
        RuntimeError: if backward hooks of the deprecated kind are registered globally.
    """
    _set_global_backward_kind(full=True)
    return add_hook(GLOBAL.backward, hook)


def set_backward_kind(module: Module, full: bool) -> None:
    """Fixes which kind of backward hooks `module` takes. Raises `RuntimeError` on a mixture."""
    if module._is_full_backward_hook is (not full):
        raise RuntimeError(_MIXED_BACKWARD_HOOKS.format("on a single Module"))
    module._is_full_backward_hook = full


def call_with_hooks(module: Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """`module.forward(*args, **kwargs)` with every hook of the module and of the process.

    The order is PyTorch's: forward pre-hooks, input gate, forward, forward hooks, output gate.
    """
    ran: set[int] = set()
    result = None
    try:
        args, kwargs = _run_forward_pre_hooks(module, args, kwargs)
        gates = _backward_gates(module)
        if gates is not None:
            args = gates.around_inputs(args)
        result = module.forward(*args, **kwargs)
        for hook_id, hook in (*GLOBAL.forward.items(), *module._forward_hooks.items()):
            ran.add(hook_id)
            replaced = _call_forward_hook(module, hook_id, hook, args, kwargs, result)
            if replaced is not None:
                result = replaced
        if gates is not None:
            if not isinstance(result, (Tensor, tuple)):
                warnings.warn(
                    "For backward hooks to be called, module output should be a Tensor or a "
                    f"tuple of Tensors but received {type(result)}",
                    stacklevel=3,
                )
            result = gates.around_outputs(result)
        _attach_partial_backward_hooks(module, result)
        return result
    except Exception:
        _run_always_called_hooks(module, args, kwargs, result, ran)
        raise


def _run_forward_pre_hooks(
    module: Module, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    for hook_id, hook in (*GLOBAL.forward_pre.items(), *module._forward_pre_hooks.items()):
        if hook_id in module._forward_pre_hooks_with_kwargs:
            replaced = hook(module, args, kwargs)
            if replaced is None:
                continue
            if not (isinstance(replaced, tuple) and len(replaced) == 2):
                raise RuntimeError(
                    "forward pre-hook must return None or a tuple of (new_args, new_kwargs), "
                    f"but got {replaced}."
                )
            args, kwargs = replaced
        else:
            replaced = hook(module, args)
            if replaced is not None:
                args = replaced if isinstance(replaced, tuple) else (replaced,)
    return args, kwargs


def _call_forward_hook(
    module: Module, hook_id: int, hook: Hook, args: Any, kwargs: Any, result: Any
) -> Any:
    if hook_id in module._forward_hooks_with_kwargs or hook_id in GLOBAL.forward_with_kwargs:
        return hook(module, args, kwargs, result)
    return hook(module, args, result)


def _run_always_called_hooks(
    module: Module, args: Any, kwargs: Any, result: Any, ran: set[int]
) -> None:
    """After an error: the hooks that asked to run in any case. Their own errors only warn."""
    tables = (
        (GLOBAL.forward, GLOBAL.forward_always_called, "global module"),
        (module._forward_hooks, module._forward_hooks_always_called, "module"),
    )
    for hooks, always_called, owner in tables:
        for hook_id, hook in hooks.items():
            if hook_id not in always_called or hook_id in ran:
                continue
            try:
                replaced = _call_forward_hook(module, hook_id, hook, args, kwargs, result)
                if replaced is not None:
                    result = replaced
            except Exception as error:
                warnings.warn(
                    f"{owner} forward hook with ``always_call=True`` raised an exception that "
                    f"was silenced as another error was raised in forward: {error}",
                    stacklevel=4,
                )


# Full backward hooks ------------------------------------------------------------------------------


class _Gate(Function):
    """The identity, whose backward shows the passing gradients to a callback."""

    @staticmethod
    def forward(ctx: Any, callback: Callable[..., Any], *tensors: Tensor) -> Any:
        ctx.callback = callback
        ctx.set_materialize_grads(False)
        ctx.mark_non_differentiable(*[t for t in tensors if not t.requires_grad])
        return tuple(t.view_as(t) for t in tensors)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> Any:
        return None, *ctx.callback(grads)


class BackwardGates:
    """Two identities around a module's forward that know the gradients of its ends.

    Args:
        module: what the hooks are called with.
        hooks: `hook(module, grad_input, grad_output)`, may return a new `grad_input`.
        pre_hooks: `hook(module, grad_output)`, may return a new `grad_output`.
    """

    def __init__(
        self, module: Module, hooks: Sequence[Hook], pre_hooks: Sequence[Hook]
    ) -> None:
        self.module = module
        self.hooks = hooks
        self.pre_hooks = pre_hooks
        self.grad_outputs: tuple[Tensor | None, ...] | None = None
        self.input_count = 0
        self.inputs_gated = False

    def around_inputs(self, args: tuple[Any, ...]) -> tuple[Any, ...]:
        """The arguments of `forward`, their tensors passed through the input gate."""
        self.input_count = len(args)
        args, self.inputs_gated = self._through_gate(args, self._on_grad_inputs)
        return args

    def around_outputs(self, result: Any) -> Any:
        """The result of `forward`, its tensors passed through the output gate."""
        if not isinstance(result, tuple):
            return self._through_gate((result,), self._on_grad_outputs)[0][0]
        return self._through_gate(result, self._on_grad_outputs)[0]

    def _through_gate(
        self, values: tuple[Any, ...], callback: Callable[..., Any]
    ) -> tuple[tuple[Any, ...], bool]:
        where = [i for i, value in enumerate(values) if isinstance(value, Tensor)]
        if not any(values[i].requires_grad for i in where):
            return values, False

        def with_all_positions(grads: Sequence[Tensor | None]) -> Sequence[Tensor | None]:
            everything: list[Tensor | None] = [None] * len(values)
            for i, grad in zip(where, grads, strict=True):
                everything[i] = grad
            replaced = callback(tuple(everything))
            return [replaced[i] for i in where]

        passed = list(values)
        for i, tensor in zip(
            where, _Gate.apply(with_all_positions, *[values[i] for i in where]), strict=True
        ):
            passed[i] = tensor
        rebuilt = type(values)(*passed) if hasattr(values, "_fields") else tuple(passed)
        return rebuilt, True

    def _on_grad_outputs(self, grads: tuple[Any, ...]) -> tuple[Any, ...]:
        for hook in self.pre_hooks:
            replaced = hook(self.module, grads)
            if replaced is None:
                continue
            replaced = replaced if isinstance(replaced, tuple) else (replaced,)
            if len(replaced) != len(grads):
                raise RuntimeError(
                    "Backward pre hook returned an invalid number of grad_output, "
                    f"got {len(replaced)}, but expected {len(grads)}"
                )
            grads = replaced
        if self.inputs_gated:
            self.grad_outputs = grads
            return grads
        self._call_without_inputs(grads)
        return grads

    def _call_without_inputs(self, grads: tuple[Any, ...]) -> None:
        """No input needs a gradient: the hooks run now, as no input gate ever will."""
        if self.hooks:
            warnings.warn(
                "Full backward hook is firing when gradients are computed with respect to module "
                "outputs since no inputs require gradients.",
                stacklevel=5,
            )
        for hook in self.hooks:
            replaced = hook(self.module, (None,) * self.input_count, grads)
            if replaced is not None and any(grad is not None for grad in replaced):
                raise RuntimeError(
                    "Backward hook for Modules where no input requires gradient should always "
                    "return None or None for all gradients."
                )

    def _on_grad_inputs(self, grads: tuple[Any, ...]) -> tuple[Any, ...]:
        if self.grad_outputs is None:  # this backward pass did not begin at the outputs
            return grads
        for hook in self.hooks:
            replaced = hook(self.module, grads, self.grad_outputs)
            if replaced is None:
                continue
            replaced = replaced if isinstance(replaced, tuple) else (replaced,)
            if len(replaced) != len(grads):
                raise RuntimeError(
                    "Backward hook returned an invalid number of grad_input, "
                    f"got {len(replaced)}, but expected {len(grads)}"
                )
            grads = replaced
        self.grad_outputs = None
        return grads


def _backward_gates(module: Module) -> BackwardGates | None:
    hooks: list[Hook] = []
    if GLOBAL.backward_is_full:
        hooks += GLOBAL.backward.values()
    if module._is_full_backward_hook:
        hooks += module._backward_hooks.values()
    pre_hooks = [*GLOBAL.backward_pre.values(), *module._backward_pre_hooks.values()]
    return BackwardGates(module, hooks, pre_hooks) if hooks or pre_hooks else None


def _attach_partial_backward_hooks(module: Module, result: Any) -> None:
    """Backward hooks of the deprecated kind watch only the node that made the (first) output."""
    hooks: list[Hook] = []
    if GLOBAL.backward_is_full is False:
        hooks += GLOBAL.backward.values()
    if module._is_full_backward_hook is False:
        hooks += module._backward_hooks.values()
    if not hooks:
        return
    first = result
    while not isinstance(first, Tensor):
        if isinstance(first, dict):
            first = next(value for value in first.values() if isinstance(value, Tensor))
        else:
            first = first[0]
    if first.grad_fn is None:
        return
    weak = weakref.ref(module)
    for hook in hooks:
        first.grad_fn.register_hook(
            lambda grad_inputs, grad_outputs, hook=hook: hook(weak(), grad_inputs, grad_outputs)
        )
