"""The commands, and how their errors reach a person."""

from __future__ import annotations

import os
import sys
from typing import Any

import typer

from flambeau.cli.compare import compare
from flambeau.cli.config import config
from flambeau.cli.demo import demo
from flambeau.cli.doctor import doctor
from flambeau.cli.explain import explain
from flambeau.cli.find import find
from flambeau.cli.finetune import finetune
from flambeau.cli.output import complain
from flambeau.cli.predict import predict
from flambeau.cli.run import run_program
from flambeau.cli.test import test
from flambeau.cli.train import train
from flambeau.train.atomic import DISK_FULL
from flambeau.train.errors import UserError, from_worker, in_short
from flambeau.vision.datasets.errors import DataError, SampleError

app = typer.Typer(
    help="Trains, tests and uses vision models: the PyTorch API, compiled, on the CPU.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for command in (demo, train, test, predict, finetune, compare, config, explain, doctor):
    app.command()(command)
app.add_typer(find, name="find")
app.command(
    "run", context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False, "help_option_names": []}
)(run_program)


def _message(error: UserError | DataError) -> str:
    """What happened, and what else helps: single samples can be left out, whole data sets cannot."""
    text = in_short(error).partition(": ")[2] if from_worker(error) else str(error)
    hint = ". To count bad samples and go on without them: --skip-bad"
    return text + hint if isinstance(error, SampleError) else text


def run() -> int:
    """Runs the command that the arguments name; the exit code."""
    # A user's own models and data sets lie where the command is called.
    sys.path.insert(0, os.getcwd())
    try:
        app(prog_name="flambeau")
    except (UserError, DataError) as error:
        if os.environ.get("FLAMBEAU_TRACEBACK"):
            raise
        complain(_message(error))
        return error.exit_code if isinstance(error, UserError) else 1
    except BrokenPipeError:  # who reads has read enough, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        full = error.errno in DISK_FULL
        if not (full or error.filename) or os.environ.get("FLAMBEAU_TRACEBACK"):
            raise
        place = f"{error.filename}: " if error.filename else "the disk is full: " if full else ""
        complain(f"{place}{error.strerror}; FLAMBEAU_TRACEBACK=1 shows where it happened")
        return 1
    except SystemExit as leaving:
        code = int(leaving.code or 0)
        if code == 130:
            complain("stopped at once; what the last checkpoint holds is kept")
        if code == 2 and (hint := _keys_for_options(sys.argv[1:])):
            complain(hint)
        return code
    return 0


def _keys_for_options(arguments: list[str]) -> str:
    """How settings are written that were given as options: `--epochs 3` for `trainer.epochs=3`."""
    from flambeau.train.config_files import key_called

    known = _options(typer.main.get_command(app))
    for word in arguments:
        option = word.partition("=")[0]
        if word.startswith("--") and option not in known and (key := key_called(option[2:].replace("-", "_"))):
            return f"settings are keys, not options: write {key}=… for {option}"
    return ""


def _options(command: Any) -> set[str]:
    """The options of a command and of all below it."""
    own = {name for parameter in command.params for name in parameter.opts}
    return own.union(*map(_options, getattr(command, "commands", {}).values()))
