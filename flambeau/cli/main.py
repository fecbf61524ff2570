"""The entry point of the `flambeau` command."""

from __future__ import annotations

import signal
import sys

#: What the command line needs beyond the core: import names.
_EXTRAS = ("typer", "click", "rich", "omegaconf", "yaml", "matplotlib", "PIL", "tensorboardX")


def main() -> None:
    """Runs the command line and ends the process with its exit code."""
    try:
        from flambeau.cli.app import run
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] not in _EXTRAS:
            raise
        sys.stderr.write(
            f"The command line needs packages that are not installed ({error.name} is the "
            "first). Install them with: pip install 'flambeau[train]'\n"
        )
        sys.exit(1)
    except KeyboardInterrupt:  # while Python was still reading the program
        sys.exit(130)
    code = run()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a further Ctrl-C has nothing left to stop
    sys.exit(code)


if __name__ == "__main__":
    main()
