"""`Variable`, which every tensor is since PyTorch 0.4."""

from flambeau.autograd.function import Variable as Variable
