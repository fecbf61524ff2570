"""What the commands do in common: train a run, score it, write its report."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from flambeau.cli.output import Output
from flambeau.train.config import Config
from flambeau.train.errors import RunError
from flambeau.train.evaluation import Evaluation
from flambeau.train.report import write_report
from flambeau.train.run_folder import RunFolder
from flambeau.train.trainer import Trainer


def train_run(config: Config, run: RunFolder, output: Output, resume: bool = False) -> Trainer:
    """Trains a run to its end; the trainer then holds the best weights."""
    trainer = Trainer(config, run, output.callbacks())
    output.say(f"run folder {run}")
    _tell_skipped(trainer, "train", output)
    trainer.fit(resume)
    if trainer.pretrained is not None:
        output.say(f"from {config.finetune.checkpoint}: {trainer.pretrained}")
    trainer.load(run.weights())
    return trainer


@contextmanager
def kept_once_used(run: RunFolder) -> Iterator[RunFolder]:
    """A new run's folder, taken away again if the run ends, by a mistake in its config, before it began."""
    try:
        yield run
    except BaseException:
        if not run.last.is_file() and not run.best.is_file():
            run.remove()
        raise


def report_validation(trainer: Trainer, run: RunFolder, output: Output) -> Evaluation:
    """Scores the best weights on the validation set and writes the report."""
    part = "validation" if trainer.config.data.validation is not None else "train"
    evaluation = trainer.evaluate(trainer.dataset(part), "validation")
    write_report(trainer, evaluation, part, run.report)
    output.result(
        f"best epoch {trainer.progress.best_epoch}: {part} {output.scores(evaluation.scores)}\n"
        f"report {run.report}",
        event="trained",
        run=str(run),
        report=str(run.report),
        seconds=round(trainer.progress.seconds, 3),
        **evaluation.scores,
    )
    return evaluation


def test_run(trainer: Trainer, run: RunFolder | None, output: Output) -> Evaluation:
    """Scores the test set and, if there is a run folder, writes the report."""
    _tell_skipped(trainer, "test", output)
    evaluation = trainer.test()
    values: dict[str, Any] = {"event": "test", "run": trainer.config.name, **evaluation.scores}
    text = f"test {output.scores(evaluation.scores)}"
    if run is not None:
        write_report(trainer, evaluation, "test", run.report)
        text += f"\nreport {run.report}"
        values |= {"run": str(run), "report": str(run.report)}
    output.result(text, **values)
    return evaluation


def find_run(name: str, folder: str = "runs") -> RunFolder:
    """A run by its folder, or the newest run of a name."""
    path = Path(name)
    if (path / "config.yaml").is_file():
        return RunFolder.open(path)
    if path.is_dir():
        raise RunError(f"{path} is no run folder: it has no config.yaml")
    return RunFolder.newest(folder, path.stem if path.suffix == ".yaml" else name)


def newest_run(folder: str = "runs") -> RunFolder:
    """The run whose checkpoint was written last."""
    checkpoints = list(Path(folder).glob("*/last.pt"))
    if not checkpoints:
        raise RunError(f"there is no trained run in {folder}; say which checkpoint with --from")
    return RunFolder.open(max(checkpoints, key=lambda path: path.stat().st_mtime).parent)


def _tell_skipped(trainer: Trainer, part: str, output: Output) -> None:
    problems = getattr(trainer.dataset(part), "problems", [])
    if problems:
        output.say(
            f"{part}: {len(problems)} bad samples are left out; the first: {problems[0]}"
        )
