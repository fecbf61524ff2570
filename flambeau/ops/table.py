"""The op table: what a primitive is, how a call of one runs, and how operators are registered.

A call of a primitive computes on NumPy arrays (or records itself, while a program is traced), and adds a
node to the backward graph where an input requires a gradient. Everything else that users call is a
function of primitives, registered with `@operator`, which also binds it as a method of `Tensor`.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import perf_counter_ns
from typing import Any, TypeVar

import numpy as np

from flambeau.autograd.modes import modes
from flambeau.autograd.node import (
    FREED_MESSAGE,
    Node,
    OutputOf,
    SavedTensor,
    changed_message,
    next_sequence,
)
from flambeau.core.dtypes import FROM_NUMPY
from flambeau.core.dtypes import dtype as Dtype
from flambeau.ops.node_names import naming_nodes
from flambeau.tensor.tensor import Tensor, wrap
from flambeau.tensor.tracing import state
from flambeau.tensor.views import make_view

F = TypeVar("F", bound=Callable[..., Any])

#: Every primitive by its name.
PRIMITIVES: dict[str, Primitive] = {}
#: Every operator that users call, by its name in PyTorch.
OPERATORS: dict[str, Callable[..., Any]] = {}


@dataclass(frozen=True)
class Elementwise:
    """Lowers to one expression an element: `expression(k, *elements, **attributes)`, where `k` has a
    method for each scalar operation (`k.add(a, b)`, `k.exp(a)`, `k.select(c, a, b)`, `k.cast(a, dtype)`,
    `k.const(number, like)`). Inputs broadcast against each other.
    """

    expression: Callable[..., Any]


@dataclass(frozen=True)
class Kernel:
    """Lowers to a kernel of the family `family`, as the compiler's backend knows it."""

    family: str
    options: tuple = ()


class Spec:
    """What is known of a value before it is computed: its shape and its NumPy dtype."""

    __slots__ = ("dtype", "shape")

    def __init__(self, shape: Sequence[int], dtype: np.dtype):
        self.shape, self.dtype = tuple(shape), np.dtype(dtype)

    @property
    def ndim(self) -> int:
        return len(self.shape)

    def __repr__(self) -> str:
        return f"{self.dtype}{list(self.shape)}"


def _parameters(function: Callable[..., Any]) -> tuple[str, ...]:
    """The names of a function's parameters; much faster than `inspect.signature`."""
    code = getattr(inspect.unwrap(function), "__code__", None)
    if code is None:
        return tuple(inspect.signature(function).parameters)
    return code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]


class Derivative:
    """The derivative for one input: a function whose parameter names say what it needs.

    `g` is the gradient of the result, `out` the result; `NAME` an input or attribute; `NAME_shape` and
    `NAME_dtype` only the shape or dtype of an input, so that its memory is not kept.
    """

    __slots__ = ("function", "names")

    def __init__(self, function: Callable[..., Any]):
        self.function = function
        self.names = _parameters(function)
        if not self.names or self.names[0] != "g":
            raise TypeError("the first parameter of a derivative is g, the incoming gradient")


