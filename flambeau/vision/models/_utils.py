"""Names that programs import from a private part of torchvision."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

from flambeau import nn
from flambeau.vision.models.channels import make_divisible as _make_divisible

__all__ = ["IntermediateLayerGetter", "_make_divisible"]


class IntermediateLayerGetter(nn.ModuleDict):
    """A network's children up to the last one wanted, run one after another.

    `create_feature_extractor` also finds what lies deeper, and follows the network's own
    `forward`.

    Arguments:
        model: a network that calls its children in the order they were defined.
        return_layers: the names of children whose outputs are wanted, and the names that these
            shall have.
    """

    def __init__(self, model: nn.Module, return_layers: Mapping[str, str]):
        children = OrderedDict(model.named_children())
        if not set(return_layers) <= set(children):
            raise ValueError("return_layers are not present in model")
        last = max((list(children).index(name) for name in return_layers), default=-1)
        super().__init__(OrderedDict(list(children.items())[: last + 1]))
        self.return_layers = {str(name): str(new) for name, new in return_layers.items()}

    def forward(self, x: Any) -> OrderedDict[str, Any]:
        """The outputs wanted, in the order they were computed."""
        found: OrderedDict[str, Any] = OrderedDict()
        for name, module in self.items():
            x = module(x)
            if name in self.return_layers:
                found[self.return_layers[name]] = x
        return found
