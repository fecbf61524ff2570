"""Where a run stands: counted, checkpointed, and restored to the same place."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass
class Progress:
    """The counters and the history of a run.

    Attributes:
        epoch: epochs that are complete.
        batch: batches done in the present epoch.
        step: batches done in all.
        loss_sum: sum of the losses of the present epoch.
        norm_sum: sum of the gradients' norms of the present epoch.
        seconds: time spent on training in all processes of this run.
        best: the smallest `Trainer.badness` so far.
        best_epoch: the epoch that reached it.
        epochs: a row of scores for each complete epoch.
        curve: pairs of a step and the mean loss since the pair before.
        pending: losses since the last point of `curve`.
    """

    epoch: int = 0
    batch: int = 0
    step: int = 0
    loss_sum: float = 0.0
    norm_sum: float = 0.0
    seconds: float = 0.0
    best: float | None = None
    best_epoch: int | None = None
    epochs: list[dict[str, Any]] = field(default_factory=list)
    curve: list[list[float]] = field(default_factory=list)
    pending: list[float] = field(default_factory=list)

    def count(self, loss: float, norm: float, every: int) -> None:
        """Counts a step with this loss and norm of gradients; each `every` steps the curve gets a point."""
        self.batch += 1
        self.step += 1
        self.loss_sum += loss
        self.norm_sum += norm
        self.pending.append(loss)
        if self.step % every == 0:
            self.curve.append([self.step, sum(self.pending) / len(self.pending)])
            self.pending.clear()

    def finish_epoch(self, row: dict[str, Any]) -> None:
        """Counts an epoch and keeps its row."""
        self.epochs.append(row)
        self.epoch += 1
        self.batch = 0
        self.loss_sum = 0.0
        self.norm_sum = 0.0

    def state_dict(self) -> dict[str, Any]:
        """Everything, as plain values."""
        return asdict(self)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Takes back what `state_dict` gave."""
        for name, value in state.items():
            setattr(self, name, value)