class Primitive:
    """An operator that carries a rule, a computation, derivatives and a lowering of its own.

    name: what errors and graphs call it, and in CamelCase its node: `mul` -> `MulBackward0`.
    inputs: names of the tensor inputs, in order; a name ending in `?` may be `None`; one ending in `*`
        stands for any number of further tensors.
    compute: arrays and attributes -> array, or a tuple of `outputs` arrays.
    rule: `Spec`s and attributes -> `Spec` (or several); raises the error that explains a misfit. Left out,
        it is read off a computation on zeros.
    derivative: for each differentiable input its formula (see `Derivative`).
    lowering: what the compiler makes of it (see `flambeau.compiler`); left out, compiled programs call
        `compute`.
    view: the result shares memory with the first input.
    broadcasts: inputs broadcast against each other, so gradients are summed to their shapes; always so with
        an `Elementwise` lowering.
    """

    def __init__(
        self,
        name: str,
        inputs: str,
        compute: Callable[..., Any],
        *,
        rule: Callable[..., Any] | None = None,
        derivative: dict[str, Callable[..., Any]] | None = None,
        lowering: Any = None,
        view: bool = False,
        outputs: int = 1,
        node_name: str | Callable[[PrimitiveNode], str] | None = None,
        random: bool = False,
        broadcasts: bool = False,
    ):
        self.name = name
        names = inputs.split()
        self.variadic = bool(names) and names[-1].endswith("*")
        self.inputs = tuple(n.rstrip("?*") for n in names)
        if {"out", "position"} & set(self.inputs):
            raise TypeError(f"{name}: derivatives know 'out' and 'position' as something else")
        self.compute = compute
        self._rule = rule
        self.derivatives = {k: Derivative(f) for k, f in (derivative or {}).items()}
        unknown = set(self.derivatives) - set(self.inputs)
        if unknown:
            raise TypeError(f"{name}: derivative for {sorted(unknown)}, which are no inputs")
        self.formulas = tuple(self.derivatives.get(n) for n in self.inputs)
        self.lowering = lowering
        self.view = view
        self.outputs = outputs
        self.random = random
        self.pointwise = isinstance(lowering, Elementwise)
        self.broadcasts = broadcasts or self.pointwise
        self.node_name = node_name or "".join(p.capitalize() for p in name.split("_")) + "Backward0"
        self.plans: dict[Any, Plan] = {}
        if name in PRIMITIVES:
            raise TypeError(f"two primitives are called {name}")
        PRIMITIVES[name] = self

    def __repr__(self) -> str:
        return f"<primitive {self.name}>"

    # Running ------------------------------------------------------------------------------------

    def __call__(self, *inputs: Any, **attributes: Any) -> Any:
        """The result for tensors `inputs` (or Python numbers, or `None` where optional)."""
        if state.busy:
            return self.call_fully(inputs, attributes)
        arrays = [x._array if isinstance(x, Tensor) else x for x in inputs]
        try:
            result = self.compute(*arrays, **attributes)
        except (ValueError, TypeError, IndexError):
            self.explain(arrays, attributes)
            raise
        if self.outputs > 1:
            out: Any = tuple(map(wrap, result))
        else:
            out = wrap(result)
            if self.view:
                make_view(out, inputs[0], (self, inputs[1:], attributes))
        if self.derivatives and wants_grad(inputs) and modes.grad_enabled:
            if self.outputs == 1 and len(inputs) <= 2 and out._array.dtype.kind in "fcV":
                self.attach_short(out, inputs, attributes, False)
            else:
                self.attach(out, inputs, attributes)
        return out

    def call_fully(self, inputs: tuple, attributes: dict[str, Any]) -> Any:
        """A call while something out of the ordinary is going on: tracing, inference mode, saving hooks."""
        if state.tracer is not None:
            result = state.tracer.record(self, inputs, attributes)
        else:
            arrays = [x._array if isinstance(x, Tensor) else x for x in inputs]
            start = perf_counter_ns()
            try:
                result = self.compute(*arrays, **attributes)
            except (ValueError, TypeError, IndexError):
                self.explain(arrays, attributes)
                raise
            if state.watcher is not None:
                state.watcher(self.name, arrays, start, perf_counter_ns())
        if self.outputs > 1:
            out: Any = tuple(map(wrap, result))
        else:
            out = wrap(result)
            if self.view:
                make_view(out, inputs[0], (self, inputs[1:], attributes))
        if modes.grad_enabled:
            if self.derivatives and wants_grad(inputs):
                self.attach(out, inputs, attributes)
        elif modes.inference and not self.view:  # a view is what its base is
            for o in out if self.outputs > 1 else (out,):
                o._own_extra().inference = True
        return out

    def explain(self, arrays: Sequence[Any], attributes: dict[str, Any]) -> None:
        """Raises the rule's error for a call that the computation refused, if the rule has one."""
        if self._rule is not None:
            self._rule(*map(spec_of, arrays), **attributes)

    def rule(self, *specs: Any, **attributes: Any) -> Any:
        """The specs of the result, from those of the inputs."""
        if self._rule is not None:
            return self._rule(*specs, **attributes)
        arrays = [
            np.broadcast_to(np.zeros((), s.dtype), s.shape) if isinstance(s, Spec) else s for s in specs
        ]
        result = self.compute(*arrays, **attributes)
        if self.outputs == 1:
            return spec_of(np.asarray(result))
        return tuple(spec_of(np.asarray(r)) for r in result)

    # Recording ----------------------------------------------------------------------------------

    def attach(self, out: Any, inputs: Sequence[Any], attributes: dict[str, Any]) -> None:
        """Makes the backward node of a call and gives it to the results."""
        kind = PrimitiveNode if self.outputs == 1 else SeveralOutputs
        node = kind(self, out, inputs, attributes)
        if self.outputs == 1:
            if out._array.dtype.kind in "fcV":
                out._node, out._requires_grad = node, True
            return
        for slot, o in enumerate(out):
            if o._array.dtype.kind in "fcV":
                o._node, o._requires_grad = OutputOf(node, slot), True

    def attach_short(self, out: Tensor, inputs: tuple, attributes: dict[str, Any], same_shape: bool) -> None:
        """As `attach`, for the short path: one result, one or two inputs, nothing out of the ordinary."""
        node = _new_node(PrimitiveNode)
        if len(inputs) == 1:
            x = inputs[0]
            node.edges = (x._edge() if x._view is not None else x._node or x,)
            plan = self.plans.get(True)
            if plan is None:
                plan = self.plans[True] = self.plan((True,))
        else:
            x, y = inputs
            a = b = None
            if isinstance(x, Tensor):
                a = x._edge() if x._view is not None or not x._requires_grad else x._node or x
            if isinstance(y, Tensor):
                b = y._edge() if y._view is not None or not y._requires_grad else y._node or y
            node.edges = (a, b)
            wanted = (a is not None, b is not None)
            plan = self.plans.get(wanted)
            if plan is None:
                plan = self.plan(wanted)
        node.sequence = next_sequence()
        node.rare = None
        node.attributes = attributes
        node.plan = plan
        node.specs = None if same_shape and not plan.metas else tuple(map(_meta, inputs))
        if plan.keep:
            node.saved = saved = tuple([inputs[i] for i in plan.keep])
            node.versions = tuple(
                [
                    0 if x.__class__ is Tensor and x._changes is None and x._extra is None else _version(x)
                    for x in saved
                ]
            )
        else:
            node.saved = node.versions = ()
        if plan.keep_out:
            counter = out._changes = [0]
            node.saved_out = ((out._array, counter, 0),)
        else:
            node.saved_out = None
        out._node = node
        out._requires_grad = True

    def plan(self, wanted: tuple[bool, ...]) -> Plan:
        """What backward needs where the inputs marked in `wanted` get gradients."""
        found = self.plans.get(wanted)
        if found is None:
            found = self.plans[wanted] = Plan(self, wanted)
        return found

    def formula(self, index: int) -> Derivative | None:
        """The derivative for input number `index`."""
        return self.formulas[min(index, len(self.formulas) - 1)]


