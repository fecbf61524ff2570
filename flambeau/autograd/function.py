"""`Function`: an operator whose backward the user writes.

The `ctx` that `forward` and `backward` receive is itself the node of the backward graph, so
what is put on it lives exactly as long as the graph.
"""

from __future__ import annotations

import functools
import inspect
import sys
import warnings
from collections.abc import Callable, Sequence
from typing import Any

from flambeau.autograd.modes import modes, no_grad
from flambeau.autograd.node import FREED_MESSAGE, Node, OutputOf, SavedTensor
from flambeau.core.shapes import broadcast_shapes
from flambeau.tensor.tensor import Tensor, wrap
from flambeau.tensor.views import CUSTOM_FUNCTION, View, rebase_history

__all__ = [
    "BackwardCFunction",
    "Function",
    "FunctionCtx",
    "InplaceFunction",
    "NestedIOFunction",
    "Variable",
    "once_differentiable",
]


def _in_forward_mode() -> bool:
    forward_ad = sys.modules.get("flambeau.autograd.forward_ad")
    return forward_ad is not None and bool(forward_ad._levels)


def _transposed_jvp(ctx: BackwardCFunction, *grads: Any) -> tuple[Any, ...]:
    """`backward` from `jvp`, which is linear in its tangents: its transpose."""
    from flambeau.autograd.engine import grad
    from flambeau.autograd.modes import enable_grad

    tangents = [None if spec is None else _zeros(spec).requires_grad_() for spec in ctx.input_specs]
    with enable_grad():
        moved = ctx._forward_cls.jvp(ctx, *tangents)
    outputs = moved if isinstance(moved, tuple) else (moved,)
    pairs = [(m, g) for m, g in zip(outputs, grads, strict=True) if m is not None and g is not None]
    wanted = [t for t in tangents if t is not None]
    found = iter(
        grad([m for m, _ in pairs], wanted, [g for _, g in pairs], create_graph=True, allow_unused=True)
    )
    return tuple(None if t is None else next(found) for t in tangents)



class FunctionCtx:
    """What `forward` and `setup_context` may call on `ctx`."""

    #: Which arguments need a gradient, one flag an argument.
    needs_input_grad: tuple[bool, ...]
    to_save: tuple[Tensor | None, ...] = ()
    materialize_grads = True
    dirty_tensors: tuple[Tensor, ...] = ()
    non_differentiable: tuple[Tensor, ...] = ()

    def save_for_backward(self, *tensors: Tensor | None) -> None:
        """Keeps inputs or outputs for `backward`, which finds them in `ctx.saved_tensors`."""
        self.to_save = tensors

    def save_for_forward(self, *tensors: Tensor | None) -> None:
        """Accepted as in PyTorch; forward mode is derived from `backward` here."""
        for t in tensors:
            if not isinstance(t, Tensor) and t is not None:
                raise AssertionError(
                    "save_for_forward expects all arguments to be tensors or None"
                )

    def mark_dirty(self, *args: Tensor) -> None:
        """Says which inputs `forward` changed in place; each must be returned too."""
        self.dirty_tensors = args

    def mark_non_differentiable(self, *args: Tensor) -> None:
        """Says which outputs have no gradient."""
        self.non_differentiable = args

    def set_materialize_grads(self, value: bool) -> None:
        """Whether a missing gradient reaches `backward` as zeros (the default) or as `None`."""
        self.materialize_grads = value

    def mark_shared_storage(self, *pairs: Any) -> None:
        """Deprecated in PyTorch, where it does nothing either."""
        warnings.warn(
            "mark_shared_storage is deprecated. Tensors with shared storages are automatically "
            "tracked.",
            FutureWarning,
            stacklevel=2,
        )


