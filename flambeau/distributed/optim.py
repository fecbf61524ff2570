"""Optimizers whose state is shared out among processes; one process keeps it whole."""

from __future__ import annotations

from typing import Any

from flambeau.distributed.world import member
from flambeau.optim.optimizer import Optimizer


class ZeroRedundancyOptimizer(Optimizer):
    """An optimizer of a class whose state is split over all processes: here it is all on this one.

    Args:
        params: what it updates.
        optimizer_class: the class of the optimizer.
        process_group: the group; left out, that of all processes.
        parameters_as_bucket_view: accepted: it says how parameters travel.
        overlap_with_ddp: accepted likewise.
        defaults: arguments of the optimizer.
    """

    def __init__(
        self, params: Any, optimizer_class: type[Optimizer], process_group: Any = None,
        parameters_as_bucket_view: bool = False, overlap_with_ddp: bool = False, **defaults: Any,
    ):  # fmt: skip
        self.process_group = member(process_group)
        self.optim = optimizer_class(params, **defaults)
        super().__init__(self.optim.param_groups, self.optim.defaults)
        self.param_groups, self.state = self.optim.param_groups, self.optim.state

    def step(self, closure: Any = None, **kwargs: Any) -> Any:
        """One step of the optimizer."""
        return self.optim.step(closure, **kwargs)

    def consolidate_state_dict(self, to: int = 0) -> None:
        """Gathers the state on one process: it is there."""

    def state_dict(self) -> dict[str, Any]:
        """The state of the optimizer."""
        return self.optim.state_dict()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Takes a state over."""
        self.optim.load_state_dict(state_dict)
        self.param_groups, self.state = self.optim.param_groups, self.optim.state
