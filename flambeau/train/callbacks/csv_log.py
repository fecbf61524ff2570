"""`metrics.csv`: a line for each epoch."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING

from flambeau.train.atomic import write_atomically
from flambeau.train.callbacks.base import Callback

if TYPE_CHECKING:
    from flambeau.train.trainer import Trainer


class CSVLog(Callback):
    """Keeps the history as comma-separated values.

    The file is written anew from the history, so that a resumed run's has neither gaps nor
    lines twice.
    """

    def on_train_epoch_end(self, trainer: Trainer) -> None:
        if trainer.run is None:
            return
        rows = trainer.progress.epochs
        stream = io.StringIO()
        writer = csv.DictWriter(stream, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        text = stream.getvalue().encode()
        write_atomically(trainer.run.metrics, lambda file: file.write(text))
