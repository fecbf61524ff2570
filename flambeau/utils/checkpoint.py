"""`checkpoint`: part of a network that is computed again in backward instead of being kept.

Without reentrance (recommended), what the part saves is packed as a number; the first number
that backward unpacks makes the part run again, and all of its saved tensors are caught on the
way. With reentrance, the part is a `Function` whose backward runs it again and goes back
through it.
"""

from __future__ import annotations

import contextlib
import enum
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import flambeau
from flambeau.autograd.function import Function
from flambeau.autograd.graph import saved_tensors_hooks
from flambeau.autograd.modes import enable_grad, is_grad_enabled, modes, no_grad
from flambeau.tensor.tensor import Tensor
from flambeau.tensor.tracing import is_tracing

__all__ = [
    "CheckpointError",
    "CheckpointFunction",
    "CheckpointPolicy",
    "DefaultDeviceType",
    "GraphExecGroup",
    "SelectiveCheckpointContext",
    "check_backward_validity",
    "checkpoint",
    "checkpoint_sequential",
    "create_selective_checkpoint_contexts",
    "detach_variable",
    "get_device_states",
    "noop_context_fn",
    "set_checkpoint_debug_enabled",
    "set_checkpoint_early_stop",
    "set_device_states",
]


class CheckpointError(RuntimeError):
    """The second run of a checkpointed part differed from the first."""


def noop_context_fn() -> tuple[Any, Any]:
    """No context for the first and none for the second run."""
    return contextlib.nullcontext(), contextlib.nullcontext()


def detach_variable(inputs: tuple[Any, ...]) -> tuple[Any, ...]:
    """Tensors cut from their history, with their `requires_grad`; the rest as it is."""
    return tuple(
        [
            x.detach().requires_grad_(x.requires_grad) if isinstance(x, Tensor) else x
            for x in inputs
        ]
    )


def checkpoint(
    function: Callable[..., Any],
    *args: Any,
    use_reentrant: bool | None = None,
    context_fn: Callable[[], tuple[Any, Any]] = noop_context_fn,
    determinism_check: str = "default",
    debug: bool = False,
    early_stop: bool = True,
    **kwargs: Any,
) -> Any:
    """`function(*args)`, which keeps only its arguments for backward and then runs again.

    With `preserve_rng_state` (the default), random numbers are the same in both runs. Raises
    `CheckpointError` in backward where the runs differ.
    """
    use_reentrant = _decided(use_reentrant, "torch.utils.checkpoint")
    preserve = kwargs.pop("preserve_rng_state", True)
    if is_tracing():  # what a compiled program keeps and what it computes again is its own affair
        with context_fn()[0]:
            return function(*args, **kwargs)
    if use_reentrant:
        if kwargs:
            raise ValueError("Unexpected keyword arguments: " + ",".join(kwargs))
        if context_fn is not noop_context_fn or debug:
            raise ValueError(
                "Passing `context_fn` or `debug` is only supported when use_reentrant=False."
            )
        return CheckpointFunction.apply(function, preserve, *args)
    forward_context, recompute_context = context_fn()
    if not is_grad_enabled():
        with forward_context:
            return function(*args, **kwargs)
    part = _Part(function, args, kwargs, preserve, recompute_context, determinism_check)
    part.stops_early = early_stop and _early_stop
    with saved_tensors_hooks(part.pack, part.unpack), forward_context:
        return function(*args, **kwargs)


def _decided(use_reentrant: bool | None, function: str) -> bool:
    if use_reentrant is not None:
        return use_reentrant
    warnings.warn(
        f"{function}: the use_reentrant parameter should be passed explicitly. Starting in PyTorch "
        "2.9, calling checkpoint without use_reentrant will raise an exception. "
        "use_reentrant=False is recommended, but if you need to preserve the current default "
        "behavior, you can pass use_reentrant=True. Refer to docs for more details on the "
        "differences between the two variants.",
        stacklevel=3,
    )
    return True


# Without reentrance ---------------------------------------------------------------------------

_early_stop = True


@contextlib.contextmanager
def set_checkpoint_early_stop(enable: bool) -> Iterator[None]:
    """Whether a second run ends as soon as everything that backward needs was caught."""
    global _early_stop
    before, _early_stop = _early_stop, enable
    try:
        yield
    finally:
        _early_stop = before


class _Complete(Exception):
    """Ends a second run once all saved tensors were caught."""


