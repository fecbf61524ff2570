"""Versions, as `torch.version`; those of toolkits that are not there are None."""

from flambeau import __version__ as __version__

cuda: str | None = None
hip: str | None = None
git_version: str | None = None
debug = False
