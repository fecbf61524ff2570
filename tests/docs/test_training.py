"""The page on training: its configs train, its Python runs, its commands and its table of keys are those there are."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from flambeau.train import RunFolder, Trainer, load_config
from flambeau.train.config_files import PACKAGED, choices, flat, known_keys, to_dict

PAGE = Path(__file__).parents[2] / "docs" / "training.md"
TEXT = PAGE.read_text(encoding="utf-8")
QUICK = ["trainer.compile=false", "trainer.epochs=3", "data.batch_size=150", "schedule=null"]


def blocks(kind: str) -> list[str]:
    return re.findall(rf"^```{kind}\n(.*?)^```", TEXT, re.DOTALL | re.MULTILINE)


def keys() -> str:
    """The table: every key of a config, with its default."""
    packaged = flat(to_dict(load_config(str(PACKAGED / "digits.yaml"))))
    lines = ["| key | default | meaning |", "| --- | --- | --- |"]
    defaults = {key: value for key, value in packaged.items() if not key.startswith(("task", "model", "loss."))}
    own = {"name": "run", "checkpoint.monitor": "loss", "checkpoint.mode": "min", "data.batch_size": 64, "trainer.epochs": 10}
    for key, meaning in known_keys():
        if key.endswith((".target", ".args")):
            section = key.rpartition(".")[0]
            if key.endswith(".target"):
                optional = section in ("data.validation", "data.test", "data.views", "schedule")
                lines.append(f"| `{section}` | {'none' if optional else 'to be given'} | `target` and `args` of {WHAT[section]} |")
            continue
        value = own.get(key, defaults.get(key))
        if value in (None, [], {}) or value == "":
            text = "none"
        else:
            text = f"`{str(value).lower() if isinstance(value, bool) else value}`"
        choice = f" ({', '.join(choices(key))})" if len(choices(key)) > 2 else ""
        lines.append(f"| `{key}` | {text} | {meaning}{choice} |")
    return "\n".join(lines)


WHAT = {
    "task": "what the outputs mean: `flambeau.train.tasks.Classification` or `.Keypoints`",
    "data.train": "the data set that is trained on",
    "data.validation": "the data set that is scored after each epoch",
    "data.test": "the data set of `flambeau test`",
    "data.views": "what makes several views of a batch that is scored; their predictions are averaged",
    "model": "the network",
    "loss": "the loss, called with output and target",
    "optimizer": "the optimizer; the parameters are given to it",
    "schedule": "the learning-rate schedule; the optimizer is given to it",
}


def page() -> str:
    head, _, rest = TEXT.partition("writes this table -->\n")
    tail = rest.partition("<!-- end of keys -->")[2]
    return f"{head}writes this table -->\n\n{keys()}\n\n<!-- end of keys -->{tail}"


def test_the_table_of_keys_is_up_to_date() -> None:
    assert page() == TEXT, "run python tests/docs/test_training.py"


@pytest.mark.parametrize("place", range(len(blocks("yaml"))))
def test_each_config_trains(place: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "parts.py").write_text(blocks("python")[0])
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "mine.yaml").write_text(blocks("yaml")[place])
    written = load_config("mine.yaml")
    if written.finetune.checkpoint is not None:
        run = RunFolder.create(load_config("digits", QUICK))
        Trainer(load_config("digits", QUICK), run).fit()
    quick = QUICK if written.schedule is None or written.schedule.target.endswith("CosineAnnealingLR") else QUICK[:3]
    trainer = Trainer(load_config("mine.yaml", quick))
    trainer.fit()
    assert trainer.progress.epoch == 3
    if written.schedule is not None and written.schedule.warmup:
        Trainer(load_config("mine.yaml", QUICK[:1]))._build_training()


def test_the_python_runs() -> None:
    exec(compile(blocks("python")[1].replace('"trainer.epochs=1"', str(QUICK)[1:-1]), "training.md", "exec"), {})


def test_the_commands_are_there(capsys: pytest.CaptureFixture[str]) -> None:
    import typer

    from flambeau.cli.app import app

    command = typer.main.get_command(app)
    for line in filter(None, "\n".join(blocks("console")).splitlines()):
        words = shlex.split(line.removeprefix("$ "), comments=True)
        name, *rest = words[1:]
        found = command.commands[name]
        if name == "find":
            found = found.commands[rest[0]]
        options = {option for parameter in found.params for option in parameter.opts}
        assert {word for word in rest if word.startswith("--")} <= options, line


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
