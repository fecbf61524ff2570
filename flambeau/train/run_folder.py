"""The folder of a run: its config, its numbers, its checkpoints, its report."""

from __future__ import annotations

import re
import shutil
from contextlib import suppress
from pathlib import Path

from flambeau.train.config import Config
from flambeau.train.config_files import load_config, save_config
from flambeau.train.errors import RunError, nearest


class RunFolder:
    """Where a run keeps what it makes.

    Arguments:
        path: the folder.
    """

    def __init__(self, path: Path):
        self.path = path

    @property
    def config(self) -> Path:
        """The merged config, as YAML."""
        return self.path / "config.yaml"

    @property
    def last(self) -> Path:
        """The newest checkpoint: what `--resume` goes on from."""
        return self.path / "last.pt"

    @property
    def best(self) -> Path:
        """The checkpoint with the best validation score."""
        return self.path / "best.pt"

    @property
    def metrics(self) -> Path:
        """One line for each epoch."""
        return self.path / "metrics.csv"

    @property
    def report(self) -> Path:
        """The page with the curves and the pictures."""
        return self.path / "report.html"

    @property
    def events(self) -> Path:
        """The folder of TensorBoard's files."""
        return self.path / "events"

    def remove(self) -> None:
        """Takes away what `create` and the logs made; files of others stay, and then the folder with them."""
        shutil.rmtree(self.events, ignore_errors=True)
        for path in (self.config, self.metrics):
            path.unlink(missing_ok=True)
        with suppress(OSError):
            self.path.rmdir()

    def weights(self) -> Path:
        """The best checkpoint, or the last one where none was scored yet."""
        for path in (self.best, self.last):
            if path.is_file():
                return path
        raise RunError(f"the run folder {self.path} holds no checkpoint yet")

    def __str__(self) -> str:
        return str(self.path)

    @classmethod
    def create(cls, config: Config) -> RunFolder:
        """A new folder for a run of this config: `runs/NAME`, or `runs/NAME-2` and so on."""
        number = 1
        while True:
            suffix = "" if number == 1 else f"-{number}"
            path = Path(config.folder) / f"{config.name}{suffix}"
            try:
                path.mkdir(parents=True)
                break
            except FileExistsError:
                number += 1
            except OSError as error:
                raise RunError(
                    f"cannot make the run folder {path}: {error.strerror}"
                ) from error
        run = cls(path)
        try:
            save_config(config, run.config)
        except BaseException:
            run.remove()
            raise
        return run

    @classmethod
    def open(cls, path: Path) -> RunFolder:
        """The run in an existing folder."""
        run = cls(path)
        if not run.config.is_file():
            raise RunError(f"{path} is no run folder: it has no config.yaml")
        for unfinished in path.glob(".*.tmp"):  # what a killed run was writing
            unfinished.unlink(missing_ok=True)
        return run

    @classmethod
    def newest(cls, folder: str, name: str) -> RunFolder:
        """The newest run of this name."""
        pattern = re.compile(rf"{re.escape(name)}(-(\d+))?")
        found = {
            int(match[2] or 1): path
            for path in Path(folder).glob(f"{name}*")
            if (match := pattern.fullmatch(path.name)) and (path / "config.yaml").is_file()
        }
        if not found:
            runs = [path.parent.name for path in sorted(Path(folder).glob("*/config.yaml"))]
            raise RunError(f"there is no run '{name}' in {folder}{nearest(name, runs)}")
        return cls.open(found[max(found)])

    def load_config(self, overrides: list[str] | None = None) -> Config:
        """The run's merged config, with `key=value` arguments laid over it."""
        return load_config(str(self.config), overrides or [])
