"""PyTorch's address of `AdamW`."""

from flambeau.optim.adam import AdamW

__all__ = ["AdamW"]
