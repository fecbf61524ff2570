"""TensorBoard's event files, for those who watch a run in it."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from flambeau.train.callbacks.base import Callback
from flambeau.train.errors import UserError

if TYPE_CHECKING:
    from flambeau.train.trainer import Trainer


def _summary_writer() -> Any:
    """tensorboardX's writer. It would import PyTorch where that is installed, a second and 200 MB that it needs for nothing here."""
    hidden = "torch" not in sys.modules
    if hidden:
        sys.modules["torch"] = None  # type: ignore[assignment]  # Python then says that it is not there
    try:
        from tensorboardX import SummaryWriter
    except ModuleNotFoundError as error:
        raise UserError(
            f"the TensorBoard log needs {error.name}, which is not installed: pip install 'flambeau[train]'"
        ) from error
    finally:
        if hidden:
            del sys.modules["torch"]
    return SummaryWriter


class TensorBoardLog(Callback):
    """Writes the loss curve, the scores and the learning rate as TensorBoard events."""

    def __init__(self) -> None:
        self._writer: Any = None

    def on_train_start(self, trainer: Trainer) -> None:
        if trainer.run is None:
            return
        # What a killed run had written past its checkpoint is hidden from here on.
        step = trainer.progress.step
        self._writer = _summary_writer()(
            str(trainer.run.events), purge_step=step + 1 if step else None
        )

    def on_train_batch_end(
        self, trainer: Trainer, outputs: float, batch: Any, batch_idx: int
    ) -> None:
        progress = trainer.progress
        if (
            self._writer is not None
            and progress.curve
            and progress.curve[-1][0] == progress.step
        ):
            self._writer.add_scalar("train/loss", progress.curve[-1][1], progress.step)
            self._writer.add_scalar("train/lr", trainer.learning_rate, progress.step)

    def on_train_epoch_end(self, trainer: Trainer) -> None:
        if self._writer is None:
            return
        row = trainer.progress.epochs[-1]
        for name, value in row.items():
            if name.startswith("val_"):
                score = name.removeprefix("val_")
                self._writer.add_scalar(f"validation/{score}", value, row["step"])
        self._writer.flush()

    def teardown(self, trainer: Trainer, stage: str) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None
