"""`torch.nn.parallel`: what programs for several devices name, on one."""

from flambeau.nn.parallel.data_parallel import DataParallel as DataParallel
from flambeau.nn.parallel.distributed import DistributedDataParallel as DistributedDataParallel
from flambeau.nn.parallel.scatter_gather import gather as gather
from flambeau.nn.parallel.scatter_gather import scatter as scatter

__all__ = ["DataParallel", "DistributedDataParallel", "gather", "scatter"]
