"""`torch.nn.parallel`: what programs for several devices name, on one."""

from flambeau.nn.parallel.data_parallel import DataParallel as DataParallel

__all__ = ["DataParallel"]