class _Part:
    """One checkpointed call: what it saved in the first run, and in the second."""

    def __init__(
        self,
        function: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        preserve: bool,
        context: Any,
        determinism_check: str,
    ):
        self.function, self.args, self.kwargs, self.context = function, args, kwargs, context
        self.rng_state = flambeau.get_rng_state() if preserve else None
        self.checks_metadata = determinism_check != "none"
        self.described: list[
            tuple[Any, Any]
        ] = []  # shape and dtype of each tensor of the first run
        self.values: dict[int, Tensor] = {}  # of the second run, until backward takes them
        self.stops_early = True

    def pack(self, tensor: Tensor) -> int:
        """Keeps a number in place of the tensor."""
        self.described.append((tensor.shape, tensor.dtype))
        return len(self.described) - 1

    def unpack(self, number: int) -> Tensor:
        """The tensor again, from the second run."""
        if number not in self.values:
            count = self.run_again()
        if number not in self.values:
            raise CheckpointError(
                "torch.utils.checkpoint: A different number of tensors was saved during the "
                "original forward and recomputation.\nNumber of tensors saved during forward: "
                f"{len(self.described)}\nNumber of tensors saved during recomputation: {count}."
            )
        value = self.values.pop(number)
        if self.checks_metadata and (value.shape, value.dtype) != self.described[number]:
            shape, dtype = self.described[number]
            raise CheckpointError(
                "torch.utils.checkpoint: Recomputed values for the following tensors have "
                "different metadata than during the forward pass.\n"
                f"tensor at position {number}:\n"
                f"saved metadata: {{'shape': {shape}, 'dtype': {dtype}}}\n"
                f"recomputed metadata: {{'shape': {value.shape}, 'dtype': {value.dtype}}}"
            )
        return value

    def run_again(self) -> int:
        """Runs the part and catches what it saves; returns how many tensors that were."""
        caught: dict[int, Tensor] = {}

        def catch(tensor: Tensor) -> int:
            caught[len(caught)] = tensor.detach()
            if self.stops_early and len(caught) == len(self.described):
                raise _Complete
            return len(caught) - 1

        def refuse(number: int) -> Tensor:
            return caught[number]  # a backward inside the part itself

        with (
            enable_grad(),
            _random_state(self.rng_state),
            saved_tensors_hooks(catch, refuse),
            self.context,
            contextlib.suppress(_Complete),
        ):
            self.function(*self.args, **self.kwargs)
        self.values = caught
        return len(caught)


@contextlib.contextmanager
def _random_state(state: Tensor | None) -> Iterator[None]:
    """Random numbers as from `state`, and afterwards as if none had been drawn."""
    if state is None:
        yield
        return
    before = flambeau.get_rng_state()
    flambeau.set_rng_state(state)
    try:
        yield
    finally:
        flambeau.set_rng_state(before)


# With reentrance ------------------------------------------------------------------------------


class CheckpointFunction(Function):
    """A part that backward runs again, and then goes back through."""

    @staticmethod
    def forward(
        ctx: Any, run_function: Callable[..., Any], preserve_rng_state: bool, *args: Any
    ) -> Any:
        if not is_any_input_differentiable(args):
            warnings.warn(
                "None of the inputs have requires_grad=True. Gradients will be None",
                stacklevel=2,
            )
        ctx.run_function = run_function
        ctx.rng_state = flambeau.get_rng_state() if preserve_rng_state else None
        ctx.positions = [i for i, a in enumerate(args) if isinstance(a, Tensor)]
        ctx.inputs = [None if isinstance(a, Tensor) else a for a in args]
        ctx.save_for_backward(*[args[i] for i in ctx.positions])
        with no_grad():
            return run_function(*args)

    @staticmethod
    def backward(ctx: Any, *args: Any) -> Any:
        if modes.task is not None and modes.task.runs is not None:
            raise RuntimeError(
                "When use_reentrant=True, torch.utils.checkpoint is incompatible with .grad() "
                "or passing an `inputs` parameter to .backward(). To resolve this error, you "
                "can either set use_reentrant=False, or call .backward() without passing the "
                "`inputs` argument."
            )
        inputs = list(ctx.inputs)
        for position, tensor in zip(ctx.positions, ctx.saved_tensors, strict=True):
            inputs[position] = tensor
        detached = detach_variable(tuple(inputs))
        with _random_state(ctx.rng_state), enable_grad():
            outputs = ctx.run_function(*detached)
        if isinstance(outputs, Tensor):
            outputs = (outputs,)
        pairs = [
            (o, g)
            for o, g in zip(outputs, args, strict=True)
            if isinstance(o, Tensor) and o.requires_grad
        ]
        if not pairs:
            raise RuntimeError(
                "none of output has requires_grad=True, this checkpoint() is not necessary"
            )
        flambeau.autograd.backward([o for o, _ in pairs], [g for _, g in pairs])
        return (None, None, *[x.grad if isinstance(x, Tensor) else None for x in detached])