def finish_view(primitive: Primitive, input: Tensor, array: Any, attributes: dict[str, Any]) -> Tensor:
    """The view of `input` on `array` that `primitive` would make: the short path of small calls."""
    out = wrap(array)
    make_view(out, input, (primitive, (), attributes))
    if (input._requires_grad or input._view is not None) and modes.grad_enabled and input.requires_grad:
        primitive.attach_short(out, (input,), attributes, False)
    return out


def wants_grad(inputs: Sequence[Any]) -> bool:
    """Whether any of the tensors among `inputs` requires a gradient."""
    for x in inputs:
        if isinstance(x, Tensor) and (x._requires_grad or (x._view is not None and x.requires_grad)):
            return True
    return False


class Plan:
    """What the backward of a primitive saves and computes, for one choice of inputs with gradients."""

    __slots__ = ("keep", "keep_out", "metas", "primitive", "shares", "slots", "steps")

    def __init__(self, primitive: Primitive, wanted: tuple[bool, ...]):
        #: (input number, formula, names of its arguments), or the number alone where nothing is wanted.
        self.primitive = primitive
        self.steps = tuple(
            (i, d.function, d.names[1:]) if w and (d := primitive.formula(i)) is not None else None
            for i, w in enumerate(wanted)
        )
        every = [n for step in self.steps if step is not None for n in step[2]]
        names = set(every)
        #: Whether two formulas ask for the same value, which is then unpacked once.
        self.shares = len(names) < len(every)
        keep = [i for i, n in enumerate(primitive.inputs) if n in names]
        if primitive.variadic and keep and keep[-1] == len(primitive.inputs) - 1:
            keep += range(keep[-1] + 1, len(wanted))
        self.keep = tuple(keep)
        self.slots = {i: slot for slot, i in enumerate(keep)}
        self.keep_out = "out" in names
        self.metas = any(n.endswith(("_shape", "_dtype")) for n in names)


