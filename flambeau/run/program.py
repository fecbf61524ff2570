"""Running a script or a module as Python would, with `torch` standing for Flambeau."""

from __future__ import annotations

import runpy
import sys
from collections.abc import Sequence
from pathlib import Path

from flambeau.run.aliases import install


def run_script(path: str, arguments: Sequence[str] = ()) -> None:
    """Runs `python path arguments…`.

    Raises:
        FileNotFoundError: where there is no such file.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"there is no program {path}")
    install()
    sys.argv = [path, *arguments]
    sys.path[0:1] = [str(Path(path).resolve().parent)]
    runpy.run_path(path, run_name="__main__")


def run_module(name: str, arguments: Sequence[str] = ()) -> None:
    """Runs `python -m name arguments…`."""
    install()
    sys.argv = [name, *arguments]
    sys.path[0:1] = [str(Path.cwd())]
    runpy.run_module(name, run_name="__main__", alter_sys=True)


def main(arguments: Sequence[str]) -> int:
    """The command line: `SCRIPT.py [arguments]` or `-m MODULE [arguments]`; the exit code."""
    if not arguments or arguments[0] in ("-h", "--help"):
        print("usage: flambeau run SCRIPT.py [arguments]\n       flambeau run -m MODULE [arguments]")
        return 0 if arguments else 2
    if arguments[0] == "-m":
        if len(arguments) < 2:
            print("flambeau run -m: name a module", file=sys.stderr)
            return 2
        run_module(arguments[1], arguments[2:])
        return 0
    try:
        run_script(arguments[0], arguments[1:])
    except FileNotFoundError as error:
        if error.filename is not None:
            raise
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0
