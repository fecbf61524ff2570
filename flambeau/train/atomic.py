"""Files that are whole at every instant, whenever the process is killed."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import IO

from flambeau.train.errors import CheckpointError

#: How the system says that there is no room.
DISK_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


def write_atomically(path: Path, write: Callable[[IO[bytes]], object]) -> None:
    """Replaces the file at `path` by what `write` writes, or leaves it as it was.

    The bytes go to a temporary file in the same folder, are flushed to disk, and take the
    name `path` in one step; then the folder, which holds the name, is flushed too.

    Raises `CheckpointError` where the disk is full or the file cannot be written.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with open(temporary, "wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
        _flush_folder(path.parent)
    except OSError as error:
        raise CheckpointError(_explain(path, error)) from error
    finally:
        temporary.unlink(missing_ok=True)


def _flush_folder(folder: Path) -> None:
    if os.name == "nt":  # Windows has no descriptors of folders
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _explain(path: Path, error: OSError) -> str:
    kept = "the one before it is kept" if path.exists() else "nothing was written"
    if error.errno in DISK_FULL:
        then = "resume" if path.exists() else "start again"
        return f"the disk is full: {path} could not be written, {kept}; make room, then {then}"
    return f"{path} could not be written ({error.strerror}); {kept}"
