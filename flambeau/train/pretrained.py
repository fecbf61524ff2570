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
    """

    loaded: list[str] = field(default_factory=list)
    replaced: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        text = f"{len(self.loaded)} tensors loaded"
        if self.replaced:
            text += f"; new last layer: {', '.join(self.replaced)}"
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


def load_pretrained(model: flambeau.nn.Module, path: Path) -> LoadReport:
    """Starts a network from a checkpoint; its last layer may have another width.

    Raises `CheckpointError` for a checkpoint that differs in anything but the last layer.
    """
    weights = dict(read_checkpoint(path)["model"])
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
    if differences:
        raise CheckpointError(_other_network(path, differences))
    model.load_state_dict(weights)
    return report


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
    """Puts normalisation layers without trainable parameters into evaluation mode."""
    for module in model.modules():
        own = list(module.parameters(recurse=False))
        has_statistics = any(
            name == "running_mean" for name, _ in module.named_buffers("", False)
        )
        if own and has_statistics and not any(p.requires_grad for p in own):
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
    return f"the checkpoint {source} is of another network. " + ". ".join(
        part[0].upper() + part[1:] for part in differences
    )