class BackwardCFunction(Node, FunctionCtx):
    """The node of one call of a `Function`. Each `Function` class has a subclass of its own."""

    _forward_cls: type[Function]
    runs_without_gradient = True

    #: Shape and dtype of each output that is a tensor, `None` for the others.
    output_specs: list[Any]
    #: Shape and dtype of each argument that is a tensor, `None` for the others.
    input_specs: list[Any]
    _saved: tuple[SavedTensor | None, ...] | None = ()

    #: The name of the node where an operator of PyTorch's gives it one.
    label: str | None = None

    def name(self) -> str:
        return self.label or type(self).__name__

    @property
    def saved_tensors(self) -> tuple[Tensor | None, ...]:
        """The tensors of `save_for_backward`.

        Raises `RuntimeError` after they were freed, and if one was changed in place since.
        """
        if self._saved is None:
            raise RuntimeError(FREED_MESSAGE)
        return tuple([s if s is None else s.unpack(self, s.slot) for s in self._saved])

    saved_variables = saved_tensors

    def release(self) -> None:
        if self._saved:
            self._saved = None

    def keep_saved(self, outputs: Sequence[Any]) -> None:
        """Takes over what `save_for_backward` was given, once the outputs know this node."""
        kept = []
        for position, t in enumerate(self.to_save):
            if t is None:
                kept.append(None)
                continue
            if not isinstance(t, Tensor):
                raise TypeError(
                    "save_for_backward can only save variables, but argument "
                    f"{position} is of type {type(t).__name__}"
                )
            slots = [i for i, o in enumerate(outputs) if o is t and _is_made_by(o, self)]
            kept.append(_SavedOutput(t, slots[0]) if slots else _SavedOutput(t, None))
        self._saved = tuple(kept)
        self.to_save = ()

    def apply(self, *arguments: Any) -> Sequence[Any]:
        """The gradients of the tensor arguments, checked and in the shapes of these."""
        grads = (
            arguments[0]
            if len(arguments) == 1 and isinstance(arguments[0], list)
            else arguments
        )
        if self.materialize_grads:
            grads = [
                _zeros(spec) if g is None and spec is not None else g
                for g, spec in zip(grads, self.output_specs, strict=True)
            ]
        results = self._forward_cls._backward_function()(self, *grads)
        if not isinstance(results, tuple):
            results = tuple(results) if isinstance(results, list) else (results,)
        return self._checked(results)

    def _checked(self, results: tuple[Any, ...]) -> list[Any]:
        specs = self.input_specs
        extra = results[len(specs) :]
        if len(results) < len(specs) or any(r is not None for r in extra):
            raise RuntimeError(
                f"function {self.name()} returned an incorrect number of gradients (expected "
                f"{len(specs)}, got {len(results)})"
            )
        grads: list[Any] = []
        for position, (result, spec) in enumerate(zip(results, specs, strict=False)):
            if spec is None:
                if result is not None:
                    raise RuntimeError(
                        f"function {self.name()} returned a gradient different than None at "
                        f"position {position + 1}, but the corresponding forward input was not "
                        "a Variable"
                    )
                continue
            if result is not None and not isinstance(result, Tensor):
                raise RuntimeError(f"expected Variable or None (got {type(result).__name__})")
            wanted = self.edges[len(grads)] is not None
            grads.append(
                self._fitted(result, spec, len(grads))
                if wanted and result is not None
                else None
            )
        return grads

    def _fitted(self, grad: Tensor, spec: Any, index: int) -> Tensor:
        """`grad` summed over broadcast dimensions and cast, as it must fit its input."""
        if grad._sparse:
            return grad
        shape, dtype = spec
        if grad._array.shape != shape:
            if not _expands(shape, grad._array.shape):
                raise RuntimeError(
                    f"Function {self.name()} returned an invalid gradient at index {index} - "
                    f"got {list(grad.shape)} but expected shape compatible with {list(shape)}"
                )
            grad = grad.sum_to_size(shape)
        if grad.dtype is not dtype:
            if grad.is_complex() and not dtype.is_complex:
                grad = grad.real
            grad = grad.to(dtype)
        return grad


class _SavedOutput(SavedTensor):
    """A saved tensor that remembers which output of its node it is, if it is one."""

    __slots__ = ("slot",)

    def __init__(self, tensor: Tensor, slot: int | None):
        super().__init__(tensor, is_output=slot is not None)
        self.slot = slot or 0


def _is_made_by(t: Tensor, node: Node) -> bool:
    return (t._node.node if type(t._node) is OutputOf else t._node) is node


def _spec(x: Any) -> Any:
    return (x._array.shape, x.dtype) if isinstance(x, Tensor) else None


def _zeros(spec: Any) -> Tensor:
    import flambeau

    return flambeau.zeros(spec[0], dtype=spec[1])


def _expands(small: tuple[int, ...], large: tuple[int, ...]) -> bool:
    """Whether a tensor of shape `small` expands to `large`."""
    try:
        return broadcast_shapes(small, large) == tuple(large)
    except RuntimeError:
        return False


class _FunctionMeta(type):
    """Gives each `Function` class its own class of nodes, called `NameBackward`."""

    def __init__(cls, name: str, bases: tuple[type, ...], members: dict[str, Any]):
        super().__init__(name, bases, members)
        cls._backward_cls = type(name + "Backward", (BackwardCFunction,), {"_forward_cls": cls})


