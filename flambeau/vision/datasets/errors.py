"""The errors of the data sets, which a command line can print without a traceback."""

from __future__ import annotations


class DataError(ValueError):
    """The user's data is wrong; the message names the file and says what would be right."""


class DatasetNotFoundError(DataError, RuntimeError):
    """The files of a data set are not where they were looked for, or are not the published ones.

    It is also a `RuntimeError`, since that is what torchvision raises here.
    """


class MissingFilesError(DataError, FileNotFoundError):
    """A folder, or the files that should be in it, are missing; torchvision's `FileNotFoundError`."""


class SampleError(DataError):
    """One sample cannot be used; others can, and a data set with `skip_bad` goes on without it."""


class ImageFileError(SampleError, OSError):
    """An image file that cannot be read; also an `OSError`, as Pillow's own errors are."""