class _Results(Sequence[Tensor]):
    """The results of a node, each looked at when it is asked for: one that a derivative does not need may change."""

    __slots__ = ("node",)

    def __init__(self, node: PrimitiveNode):
        self.node = node

    def __len__(self) -> int:
        return len(self.node.saved_out)

    def __getitem__(self, slot: Any) -> Any:
        return self.node.unpack_out(range(len(self))[slot])



class PrimitiveNode(Node):
    """The backward of one call of a primitive."""

    __slots__ = (
        "attributes", "label", "out_specs", "plan", "saved", "saved_out", "specs", "versions",
    )  # fmt: skip

    #: The name of the node where a composition gives it one (see `node_names`).
    label: str | None

    #: Inputs that backward needs; `FREED` afterwards. Tensors stand beside their `versions`.
    saved: Any
    #: For each result that backward needs: its array, its version counter and its version.
    saved_out: Any

    def __init__(
        self, primitive: Primitive, out: Any, inputs: Sequence[Any], attributes: dict[str, Any]
    ):
        edges = tuple([x._edge() if isinstance(x, Tensor) else None for x in inputs])
        super().__init__(edges)
        self.attributes = attributes
        self.plan = plan = primitive.plan(tuple([e is not None for e in edges]))
        self.specs = tuple(map(_meta, inputs))
        keep = [inputs[i] for i in plan.keep]
        self.versions = tuple(map(_version, keep))
        outs = (out,) if primitive.outputs == 1 else out
        self.saved_out = None
        if modes.saved_hooks:
            keep = [SavedTensor(x) if isinstance(x, Tensor) else x for x in keep]
            if plan.keep_out:
                self.saved_out = tuple([SavedTensor(o, is_output=True) for o in outs])
        elif plan.keep_out:
            self.saved_out = tuple([(o._array, o._counter(), o._changes[0]) for o in outs])
        self.saved = tuple(keep)
        if primitive.outputs > 1:
            self.out_specs = [(o._array.shape, o._array.dtype) for o in out]

    @property
    def primitive(self) -> Primitive:
        return self.plan.primitive


    def name(self) -> str:
        if self.label is not None:
            return self.label
        name = self.plan.primitive.node_name
        return name(self) if callable(name) else name

    def release(self) -> None:
        if self.saved or self.saved_out:
            self.saved = FREED
            self.saved_out = None

    def __getattr__(self, name: str) -> Any:
        """`_saved_NAME`, as PyTorch's nodes have it."""
        if name == "label":  # an empty slot: few nodes have one
            return None
        if name.startswith("_saved_"):
            return self.value(name.removeprefix("_saved_"))
        raise AttributeError(f"{self.name()} has no attribute {name!r}")

    def value(self, name: str) -> Any:
        """What a derivative's parameter called `name` stands for."""
        primitive = self.plan.primitive
        inputs = primitive.inputs
        if name == "out":
            if self.saved is FREED:
                raise RuntimeError(FREED_MESSAGE)
            if self.outputs == 1:
                return self.unpack_out(0)
            return _Results(self)
        if name in inputs:
            if self.saved is FREED:
                raise RuntimeError(FREED_MESSAGE)
            index = inputs.index(name)
            if primitive.variadic and index == len(inputs) - 1:
                return tuple([self.unpack(i) for i in range(index, len(self.edges))])
            return self.unpack(index)
        if name in self.attributes:
            return self.attributes[name]
        base, _, what = name.rpartition("_")
        if what in ("shape", "dtype") and base in inputs:
            index = inputs.index(base)
            if primitive.variadic and index == len(inputs) - 1:
                return tuple([_from_meta(m, what) for m in self.specs[index:]])
            return _from_meta(self.specs[index], what)
        raise TypeError(f"{primitive.name}: a derivative asks for {name!r}, which is nothing known")

    def unpack(self, index: int) -> Any:
        """Saved input number `index`. Raises `RuntimeError` if it has been changed in place since."""
        slot = self.plan.slots[index]
        x = self.saved[slot]
        if isinstance(x, Tensor):
            counter = x._changes
            if counter is not None and counter[0] != self.versions[slot]:
                raise RuntimeError(changed_message(x, self.versions[slot], None, 0))
            return x
        return x.unpack(self) if type(x) is SavedTensor else x

    def unpack_out(self, slot: int) -> Tensor:
        """Saved result number `slot`, with this node as its history."""
        kept = self.saved_out[slot]
        if type(kept) is SavedTensor:
            return kept.unpack(self, slot)
        array, counter, version = kept
        out = wrap(array)
        out._changes = counter
        if counter[0] != version:
            raise RuntimeError(changed_message(out, version, self, slot))
        out._requires_grad = True
        out._node = self if self.outputs == 1 else OutputOf(self, slot)
        return out

    def apply(self, grads: Sequence[Any]) -> Sequence[Any]:
        return self.differentiate(grads[0])

    def apply_to(self, grad: Any) -> Sequence[Any]:
        return self.differentiate(grad)

    def differentiate(self, g: Any) -> list[Any]:
        """The gradients of the inputs for the gradient `g` of the result (a tuple for several)."""
        plan = self.plan
        known: dict[str, Any] | None = {} if plan.shares else None
        results: list[Any] = []
        for step in plan.steps:
            if step is None:
                results.append(None)
                continue
            position, function, names = step
            if not names:
                result = function(g)
            elif known is None:
                result = function(g, *[position if n == "position" else self.value(n) for n in names])
            else:
                for n in names:
                    if n not in known:
                        known[n] = position if n == "position" else self.value(n)
                result = function(g, *[position if n == "position" else known[n] for n in names])
            if self.specs is not None and plan.primitive.broadcasts:
                shape = self.specs[position][0]
                if result._array.shape != shape:
                    result = result.sum_to_size(shape)
            results.append(result)
        return results


