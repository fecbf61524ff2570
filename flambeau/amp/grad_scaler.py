"""`GradScaler`, switched off: the numbers of the processor do not underflow as float16 does."""

from __future__ import annotations

import warnings
from typing import Any


class GradScaler:
    """Scales nothing: `scale(loss)` is the loss and `step(optimizer)` is the optimizer's step.

    Arguments:
        device: "cuda", which is not there: the scaler is then disabled with a warning, as PyTorch's is.
        enabled: whether it should scale, where it could.

    Raises:
        NotImplementedError: where it is enabled on the processor.
    """

    def __init__(
        self, device: str = "cuda", init_scale: float = 2.0**16, growth_factor: float = 2.0,
        backoff_factor: float = 0.5, growth_interval: int = 2000, enabled: bool = True,
    ):  # fmt: skip
        if enabled and device == "cpu":
            raise NotImplementedError("GradScaler on the processor is not there: give it enabled=False")
        if enabled:
            warnings.warn(
                "torch.cuda.amp.GradScaler is enabled, but CUDA is not available.  Disabling.", stacklevel=2
            )

    def scale(self, outputs: Any) -> Any:
        """`outputs`, as they are."""
        return outputs

    def unscale_(self, optimizer: Any) -> None:
        """Leaves the gradients, which are not scaled."""

    def step(self, optimizer: Any, *args: Any, **kwargs: Any) -> Any:
        """The optimizer's step."""
        return optimizer.step(*args, **kwargs)

    def update(self, new_scale: Any = None) -> None:
        """Leaves the scale, which is 1."""

    def get_scale(self) -> float:
        """1.0"""
        return 1.0

    def is_enabled(self) -> bool:
        """False"""
        return False

    def state_dict(self) -> dict[str, Any]:
        """Empty, as that of a disabled scaler is."""
        return {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Takes nothing in, as a disabled scaler does."""
