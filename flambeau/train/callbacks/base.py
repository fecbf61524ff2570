"""What a callback is: hooks that the trainer calls, by PyTorch Lightning's names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flambeau.train.errors import nearest

if TYPE_CHECKING:
    from flambeau.train.trainer import Trainer


#: The hooks of a step's inside: a compiled step could call them only while it is compiled.
INSIDE = ("on_before_zero_grad", "on_before_backward", "on_after_backward", "on_before_optimizer_step")


def inside_hooks(callback: Callback) -> list[str]:
    """Which of `INSIDE` a callback has."""
    return [hook for hook in INSIDE if getattr(type(callback), hook) is not getattr(Callback, hook)]


class Callback:
    """Code that runs at fixed places of a run; override the hooks that matter.

    Every hook gets the trainer; `trainer.model`, `trainer.optimizer`, `trainer.progress` and
    `trainer.config` are there for reading and changing.
    """

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        for name in vars(cls):
            if name.startswith("on_") and not hasattr(Callback, name):
                hooks = [hook for hook in dir(Callback) if hook.startswith("on_")]
                raise TypeError(
                    f"{cls.__name__}.{name}: no such hook, it would never be called"
                    f"{nearest(name, hooks)}"
                )

    def setup(self, trainer: Trainer, stage: str) -> None:
        """First of all, before anything is restored; `stage` is fit, test or predict."""

    def teardown(self, trainer: Trainer, stage: str) -> None:
        """Last of all, also after an error."""

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps of this callback."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Takes back what `state_dict` gave."""

    # training ------------------------------------------------------------------------------

    def on_fit_start(self, trainer: Trainer) -> None:
        """Everything is built, and restored if the run is resumed."""

    def on_fit_end(self, trainer: Trainer) -> None:
        """Training has ended as planned."""

    def on_train_start(self, trainer: Trainer) -> None:
        """The first epoch of this process is about to begin."""

    def on_train_end(self, trainer: Trainer) -> None:
        """The last epoch is over."""

    def on_train_epoch_start(self, trainer: Trainer) -> None:
        """An epoch begins, or goes on after a resume."""

    def on_train_epoch_end(self, trainer: Trainer) -> None:
        """An epoch is over, validation included; its row is in `trainer.progress.epochs`."""

    def on_train_batch_start(self, trainer: Trainer, batch: Any, batch_idx: int) -> None:
        """A batch is loaded and about to be trained on."""

    def on_train_batch_end(
        self, trainer: Trainer, outputs: float, batch: Any, batch_idx: int
    ) -> None:
        """A step is done; `outputs` is its loss."""

    # These four run inside of the step, so that they need trainer.compile=false.

    def on_before_zero_grad(self, trainer: Trainer, optimizer: Any) -> None:
        """The gradients are about to be forgotten."""

    def on_before_backward(self, trainer: Trainer, loss: Any) -> None:
        """The gradients of a batch's loss (or, with `trainer.accumulate`, of a part's) are about to be computed."""

    def on_after_backward(self, trainer: Trainer) -> None:
        """The gradients of a batch, or of a part, are there, not yet clipped."""

    def on_before_optimizer_step(self, trainer: Trainer, optimizer: Any) -> None:
        """The weights are about to be changed; gradients are clipped."""

    def on_save_checkpoint(self, trainer: Trainer, checkpoint: dict[str, Any]) -> None:
        """A checkpoint is about to be written; it may be added to."""

    def on_load_checkpoint(self, trainer: Trainer, checkpoint: dict[str, Any]) -> None:
        """A checkpoint was read."""

    def on_exception(self, trainer: Trainer, exception: BaseException) -> None:
        """The run is ending with this exception."""

    # scoring -------------------------------------------------------------------------------

    def on_validation_start(self, trainer: Trainer) -> None:
        """Validation begins."""

    def on_validation_epoch_start(self, trainer: Trainer) -> None:
        """The first batch comes next."""

    def on_validation_batch_start(self, trainer: Trainer, batch: Any, batch_idx: int) -> None:
        """A batch is about to be scored."""

    def on_validation_batch_end(
        self, trainer: Trainer, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """A validation batch is scored; `outputs` is what the network gave."""

    def on_validation_epoch_end(self, trainer: Trainer) -> None:
        """The last batch is done; the scores are in `trainer.evaluation`."""

    def on_validation_end(self, trainer: Trainer) -> None:
        """Validation is over; its scores are in `trainer.evaluation`."""

    def on_test_start(self, trainer: Trainer) -> None:
        """The test begins."""

    def on_test_epoch_start(self, trainer: Trainer) -> None:
        """The first batch comes next."""

    def on_test_batch_start(self, trainer: Trainer, batch: Any, batch_idx: int) -> None:
        """A batch is about to be scored."""

    def on_test_batch_end(
        self, trainer: Trainer, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """A test batch is scored."""

    def on_test_epoch_end(self, trainer: Trainer) -> None:
        """The last batch is done; the scores are in `trainer.evaluation`."""

    def on_test_end(self, trainer: Trainer) -> None:
        """The test is over; its scores are in `trainer.evaluation`."""

    def on_predict_start(self, trainer: Trainer) -> None:
        """Prediction begins."""

    def on_predict_epoch_start(self, trainer: Trainer) -> None:
        """The first batch comes next."""

    def on_predict_batch_start(self, trainer: Trainer, batch: Any, batch_idx: int) -> None:
        """A batch is about to be predicted."""

    def on_predict_batch_end(
        self, trainer: Trainer, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """A batch is predicted."""

    def on_predict_epoch_end(self, trainer: Trainer) -> None:
        """The last batch is done."""

    def on_predict_end(self, trainer: Trainer) -> None:
        """Prediction is over."""
