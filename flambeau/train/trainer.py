"""The training loop: builds what a config names, trains, scores, saves, resumes."""

from __future__ import annotations

import inspect
import itertools
import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

import flambeau
from flambeau.train import randomness
from flambeau.train.averaging import WeightAverage
from flambeau.train.callbacks.base import Callback, inside_hooks
from flambeau.train.callbacks.checkpoints import Checkpoints
from flambeau.train.callbacks.early_stopping import EarlyStopping
from flambeau.train.callbacks.unfreezing import GradualUnfreezing
from flambeau.train.checkpoint import (
    find_bad_values,
    read_checkpoint,
    save_checkpoint,
)
from flambeau.train.components import build, check_has
from flambeau.train.config import Average, Config, Direction, Interval, Precision
from flambeau.train.data import (
    build_dataset,
    eval_loader,
    told_of,
    train_loader,
    without_augmentation,
)
from flambeau.train.errors import (
    ConfigError,
    Interrupted,
    NonFiniteError,
    UserError,
    nearest,
)
from flambeau.train.evaluation import Evaluation
from flambeau.train.groups import parameter_groups
from flambeau.train.initialisation import initialise
from flambeau.train.interrupts import Interrupts
from flambeau.train.labels import check_classes, check_labels
from flambeau.train.objective import Objective, main_output
from flambeau.train.pretrained import (
    LoadReport,
    freeze,
    keep_frozen_statistics,
    load_pretrained,
    load_weights,
)
from flambeau.train.progress import Progress
from flambeau.train.run_folder import RunFolder
from flambeau.train.schedule import build_schedule
from flambeau.train.state import capture, restore


