"""The optimizer's parameter groups: which parameters get which arguments."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Any, NamedTuple

from flambeau import nn
from flambeau.train.config import GroupConfig, Kind, OptimizerConfig
from flambeau.train.errors import ConfigError

_NORMALISATION = (
    nn.modules.batchnorm._BatchNorm, nn.LayerNorm, nn.GroupNorm, nn.RMSNorm, nn.InstanceNorm1d,
    nn.InstanceNorm2d, nn.InstanceNorm3d, nn.LocalResponseNorm,
)  # fmt: skip


class Owned(NamedTuple):
    """A parameter, its name, the layer that owns it, and that layer's place among those with parameters."""

    name: str
    parameter: nn.Parameter
    layer: nn.Module
    depth: int


def parameter_groups(model: nn.Module, config: OptimizerConfig) -> list[dict[str, Any]]:
    """The groups that an optimizer is built with.

    Every parameter goes to the first of `config.groups` that it fits, or to a group of its own without
    arguments. With `config.layer_decay` below 1, layers are apart: the learning rate of the one nearest to the
    output stays, and falls by that factor from each to the one before (as in ULMFiT, Howard and Ruder, 2018).
    Frozen parameters are in their groups too, so that they may join the training later.

    Raises `ConfigError` for a group that no parameter fits, and for `layer_decay` without a learning rate.
    """
    owned = list(_owned(model))
    last = max((each.depth for each in owned), default=0)
    used = [False] * len(config.groups)
    groups: dict[tuple[int, int], dict[str, Any]] = {}
    for each in owned:
        place = next((i for i, group in enumerate(config.groups) if _fits(each, group)), -1)
        if place >= 0:
            used[place] = True
        depth = each.depth if config.layer_decay != 1 else last
        key = (place, depth)
        if key not in groups:
            groups[key] = {"params": [], **_arguments(config, place, last - depth)}
        groups[key]["params"].append(each.parameter)
    for place, met in enumerate(used):
        if not met:
            kinds = sorted({type(each.layer).__name__ for each in owned})
            raise ConfigError(
                f"optimizer.groups[{place}]: no parameter fits {_describe(config.groups[place])}; the network has "
                f"the layers {', '.join(kinds)}, and parameters from '{owned[0].name}' to '{owned[-1].name}'"
            )
    return list(groups.values())


def _owned(model: nn.Module) -> list[Owned]:
    found: list[Owned] = []
    seen: set[int] = set()
    depth = 0
    for prefix, layer in model.named_modules():
        own = [(name, p) for name, p in layer.named_parameters(prefix, recurse=False) if id(p) not in seen]
        seen |= {id(parameter) for _, parameter in own}
        found += [Owned(name, parameter, layer, depth) for name, parameter in own]
        depth += bool(own)
    return found


def _fits(each: Owned, group: GroupConfig) -> bool:
    if group.names and not any(matches(each.name, pattern) for pattern in group.names):
        return False
    if group.layers and not any(kind.__name__ in group.layers for kind in type(each.layer).__mro__):
        return False
    return group.kind is Kind.any or group.kind is _kind(each)


def matches(name: str, pattern: str) -> bool:
    """Whether a parameter's name fits a pattern with `*` and `?`, or lies in the module that it names."""
    return fnmatchcase(name, pattern) or fnmatchcase(name, f"{pattern}.*")


def _kind(each: Owned) -> Kind:
    if isinstance(each.layer, _NORMALISATION):
        return Kind.norm
    return Kind.bias if each.name.rpartition(".")[2].startswith("bias") else Kind.weight


def _arguments(config: OptimizerConfig, place: int, from_output: int) -> dict[str, Any]:
    arguments = dict(config.groups[place].args) if place >= 0 else {}
    if from_output:
        rate = arguments.get("lr", config.args.get("lr"))
        if not isinstance(rate, int | float):
            raise ConfigError("optimizer.layer_decay needs the learning rate to be set: optimizer.args.lr=…")
        arguments["lr"] = rate * config.layer_decay**from_output
    return arguments


def _describe(group: GroupConfig) -> str:
    parts = [f"names {group.names}"] if group.names else []
    parts += [f"layers {group.layers}"] if group.layers else []
    parts += [f"kind {group.kind.name}"] if group.kind is not Kind.any else []
    return " with ".join(parts) or "it: earlier groups take them all"
