"""`Optimizer`: parameter groups, per-parameter state, hooks, and the frame of a step.

An optimizer of this package defines two methods: `_init_state`, the state of one parameter before
its first step, and `_update`, the step of one parameter as the paper writes it. Hyper-parameters
are read through `_number` and `_is_set`, so that the same text runs eagerly and is traced by
`flambeau.compile` with the hyper-parameters as inputs of the program.
"""

from __future__ import annotations

import functools
import warnings
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Iterable
from copy import deepcopy
from itertools import chain
from typing import Any

import numpy as np

from flambeau import ops
from flambeau.autograd import enable_grad, no_grad, set_grad_enabled
from flambeau.core.dtypes import float32, float64, get_default_dtype
from flambeau.optim._arithmetic import Scalar, scaled_add
from flambeau.tensor import Tensor
from flambeau.tensor.tracing import concrete, guard, host_number, is_tracing
from flambeau.utils.hooks import RemovableHandle
from flambeau.utils.naming import typename

__all__ = [
    "Optimizer",
    "register_optimizer_step_post_hook",
    "register_optimizer_step_pre_hook",
    "required",
]

Group = dict[str, Any]
State = dict[str, Any]
StateDict = dict[str, Any]
Hook = Callable[..., Any]
#: What optimizers take: tensors, (name, tensor) pairs, or dictionaries of groups.
Params = Iterable[Any]

_global_step_pre_hooks: OrderedDict[int, Hook] = OrderedDict()
_global_step_post_hooks: OrderedDict[int, Hook] = OrderedDict()
#: Elements from which on an update is worth a native program.
_WORTH_A_PROGRAM = 1 << 15

_HOOK_TABLES = (
    "_optimizer_step_pre_hooks",
    "_optimizer_step_post_hooks",
    "_optimizer_state_dict_pre_hooks",
    "_optimizer_state_dict_post_hooks",
    "_optimizer_load_state_dict_pre_hooks",
    "_optimizer_load_state_dict_post_hooks",
)


class _Required:
    """Marks a default that every parameter group must set."""

    def __repr__(self) -> str:
        return "<required parameter>"


required = _Required()


def _add_hook(
    hooks: OrderedDict[int, Hook], hook: Hook, prepend: bool = False
) -> RemovableHandle:
    handle = RemovableHandle(hooks)
    hooks[handle.id] = hook
    if prepend:
        hooks.move_to_end(handle.id, last=False)
    return handle


def register_optimizer_step_pre_hook(hook: Hook) -> RemovableHandle:
    """Runs `hook(optimizer, args, kwargs)` before the step of every optimizer."""
    return _add_hook(_global_step_pre_hooks, hook)


def register_optimizer_step_post_hook(hook: Hook) -> RemovableHandle:
    """Runs `hook(optimizer, args, kwargs)` after the step of every optimizer."""
    return _add_hook(_global_step_post_hooks, hook)


def _with_step_hooks(step: Callable[..., Any]) -> Callable[..., Any]:
    """A class's `step` with the hooks around it."""

    @functools.wraps(step)
    def hooked_step(self: Optimizer, *args: Any, **kwargs: Any) -> Any:
        if "_optimizer_step_pre_hooks" not in self.__dict__:  # a class that does not call `Optimizer.__init__`
            return step(self, *args, **kwargs)
        for hook in chain(
            _global_step_pre_hooks.values(), self._optimizer_step_pre_hooks.values()
        ):
            replaced = hook(self, (self, *args), kwargs)
            if replaced is None:
                continue
            if not (isinstance(replaced, tuple) and len(replaced) == 2):
                raise RuntimeError(
                    f"{step} must return None or a tuple of (new_args, new_kwargs), "
                    f"but got {replaced}."
                )
            (_, *args), kwargs = replaced  # type: ignore[assignment]
        result = step(self, *args, **kwargs)
        for hook in chain(
            self._optimizer_step_post_hooks.values(), _global_step_post_hooks.values()
        ):
            hook(self, (self, *args), kwargs)
        return result

    hooked_step.hooked = True  # type: ignore[attr-defined]
    return hooked_step


def step_dtype() -> Any:
    """The dtype in which steps are counted: float32, or float64 where that is the default."""
    return float64 if get_default_dtype() is float64 else float32


