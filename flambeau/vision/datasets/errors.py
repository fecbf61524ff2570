"""The errors of the data sets, which a command line can print without a traceback."""

from __future__ import annotations


class DataError(ValueError):
    """The user's data is wrong; the message names the file and says what would be right."""


class DatasetNotFoundError(DataError, RuntimeError):
    """The files of a data set are not where they were looked for.

    It is also a `RuntimeError`, since that is what torchvision raises here.
    """