class Function(metaclass=_FunctionMeta):
    """An operator with a backward of its own: subclass, define `forward` and `backward`, call
    `apply`.

    `forward(ctx, *args)` computes on tensors that are not recorded; `backward(ctx,
    *grad_outputs)` returns one gradient (or `None`) for each argument of `forward`. Instead of
    taking `ctx`, `forward` may leave it to a separate `setup_context(ctx, inputs, output)`.
    """

    _backward_cls: type[BackwardCFunction]

    def __init__(self, *args: Any, **kwargs: Any):
        warnings.warn(
            f"{type(self)} should not be instantiated. Methods on autograd functions are all "
            "static, so you should invoke them on the class itself. Instantiating an autograd "
            "function will raise an "
            "error in a future version of PyTorch.",
            DeprecationWarning,
            stacklevel=2,
        )

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        raise RuntimeError(
            "Legacy autograd function with non-static forward method is deprecated. Please use "
            "new-style autograd function with static forward method. (Example: "
            "https://pytorch.org/docs/stable/autograd.html#torch.autograd.Function)"
        )

    @staticmethod
    def forward(*args: Any, **kwargs: Any) -> Any:
        """Computes the outputs: `forward(ctx, *args)`, or `forward(*args)` beside
        `setup_context`.
        """
        raise NotImplementedError(
            "You must implement the forward function for custom autograd.Function."
        )

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> Any:
        """Saves on `ctx` what `backward` needs."""
        raise NotImplementedError("setup_context is not implemented.")

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Any) -> Any:
        """The gradients of the arguments from those of the outputs. `vjp` is another name for
        it.
        """
        raise NotImplementedError(
            "You must implement either the backward or vjp method for your custom "
            "autograd.Function to use it with backward mode AD."
        )

    vjp = backward

    @staticmethod
    def jvp(ctx: Any, *grad_inputs: Any) -> Any:
        """The derivatives of the outputs along those of the arguments.

        Forward mode is derived from `backward`; a function without one has it from this.
        """
        raise NotImplementedError(
            "You must implement the jvp function for custom autograd.Function to use it with "
            "forward mode AD."
        )

    @classmethod
    def _backward_function(cls) -> Callable[..., Any]:
        own_backward = cls.backward is not Function.backward
        own_vjp = cls.vjp is not Function.vjp
        if not own_backward and not own_vjp and cls.jvp is not Function.jvp and _in_forward_mode():
            return _transposed_jvp
        if own_backward and own_vjp:
            raise RuntimeError(
                "Implementing both 'backward' and 'vjp' for a custom Function is not allowed. "
                "You should only implement one of them."
            )
        return cls.vjp if own_vjp else cls.backward

    @classmethod
    def apply(cls, *args: Any, **kwargs: Any) -> Any:
        """Runs `forward` and records the call, if an argument requires a gradient."""
        separate_setup = cls.setup_context is not Function.setup_context
        if separate_setup:
            bound = inspect.signature(cls.forward).bind(*args, **kwargs)
            bound.apply_defaults()
            args = bound.args
        elif kwargs:
            raise TypeError(f"{cls.__name__}.apply() takes no keyword arguments")
        tensors = [a for a in args if isinstance(a, Tensor)]
        recorded = modes.grad_enabled and any(t.requires_grad for t in tensors)
        edges = tuple([t._edge() if recorded else None for t in tensors])
        ctx = cls._backward_cls(edges)
        ctx.needs_input_grad = tuple([isinstance(a, Tensor) and a.requires_grad for a in args])
        ctx.input_specs = [_spec(a) for a in args]
        with no_grad():
            if separate_setup:
                output = cls.forward(*args)
                cls.setup_context(ctx, args, output)
            else:
                output = cls.forward(ctx, *args)
        single = not isinstance(output, tuple)
        outputs = [output] if single else list(output)
        outputs = _with_history(ctx, outputs, tensors, recorded)
        if recorded:
            ctx.keep_saved(outputs)
        ctx.dirty_tensors = ctx.non_differentiable = ()
        return outputs[0] if single else tuple(outputs)


def _with_history(
    ctx: BackwardCFunction, outputs: list[Any], inputs: Sequence[Tensor], recorded: bool
) -> list[Any]:
    """The outputs as the caller receives them: with `ctx` as their node, where they have a
    gradient.
    """
    dirty = {id(t) for t in ctx.dirty_tensors}
    undirected = {id(t) for t in ctx.non_differentiable}
    given = {id(t) for t in inputs}
    if dirty - {id(o) for o in outputs}:
        raise RuntimeError(
            "Some elements marked as dirty during the forward method were not returned as "
            "output. The inputs that are modified inplace must all be outputs of the Function."
        )
    ctx.outputs = len(outputs)
    ctx.output_specs = [_spec(o) for o in outputs]
    for t in ctx.dirty_tensors:
        t._bump()
    results = list(outputs)
    for slot, o in enumerate(outputs):
        if not isinstance(o, Tensor):
            if o is not None and len(outputs) == 1:
                raise TypeError(
                    f"{type(ctx)._forward_cls.__name__}.forward: expected to return a Tensor "
                    f"or a tuple of Tensors and other values, got {type(o).__name__}"
                )
            continue
        is_input, is_dirty = id(o) in given, id(o) in dirty
        differentiable = recorded and id(o) not in undirected and o.dtype.kind >= 2
        edge = ctx if len(outputs) == 1 else OutputOf(ctx, slot)
        if not differentiable:
            view_of_recorded = not is_input and o.requires_grad and o._view is not None
            if (is_input and not is_dirty) or view_of_recorded:
                results[slot] = o.detach()
        elif is_dirty:
            _take_over(o, edge, is_input, len(outputs))
        else:
            results[slot] = _made_here(o, edge, is_input)
    return results