class Optimizer:
    """Base class of the optimizers.

    Args:
        params: tensors, (name, tensor) pairs, or one dictionary a group with the key `params` and
            options that override `defaults`.
        defaults: the options of groups that do not set their own.

    Raises:
        TypeError: for a single tensor, or anything that is no tensor among `params`.
        ValueError: if there are none, if one is in two groups, or if it is not a leaf.
    """

    state: defaultdict[Any, Any]
    param_groups: list[Group]
    defaults: Group

    _optimizer_step_pre_hooks: OrderedDict[int, Hook]
    _optimizer_step_post_hooks: OrderedDict[int, Hook]
    _optimizer_state_dict_pre_hooks: OrderedDict[int, Hook]
    _optimizer_state_dict_post_hooks: OrderedDict[int, Hook]
    _optimizer_load_state_dict_pre_hooks: OrderedDict[int, Hook]
    _optimizer_load_state_dict_post_hooks: OrderedDict[int, Hook]

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        own_step = cls.__dict__.get("step")
        if own_step is not None and not getattr(own_step, "hooked", False):
            cls.step = _with_step_hooks(own_step)  # type: ignore[method-assign]

    def __init__(self, params: Params, defaults: Group) -> None:
        self.defaults = defaults
        for table in _HOOK_TABLES:
            setattr(self, table, OrderedDict())
        if isinstance(params, Tensor):
            raise TypeError(
                "params argument given to the optimizer should be an iterable of Tensors or "
                f"dicts, but got {typename(params)}"
            )
        self.state = defaultdict(dict)
        self.param_groups = []
        groups = list(params)
        if len(groups) == 0:
            raise ValueError("optimizer got an empty parameter list")
        if not isinstance(groups[0], dict):
            groups = [{"params": groups}]
        for group in groups:
            self.add_param_group(group)

    # What an optimizer defines --------------------------------------------------------------------

    def _init_state(self, p: Tensor, group: Group) -> State:
        """The state of `p` before its first step."""
        return {}

    def _update(self, p: Tensor, grad: Tensor, state: State, group: Group) -> None:
        """One step of `p`, in place. `grad` has its sign changed if the group maximizes."""
        raise NotImplementedError(f"{type(self).__name__} defines neither step() nor _update()")

    # The frame of a step --------------------------------------------------------------------------

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Updates every parameter that has a gradient.

        Args:
            closure: computes the loss anew (with gradients); called first if given.

        Returns:
            the closure's loss.
        """
        loss = None
        if closure is not None:
            with enable_grad():
                loss = closure()
        if self._is_worth_a_program():
            self._native_update()
        else:
            self._update_all()
        return loss

    def _update_all(self) -> None:
        with set_grad_enabled(bool(self.defaults.get("differentiable", False))):
            for group in self.param_groups:
                maximize = self._is_set(group, "maximize")
                for p in group["params"]:
                    grad = p.grad
                    if grad is None:
                        continue
                    self._check_gradient(p, grad)
                    state = self._state_of(p, group)
                    grad = -grad if maximize else grad
                    if p.is_complex():
                        # Real and imaginary parts are parameters of their own.
                        state = {name: _as_real(value) for name, value in state.items()}
                        p, grad = _as_real(p), _as_real(grad)
                    self._update(p, grad, state, group)

    def _is_worth_a_program(self) -> bool:
        """Whether there is so much to update that one native program should do it."""
        if is_tracing() or self.defaults.get("differentiable"):
            return False
        size = 0
        for group in self.param_groups:
            for p in group["params"]:
                grad = p._grad
                if grad is not None:
                    if grad._sparse or p._array.dtype.kind not in "fV":
                        return False
                    size += p._array.size
        return size >= _WORTH_A_PROGRAM

    def _native_update(self) -> None:
        """`_update_all` as one program over all parameters, traced when it first runs."""
        program = self.__dict__.get("_program")
        if program is None:
            from flambeau.compiler.compiled import CompiledFunction

            program = self._program = CompiledFunction(self._update_all, quiet=True)
        program()

    def _check_gradient(self, p: Tensor, grad: Tensor) -> None:
        """Raises `RuntimeError` for gradients that the optimizer cannot use."""
        if grad.is_sparse:
            raise RuntimeError(f"{type(self).__name__} does not support sparse gradients")

    def _state_of(self, p: Tensor, group: Group) -> State:
        """The state of `p`, made on its first step (with real tensors, even while tracing)."""
        state = self.state[p]
        if not state:
            with concrete(), no_grad():
                state.update(self._init_state(p, group))
        return state

    def _number(self, group: Group, name: str, index: int | None = None) -> Scalar:
        """A numeric option (or one of a tuple); while tracing, an input read at every call."""

        def read() -> Any:
            return group[name] if index is None else group[name][index]

        if is_tracing():
            return host_number(lambda: float(read()))
        value = read()
        if isinstance(value, Tensor) and not group.get("differentiable"):
            return value.item()
        return value

    def _is_set(self, group: Group, name: str) -> bool:
        """Whether an option is there and not 0; a change makes a compiled step trace again."""
        return guard(lambda: bool(group.get(name)))

    def _count_step(self, state: State) -> Scalar:
        """Counts a step; its number as a float, or while tracing as a float64 tensor."""
        count = state["step"]
        count += 1
        return self._value(count)

    def _value(self, scalar: Tensor) -> Scalar:
        """A 0-dim tensor of the state as a float, or while tracing as a float64 tensor."""
        return scalar.double() if is_tracing() else scalar.item()

    def _decayed(self, p: Tensor, grad: Tensor, group: Group) -> Tensor:
        """The gradient with that of the L2 penalty `weight_decay / 2 * |p|^2`."""
        if not self._is_set(group, "weight_decay"):
            return grad
        return scaled_add(grad, p, self._number(group, "weight_decay"))

    def _with_weight_decay(self, p: Tensor, grad: Tensor, group: Group, lr: Scalar) -> Tensor:
        """The weight decay that the group asks for: decoupled (on `p`) or in the gradient."""
        if not self._is_set(group, "decoupled_weight_decay"):
            return self._decayed(p, grad, group)
        if self._is_set(group, "weight_decay"):
            p.mul_(1 - lr * self._number(group, "weight_decay"))
        return grad

    def _kept(self, moment: Tensor, group: Group) -> Tensor:
        """A moment that a differentiable step may save: the next step changes it in place."""
        return moment.clone() if group.get("differentiable") else moment

    def _zero_step(self) -> Tensor:
        return ops.zeros((), dtype=step_dtype())

    # Groups ---------------------------------------------------------------------------------------

    def add_param_group(self, param_group: Group) -> None:
        """Adds a group, for instance of layers that become trainable later.

        Args:
            param_group: `params` and options; missing options take the optimizer's defaults.
        """
        if not isinstance(param_group, dict):
            raise TypeError(f"param_group must be a dict, but got {type(param_group)}")
        given = param_group["params"]
        if isinstance(given, Tensor):
            given = [given]
        elif isinstance(given, set):
            raise TypeError(
                "optimizer parameters need to be organized in ordered collections, but the "
                "ordering of tensors in sets will change between runs. Please use a list instead."
            )
        given = list(given)
        names = [entry[0] for entry in given if isinstance(entry, tuple)]
        param_group["params"] = params = [
            entry[1] if isinstance(entry, tuple) else entry for entry in given
        ]
        if names:
            if len(names) != len(params):
                raise ValueError(
                    "all optimizer params should be with/without names. "
                    "Some param names are missing"
                )
            param_group["param_names"] = names
        self._check_params(params)

        for name, default in self.defaults.items():
            if default is required and name not in param_group:
                raise ValueError(
                    "parameter group didn't specify a value of required optimization "
                    f"parameter {name}"
                )
            param_group.setdefault(name, default)
        self._check_group(param_group)
        self.param_groups.append(param_group)

    def _check_params(self, params: list[Any]) -> None:
        for param in params:
            if not isinstance(param, Tensor):
                raise TypeError(
                    "optimizer can only optimize Tensors, but one of the params is "
                    f"{typename(param)}"
                )
            if not self.defaults.get("differentiable") and not (
                param.is_leaf or param.retains_grad
            ):
                raise ValueError("can't optimize a non-leaf Tensor")

    def _check_group(self, new: Group) -> None:
        params = new["params"]
        if len(params) != len({id(p) for p in params}):
            warnings.warn(
                "optimizer contains a parameter group with duplicate parameters; in future, this "
                "will cause an error; see github.com/pytorch/pytorch/issues/40967 for more "
                "information",
                stacklevel=4,
            )
        named = "param_names" in new
        for group in self.param_groups:
            if named != ("param_names" in group):
                raise ValueError(
                    "all optimizer param groups should be with/without names. cannot add param "
                    f"group {'with' if named else 'without'} names to the optimizer"
                )
        taken = {id(p) for group in self.param_groups for p in group["params"]}
        if any(id(p) in taken for p in params):
            raise ValueError("some parameters appear in more than one parameter group")

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forgets the gradients of all parameters, or (`set_to_none=False`) fills them with 0."""
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is None:
                    continue
                if set_to_none:
                    p.grad = None
                    continue
                if p.grad.grad_fn is not None:
                    p.grad.detach_()
                else:
                    p.grad.requires_grad_(False)
                p.grad.zero_()

    # Saving and loading ---------------------------------------------------------------------------

    def state_dict(self) -> StateDict:
        """`{"state": {number: state}, "param_groups": [...]}` with numbers for the parameters."""
        for hook in self._optimizer_state_dict_pre_hooks.values():
            hook(self)
        numbers: dict[int, int] = {}
        groups = []
        for group in self.param_groups:
            packed = {name: value for name, value in group.items() if name != "params"}
            for p in group["params"]:
                numbers.setdefault(id(p), len(numbers))
            packed["params"] = [numbers[id(p)] for p in group["params"]]
            groups.append(packed)
        state = {
            numbers[id(key)] if isinstance(key, Tensor) else key: value
            for key, value in self.state.items()
        }
        packed_state = {"state": state, "param_groups": groups}
        for hook in self._optimizer_state_dict_post_hooks.values():
            replaced = hook(self, packed_state)
            if replaced is not None:
                packed_state = replaced
        return packed_state

    def load_state_dict(self, state_dict: StateDict) -> None:
        """Takes over state and options; parameters are matched by their order.

        Raises:
            ValueError: if the number of groups, or of parameters in one, differs.
        """
        state_dict = state_dict.copy()
        for hook in self._optimizer_load_state_dict_pre_hooks.values():
            replaced = hook(self, state_dict)
            if replaced is not None:
                state_dict = replaced

        saved_groups = deepcopy(state_dict["param_groups"])
        if len(self.param_groups) != len(saved_groups):
            raise ValueError("loaded state dict has a different number of parameter groups")
        pairs = list(zip(self.param_groups, saved_groups, strict=True))
        if any(len(group["params"]) != len(saved["params"]) for group, saved in pairs):
            raise ValueError(
                "loaded state dict contains a parameter group that doesn't match the size of "
                "optimizer's group"
            )
        by_number = {
            number: p
            for group, saved in pairs
            for p, number in zip(group["params"], saved["params"], strict=True)
        }
        state: defaultdict[Any, Any] = defaultdict(dict)
        for number, value in state_dict["state"].items():
            if number in by_number:
                p = by_number[number]
                state[p] = _fitted(value, p)
            else:
                state[number] = value
        for group, saved in pairs:
            saved["params"] = group["params"]
            if "param_names" in group:
                saved.setdefault("param_names", group["param_names"])
        self.__setstate__({"state": state, "param_groups": saved_groups})
        for hook in self._optimizer_load_state_dict_post_hooks.values():
            hook(self)

    def __getstate__(self) -> dict[str, Any]:
        return {
            "defaults": self.defaults,
            "state": self.state,
            "param_groups": self.param_groups,
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self.__dict__.pop("_program", None)  # it knows the state that was
        for table in _HOOK_TABLES:
            self.__dict__.setdefault(table, OrderedDict())
        self.defaults.setdefault("differentiable", False)
        # Options that are younger than the file take their defaults; steps become tensors.
        for group in self.param_groups:
            for name, default in self.defaults.items():
                if default is not required:
                    group.setdefault(name, default)
        for each in self.state.values():
            if isinstance(each, dict) and self._counts_in_tensors():
                step = each.get("step")
                if step is not None and not isinstance(step, Tensor):
                    each["step"] = ops.tensor(float(step), dtype=step_dtype())

    def _counts_in_tensors(self) -> bool:
        return True

    # Hooks ----------------------------------------------------------------------------------------

    def register_step_pre_hook(self, hook: Hook) -> RemovableHandle:
        """Runs `hook(optimizer, args, kwargs)` before `step`; it may return new ones."""
        return _add_hook(self._optimizer_step_pre_hooks, hook)

    def register_step_post_hook(self, hook: Hook) -> RemovableHandle:
        """Runs `hook(optimizer, args, kwargs)` after `step`."""
        return _add_hook(self._optimizer_step_post_hooks, hook)

    def register_state_dict_pre_hook(
        self, hook: Hook, prepend: bool = False
    ) -> RemovableHandle:
        """Runs `hook(optimizer)` before `state_dict`."""
        return _add_hook(self._optimizer_state_dict_pre_hooks, hook, prepend)

    def register_state_dict_post_hook(
        self, hook: Hook, prepend: bool = False
    ) -> RemovableHandle:
        """Runs `hook(optimizer, state_dict)` after `state_dict`; it may return another."""
        return _add_hook(self._optimizer_state_dict_post_hooks, hook, prepend)

    def register_load_state_dict_pre_hook(
        self, hook: Hook, prepend: bool = False
    ) -> RemovableHandle:
        """Runs `hook(optimizer, state_dict)` before loading; it may return another."""
        return _add_hook(self._optimizer_load_state_dict_pre_hooks, hook, prepend)

    def register_load_state_dict_post_hook(
        self, hook: Hook, prepend: bool = False
    ) -> RemovableHandle:
        """Runs `hook(optimizer)` after loading."""
        return _add_hook(self._optimizer_load_state_dict_post_hooks, hook, prepend)

    def __repr__(self) -> str:
        lines = [f"{type(self).__name__} ("]
        for number, group in enumerate(self.param_groups):
            lines.append(f"Parameter Group {number}")
            options = sorted(name for name in group if name != "params")
            lines += [f"    {name}: {group[name]}" for name in options]
        return "\n".join(lines) + "\n)"


Optimizer.step = _with_step_hooks(Optimizer.step)  # type: ignore[method-assign]


def _as_real(value: Any) -> Any:
    """A complex tensor as a real one with a last dimension of 2, on the same memory."""
    if not isinstance(value, Tensor) or not value.is_complex():
        return value
    if is_tracing():
        return ops.view_as_real(value.detach())
    whole = value.detach().numpy()
    real = whole.real
    strides = (*whole.strides, real.itemsize)
    return ops.from_numpy(np.lib.stride_tricks.as_strided(real, (*whole.shape, 2), strides))


def _fitted(value: Any, p: Tensor, key: str | None = None) -> Any:
    """A loaded value with its tensors in the dtype of `p`, but for the step count."""
    if isinstance(value, Tensor):
        if key != "step" and p.is_floating_point():
            return value.to(p.dtype)
        return value
    if isinstance(value, dict):
        return {name: _fitted(each, p, name) for name, each in value.items()}
    if isinstance(value, (list, tuple, set)):
        return type(value)(_fitted(each, p) for each in value)
    return value


def check_lr(lr: Scalar) -> None:
    """Raises `ValueError` for a learning rate that is negative or not one number."""
    if isinstance(lr, Tensor) and lr.numel() != 1:
        raise ValueError("Tensor lr must be 1-element")
    if not lr >= 0.0:
        raise ValueError(f"Invalid learning rate: {lr}")


def check_at_least_zero(**options: tuple[str, float]) -> None:
    """Raises `ValueError` for a negative option: `eps=("epsilon", eps)` names it in the text."""
    for title, value in options.values():
        if not value >= 0.0:
            raise ValueError(f"Invalid {title} value: {value}")


def check_betas(betas: tuple[Any, Any]) -> None:
    """Raises `ValueError` for a decay rate outside [0, 1)."""
    for index, beta in enumerate(betas):
        if not 0.0 <= beta < 1.0:
            raise ValueError(f"Invalid beta parameter at index {index}: {beta}")


def check_paths(fused: bool | None, foreach: bool | None, differentiable: bool) -> None:
    """Raises `RuntimeError` for ways of computing that exclude each other."""
    if fused and differentiable:
        raise RuntimeError("`fused` does not support `differentiable`")
    if fused and foreach:
        raise RuntimeError("`fused` and `foreach` cannot be `True` together.")
