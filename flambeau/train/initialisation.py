"""Initial weights by kind of layer."""

from __future__ import annotations

from collections.abc import Sequence

import flambeau
from flambeau import nn
from flambeau.train.components import build
from flambeau.train.config import InitialisationRule
from flambeau.train.errors import ConfigError


def initialise(model: nn.Module, rules: Sequence[InitialisationRule]) -> None:
    """Fills the weights of each layer whose kind a rule names; later rules go over earlier ones.

    Raises `ConfigError` for a rule that no layer of the network fits.
    """
    for index, rule in enumerate(rules):
        key = f"init[{index}]"
        layers = [layer for layer in model.modules() if _is_of(layer, rule.layers)]
        if not layers:
            present = sorted({type(m).__name__ for m in model.modules() if list(m.parameters(recurse=False))})
            raise ConfigError(
                f"{key}.layers = {rule.layers}: the network has no such layer; it has {', '.join(present)}"
            )
        for layer in layers:
            weight = getattr(layer, "weight", None)
            if isinstance(weight, nn.Parameter):
                build(rule, key, weight)
            bias = getattr(layer, "bias", None)
            if rule.bias is not None and isinstance(bias, nn.Parameter):
                with flambeau.no_grad():
                    bias.fill_(rule.bias)


def _is_of(layer: nn.Module, kinds: Sequence[str]) -> bool:
    return any(kind.__name__ in kinds for kind in type(layer).__mro__)