def is_any_input_differentiable(args: Sequence[Any]) -> bool:
    """Whether a tensor among `args` requires a gradient."""
    return any(isinstance(a, Tensor) and a.requires_grad for a in args)


def checkpoint_sequential(
    functions: Any,
    segments: int,
    input: Any,
    use_reentrant: bool | None = None,
    **kwargs: Any,
) -> Any:
    """Runs functions (a list or `Sequential`) in `segments` parts, all but the last checkpointed."""
    use_reentrant = _decided(use_reentrant, "torch.utils.checkpoint.checkpoint_sequential")
    preserve = kwargs.pop("preserve_rng_state", True)
    if kwargs:
        raise ValueError("Unexpected keyword arguments: " + ",".join(kwargs))
    steps = list(functions.children()) if hasattr(functions, "children") else list(functions)

    def run(start: int, end: int) -> Callable[[Any], Any]:
        def part(given: Any) -> Any:
            for step in steps[start:end]:
                given = step(given)
            return given

        return part

    size = len(steps) // segments
    end = 0
    for start in range(0, size * (segments - 1), size):
        end = start + size
        input = checkpoint(
            run(start, end), input, use_reentrant=use_reentrant, preserve_rng_state=preserve
        )
    return run(end, len(steps))(input)


# Choosing what is kept ------------------------------------------------------------------------


class CheckpointPolicy(enum.Enum):
    """What `create_selective_checkpoint_contexts` may do with an operator's result."""

    MUST_SAVE = 0
    PREFER_SAVE = 1
    MUST_RECOMPUTE = 2
    PREFER_RECOMPUTE = 3
    MUST_CPU_OFFLOAD = 4
    PREFER_CPU_OFFLOAD = 5


class SelectiveCheckpointContext:
    """What a policy is told of the run that it decides in."""

    def __init__(self, *, is_recompute: bool, op_output: Any = None) -> None:
        self.is_recompute, self.op_output = is_recompute, op_output


def create_selective_checkpoint_contexts(policy_fn_or_list: Any, allow_cache_entry_mutation: bool = False) -> Any:
    """Raises `NotImplementedError`: a checkpointed part is computed again as a whole.

    Leaving what is expensive out of the part (`checkpoint` around the rest) keeps its results.
    """
    raise NotImplementedError(
        "create_selective_checkpoint_contexts: a checkpointed part is computed again as a whole; leave what shall be "
        "kept out of it"
    )


class GraphExecGroup:
    """Raises `NotImplementedError`: each backward pass computes its checkpointed parts again."""

    def __init__(self) -> None:
        raise NotImplementedError("GraphExecGroup: each backward pass computes its checkpointed parts again")


@contextlib.contextmanager
def set_checkpoint_debug_enabled(enabled: bool | None) -> Iterator[None]:
    """Accepts None and False. Raises `NotImplementedError` for True: the errors name shapes and dtypes anyway."""
    if enabled:
        raise NotImplementedError("set_checkpoint_debug_enabled(True): CheckpointError tells shapes and dtypes")
    yield


def check_backward_validity(inputs: Any) -> None:
    """Warns where no input wants a gradient, so that a reentrant part gets none."""
    if not any(x.requires_grad for x in inputs if isinstance(x, Tensor)):
        warnings.warn("None of the inputs have requires_grad=True. Gradients will be None", stacklevel=2)


class DefaultDeviceType:
    """The type of device whose random states a part keeps; the CPU's are always kept."""

    _type = "cuda"

    @staticmethod
    def set_device_type(device: str = "cuda") -> None:
        """Sets it."""
        DefaultDeviceType._type = device

    @staticmethod
    def get_device_type() -> str:
        """The type that was set; "cuda" at first, as in PyTorch."""
        return DefaultDeviceType._type


def get_device_states(*args: Any) -> tuple[list[int], list[Tensor]]:
    """No devices and no states: there is only the CPU, whose generator is kept by itself."""
    return [], []


def set_device_states(devices: Sequence[int], states: Sequence[Tensor], *, device_type: str | None = None) -> None:
    """Nothing to set where none are given. Raises `RuntimeError` for devices, since there are none."""
    if devices:
        raise RuntimeError(f"set_device_states: there are no devices {list(devices)} here")
