"""Published files: where they can be had, their MD5 sums, and what to say when they are not there.

Flambeau downloads nothing: a message names the address and the folder, and the user decides.
"""

from __future__ import annotations

import hashlib
import os
import tarfile
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import NamedTuple

from flambeau.vision.datasets.errors import DatasetNotFoundError


class Published(NamedTuple):
    """A file as its makers publish it."""

    url: str
    md5: str | None = None

    @property
    def name(self) -> str:
        """The file's name, the last part of its address."""
        return self.url.rpartition("/")[2]

    def __str__(self) -> str:
        return self.url if self.md5 is None else f"{self.url}  (MD5 {self.md5})"


def md5_of(path: str | os.PathLike[str]) -> str:
    """The MD5 sum of a file, in hexadecimal digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, partial(hashlib.md5, usedforsecurity=False)).hexdigest()


def check_published(path: Path, md5: str | None, what: str, remedy: str) -> None:
    """Raise `DatasetNotFoundError`, with what to do, if a file is not there or is not the published one."""
    if not path.is_file():
        raise DatasetNotFoundError(f"{what}: {path} is missing. {remedy}")
    if md5 is not None and (found := md5_of(path)) != md5:
        raise DatasetNotFoundError(
            f"{what}: {path} is damaged or not the published file (MD5 {found}, published {md5}). {remedy}"
        )


def fetch_yourself(files: Iterable[Published], folder: str | os.PathLike[str]) -> str:
    """The sentence that says what to download and where to put it."""
    lines = "\n".join(f"  {file}" for file in files)
    return f"Flambeau does not download; fetch\n{lines}\nand put it into {folder}"


def unpack(archive: Path, folder: Path, what: str) -> None:
    """Unpack a tar file, compressed or not; members that lead out of the folder are refused.

    Raises:
        DatasetNotFoundError: for an archive that is damaged.
    """
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with tarfile.open(archive) as files:
            files.extractall(folder, filter="data")
    except (tarfile.TarError, EOFError, OSError) as error:
        raise DatasetNotFoundError(f"{what}: {archive} cannot be unpacked ({error})") from error
