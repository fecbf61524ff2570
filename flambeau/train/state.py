"""The whole state of a run, taken from a trainer and given back to one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import flambeau
from flambeau.optim.lr_scheduler import ReduceLROnPlateau
from flambeau.train import randomness
from flambeau.train.checkpoint import FORMAT, read_run_checkpoint
from flambeau.train.config import Interval
from flambeau.train.config_files import to_dict
from flambeau.train.errors import CheckpointError
from flambeau.train.pretrained import load_weights
from flambeau.train.schedule import fast_forward

if TYPE_CHECKING:
    from flambeau.train.trainer import Trainer


def capture(trainer: Trainer) -> dict[str, Any]:
    """Everything that the run needs to go on from this place, bit for bit."""
    checkpoint = {
        "format": FORMAT,
        "version": flambeau.__version__,
        "config": to_dict(trainer.config),
        "model": trainer.scored_model.state_dict(),
        "optimizer": trainer.optimizer.state_dict(),
        "schedule": trainer.schedule.state_dict() if trainer.schedule is not None else None,
        "progress": trainer.progress.state_dict(),
        "loader": trainer.loader.state_dict(),
        "order": trainer.order.get_state(),
        "randomness": randomness.capture(),
        "callbacks": [callback.state_dict() for callback in trainer.callbacks],
        "classes": trainer.classes,
    }
    if trainer.average is not None:
        checkpoint["trained"] = trainer.model.state_dict()
        checkpoint["average"] = trainer.average.state_dict()
    trainer.call("on_save_checkpoint", checkpoint)
    return checkpoint


def restore(trainer: Trainer) -> None:
    """Puts a trainer that is built where its run's last checkpoint stands.

    Raises `CheckpointError` for a checkpoint of another network, optimizer or config.
    """
    assert trainer.run is not None
    path = trainer.run.last
    checkpoint = read_run_checkpoint(path)
    before, now = checkpoint["config"]["optimizer"]["target"], trainer.config.optimizer.target
    if before != now:
        raise CheckpointError(
            f"{path} is of a run with {before}; it cannot be resumed with {now}. Start a new run from its "
            f"weights: flambeau finetune --from {path}"
        )
    load_weights(trainer.model, checkpoint.get("trained", checkpoint["model"]), path)
    try:
        if trainer.average is not None:
            trainer.average.load_state_dict(checkpoint["average"])
        trainer.progress.load_state_dict(checkpoint["progress"])
        _restore_rates(trainer, checkpoint)
        trainer.order.set_state(checkpoint["order"])
        if 0 < trainer.progress.batch < len(trainer.loader):
            trainer.loader.load_state_dict(checkpoint["loader"])
        states = checkpoint["callbacks"]
        for callback, state in zip(trainer.callbacks, states, strict=False):
            callback.load_state_dict(state)
        trainer.call("on_load_checkpoint", checkpoint)
        randomness.restore(checkpoint["randomness"])
    except (KeyError, ValueError, TypeError, RuntimeError) as error:
        raise CheckpointError(
            f"the checkpoint {path} does not fit this config: {error}"
        ) from error


def _restore_rates(trainer: Trainer, checkpoint: dict[str, Any]) -> None:
    """Restores the optimizer and the schedule; where the config now plans otherwise, they follow the new plan."""
    planned = [{k: v for k, v in group.items() if k != "params"} for group in trainer.optimizer.param_groups]
    trainer.optimizer.load_state_dict(checkpoint["optimizer"])
    before, now = checkpoint["config"], to_dict(trainer.config)
    other_optimizer = before["optimizer"] != now["optimizer"]
    other_schedule = before["schedule"] != now["schedule"] or before["trainer"]["epochs"] != now["trainer"]["epochs"]
    plateau = isinstance(trainer.schedule, ReduceLROnPlateau)
    trainer.replanned = other_optimizer or (other_schedule and trainer.schedule is not None and not plateau)
    if trainer.replanned:
        for group, values in zip(trainer.optimizer.param_groups, planned, strict=True):
            group.update(values)
    if trainer.schedule is None:
        return
    if not trainer.replanned or (plateau and before["schedule"] == now["schedule"]):
        trainer.schedule.load_state_dict(checkpoint["schedule"])
    elif not plateau:
        each_step = trainer.config.schedule is not None and trainer.config.schedule.every is Interval.step
        fast_forward(trainer.schedule, trainer.progress.step if each_step else trainer.progress.epoch)
