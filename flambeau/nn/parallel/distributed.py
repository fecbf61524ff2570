"""`DistributedDataParallel`: a module that is trained by several processes, of which there is one."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from flambeau.nn.module import Module


class DistributedDataParallel(Module):
    """Wraps a module; gradients are averaged over all processes, which of one process are its own.

    Args:
        module: the module, which stays reachable as `.module`.
        device_ids: `None` or nothing: modules here lie on the processor.
        output_device: accepted.
        process_group: the group; left out, that of all processes.
        options: PyTorch's others are accepted: they say how gradients travel.

    Raises:
        RuntimeError: for a module without parameters that are trained.
        ValueError: where there is no process group, and for devices.
    """

    def __init__(
        self, module: Module, device_ids: Any = None, output_device: Any = None, dim: int = 0,
        broadcast_buffers: bool = True, init_sync: bool = True, process_group: Any = None, **options: Any,
    ):  # fmt: skip
        super().__init__()
        from flambeau import distributed

        self.process_group = process_group or distributed.group.WORLD
        if self.process_group is None:
            raise ValueError(
                "Default process group has not been initialized, please make sure to call init_process_group."
            )
        if not any(p.requires_grad for p in module.parameters()):
            raise RuntimeError(
                "DistributedDataParallel is not needed when a module doesn't have any parameter that requires a "
                "gradient."
            )
        if device_ids:
            raise ValueError(f"device_ids must be None or empty for modules on the processor, got {device_ids}")
        self.module = module
        self.device_ids, self.output_device, self.dim = None, None, dim
        self.broadcast_buffers = broadcast_buffers
        self.require_backward_grad_sync = True

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return self.module(*args, **kwargs)

    @contextlib.contextmanager
    def no_sync(self) -> Iterator[None]:
        """A block in which gradients are not averaged but kept to be added to."""
        before, self.require_backward_grad_sync = self.require_backward_grad_sync, False
        try:
            yield
        finally:
            self.require_backward_grad_sync = before

    @contextlib.contextmanager
    def join(self, divide_by_initial_world_size: bool = True, enable: bool = True, **options: Any) -> Iterator[None]:
        """A block in which processes may have differing numbers of batches."""
        yield

    def register_comm_hook(self, state: object, hook: Any) -> None:
        """Accepted: of one process no gradients travel."""
