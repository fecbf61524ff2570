"""What all classifiers of pictures share: stages, a last layer, initial values by kind of layer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from flambeau import Tensor, nn


class ImageClassifier(nn.Module):
    """A network that turns pictures (batch, 3, height, width) into scores (batch, classes).

    A subclass says which of its modules make the features, stage by stage, and which layer
    gives the scores; the rest follows: `feature_maps`, `reset_classifier`.
    """

    #: The layer (a `Linear` or a 1x1 `Conv2d`) that gives the scores.
    last_layer: ClassVar[str] = "classifier"

    def stages(self) -> list[list[str]]:
        """For each resolution of maps, largest first, the modules that run, one after another."""
        raise NotImplementedError(f"{type(self).__name__} does not name its stages")

    def feature_maps(self, x: Tensor, last: int | None = None) -> list[Tensor]:
        """What each stage gives for pictures `x`, up to the one with index `last`."""
        maps = []
        for stage in self.stages()[: None if last is None else last + 1]:
            for name in stage:
                x = self.get_submodule(name)(x)
            maps.append(x)
        return maps

    def feature_modules(self, last: int) -> list[str]:
        """The modules that `feature_maps` needs for the stages up to `last`."""
        return [name for stage in self.stages()[: last + 1] for name in stage]

    def initialize(self, layer: nn.Module) -> None:
        """Draws the initial values of one layer; layers keep their own where this does nothing."""

    def initialize_layers(self) -> None:
        """Draws the initial values of all layers, in the order of `modules()`."""
        for layer in self.modules():
            self.initialize(layer)

    def last_layers(self) -> list[str]:
        """The names of the layers that give scores: one, and more where there are auxiliary ones."""
        return [self.last_layer]

    def fitting(self, state: dict[str, Any]) -> dict[str, Any]:
        """The part of published weights that this network has a place for."""
        return state

    def reset_classifier(self, num_classes: int) -> None:
        """Replaces the last layer by a new one with `num_classes` outputs.

        It gets the initial values that the network's own would get, on its device and with its
        dtype. With `num_classes=0` the layer is left out, and the network gives the features
        that it would have seen.
        """
        if num_classes < 0:
            raise ValueError(f"num_classes must not be negative, got {num_classes}")
        for name in self.last_layers():
            parent, _, child = name.rpartition(".")
            old = self.get_submodule(name)
            new = _with_outputs(old, num_classes)
            setattr(self.get_submodule(parent), child, new)
            self.initialize(new)
        if hasattr(self, "num_classes"):
            self.num_classes = num_classes


def _with_outputs(layer: nn.Module, outputs: int) -> nn.Module:
    """A layer as `layer`, newly drawn, with another number of outputs."""
    if outputs == 0:
        return nn.Identity()
    new: nn.Module
    if isinstance(layer, nn.Linear):
        new = nn.Linear(layer.in_features, outputs, layer.bias is not None)
    elif isinstance(layer, nn.Conv2d):
        new = nn.Conv2d(
            layer.in_channels, outputs, layer.kernel_size, bias=layer.bias is not None
        )
    else:
        raise TypeError(
            f"the last layer is a {type(layer).__name__}, which does not say how many features"
            " it expects; replace it yourself"
        )
    return new.to(device=layer.weight.device, dtype=layer.weight.dtype)


def stages_by_stride(strides: Sequence[int], parent: str = "features") -> list[list[str]]:
    """The children of a `Sequential` by resolution: each one with a stride begins a stage."""
    stages: list[list[str]] = []
    for index, stride in enumerate(strides):
        if stride > 1 or not stages:
            stages.append([])
        stages[-1].append(f"{parent}.{index}")
    return stages
