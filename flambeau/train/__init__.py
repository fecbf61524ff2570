"""The training framework: typed configs, trainer and callbacks, run folders, reports."""

from flambeau.train.callbacks import Callback
from flambeau.train.config import Component, Config
from flambeau.train.config_files import load_config, save_config
from flambeau.train.errors import (
    CheckpointError,
    ConfigError,
    Interrupted,
    NonFiniteError,
    RunError,
    UserError,
)
from flambeau.train.evaluation import Evaluation
from flambeau.train.pretrained import freeze, load_pretrained
from flambeau.train.report import write_report
from flambeau.train.run_folder import RunFolder
from flambeau.train.trainer import Trainer

__all__ = [
    "Callback",
    "CheckpointError",
    "Component",
    "Config",
    "ConfigError",
    "Evaluation",
    "Interrupted",
    "NonFiniteError",
    "RunError",
    "RunFolder",
    "Trainer",
    "UserError",
    "freeze",
    "load_config",
    "load_pretrained",
    "save_config",
    "write_report",
]
