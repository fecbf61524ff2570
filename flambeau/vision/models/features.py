"""Feature maps of every stage, for networks that stand on top of a classifier's body."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import TypeVar

import flambeau
from flambeau import Tensor, nn
from flambeau.vision.models.classifier import ImageClassifier
from flambeau.vision.models.modes import evaluating

M = TypeVar("M", bound=nn.Module)


class FeatureInfo:
    """The channels of each map, and how many times smaller than the picture it is."""

    def __init__(self, channels: list[int], reduction: list[int]):
        self._channels = channels
        self._reduction = reduction

    def channels(self) -> list[int]:
        """The number of channels of each map."""
        return list(self._channels)

    def reduction(self) -> list[int]:
        """The picture's height divided by each map's."""
        return list(self._reduction)


class FeatureMaps(nn.Module):
    """The body of a classifier; returns the maps of its stages, largest first.

    `model` holds what is needed for them and nothing else, under the classifier's own names.
    """

    def __init__(self, model: ImageClassifier, out_indices: Sequence[int] | None = None):
        super().__init__()
        if not isinstance(model, ImageClassifier):
            raise TypeError(
                f"features_only needs a network that names its stages, as those of flambeau.vision.models, got "
                f"{type(model).__name__}; create_feature_extractor gives what modules of any network give"
            )
        count = len(model.stages())
        chosen = range(count) if out_indices is None else out_indices
        if not chosen or not all(-count <= i < count for i in chosen):
            raise ValueError(
                f"out_indices must name some of the {count} stages of {type(model).__name__}"
                f" (0 to {count - 1}), got {list(chosen)}"
            )
        self.out_indices = tuple(i % count for i in chosen)
        self.training = model.training
        self.model = _only(model, model.feature_modules(max(self.out_indices)))

    def forward(self, x: Tensor) -> list[Tensor]:
        """The maps, (batch, channels, height, width) each, of pictures."""
        maps = self.model.feature_maps(x, last=max(self.out_indices))
        return [maps[i] for i in self.out_indices]

    @cached_property
    def feature_info(self) -> FeatureInfo:
        """Channels and reductions of the maps, found by running an empty picture."""
        size = getattr(self.model, "image_size", 128)
        with evaluating(self), flambeau.no_grad():
            first = next((m for m in self.modules() if isinstance(m, nn.Conv2d)), None)
            channels = 3 if first is None else first.in_channels
            maps = self(flambeau.zeros(1, channels, size, size))
        return FeatureInfo([m.shape[1] for m in maps], [round(size / m.shape[2]) for m in maps])


def features_only(
    model: ImageClassifier, out_indices: Sequence[int] | None = None
) -> FeatureMaps:
    """A network that returns the maps after the stem and after each stage of `model`.

    The stages are timm's, as far as it has these networks: `resnet18(features_only=True)` gives
    five maps, at a half, a quarter, ... of the picture's height and width. A transformer gives
    what each of its blocks makes of the patches, laid out as maps. The parameters are shared
    with `model`, which stays whole.

    Arguments:
        model: any classifier of this package; load its weights first.
        out_indices: the stages whose maps are wanted; all of them if `None`. Those after the
            last one wanted are left out of the network.

    Raises:
        TypeError: for a network that does not name its stages.
        ValueError: for a stage that is not there.
    """
    return FeatureMaps(model, out_indices)


def _only(module: M, names: Iterable[str]) -> M:
    """A copy of a module that has only the submodules named; they are shared, not copied."""
    names = list(names)
    body = copy.copy(module)
    body._modules = {}
    for child_name, child in module._modules.items():
        inner = [
            name.removeprefix(f"{child_name}.")
            for name in names
            if name.startswith(f"{child_name}.")
        ]
        if child_name in names:
            body._modules[child_name] = child
        elif inner and child is not None:
            body._modules[child_name] = _only(child, inner)
    return body
