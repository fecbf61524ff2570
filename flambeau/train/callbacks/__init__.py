"""What may happen at the hooks of a run."""

from flambeau.train.callbacks.base import Callback
from flambeau.train.callbacks.checkpoints import Checkpoints
from flambeau.train.callbacks.csv_log import CSVLog
from flambeau.train.callbacks.early_stopping import EarlyStopping
from flambeau.train.callbacks.json_log import JSONLog
from flambeau.train.callbacks.progress_bar import ProgressBar
from flambeau.train.callbacks.tensorboard import TensorBoardLog
from flambeau.train.callbacks.unfreezing import GradualUnfreezing

__all__ = [
    "CSVLog",
    "Callback",
    "Checkpoints",
    "EarlyStopping",
    "GradualUnfreezing",
    "JSONLog",
    "ProgressBar",
    "TensorBoardLog",
]
