"""Ending a run that no longer gets better."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flambeau.train.callbacks.base import Callback

if TYPE_CHECKING:
    from flambeau.train.trainer import Trainer


class EarlyStopping(Callback):
    """Ends the run after `patience` epochs without a better score.

    Arguments:
        patience: how many epochs are waited for.
        min_delta: how much better a score must be to count.

    The score is the one that picks the best checkpoint, `checkpoint.monitor`.
    """

    def __init__(self, patience: int = 5, min_delta: float = 0.0):
        self.patience = patience
        self.min_delta = min_delta
        self.best: float | None = None
        self.waited = 0

    def on_train_epoch_end(self, trainer: Trainer) -> None:
        found = trainer.badness(trainer.progress.epochs[-1])
        if self.best is None or self.best - found > self.min_delta:
            self.best, self.waited = found, 0
        else:
            self.waited += 1
        if self.waited >= self.patience:
            trainer.should_stop = True

    def state_dict(self) -> dict[str, Any]:
        return {"best": self.best, "waited": self.waited}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.best, self.waited = state.get("best"), state.get("waited", 0)
