"""A JSON object a line, for scripts."""

from __future__ import annotations

import json
import math
import sys
from typing import TYPE_CHECKING, Any

from flambeau.train.callbacks.base import Callback

if TYPE_CHECKING:
    from flambeau.train.trainer import Trainer


class JSONLog(Callback):
    """Prints a JSON object for each epoch on standard output."""

    def on_train_epoch_end(self, trainer: Trainer) -> None:
        print_json(
            {"event": "epoch", "run": trainer.config.name, **trainer.progress.epochs[-1]}
        )


def print_json(values: dict[str, Any]) -> None:
    """Prints one JSON object on a line; what JSON cannot say, such as NaN, becomes null."""
    sys.stdout.write(json.dumps(_finite(values), allow_nan=False) + "\n")
    sys.stdout.flush()


def _finite(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {key: _finite(part) for key, part in value.items()}
    if isinstance(value, list):
        return [_finite(part) for part in value]
    return value
