"""Writing checkpoints: the last state, and the best one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flambeau.train.callbacks.base import Callback

if TYPE_CHECKING:
    from flambeau.train.trainer import Trainer


class Checkpoints(Callback):
    """Saves `last.pt` after each epoch and each `checkpoint.every_steps`, `best.pt` when due.

    `best.pt` goes first: a kill between the two leaves a last state from which the epoch is
    trained, and `best.pt` written, again.
    """

    def on_train_batch_end(
        self, trainer: Trainer, outputs: float, batch: Any, batch_idx: int
    ) -> None:
        every = trainer.config.checkpoint.every_steps
        if every and trainer.progress.step % every == 0:
            assert trainer.run is not None
            trainer.save(trainer.run.last)

    def on_train_epoch_end(self, trainer: Trainer) -> None:
        assert trainer.run is not None
        if trainer.progress.best_epoch == trainer.progress.epoch:
            trainer.save(trainer.run.best, trainer.run.last)
        else:
            trainer.save(trainer.run.last)
