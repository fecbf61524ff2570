"""What the shell offers at the Tab key: configs, runs, and keys with their values.

Typer puts it into a shell: `flambeau --install-completion`.
"""

from __future__ import annotations

from pathlib import Path


def configs(incomplete: str) -> list[tuple[str, str]]:
    """The packaged configs, the YAML files in the folder that is being written, and the runs."""
    from flambeau.train.config_files import PACKAGED

    names = [(path.stem, "packaged config") for path in sorted(PACKAGED.glob("*.yaml"))]
    folder = incomplete.rpartition("/")[0]
    files = sorted(Path(folder or ".").glob("*.yaml"))
    names += [(f"{folder}/{path.name}" if folder else path.name, "config") for path in files]
    return _starting(incomplete, names + [(path, "run") for path in _run_folders()])


def runs(incomplete: str) -> list[tuple[str, str]]:
    """The run folders in `runs`, by path and by name."""
    folders = _run_folders()
    return _starting(incomplete, [(path, "run") for path in folders] + [(Path(path).name, "run") for path in folders])


def overrides(incomplete: str) -> list[tuple[str, str]]:
    """The keys of a config, each with `=`; after that, the values of those that have a choice."""
    from flambeau.train.config_files import choices, known_keys

    key, equals, _ = incomplete.partition("=")
    if equals:
        return _starting(incomplete, [(f"{key}={choice}", "") for choice in choices(key)])
    return _starting(incomplete, [(f"{name}=", meaning) for name, meaning in known_keys()])


def _run_folders() -> list[str]:
    return [str(path.parent) for path in sorted(Path("runs").glob("*/config.yaml"))]


def _starting(incomplete: str, names: list[tuple[str, str]]) -> list[tuple[str, str]]:
    return [(name, meaning) for name, meaning in names if name.startswith(incomplete)]