class SeveralOutputs(PrimitiveNode):
    """The backward of one call of a primitive with several results."""

    __slots__ = ()

    @property
    def outputs(self) -> int:  # type: ignore[override]
        return self.plan.primitive.outputs

    def apply(self, grads: Sequence[Any]) -> Sequence[Any]:
        filled = [
            wrap(np.zeros(shape, stored)) if grad is None and stored.kind in "fcV" else grad
            for grad, (shape, stored) in zip(grads, self.out_specs, strict=True)
        ]
        return self.differentiate(tuple(filled))


_new_node = object.__new__


def _version(x: Any) -> int:
    """How often a tensor was changed in place; 0 for a number."""
    if not isinstance(x, Tensor):
        return 0
    counter = x._changes
    if x._extra is not None and x._extra.inference:
        raise RuntimeError(
            "Inference tensors cannot be saved for backward. Please do not use Tensors created in "
            "inference mode in computation tracked by autograd. To work around this, you can make a "
            "clone to get a normal tensor and use it in autograd, or use `torch.no_grad()` instead of "
            "`torch.inference_mode()`."
        )
    return 0 if counter is None else counter[0]


class _Freed:
    """What stands in a node for values that a backward pass has freed."""

    def __bool__(self) -> bool:
        return False


FREED = _Freed()


