"""Building what a config names: any class or function by its dotted name, unregistered.

A config is code: it can name anything that Python can import.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import flambeau
from flambeau.train.config import Component
from flambeau.train.errors import ConfigError, UserError, nearest


def build(
    component: Component,
    key: str,
    *given: Any,
    placeholders: Mapping[str, Any] = {},
    **extra: Any,
) -> Any:
    """Calls what `component` names.

    Arguments:
        component: the dotted name and the arguments from the config.
        key: where the component stands in the config, for messages.
        given: positional arguments that the trainer adds, such as the parameters.
        placeholders: values of `$name` arguments.
        extra: keyword arguments that the trainer adds where the config does not set them.

    Raises `ConfigError` for a name that does not exist or arguments that do not fit.
    """
    function = resolve(component.target, key)
    arguments = {
        name: _fill(value, f"{key}.args.{name}", placeholders)
        for name, value in component.args.items()
    }
    arguments = _numbers_from_text(function, {**extra, **arguments})
    _check_arguments(function, component.target, key, given, arguments)
    try:
        return function(*given, **arguments)
    except UserError:
        raise
    except (TypeError, ValueError, NotImplementedError, RuntimeError) as error:
        if isinstance(error, ValueError) and type(error) is not ValueError:
            raise  # a data set's own error, which names its file
        raise ConfigError(
            f"{key}: {component.target} refused its arguments: {error}"
        ) from error


def check_has(built: Any, component: Component, key: str, names: Sequence[str], what: str) -> Any:
    """`built`, if it has what `what` has; else `ConfigError` says what the target gives instead."""
    if all(hasattr(built, name) for name in names):
        return built
    raise ConfigError(f"{key}.target = '{component.target}' gives a {type(built).__name__}, not {what}")


def build_loss(component: Component, key: str) -> Any:
    """What a config names for a loss: what its target gives, or the target itself, if that is a function of output and target."""
    target = resolve(component.target, key)
    if inspect.isfunction(target):
        parameters = inspect.signature(target).parameters.values()
        positional = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
        if sum(p.default is p.empty for p in positional) >= 2:
            _check_arguments(target, component.target, key, (None, None), component.args)
            return functools.partial(target, **component.args)
    return build(component, key)


def accepts(component: Component, key: str, argument: str) -> bool:
    """Whether what `component` names takes an argument of this name."""
    parameters = _parameters(resolve(component.target, key))
    return parameters is not None and argument in parameters


def resolve(target: str, key: str) -> Callable[..., Any]:
    """The class or function with the dotted name `target`."""
    parts = target.split(".")
    if len(parts) < 2 or not all(part.isidentifier() for part in parts):
        raise ConfigError(
            f"{key}.target = '{target}' is no dotted name, as flambeau.vision.models.LeNet"
        )
    found: Any = None
    done = 0
    for count in range(len(parts) - 1, 0, -1):
        module = ".".join(parts[:count])
        try:
            found = importlib.import_module(module)
        except ModuleNotFoundError as error:
            if error.name and (module == error.name or module.startswith(f"{error.name}.")):
                continue
            raise ConfigError(
                f"{key}.target = '{target}': {module} needs {error.name}"
            ) from error
        except Exception as error:
            raise ConfigError(
                f"{key}.target = '{target}': importing {module} failed: "
                f"{type(error).__name__}: {error}"
            ) from error
        done = count
        break
    if found is None:
        raise ConfigError(f"{key}.target = '{target}': there is no module '{parts[0]}'")
    for index in range(done, len(parts)):
        holder, name = found, parts[index]
        found = getattr(holder, name, None)
        if found is None:
            place = ".".join(parts[:index])
            hint = nearest(name, [choice for choice in dir(holder) if choice[0] != "_"])
            raise ConfigError(f"{key}.target = '{target}': {place} has no '{name}'{hint}")
    if not callable(found):
        raise ConfigError(f"{key}.target = '{target}' is a {type(found).__name__}, not a class")
    return typing.cast(Callable[..., Any], found)


def _fill(value: Any, key: str, placeholders: Mapping[str, Any]) -> Any:
    """The value with `$name` replaced, nested components built."""
    if isinstance(value, str) and value.startswith("$"):
        if value[1:] not in placeholders:
            known = [f"${name}" for name in placeholders]
            raise ConfigError(
                f"{key} = '{value}': there is no such placeholder{nearest(value, known)} "
                f"(known here: {', '.join(known) or 'none'})"
            )
        return placeholders[value[1:]]
    if isinstance(value, dict) and "target" in value and set(value) <= {"target", "args"}:
        inner = Component(value["target"], value.get("args") or {})
        return build(inner, key, placeholders=placeholders)
    if isinstance(value, dict):
        return {
            name: _fill(part, f"{key}.{name}", placeholders) for name, part in value.items()
        }
    if isinstance(value, list):
        return [_fill(part, f"{key}[{i}]", placeholders) for i, part in enumerate(value)]
    return value


def _parameters(function: Callable[..., Any]) -> dict[str, inspect.Parameter] | None:
    """The parameters that may be given by name; `None` where any or unknown ones may."""
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return None
    return dict(signature.parameters)


def _check_arguments(
    function: Callable[..., Any],
    target: str,
    key: str,
    given: tuple[Any, ...],
    arguments: Mapping[str, Any],
) -> None:
    parameters = _parameters(function)
    if parameters is None:
        return
    kinds = {parameter.kind for parameter in parameters.values()}
    if inspect.Parameter.VAR_KEYWORD in kinds:
        return
    names = list(parameters)
    for name in arguments:
        if name not in parameters:
            usual = _USUAL_NAMES.get(name)
            hint = f"; did you mean '{usual}'?" if usual in names else nearest(name, names)
            hint = hint or f"; it takes {', '.join(names[len(given) :]) or 'none'}"
            raise ConfigError(f"{key}.args.{name}: {target} has no such argument{hint}")
    if inspect.Parameter.VAR_POSITIONAL in kinds:
        return
    unset = [
        name
        for name, parameter in list(parameters.items())[len(given) :]
        if parameter.default is inspect.Parameter.empty and name not in arguments
    ]
    if unset:
        raise ConfigError(f"{key}.args: {target} needs {', '.join(unset)}")
    _check_types(function, target, key, arguments)


#: Arguments by the names that other programs give them.
_USUAL_NAMES = {"learning_rate": "lr", "rate": "lr", "classes": "num_classes", "probability": "p"}


def _check_types(
    function: Callable[..., Any], target: str, key: str, arguments: Mapping[str, Any]
) -> None:
    hints = _hints(function)
    for name, value in arguments.items():
        if name in hints and not _fits(value, hints[name]):
            wanted = getattr(hints[name], "__name__", None) or str(hints[name])
            raise ConfigError(f"{key}.args.{name} = {value!r}: {target} wants {wanted}")


def _hints(function: Callable[..., Any]) -> dict[str, Any]:
    owner = function.__init__ if isinstance(function, type) else function  # type: ignore[misc]
    try:
        return typing.get_type_hints(owner)
    except Exception:  # hints that name what is not imported say nothing
        return {}


def _numbers_from_text(function: Callable[..., Any], arguments: dict[str, Any]) -> dict[str, Any]:
    """The arguments with texts such as "0.1" turned into numbers where those are wanted: the environment holds texts only."""
    hints = _hints(function)
    return {
        name: _read(value, hints[name]) if isinstance(value, str) and name in hints else value
        for name, value in arguments.items()
    }


def _read(text: str, hint: Any) -> Any:
    if _fits(text, hint):
        return text
    for read in (int, float, {"true": True, "false": False}.__getitem__):
        try:
            value = read(text)
        except (ValueError, KeyError):
            continue
        if _fits(value, hint):
            return value
    return text


def _fits(value: Any, hint: Any) -> bool:
    """Whether a value may be what a simple type hint asks for; `True` where that is open."""
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        return any(_fits(value, part) for part in typing.get_args(hint))
    if hint is type(None):
        return value is None
    if hint is bool:
        return isinstance(value, bool)
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    if hint is float:
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    if hint is str:
        return isinstance(value, str)
    if isinstance(hint, type) and issubclass(hint, flambeau.Tensor):
        return isinstance(value, hint)  # no config can write a tensor
    return True
