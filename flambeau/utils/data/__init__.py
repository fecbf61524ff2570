"""Data sets, samplers, and the loader."""

from flambeau.utils.data.collate import default_collate as default_collate
from flambeau.utils.data.collate import default_convert as default_convert
from flambeau.utils.data.dataloader import DataLoader as DataLoader
from flambeau.utils.data.dataset import ChainDataset as ChainDataset
from flambeau.utils.data.dataset import ConcatDataset as ConcatDataset
from flambeau.utils.data.dataset import Dataset as Dataset
from flambeau.utils.data.dataset import IterableDataset as IterableDataset
from flambeau.utils.data.dataset import StackDataset as StackDataset
from flambeau.utils.data.dataset import Subset as Subset
from flambeau.utils.data.dataset import TensorDataset as TensorDataset
from flambeau.utils.data.dataset import random_split as random_split
from flambeau.utils.data.distributed import DistributedSampler as DistributedSampler
from flambeau.utils.data.sampler import BatchSampler as BatchSampler
from flambeau.utils.data.sampler import RandomSampler as RandomSampler
from flambeau.utils.data.sampler import Sampler as Sampler
from flambeau.utils.data.sampler import SequentialSampler as SequentialSampler
from flambeau.utils.data.sampler import SubsetRandomSampler as SubsetRandomSampler
from flambeau.utils.data.sampler import WeightedRandomSampler as WeightedRandomSampler


def __getattr__(name: str) -> object:
    # The worker module brings multiprocessing's machinery, which an import alone need not pay for.
    if name in ("get_worker_info", "WorkerInfo"):
        from flambeau.utils.data import worker

        return getattr(worker, name)
    if name in ("DataChunk", "IterDataPipe", "MapDataPipe", "datapipes", "functional_datapipe"):
        import importlib

        pipes = importlib.import_module("flambeau.utils.data.datapipes")
        return pipes if name == "datapipes" else getattr(pipes, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