def _meta(x: Any) -> Any:
    return (x._array.shape, x._array.dtype) if isinstance(x, Tensor) else ((), None)


def _from_meta(meta: tuple, what: str) -> Any:
    return FROM_NUMPY[meta[1]] if what == "dtype" else meta[0]


def spec_of(x: Any) -> Any:
    """The `Spec` of an array; anything else as it is."""
    return Spec(x.shape, x.dtype) if hasattr(x, "shape") and hasattr(x, "dtype") else x


# Operators that users call ------------------------------------------------------------------------


def operator(
    function: F | None = None,
    *,
    name: str | None = None,
    method: bool | str = True,
    function_name: bool = True,
    inplace: bool | Callable[..., bool] = False,
    out: bool = False,
    aliases: Sequence[str] = (),
) -> Any:
    """Registers a function of tensors under PyTorch's name, as function and as method of `Tensor`.

    inplace: also `name_`, which overwrites its first argument with the result; or a function that does this without
        making the result first where it can, and says whether it did.
    out: takes `out=`, which receives the result (a tuple where there are several).
    aliases: further names for the same function.
    """

    def register(f: Callable[..., Any]) -> Any:
        public, original = name or f.__name__, f
        names = _renamed(f)
        f = naming_nodes(f, public, functools.partial(rename, names=names) if names and not out else None)
        call = with_out(f, public) if out else taking_numpy_names(f) if f is original else f
        for n in (public, *aliases):
            if function_name:
                OPERATORS[n] = call
            if method:
                setattr(Tensor, n, call)
            if inplace:
                changed = make_inplace(call, n + "_", taking_numpy_names(inplace) if callable(inplace) else None)
                setattr(Tensor, n + "_", changed)
                if function_name:
                    OPERATORS[n + "_"] = changed
        return call

    return register if function is None else register(function)


#: NumPy's names for arguments, which PyTorch takes as well.
NUMPY_NAMES = {"axis": "dim", "keepdims": "keepdim"}


def _renamed(f: Callable[..., Any]) -> dict[str, str]:
    """NumPy's names for the parameters that `f` has."""
    have = _parameters(f)
    return {theirs: ours for theirs, ours in NUMPY_NAMES.items() if ours in have and theirs not in have}


def rename(kwargs: dict[str, Any], names: dict[str, str] = NUMPY_NAMES) -> None:
    """Puts PyTorch's names for NumPy's."""
    for theirs, ours in names.items():
        if theirs in kwargs:
            kwargs[ours] = kwargs.pop(theirs)


def taking_numpy_names(f: F) -> F:
    """`f`, if it has a `dim`, such that `axis=` means it too."""
    names = _renamed(f)
    if not names:
        return f

    @functools.wraps(f)
    def call(*args: Any, **kwargs: Any) -> Any:
        if kwargs:
            rename(kwargs, names)
        return f(*args, **kwargs)

    return call  # type: ignore[return-value]


def with_out(f: Callable[..., Any], public: str) -> Callable[..., Any]:
    """`f` with `out=`: the result is written there, resized and cast as PyTorch does."""
    names = _renamed(f)

    @functools.wraps(f)
    def call(*args: Any, out: Any = None, **kwargs: Any) -> Any:
        if kwargs:
            if names:
                rename(kwargs, names)
            result = f(*args, **kwargs)
        else:
            result = f(*args)
        if out is None:
            return result
        if isinstance(result, tuple):
            for target, value in zip(out, result, strict=True):
                write_out(target, value, public)
            return type(result)(*out) if hasattr(result, "_fields") else tuple(out)
        return write_out(out, result, public)

    return call


