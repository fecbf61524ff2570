"""The Tensor: memory, views, versions, printing. Its mathematics is in `flambeau.ops`."""

from flambeau.tensor.tensor import Tensor as Tensor
