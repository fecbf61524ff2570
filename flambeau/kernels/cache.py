"""Machine code on disk: one private folder a user, one file a program, named by content hash.

Many processes may read and write at once: a file is written under another name and renamed, so
it is whole or absent. Every file carries its checksum; a damaged one is deleted and built
again. When the folder outgrows its limit, the files not used for longest go.

`FLAMBEAU_CACHE_DIR` names the folder, `FLAMBEAU_CACHE_LIMIT` bounds it ("200M"; "0" turns it
off).
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import stat
import tempfile
import zlib
from pathlib import Path

_MAGIC = b"flambeau machine code 1\n"
_SUFFIX = ".code"
_DEFAULT_LIMIT = 512 * 1024**2
_SHRINK_TO = 0.8  # so that the next writes need not evict again
_SHARE = 64  # counting what a full folder holds takes time: small files are counted once in so many


def folder() -> Path:
    """Where machine code is kept; it need not exist yet."""
    if chosen := os.environ.get("FLAMBEAU_CACHE_DIR"):
        return Path(chosen)
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "flambeau"


def limit() -> int:
    """How many bytes the folder may hold. Raises `ValueError` for a limit that is no size."""
    text = os.environ.get("FLAMBEAU_CACHE_LIMIT")
    if text is None:
        return _DEFAULT_LIMIT
    parts = re.fullmatch(r"\s*(\d+)\s*([KMG]?)B?\s*", text.upper())
    if parts is None:
        raise ValueError(f"FLAMBEAU_CACHE_LIMIT={text!r} is no size; write it as 200M or 1G")
    return int(parts[1]) * {"": 1, "K": 1024, "M": 1024**2, "G": 1024**3}[parts[2]]


def key_of(*parts: str) -> str:
    """The name of a program: a hash of everything its machine code depends on."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part.encode())
        digest.update(b"\0")
    return digest.hexdigest()


def read(key: str) -> bytes | None:
    """The machine code kept under `key`, or None. A damaged file is removed."""
    where = folder()
    if limit() == 0 or not _is_private(where):
        return None
    path = where / (key + _SUFFIX)
    try:
        content = path.read_bytes()
    except OSError:
        return None
    body = content[len(_MAGIC) + 32 :]
    if content != _MAGIC + hashlib.sha256(body).digest() + body:
        with contextlib.suppress(OSError):
            path.unlink()
        return None
    with contextlib.suppress(OSError):
        os.utime(path)  # the time of last use, by which files are evicted
    return body


def write(key: str, body: bytes) -> None:
    """Keeps machine code under `key`. A folder that cannot be used is left alone: no error."""
    allowed = limit()
    if len(body) > allowed:
        return
    where = folder()
    try:
        where.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not _is_private(where):
            return
        handle, temporary = tempfile.mkstemp(dir=where, suffix=".part")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(_MAGIC + hashlib.sha256(body).digest() + body)
            os.replace(temporary, where / (key + _SUFFIX))
        except BaseException:
            os.unlink(temporary)
            raise
        if len(body) * _SHARE >= allowed or zlib.crc32(key.encode()) % _SHARE == 0:
            _evict(where, allowed)
    except OSError:
        return


def clear() -> None:
    """Deletes everything kept."""
    for path in folder().glob("*" + _SUFFIX):
        path.unlink(missing_ok=True)


def _is_private(where: Path) -> bool:
    """Whether only this user may write there: what is read from it will be executed."""
    if os.name != "posix":
        return where.is_dir()
    try:
        status = where.stat()
    except OSError:
        return False
    return status.st_uid == os.geteuid() and not status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)


def _evict(where: Path, allowed: int) -> None:
    """Deletes the files not used for longest until the rest fits."""
    files = []
    with os.scandir(where) as entries:
        for entry in entries:
            with contextlib.suppress(OSError):
                status = entry.stat()
                files.append((status.st_mtime, status.st_size, entry.path))
    total = sum(size for _, size, _ in files)
    if total <= allowed:
        return
    for _, size, path in sorted(files):
        with contextlib.suppress(OSError):
            os.unlink(path)
            total -= size
        if total <= _SHRINK_TO * allowed:
            return