#: What operators do with sparse tensors, by their names: filled by `ops/sparse.py`.
SPARSE_FORMS: dict[str, Callable[..., Any]] = {}


def sparse_form(name: str) -> Callable[..., Any]:
    """The operator for sparse tensors. Raises `NotImplementedError` if there is none."""
    found = SPARSE_FORMS.get(name)
    if found is None:
        raise NotImplementedError(f"{name} does not take sparse tensors: call to_dense() first")
    return found


def write_out(out: Tensor, result: Tensor, public: str) -> Tensor:
    """Writes `result` into `out`. Raises `RuntimeError` where a gradient or a dtype forbids it."""
    from flambeau.core.dtypes import can_cast

    if modes.grad_enabled and (out.requires_grad or result.requires_grad):
        raise RuntimeError(
            f"{public}(): functions with out=... arguments don't support automatic differentiation, but "
            "one of the arguments requires grad."
        )
    if not can_cast(result.dtype, out.dtype):
        raise RuntimeError(
            f"result type {result.dtype.tensor_type} can't be cast to the desired output type "
            f"{out.dtype.tensor_type}"
        )
    if out.shape != result.shape:
        out.resize_(result.shape)  # type: ignore[attr-defined]
    return out.copy_(result)  # type: ignore[attr-defined]


def make_inplace(
    f: Callable[..., Any], public: str, at_once: Callable[..., bool] | None = None
) -> Callable[..., Any]:
    """The in-place form of `f`: it overwrites its first argument, by `at_once` if that says that it did."""

    @functools.wraps(f)
    def call(self: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        self._check_inplace()
        if at_once is not None and at_once(self, *args, **kwargs):
            return self
        if not modes.grad_enabled and not state.busy:
            return overwrite(self, f(self, *args, **kwargs), public)
        return overwrite(self, f(frozen(self), *args, **kwargs), public)

    call.__name__ = call.__qualname__ = public
    call.__doc__ = f"In-place form of `{public[:-1]}`."
    return call


def frozen(self: Tensor) -> Tensor:
    """`self` as it is now: what an operator saves of it stays right when `self` is overwritten."""
    if state.busy and state.tracer is not None:
        twin = wrap(state.tracer.snapshot(self))
    elif not modes.grad_enabled:
        return self
    else:
        twin = wrap(self._array.copy())
    twin._node = self._fresh_node()
    twin._requires_grad = self.requires_grad
    return twin


def overwrite(self: Tensor, value: Tensor, public: str) -> Tensor:
    """Writes `value` into `self`: same shape, and a dtype that can be cast. Raises `RuntimeError`."""
    from flambeau.core.dtypes import can_cast

    if value._array.shape != self._array.shape:
        raise RuntimeError(
            f"output with shape {list(self.shape)} doesn't match the broadcast shape {list(value.shape)}"
        )
    if value._array.dtype != self._array.dtype:
        if not can_cast(value.dtype, self.dtype):
            raise RuntimeError(
                f"result type {value.dtype.tensor_type} can't be cast to the desired output type "
                f"{self.dtype.tensor_type}"
            )
        value = value.to(self.dtype)  # type: ignore[attr-defined]
    return self._assign(value)


def as_tensor_like(x: Any, like: Tensor) -> Tensor:
    """`x` as a tensor: a number takes the dtype that it gets beside `like`."""
    if isinstance(x, Tensor):
        return x
    return wrap(np.asarray(x, dtype=like._array.dtype))


def dtype_name(d: Dtype) -> str:
    """How PyTorch's errors write a dtype: `Float`, `Long`."""
    return d.tensor_type