class Trainer:
    """Runs what a config describes.

    Arguments:
        config: the run's config.
        run: the folder that takes checkpoints and logs; without one nothing is written.
        callbacks: called at each hook, before those of the config.

    Attributes:
        model, optimizer, schedule, criterion, task, metrics: what the config names, built.
        progress: the counters and the history.
        evaluation: the scores of the newest validation or test.
        pretrained: what became of the checkpoint that a fine-tuning run starts from.
        frozen: the names of the parameters that are not trained.
        classes: the names of the classes that the network was trained on, where the data set tells them.
        data_wait: the share of the present epoch's time in which the step waited for data.
        replanned: whether a resumed run's config has other rates than it was stopped with.
        images: how many samples this process has trained on.
        should_stop: set by a callback to end the run after the present epoch.
    """

    def __init__(
        self, config: Config, run: RunFolder | None = None, callbacks: Sequence[Callback] = ()
    ):
        if config.trainer.overfit_batches:
            config = replace(config, data=replace(without_augmentation(config.data), validation=None))
        self.config = config
        self.run = run
        self.progress = Progress()
        self.evaluation: Evaluation | None = None
        self.pretrained: LoadReport | None = None
        self.frozen: list[str] = []
        self.classes: list[str] | None = None
        self.datasets: dict[str, Any] = {}
        self.loader: Any = None
        self.optimizer: Any = None
        self.schedule: Any = None
        self.average: WeightAverage | None = None
        self.should_stop = False
        self.data_wait = 0.0
        self.images = 0
        self.replanned = False
        self._outputs: int | None = None  # of the network, for each sample; told when the step first runs
        self._clock = time.perf_counter()
        self._interrupts = Interrupts()

        randomness.seed_everything(config.seed)
        if config.trainer.deterministic:
            flambeau.use_deterministic_algorithms(True)
        self.task = check_has(
            build(config.task, "task"), config.task, "task", ["score_names", "scores", "ask"],
            "a task, as flambeau.train.tasks.Classification",
        )  # fmt: skip
        self.criterion = Objective(config)
        self.metrics = {
            name: check_has(
                build(component, f"metrics.{name}"), component, f"metrics.{name}", ["update", "compute", "reset"],
                "a score with update, compute and reset, as flambeau.metrics.Accuracy",
            )
            for name, component in config.metrics.items()
        }
        self._check_monitor()
        self.mix = [build(c, f"data.mix[{i}]") for i, c in enumerate(config.data.mix)]
        self.views = build(config.data.views, "data.views") if config.data.views else None
        self.model = build(config.model, "model")
        if not isinstance(self.model, flambeau.nn.Module):
            raise ConfigError(
                f"model.target = '{config.model.target}' gives a {type(self.model).__name__}, not an nn.Module"
            )
        initialise(self.model, config.init)
        own = [
            check_has(
                build(c, f"callbacks[{i}]"), c, f"callbacks[{i}]", ["on_fit_start", "on_train_batch_end", "teardown"],
                "a flambeau.train.Callback",
            )
            for i, c in enumerate(config.callbacks)
        ]  # fmt: skip
        # Checkpoints come last, so that they hold what the other callbacks did in their hooks.
        self.callbacks: list[Callback] = [*callbacks, *own, *self._callbacks_of_config()]
        self._check_hooks()
        self._forward = self._compiled(lambda inputs: self.scored_model(inputs))

    # phases --------------------------------------------------------------------------------

    def fit(self, resume: bool = False) -> Progress:
        """Trains to the last epoch.

        Arguments:
            resume: whether to go on from the run's last checkpoint, bit for bit as if the run
                had never stopped.

        Raises:
            Interrupted: after Ctrl-C, when the checkpoint is written.
            NonFiniteError: for a loss that becomes NaN or infinite; the checkpoint before
                that is kept.
        """
        with self._stage("fit"), self._interrupts:
            resume = resume and self.run is not None and self.run.last.is_file()
            self._build_training(pretrained=not resume)
            if resume:  # one stopped before its first checkpoint starts again: its seed makes it the same run
                restore(self)
            self.call("on_fit_start")
            self.call("on_train_start")
            while self.progress.epoch < self.config.trainer.epochs and not self.should_stop:
                self._train_epoch()
            self.call("on_train_end")
            self.call("on_fit_end")
        return self.progress

    def validate(self) -> Evaluation:
        """Scores the validation set."""
        return self._score("validation")

    def test(self) -> Evaluation:
        """Scores the test set."""
        with self._stage("test"):
            return self._score("test")

    def _score(self, phase: str) -> Evaluation:
        self.call(f"on_{phase}_start")
        self.call(f"on_{phase}_epoch_start")
        self.evaluation = self.evaluate(self.dataset(phase), phase)
        self.call(f"on_{phase}_epoch_end")
        self.call(f"on_{phase}_end")
        return self.evaluation

    def predict(self, samples: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        """What the network gives for each sample, batch by batch."""
        with self._stage("predict"):
            self.call("on_predict_start")
            self.call("on_predict_epoch_start")
            for index, batch in enumerate(_batches(samples, self.config.data.eval_batch_size)):
                self.call("on_predict_batch_start", batch, index)
                outputs = self._infer(flambeau.from_numpy(np.stack(batch)))
                self.call("on_predict_batch_end", outputs, batch, index)
                yield from outputs.numpy()
            self.call("on_predict_epoch_end")
            self.call("on_predict_end")

    def try_steps(self, count: int, rate: Callable[[int], float]) -> Iterator[float]:
        """Makes training steps outside any run, going over the data as often as it takes.

        Arguments:
            count: how many steps.
            rate: the learning rate of each step, by its place from 0.

        Yields:
            The loss of each step.
        """
        with self._stage("fit"):
            self._build_training()
            self.model.train()
            keep_frozen_statistics(self.model)
            batches = itertools.chain.from_iterable(iter(lambda: told_of(self.loader, "data.train"), None))
            for index, (inputs, targets) in enumerate(itertools.islice(batches, count)):
                for group in self.optimizer.param_groups:
                    group["lr"] = rate(index)
                inputs, targets = self._mixed(inputs, targets)
                yield self._try_step(inputs, targets)[0].item()

    @property
    def compiled_step(self) -> Any:
        """The training step as it was compiled, once steps were made."""
        return self._step

    def load(self, path: Path) -> None:
        """Takes the network's weights, and the names of its classes, from a checkpoint that must fit exactly."""
        content = read_checkpoint(path)
        load_weights(self.model, content["model"], path)
        self._name_classes(content.get("classes"))

    def dataset(self, part: str) -> Any:
        """The data set `train`, `validation` or `test`, built when first asked for."""
        if part not in self.datasets:
            dataset = build_dataset(self.config, part)
            classes = getattr(dataset, "classes", None)
            if part == "train":
                self._name_classes(classes)
            elif classes is not None and self.classes is not None:
                check_classes(f"data.{part}", list(classes), self.classes)
            self.datasets[part] = dataset
        return self.datasets[part]

    def _name_classes(self, names: Sequence[str] | None) -> None:
        if names is not None:
            self.classes = list(names)
            self.task.classes = self.task.classes or self.classes

    # building ------------------------------------------------------------------------------

    def _build_training(self, pretrained: bool = True) -> None:
        config = self.config
        if pretrained and config.finetune.checkpoint is not None and self.pretrained is None:
            self.pretrained = load_pretrained(
                self.model, Path(config.finetune.checkpoint), config.finetune.partial
            )
        if config.finetune.freeze:
            self.frozen = freeze(self.model, config.finetune.freeze)
        self.order = flambeau.Generator()
        self.order.manual_seed(config.seed)
        self.loader = train_loader(config, self.dataset("train"), self.order)
        if config.data.validation is not None:
            self.dataset("validation")  # bad data is told of before the first epoch, not after
        placeholders = {
            "epochs": config.trainer.epochs,
            "steps_per_epoch": len(self.loader),
            "steps": config.trainer.epochs * len(self.loader),
            "seed": config.seed,
        }
        groups = parameter_groups(self.model, config.optimizer)
        self.optimizer = build(config.optimizer, "optimizer", groups, placeholders=placeholders)
        check_has(self.optimizer, config.optimizer, "optimizer", ["param_groups", "step"], "an optimizer")
        if isinstance(self.optimizer, flambeau.optim.LBFGS):
            raise ConfigError(
                f"optimizer.target = '{config.optimizer.target}' computes the loss several times in a step, which needs "
                "a training loop of your own"
            )
        if config.schedule is not None:
            self.schedule = build_schedule(config, self.optimizer, placeholders)
            check_has(self.schedule, config.schedule, "schedule", ["step", "get_last_lr"], "a learning-rate schedule")
        if config.trainer.average.kind is not Average.none:
            self.average = WeightAverage(self.model, config.trainer.average)
        self._step = self._compiled(self._train_step)

    def _callbacks_of_config(self) -> list[Callback]:
        config = self.config
        found: list[Callback] = []
        if config.finetune.unfreeze:
            found.append(GradualUnfreezing(config.finetune.unfreeze))
        if config.trainer.early_stopping.patience:
            stopping = config.trainer.early_stopping
            found.append(EarlyStopping(stopping.patience, stopping.min_delta))
        if self.run is not None:
            found.append(Checkpoints())
        return found

    def _check_monitor(self) -> None:
        for taken in self.metrics:
            if taken == "loss" or taken in self.task.score_names:
                raise ConfigError(f"metrics.{taken}: every run here has a score of this name; give it another one")
        scores = ["loss", *self.task.score_names, *self.metrics]
        monitor = self.config.checkpoint.monitor
        if monitor not in scores:
            raise ConfigError(
                f"checkpoint.monitor = '{monitor}': there is no such score"
                f"{nearest(monitor, scores)} (known: {', '.join(scores)})"
            )

    def _check_hooks(self) -> None:
        for callback in self.callbacks if self.config.trainer.compile else ():
            for hook in inside_hooks(callback):
                raise ConfigError(
                    f"{type(callback).__name__}.{hook} runs inside of the training step, which is compiled: "
                    "trainer.compile=false runs it eagerly"
                )

    def _compiled(self, function: Any) -> Any:
        return flambeau.compile(function) if self.config.trainer.compile else function

    # the loop ------------------------------------------------------------------------------

    def _train_step(self, inputs: Any, targets: Any) -> tuple[Any, Any, int | None]:
        """One step of the optimizer: its loss, the norm of its gradients before they are clipped, and of how many
        numbers the network's output for a sample is.
        """
        settings = self.config.trainer
        self.call("on_before_zero_grad", self.optimizer)
        self.optimizer.zero_grad()
        parts = min(settings.accumulate, len(inputs))
        mean, count = 0.0, None
        for part, wanted in zip(inputs.chunk(parts), targets.chunk(parts), strict=True):
            share = len(part) / len(inputs)
            with self._precision():
                output = self.model(part)
                loss = self.criterion(output, wanted) * share
            scores = main_output(output)
            count = scores.shape[1] if scores.ndim > 1 else None
            self.call("on_before_backward", loss)
            loss.backward()
            self.call("on_after_backward")
            mean = mean + loss.detach()
        if settings.l1 or settings.l2:
            self.criterion.penalty(self.model).backward()  # not in the loss that is told of
        parameters = [p for p in self.model.parameters() if p.grad is not None]
        norm = flambeau.nn.utils.get_total_norm([p.grad for p in parameters])
        if settings.clip_norm is not None:
            flambeau.nn.utils.clip_grads_with_norm_(parameters, settings.clip_norm, norm)
        if settings.clip_value is not None:
            flambeau.nn.utils.clip_grad_value_(parameters, settings.clip_value)
        self.call("on_before_optimizer_step", self.optimizer)
        self.optimizer.step()
        return mean, norm, count

    def _precision(self) -> Any:
        """A block in which products are computed as the config says."""
        narrow = self.config.trainer.precision is Precision.bfloat16
        return flambeau.amp.autocast("cpu", dtype=flambeau.bfloat16, enabled=narrow)

    def _train_epoch(self) -> None:
        progress = self.progress
        self.model.train()
        self.call("on_train_epoch_start")  # where layers may be unfrozen
        keep_frozen_statistics(self.model)
        started = time.perf_counter()
        first = progress.batch
        _tell_epoch(self.dataset("train"), progress.epoch)
        waited, seen = 0.0, self.images
        if first < len(self.loader):
            asked = time.perf_counter()
            for batch in told_of(self.loader, "data.train"):
                waited += time.perf_counter() - asked
                self.data_wait = waited / (time.perf_counter() - started)
                self._train_batch(batch)
                self._count_seconds()
                if self._interrupts.wanted:
                    self._stop()
                asked = time.perf_counter()
        trained = time.perf_counter() - started
        if self.average is not None:
            self.average.after_epoch(self.model, progress.epoch + 1, self._batches_for_statistics())
        row: dict[str, Any] = {
            "epoch": progress.epoch + 1,
            "step": progress.step,
            "loss": progress.loss_sum / max(1, progress.batch),
            "lr": self.learning_rate,
            "grad_norm": progress.norm_sum / max(1, progress.batch),
        }
        if self.config.data.validation is not None:
            row |= {f"val_{name}": score for name, score in self.validate().scores.items()}
        self._move_schedule(Interval.epoch, row)
        self._count_seconds()
        row["seconds"] = round(progress.seconds, 3)
        images = self.images - seen
        row["images_per_second"] = round(images / trained, 1) if images else 0.0
        row["data_wait"] = round(waited / trained, 4) if images else 0.0
        progress.finish_epoch(row)
        self._note_best(row)
        self.call("on_train_epoch_end")
        if self._interrupts.wanted and progress.epoch < self.config.trainer.epochs:
            self._stop()

    def _train_batch(self, batch: Any) -> None:
        progress = self.progress
        index = progress.batch
        self.call("on_train_batch_start", batch, index)
        inputs, targets = batch
        inputs, targets = self._mixed(inputs, targets)
        mean, norm = self._try_step(inputs, targets)
        loss = mean.item()
        if not math.isfinite(loss):
            raise NonFiniteError(self._explain_bad(f"the loss became {loss}"))
        self._move_schedule(Interval.step)
        if self.average is not None:
            self.average.after_step(self.model)
        self.images += len(inputs)
        progress.count(loss, norm.item(), self.config.trainer.log_every_steps)
        self.call("on_train_batch_end", loss, batch, index)

    def _mixed(self, inputs: Any, targets: Any) -> tuple[Any, Any]:
        """A batch after all that `data.mix` names."""
        for place, mix in enumerate(self.mix):
            try:
                inputs, targets = mix(inputs, targets)
            except (RuntimeError, TypeError, ValueError) as error:
                target = self.config.data.mix[place].target
                raise UserError(f"data.mix[{place}]: {target} cannot take the batch: {error}") from error
        return inputs, targets

    def _try_step(self, inputs: Any, targets: Any) -> tuple[Any, Any]:
        """`_train_step`, compiled or not; `UserError` says what a step was made of that does not work."""
        try:
            mean, norm, self._outputs = self._step(inputs, targets)
            check_labels(targets, self._outputs, getattr(self.criterion.loss, "ignore_index", None))
        except (RuntimeError, IndexError, ValueError, TypeError) as error:
            what = f"{'a' if self.progress.step else 'the first'} training step failed"
            raise UserError(self._explain_misfit(what, inputs, targets, error)) from error
        return mean, norm

    def _explain_misfit(self, what: str, inputs: Any, targets: Any, error: Exception) -> str:
        """What a step was made of that did not work: most often shapes that do not fit."""
        kind = str(targets.dtype).rpartition(".")[2]
        mend = "Change model.args, loss or data so that they fit each other"
        if "more than 1 value per channel" in str(error):
            mend = "data.drop_last=true leaves out a last batch that is too small for batch normalisation"
        return (
            f"{what}. {self.config.model.target} was given inputs of shape "
            f"{tuple(inputs.shape)}, {self.config.loss.target} targets of shape {tuple(targets.shape)} and dtype "
            f"{kind}. {type(error).__name__}: {str(error).rstrip('.')}. {mend}; "
            "FLAMBEAU_TRACEBACK=1 shows where it happened"
        )

    def _move_schedule(self, moment: Interval, row: dict[str, Any] | None = None) -> None:
        if self.schedule is None or self.config.schedule is None:
            return
        if self.config.schedule.every is not moment:
            return
        if "metrics" in inspect.signature(self.schedule.step).parameters:
            name = f"val_{self.config.checkpoint.monitor}"
            if row is None or name not in row:
                raise ConfigError(
                    f"schedule: {self.config.schedule.target} follows {name}, so it needs "
                    "every: epoch and data.validation"
                )
            self.schedule.step(row[name])
        else:
            self.schedule.step()

    @property
    def learning_rate(self) -> float:
        """The learning rate of the first parameter group."""
        return float(self.optimizer.param_groups[0]["lr"])

    def badness(self, row: dict[str, Any]) -> float:
        """What picks the best epoch, the smaller the better: its score, or minus that where the larger is the better.

        Where there is no validation set, it is the training loss.
        """
        score = row.get(f"val_{self.config.checkpoint.monitor}")
        if score is None:
            return float(row["loss"])
        return float(score) if self.config.checkpoint.mode is Direction.min else -float(score)

    def _note_best(self, row: dict[str, Any]) -> None:
        found, best = self.badness(row), self.progress.best
        if best is None or found < best or math.isnan(best):
            self.progress.best = found
            self.progress.best_epoch = row["epoch"]

    def _count_seconds(self) -> None:
        now = time.perf_counter()
        self.progress.seconds += now - self._clock
        self._clock = now

    # scoring -------------------------------------------------------------------------------

    def evaluate(self, dataset: Any, phase: str) -> Evaluation:
        """Scores a data set. The random generators are left as they were."""
        started = time.perf_counter()
        for metric in self.metrics.values():
            metric.reset()
        outputs, targets, losses = [], [], []
        with randomness.preserved():
            for index, (inputs, target) in enumerate(told_of(eval_loader(self.config, dataset), f"data.{phase}")):
                self.call(f"on_{phase}_batch_start", (inputs, target), index)
                try:
                    output = self._infer(inputs)
                    with flambeau.no_grad():
                        loss = self.criterion(output, target).item()
                except (RuntimeError, IndexError, ValueError, TypeError) as error:
                    raise UserError(self._explain_misfit(f"{phase} failed", inputs, target, error)) from error
                losses.append(loss * len(inputs))
                for name, metric in self.metrics.items():
                    with self._told_of(name):
                        metric.update(target, output)
                outputs.append(output.numpy())
                targets.append(target.numpy())
                self.call(f"on_{phase}_batch_end", output, (inputs, target), index)
        scores = {"loss": sum(losses) / len(dataset)}
        all_outputs, all_targets = np.concatenate(outputs), np.concatenate(targets)
        scores |= self.task.scores(dataset, all_outputs, all_targets)
        for name, metric in self.metrics.items():
            with self._told_of(name):
                scores[name] = float(metric.compute())
        errors = self.task.sample_errors(dataset, all_outputs, all_targets)
        seconds = time.perf_counter() - started
        return Evaluation(scores, all_outputs, all_targets, errors, seconds)

    @contextmanager
    def _told_of(self, metric: str) -> Iterator[None]:
        """A block in which a metric is asked; what goes wrong is said to be its own."""
        try:
            yield
        except (ValueError, TypeError, IndexError, RuntimeError) as error:
            target = self.config.metrics[metric].target
            raise UserError(f"metrics.{metric}: {target} cannot be told as one number: {error}") from error

    @property
    def scored_model(self) -> flambeau.nn.Module:
        """The network that is scored and kept: the averaged one, where there is an average."""
        return self.average.model if self.average is not None and self.average.ready else self.model

    def _infer(self, inputs: Any) -> Any:
        model = self.scored_model
        was_training = model.training
        model.eval()
        try:
            with flambeau.no_grad():
                views = [inputs] if self.views is None else self.views(inputs)
                return sum(self._forward(view).detach() for view in views) / len(views)
        finally:
            model.train(was_training)
            if was_training:
                keep_frozen_statistics(model)

    def _batches_for_statistics(self) -> Iterator[Any]:
        """The training data in its own order, for the statistics of averaged weights."""
        with randomness.preserved():
            yield from eval_loader(self.config, self.dataset("train"))

    # checkpoints ---------------------------------------------------------------------------

    def checkpoint(self) -> dict[str, Any]:
        """Everything that the run needs to go on from this place, bit for bit."""
        return capture(self)

    def save(self, *paths: Path) -> None:
        """Writes a checkpoint, unless the weights have become NaN or infinite."""
        bad = find_bad_values(self.model.state_dict())
        if bad is not None:
            raise NonFiniteError(self._explain_bad(f"the weight {bad} is no longer finite"))
        checkpoint = self.checkpoint()
        for path in paths:
            save_checkpoint(checkpoint, path)

    def _stop(self) -> None:
        """Saves and ends the run, as Ctrl-C wishes."""
        if self.run is None:
            raise Interrupted("stopped; this run has no folder, so nothing was saved")
        self.save(self.run.last)
        raise Interrupted(
            f"stopped in epoch {self.progress.epoch + 1} after step {self.progress.step}, "
            f"everything is saved. Go on with: flambeau train {self.run} --resume"
        )

    def _explain_bad(self, what: str) -> str:
        progress = self.progress
        text = (
            f"{what} at step {progress.step + 1} (epoch {progress.epoch + 1}, batch "
            f"{progress.batch + 1}, learning rate {self.learning_rate:.3g}); the run is "
            "stopped"
        )
        if self.run is not None and self.run.last.is_file():
            text += f", the last good checkpoint is kept in {self.run.last}"
        return f"{text}. A smaller learning rate often helps: optimizer.args.lr=…"

    # hooks ---------------------------------------------------------------------------------

    def call(self, hook: str, *arguments: Any) -> None:
        """Calls a hook of every callback."""
        for callback in self.callbacks:
            getattr(callback, hook)(self, *arguments)

    @contextmanager
    def _stage(self, stage: str) -> Iterator[None]:
        self._clock = time.perf_counter()
        self.call("setup", stage)
        try:
            yield
        except BaseException as error:
            self.call("on_exception", error)
            raise
        finally:
            self.call("teardown", stage)


def _tell_epoch(dataset: Any, epoch: int) -> None:
    """Tells a data set whose augmentation differs from epoch to epoch which one it is."""
    if hasattr(dataset, "set_epoch"):
        dataset.set_epoch(epoch)


def _batches(samples: Iterable[np.ndarray], size: int) -> Iterator[list[np.ndarray]]:
    batch: list[np.ndarray] = []
    for sample in samples:
        batch.append(sample)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch
