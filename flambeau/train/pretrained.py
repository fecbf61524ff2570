"""Weights from another run: checked against the network, a last layer replaced, some frozen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import flambeau
from flambeau.train.checkpoint import read_checkpoint
from flambeau.train.errors import CheckpointError, ConfigError, nearest
from flambeau.train.groups import matches


@dataclass
class LoadReport:
    """What became of a checkpoint's weights.

    Attributes:
        loaded: names whose values were taken.
        replaced: names of the last layer that keep their fresh values, with both shapes.
        fresh: further names that keep their fresh values: the file has them in another shape, or not at all.
        unused: names in the file that the network does not have.
    """

    loaded: list[str] = field(default_factory=list)
    replaced: list[str] = field(default_factory=list)
    fresh: list[str] = field(default_factory=list)
    unused: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        text = f"{len(self.loaded)} tensors loaded"
        if self.replaced:
            text += f"; new last layer: {', '.join(self.replaced)}"
        if self.fresh:
            text += f"; {len(self.fresh)} left as they were: {_some(self.fresh)}"
        if self.unused:
            text += f"; {len(self.unused)} of the file not used: {_some(self.unused)}"
        return text


def load_weights(model: flambeau.nn.Module, weights: dict[str, Any], source: Path) -> None:
    """Loads weights that must fit the network exactly.

    Raises `CheckpointError` listing missing and unexpected keys and shapes that differ.
    """
    own = model.state_dict()
    differences = _differences(own, weights)
    if differences:
        raise CheckpointError(_other_network(source, differences))
    model.load_state_dict(weights)


def load_pretrained(model: flambeau.nn.Module, path: Path, partial: bool = False) -> LoadReport:
    """Starts a network from a checkpoint; its last layer may have another width.

    Arguments:
        model: the network.
        path: the checkpoint. Names that all begin with `module.`, as DataParallel writes them, are read without it.
        partial: takes every tensor of the same name and shape, and leaves the others as they are.

    Raises `CheckpointError` for a checkpoint that differs in anything but the last layer, or, where `partial`, in
    everything.
    """
    weights = _without_prefix(read_checkpoint(path)["model"])
    own = model.state_dict()
    last = _last_layer(model)
    report = LoadReport()
    for name, value in own.items():
        is_last = name.rpartition(".")[0] == last
        if is_last and name in weights and _differs_in_width(value, weights[name]):
            report.replaced.append(f"{name} {_shape(weights[name])} -> {_shape(value)}")
            weights[name] = value
        elif name in weights:
            report.loaded.append(name)
    differences = _differences(own, weights)
    if partial:
        taken = {name: weights[name] for name in report.loaded if weights[name].shape == own[name].shape}
        last_layer = [text.partition(" ")[0] for text in report.replaced]
        report.loaded = list(taken)
        report.fresh = [name for name in own if name not in taken and name not in last_layer]
        report.unused = [name for name in weights if name not in own]
        if not taken:
            raise CheckpointError(f"nothing in the checkpoint {path} fits the network. {_listed(differences)}")
        model.load_state_dict(taken, strict=False)
        return report
    if differences:
        hint = ". To take what fits and leave the rest as it is: finetune.partial=true"
        raise CheckpointError(_other_network(path, differences) + hint)
    model.load_state_dict(weights)
    return report


def _without_prefix(weights: dict[str, Any], prefix: str = "module.") -> dict[str, Any]:
    wrapped = bool(weights) and all(name.startswith(prefix) for name in weights)
    return {name.removeprefix(prefix) if wrapped else name: value for name, value in weights.items()}


def freeze(model: flambeau.nn.Module, patterns: Sequence[str]) -> list[str]:
    """Takes parameters out of training: `requires_grad` off; their names.

    Arguments:
        patterns: names with `*` and `?`, or the name of a module, which means all in it.

    Raises `ConfigError` for a pattern that matches nothing.
    """
    parameters = dict(model.named_parameters())
    frozen: list[str] = []
    for pattern in patterns:
        matching = [name for name in parameters if matches(name, pattern)]
        if not matching:
            modules = [name for name, _ in model.named_modules() if name]
            hint = nearest(pattern, [*modules, *parameters])
            raise ConfigError(f"--freeze {pattern}: no parameter has such a name{hint}")
        frozen += matching
    for name in frozen:
        parameters[name].requires_grad_(False)
    if len(set(frozen)) == len(parameters):
        raise ConfigError(f"--freeze {' '.join(patterns)}: this leaves nothing to train")
    return sorted(set(frozen))


def keep_frozen_statistics(model: flambeau.nn.Module) -> None:
    """Puts normalisation layers that are frozen into evaluation mode: their statistics stay as well.

    One without parameters of its own goes by those of the module that it is in.
    """
    modules = dict(model.named_modules())
    for name, module in modules.items():
        if not any(own == "running_mean" for own, _ in module.named_buffers("", False)):
            continue
        parameters = list(module.parameters(recurse=False))
        parameters = parameters or list(modules[name.rpartition(".")[0]].parameters())
        if parameters and not any(parameter.requires_grad for parameter in parameters):
            module.eval()


def _last_layer(model: flambeau.nn.Module) -> str:
    """The name of the last module with parameters of its own."""
    owners = [name.rpartition(".")[0] for name, _ in model.named_parameters()]
    return owners[-1] if owners else ""


def _differs_in_width(fresh: Any, stored: Any) -> bool:
    return (
        fresh.shape != stored.shape
        and fresh.ndim == stored.ndim
        and tuple(fresh.shape[1:]) == tuple(stored.shape[1:])
    )


def _differences(own: dict[str, Any], weights: dict[str, Any]) -> list[str]:
    missing = [name for name in own if name not in weights]
    unexpected = [name for name in weights if name not in own]
    shapes = [
        f"{name} is {_shape(weights[name])} in the file, {_shape(own[name])} in the network"
        for name in own
        if name in weights and tuple(own[name].shape) != tuple(weights[name].shape)
    ]
    parts = []
    if missing:
        parts.append(f"missing keys: {_some(missing)}")
    if unexpected:
        parts.append(f"unexpected keys: {_some(unexpected)}")
    if shapes:
        parts.append(f"shapes: {_some(shapes, 6, '; ')}")
    return parts


def _some(names: Sequence[str], count: int = 12, between: str = ", ") -> str:
    more = f"{between}and {len(names) - count} more" if len(names) > count else ""
    return between.join(names[:count]) + more


def _shape(tensor: Any) -> str:
    return "x".join(map(str, tensor.shape)) or "a number"


def _other_network(source: Path, differences: list[str]) -> str:
    return f"the checkpoint {source} is of another network. {_listed(differences)}"


def _listed(differences: list[str]) -> str:
    return ". ".join(part[0].upper() + part[1:] for part in differences)
