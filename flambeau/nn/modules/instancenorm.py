"""Instance normalisation (Ulyanov et al., 2016)."""

from __future__ import annotations

import warnings
from typing import Any

from flambeau.nn import functional as F
from flambeau.nn.modules.batchnorm import _LazyNormBase, _NormBase
from flambeau.tensor import Tensor

__all__ = [
    "InstanceNorm1d",
    "InstanceNorm2d",
    "InstanceNorm3d",
    "LazyInstanceNorm1d",
    "LazyInstanceNorm2d",
    "LazyInstanceNorm3d",
]


class _InstanceNorm(_NormBase):
    """`(x - mean) / sqrt(var + eps) * weight + bias`, with each sample's own statistics.

    Args:
        num_features: channels C.
        eps: added to the variance.
        momentum: share of the new batch in the running average.
        affine: whether to learn `weight` and `bias`.
        track_running_stats: keep running averages, and use them in evaluation.
        device: where parameters and statistics live.
        dtype: their element type.
        bias: whether `affine` has a shift.

    Raises:
        ValueError: for another number of dimensions or (with `affine`) of channels.
    """

    spatial_dims: int

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float = 0.1,
        affine: bool = False,
        track_running_stats: bool = False,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__(
            num_features, eps, momentum, affine, track_running_stats, device, dtype, bias=bias
        )

    def _check_input_dim(self, input: Tensor) -> None:
        unbatched = self._get_no_batch_dim()
        if input.dim() not in (unbatched, unbatched + 1):
            raise ValueError(
                f"expected {unbatched}D or {unbatched + 1}D input (got {input.dim()}D input)"
            )

    def _get_no_batch_dim(self) -> int:
        return self.spatial_dims + 1

    def forward(self, input: Tensor) -> Tensor:
        self._check_input_dim(input)
        self._check_channels(input)
        if input.dim() == self._get_no_batch_dim():
            return self._normalise(input.unsqueeze(0)).squeeze(0)
        return self._normalise(input)

    def _check_channels(self, input: Tensor) -> None:
        dim = input.dim() - self._get_no_batch_dim()
        found = input.size(dim)
        if found == self.num_features:
            return
        if self.affine:
            raise ValueError(
                f"expected input's size at dim={dim} to match num_features "
                f"({self.num_features}), but got: {found}."
            )
        warnings.warn(
            f"input's size at dim={dim} does not match num_features. You can silence this "
            "warning by not passing in num_features, which is not used because affine=False",
            stacklevel=3,
        )

    def _normalise(self, input: Tensor) -> Tensor:
        return F.instance_norm(
            input,
            self.running_mean,
            self.running_var,
            self.weight,
            self.bias,
            self.training or not self.track_running_stats,
            0.0 if self.momentum is None else self.momentum,
            self.eps,
        )

    def _load_from_state_dict(
        self,
        state_dict: Any,
        prefix: str,
        local_metadata: dict[str, Any],
        strict: bool,
        missing_keys: list[str],
        unexpected_keys: list[str],
        error_msgs: list[str],
    ) -> None:
        if local_metadata.get("version") is None and not self.track_running_stats:
            self._refuse_statistics(state_dict, prefix, error_msgs)
        super()._load_from_state_dict(
            state_dict,
            prefix,
            local_metadata,
            strict,
            missing_keys,
            unexpected_keys,
            error_msgs,
        )

    def _refuse_statistics(self, state_dict: Any, prefix: str, error_msgs: list[str]) -> None:
        """Before version 1 statistics were always tracked: say so instead of dropping them."""
        names = [prefix + name for name in ("running_mean", "running_var")]
        found = [name for name in names if name in state_dict]
        if not found:
            return
        listed = " and ".join(f'"{name}"' for name in found)
        kind = type(self).__name__
        error_msgs.append(
            f"Unexpected running stats buffer(s) {listed} for {kind} with "
            "track_running_stats=False. If state_dict is a checkpoint saved before 0.4.0, this "
            f"may be expected because {kind} does not track running stats by default since "
            "0.4.0. Please remove these keys from state_dict. If the running stats are actually "
            f"needed, instead set track_running_stats=True in {kind} to enable them. See the "
            f"documentation of {kind} for details."
        )
        for name in found:
            state_dict.pop(name)


class InstanceNorm1d(_InstanceNorm):
    __doc__ = f"""For `(N, C, L)` or `(C, L)`. {_InstanceNorm.__doc__}"""
    spatial_dims = 1


class InstanceNorm2d(_InstanceNorm):
    __doc__ = f"""For `(N, C, H, W)` or `(C, H, W)`. {_InstanceNorm.__doc__}"""
    spatial_dims = 2


class InstanceNorm3d(_InstanceNorm):
    __doc__ = f"""For `(N, C, D, H, W)` or `(C, D, H, W)`. {_InstanceNorm.__doc__}"""
    spatial_dims = 3


class LazyInstanceNorm1d(_LazyNormBase, InstanceNorm1d):
    """An `InstanceNorm1d` whose `num_features` the first input tells."""

    cls_to_become = InstanceNorm1d


class LazyInstanceNorm2d(_LazyNormBase, InstanceNorm2d):
    """An `InstanceNorm2d` whose `num_features` the first input tells."""

    cls_to_become = InstanceNorm2d


class LazyInstanceNorm3d(_LazyNormBase, InstanceNorm3d):
    """An `InstanceNorm3d` whose `num_features` the first input tells."""

    cls_to_become = InstanceNorm3d
