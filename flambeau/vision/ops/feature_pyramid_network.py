"""Feature pyramids: coarse features brought to fine maps (T.-Y. Lin et al., CVPR 2017)."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from flambeau.nn import Conv2d, Module, ModuleList, init
from flambeau.nn import functional as F
from flambeau.tensor import Tensor
from flambeau.vision.ops.misc import Conv2dNormActivation


class ExtraFPNBlock(Module):
    """Base of what adds levels to a pyramid."""

    def forward(
        self, results: list[Tensor], x: list[Tensor], names: list[str]
    ) -> tuple[list[Tensor], list[str]]:
        """The pyramid's maps and their names, with more, from the maps `results`, the inputs `x` and names."""
        raise NotImplementedError(f"{type(self).__name__}.forward")


class FeaturePyramidNetwork(Module):
    """Maps of one number of channels from the stages of a network, fine to coarse.

    Args:
        in_channels_list: the channels of each input map.
        out_channels: those of the results.
        extra_blocks: adds coarser levels, as `LastLevelMaxPool` or `LastLevelP6P7`.
        norm_layer: makes a normalisation for so many channels.

    Raises:
        ValueError: for inputs without channels.
        TypeError: if `extra_blocks` is no `ExtraFPNBlock`.
    """

    _version = 2

    def __init__(
        self,
        in_channels_list: list[int],
        out_channels: int,
        extra_blocks: ExtraFPNBlock | None = None,
        norm_layer: Callable[..., Module] | None = None,
    ) -> None:
        super().__init__()
        self.inner_blocks = ModuleList()
        self.layer_blocks = ModuleList()
        options: dict[str, Any] = {"norm_layer": norm_layer, "activation_layer": None}
        for in_channels in in_channels_list:
            if in_channels == 0:
                raise ValueError("in_channels=0 is currently not supported")
            self.inner_blocks.append(
                Conv2dNormActivation(in_channels, out_channels, kernel_size=1, padding=0, **options)
            )
            self.layer_blocks.append(Conv2dNormActivation(out_channels, out_channels, kernel_size=3, **options))
        for module in self.modules():
            if isinstance(module, Conv2d):
                init.kaiming_uniform_(module.weight, a=1)
                if module.bias is not None:
                    init.zeros_(module.bias)
        if extra_blocks is not None and not isinstance(extra_blocks, ExtraFPNBlock):
            raise TypeError(f"extra_blocks should be of type ExtraFPNBlock not {type(extra_blocks)}")
        self.extra_blocks = extra_blocks

    def _load_from_state_dict(
        self, state_dict: Any, prefix: str, local_metadata: dict[str, Any], *others: Any
    ) -> None:
        # Files of torchvision before 0.14 have bare convolutions for blocks.
        if (local_metadata.get("version") or 1) < 2:
            for block in ("inner_blocks", "layer_blocks"):
                for number in range(len(self.inner_blocks)):
                    for name in ("weight", "bias"):
                        old = f"{prefix}{block}.{number}.{name}"
                        if old in state_dict:
                            state_dict[f"{prefix}{block}.{number}.0.{name}"] = state_dict.pop(old)
        super()._load_from_state_dict(state_dict, prefix, local_metadata, *others)

    def forward(self, x: dict[str, Tensor]) -> dict[str, Tensor]:
        """The maps of the pyramid under the names of the inputs, finest first."""
        names, maps = list(x), list(x.values())
        coarser: Tensor | None = None
        results: list[Tensor] = []
        levels = zip(maps, self.inner_blocks, self.layer_blocks, strict=True)
        for features, inner, layer in reversed(list(levels)):
            lateral = inner(features)
            if coarser is not None:
                lateral = lateral + F.interpolate(coarser, size=lateral.shape[-2:], mode="nearest")
            coarser = lateral
            results.insert(0, layer(lateral))
        if self.extra_blocks is not None:
            results, names = self.extra_blocks(results, maps, names)
        return OrderedDict(zip(names, results, strict=True))


class LastLevelMaxPool(ExtraFPNBlock):
    """One more level `pool`: every second pixel of the coarsest map."""

    def forward(
        self, results: list[Tensor], x: list[Tensor], names: list[str]
    ) -> tuple[list[Tensor], list[str]]:
        """The maps `results` and their names, each with one more."""
        names.append("pool")
        results.append(F.max_pool2d(results[-1], kernel_size=1, stride=2, padding=0))
        return results, names


class LastLevelP6P7(ExtraFPNBlock):
    """Two more levels `p6` and `p7`, by strided convolutions of the coarsest map (as in RetinaNet).

    Args:
        in_channels: channels of the coarsest input; where they equal `out_channels`, the pyramid's map is used.
        out_channels: channels of the results.
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.p6 = Conv2d(in_channels, out_channels, 3, 2, 1)
        self.p7 = Conv2d(out_channels, out_channels, 3, 2, 1)
        for module in (self.p6, self.p7):
            init.kaiming_uniform_(module.weight, a=1)
            init.constant_(module.bias, 0)  # type: ignore[arg-type]
        self.use_P5 = in_channels == out_channels

    def forward(
        self, results: list[Tensor], x: list[Tensor], names: list[str]
    ) -> tuple[list[Tensor], list[str]]:
        """The maps `results` and their names, each with two more."""
        p6 = self.p6(results[-1] if self.use_P5 else x[-1])
        results.extend([p6, self.p7(F.relu(p6))])
        names.extend(["p6", "p7"])
        return results, names