def _made_here(o: Tensor, edge: Any, is_input: bool) -> Tensor:
    """Output `o` with `edge` as its history. An input, or a view of one, must not lose its
    own.
    """
    if is_input:
        with no_grad():
            o = o.view_as(o)
    if o._view is not None:
        view = View.__new__(View)
        for slot in View.__slots__:
            setattr(view, slot, getattr(o._view, slot))
        view.differentiable = False
        view.forbidden = CUSTOM_FUNCTION
        o._view = view
    o._node, o._requires_grad = edge, True
    return o


def _take_over(o: Tensor, edge: Any, is_input: bool, count: int) -> None:
    """Gives an input that was changed in place the function as its history."""
    if o.is_leaf and o.requires_grad:
        raise RuntimeError(
            "a leaf Variable that requires grad has been used in an in-place operation."
        )
    if not is_input:
        warnings.warn(
            "Only input Tensors should be given to ctx.mark_dirty(). If a Tensor is not an "
            "input, there "
            "is no need to pass it to mark_dirty().",
            UserWarning,
            stacklevel=4,
        )
    if o._view is not None and o._view.differentiable and count > 1:
        raise RuntimeError(
            "If your Function modifies inplace an input that is a view of another Tensor, your "
            "Function cannot return more than one Tensor. This is not supported by the current "
            "autograd engine. You should either make sure the input is not a view (using "
            ".clone() for example) or make your Function only return one Tensor (potentially "
            "splitting it into two Functions: one doing the inplace that returns a single "
            "Tensor and a second one that does the other operations). You can ask on the forum "
            "https://discuss.pytorch.org/ if you need help to do this change."
        )
    written = wrap(o._array)
    written._node, written._requires_grad = edge, True
    rebase_history(o, written)


def once_differentiable(fn: Callable[..., Any]) -> Callable[..., Any]:
    """Marks a `backward` that cannot itself be differentiated: trying to raises
    `RuntimeError`.
    """

    @functools.wraps(fn)
    def backward(ctx: Any, *args: Any) -> Any:
        with no_grad():
            outputs = fn(ctx, *args)
        if not modes.grad_enabled:
            return outputs
        if not any(isinstance(a, Tensor) and a.requires_grad for a in args):
            return outputs
        single = not isinstance(outputs, tuple)
        held = (outputs,) if single else outputs
        refused = tuple([_refusing(o) if isinstance(o, Tensor) else o for o in held])
        return refused[0] if single else refused

    return backward


class Error(Node):
    """A history that cannot be gone back."""

    __slots__ = ()

    def apply(self, grads: Sequence[Any]) -> Sequence[Any]:
        raise RuntimeError(
            "trying to differentiate twice a function that was marked with @once_differentiable"
        )


def _refusing(t: Tensor) -> Tensor:
    made = t.detach()
    if made.dtype.kind >= 2:
        made._node, made._requires_grad = Error((made.detach().requires_grad_(),)), True
    return made


class InplaceFunction(Function):
    """A `Function` with an `inplace` flag, as older programs use it."""

    def __init__(self, inplace: bool = False):
        super().__init__()
        self.inplace = inplace


class NestedIOFunction(Function):
    """Raises `NotImplementedError`: nested arguments are not unpacked; pass tensors one by
    one.
    """

    @classmethod
    def apply(cls, *args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError("NestedIOFunction: use autograd.Function with flat arguments")


class _VariableMeta(type):
    def __instancecheck__(cls, other: Any) -> bool:
        return isinstance(other, Tensor)


class Variable(metaclass=_VariableMeta):
    """`Variable(tensor)` is the tensor: the class of old programs, kept for them."""

    def __new__(
        cls, data: Any = None, requires_grad: bool = False, volatile: bool = False
    ) -> Any:
        if data is None:
            return wrap(_empty_array())
        made = data.detach()
        return made.requires_grad_() if requires_grad else made


def _empty_array() -> Any:
    import numpy as np

    return np.empty((0,), np.float32)
