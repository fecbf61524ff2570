"""Importing this module lets `import torch` give Flambeau, as `flambeau.run.install()` does."""

from flambeau.run.aliases import install

install()
