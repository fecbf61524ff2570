"""PyTorch's file as a zip archive: a pickle, and one record for each storage."""

from __future__ import annotations

import os
import struct
import uuid
import zipfile
import zlib
from pathlib import Path
from typing import IO, Any

import numpy as np

#: PyTorch aligns every storage so that a file can be mapped into memory.
_ALIGNMENT = 64
_LOCAL_HEADER = struct.Struct("<4s5H3I2H")
_EPOCH = (1980, 1, 1, 0, 0, 0)


class ArchiveWriter:
    """Writes records into a zip archive, uncompressed and aligned, as PyTorch lays them out."""

    def __init__(self, file: IO[bytes], name: str):
        self.file = file
        self.name = name
        self.zip = zipfile.ZipFile(file, "w", zipfile.ZIP_STORED)

    def __enter__(self) -> ArchiveWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            self.zip.fp = None  # the file failed: nothing more may be written to it

    def write(self, record: str, data: Any) -> None:
        """Adds the record `record` with these bytes."""
        entry = zipfile.ZipInfo(f"{self.name}/{record}", _EPOCH)
        entry.extra = _padding(self.zip.start_dir + _LOCAL_HEADER.size + len(entry.filename))
        self.zip.writestr(entry, data)

    def finish(self, byteorder: str) -> None:
        """Adds what marks the archive as PyTorch's, and its table of contents."""
        self.write(".format_version", b"1")
        self.write(".storage_alignment", str(_ALIGNMENT).encode())
        self.write("byteorder", byteorder.encode())
        self.write("version", b"3\n")
        self.write(".data/serialization_id", str(uuid.uuid4().int).encode()[:40])
        self.zip.close()


def _padding(position: int) -> bytes:
    """An extra field that moves the data behind a header at `position` to the alignment."""
    length = -(position + 4) % _ALIGNMENT
    return struct.pack("<2sH", b"FB", length) + b"Z" * length


class ArchiveReader:
    """Reads records of a PyTorch archive. Nothing larger than the file is ever allocated.

    Raises `RuntimeError` for an archive that is cut short or damaged, saying how.
    """

    def __init__(self, file: IO[bytes], name: str, path: Path | None = None):
        self.name = name
        self.path = path
        self.file = file
        self.size = file.seek(0, os.SEEK_END)
        try:
            self.zip = zipfile.ZipFile(file)
            self.entries = {entry.filename: entry for entry in self.zip.infolist()}
        except _DAMAGE as error:
            raise RuntimeError(
                f"{name} is cut short or damaged: its table of contents, which stands at the "
                f"end of the file, cannot be read ({error})"
            ) from error
        self.prefix = self._find_prefix()
        # PyTorch can be told to leave checksums out; it then writes zeros.
        self.has_checksums = any(entry.CRC for entry in self.entries.values())
        if sum(max(0, entry.file_size) for entry in self.entries.values()) > self.size:
            raise RuntimeError(
                f"{name} is damaged: its records claim more bytes than the file's {self.size}"
            )

    def _find_prefix(self) -> str:
        for filename in self.entries:
            folder, slash, rest = filename.partition("/")
            if rest == "data.pkl" or (slash and rest == "constants.pkl"):
                return folder
        raise RuntimeError(
            f"{self.name} is a zip archive, but no checkpoint: it has no record data.pkl"
        )

    def has(self, record: str) -> bool:
        """Whether the archive holds this record."""
        return f"{self.prefix}/{record}" in self.entries

    def read(self, record: str) -> np.ndarray:
        """The bytes of a record, checked against its checksum, as a writable array."""
        entry = self._entry(record)
        data = np.empty(entry.file_size, np.uint8)
        self.file.seek(self._start(entry, record))
        filled = _read_into(self.file, memoryview(data))
        if filled != entry.file_size:
            raise RuntimeError(
                f"{self.name} is cut short: record {record} has {filled} of "
                f"{entry.file_size} bytes"
            )
        if self.has_checksums and zlib.crc32(data) != entry.CRC:
            raise RuntimeError(f"{self.name} is damaged: record {record} fails its checksum")
        return data

    def map(self, record: str) -> np.ndarray:
        """The bytes of a record, mapped from the file; writes stay in memory."""
        assert self.path is not None
        entry = self._entry(record)
        start = self._start(entry, record)
        if entry.file_size == 0:
            return np.empty(0, np.uint8)
        return np.memmap(self.path, np.uint8, "c", start, (entry.file_size,))

    def _start(self, entry: zipfile.ZipInfo, record: str) -> int:
        """Where the bytes of a record begin in the file."""
        self.file.seek(max(0, entry.header_offset))
        header = self.file.read(_LOCAL_HEADER.size)
        if len(header) < _LOCAL_HEADER.size:
            raise RuntimeError(f"{self.name} is cut short in front of record {record}")
        fields = _LOCAL_HEADER.unpack(header)
        start = entry.header_offset + _LOCAL_HEADER.size + fields[-2] + fields[-1]
        inside = entry.header_offset >= 0 and start + entry.file_size <= self.size
        if fields[0] != b"PK\x03\x04" or not inside:
            raise RuntimeError(f"{self.name} is damaged in front of record {record}")
        return int(start)

    def _entry(self, record: str) -> zipfile.ZipInfo:
        entry = self.entries.get(f"{self.prefix}/{record}")
        if entry is None:
            raise RuntimeError(f"{self.name} is damaged: it has no record {record}")
        if entry.compress_type != zipfile.ZIP_STORED:
            raise RuntimeError(
                f"{self.name} holds the record {record} compressed; PyTorch writes checkpoints "
                "uncompressed, so unpack and save it again"
            )
        return entry


def _read_into(file: IO[bytes], target: memoryview) -> int:
    filled = 0
    while filled < len(target):
        piece = file.read(min(len(target) - filled, 1 << 24))
        if not piece:
            break
        target[filled : filled + len(piece)] = piece
        filled += len(piece)
    return filled


#: What `zipfile` raises for archives that are not whole.
_DAMAGE = (
    zipfile.BadZipFile,
    zipfile.LargeZipFile,
    struct.error,
    ValueError,
    OverflowError,
    EOFError,
    OSError,
    NotImplementedError,
    RuntimeError,
)
