"""Feature maps of every stage, for networks that stand on top of a classifier's body."""

from __future__ import annotations

import copy
from collections.abc import Sequence

from flambeau import Tensor, nn
from flambeau.vision.models.classifier import ImageClassifier


class FeatureMaps(nn.Module):
    """A classifier without its head, that returns the maps of its stages, largest first.

    `model` is the network; its head (pooling, classifier) is gone. Load a checkpoint before the
    network becomes this, or into `model` with `strict=False`.
    """

    def __init__(self, model: ImageClassifier, out_indices: Sequence[int] | None = None):
        super().__init__()
        count = len(model.stages())
        chosen = range(count) if out_indices is None else out_indices
        wrong = [i for i in chosen if not -count <= i < count]
        if wrong or not chosen:
            raise ValueError(
                f"out_indices must name some of the {count} stages of {type(model).__name__}"
                f" (0 to {count - 1}), got {list(chosen)}"
            )
        self.out_indices = tuple(i % count for i in chosen)
        self.model = _without_head(model)

    def forward(self, x: Tensor) -> list[Tensor]:
        """The maps, (batch, channels, height, width) each, of pictures."""
        maps = self.model.feature_maps(x, last=max(self.out_indices))
        return [maps[i] for i in self.out_indices]


def features_only(
    model: ImageClassifier, out_indices: Sequence[int] | None = None
) -> FeatureMaps:
    """A network that returns the maps after the stem and after each stage of `model`.

    The names and the order are timm's: `resnet18(features_only=True)` gives five maps, at a half,
    a quarter, ... of the picture's height and width. The parameters are shared with `model`,
    which stays whole.

    Arguments:
        model: any classifier of this package.
        out_indices: the stages whose maps are wanted; all of them if `None`. Those after the
            last one wanted are not computed.

    Raises:
        ValueError: for a stage that is not there.
    """
    return FeatureMaps(model, out_indices)


def _without_head(model: ImageClassifier) -> ImageClassifier:
    body = copy.copy(model)
    body._modules = {  # the copy's own, so that `model` keeps its head
        name: child for name, child in model._modules.items() if name not in model.head
    }
    return body
