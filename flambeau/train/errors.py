"""Mistakes and mishaps that a person can mend: messages say what, where, and what helps."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping


class UserError(Exception):
    """What a person did, or met, that stops the work; shown as a message, without traceback."""

    exit_code = 1


class ConfigError(UserError):
    """A key, a value or a name in a config that does not fit."""

    exit_code = 2


class CheckpointError(UserError):
    """A checkpoint that cannot be written, or read, or is of another network."""


class RunError(UserError):
    """A run folder that is not what a command needs."""


class NonFiniteError(UserError):
    """A loss or a weight that became NaN or infinite."""


class Interrupted(UserError):
    """A run that was stopped by Ctrl-C or a signal, after saving."""

    exit_code = 130


def from_worker(error: Exception) -> bool:
    """Whether an error came about in a process that loads data; its text is then a traceback."""
    return re.match(r"Caught \w+ in DataLoader worker", str(error)) is not None


def in_short(error: Exception) -> str:
    """An error's kind and text, `ValueError: no picture`, of one from a worker process too."""
    if from_worker(error):
        return str(error).rstrip().splitlines()[-1]
    return f"{type(error).__name__}: {error}"


def nearest_of(word: str, choices: Mapping[str, str]) -> str:
    """As `nearest`, of the choices' values by their names; only what is near indeed."""
    found = difflib.get_close_matches(word, list(choices), n=1, cutoff=0.7)
    return f"; did you mean '{choices[found[0]]}'?" if found else ""


def nearest(word: str, choices: Iterable[str]) -> str:
    """`; did you mean 'x'?` for the choice nearest to `word`, or nothing if none is near."""
    found = difflib.get_close_matches(word, list(choices), n=1, cutoff=0.5)
    return f"; did you mean '{found[0]}'?" if found else ""
