"""The loader: batches, order, workers, resuming, and what happens when a worker fails."""

from __future__ import annotations

import gc
import os
import signal
import time

import numpy as np
import pytest

import flambeau as torch
from flambeau.utils.data import DataLoader, Dataset, TensorDataset, get_worker_info


class Squares(Dataset):
    def __len__(self) -> int:
        return 10

    def __getitem__(self, i: int) -> tuple[torch.Tensor, int]:
        return torch.full((2,), float(i)), i * i


class Failing(Squares):
    def __getitem__(self, i: int) -> tuple[torch.Tensor, int]:
        if i == 5:
            raise KeyError("sample five")
        return super().__getitem__(i)


class Dying(Squares):
    def __getitem__(self, i: int) -> tuple[torch.Tensor, int]:
        if i == 5 and get_worker_info() is not None:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().__getitem__(i)


@pytest.mark.parametrize("workers", [0, 2])
def test_batches(workers: int) -> None:
    batches = list(DataLoader(Squares(), batch_size=4, num_workers=workers))
    assert [len(y) for _, y in batches] == [4, 4, 2]
    assert torch.cat([y for _, y in batches]).tolist() == [i * i for i in range(10)]
    assert batches[0][0].shape == (4, 2)
    assert len(list(DataLoader(Squares(), batch_size=4, drop_last=True, num_workers=workers))) == 2


def test_shuffled_order_is_that_of_the_seed() -> None:
    torch.manual_seed(0)
    order = torch.cat(list(DataLoader(torch.arange(10), batch_size=5, shuffle=True))).tolist()
    # from torch 2.13, the same program
    assert order == SHUFFLED
    torch.manual_seed(0)
    again = torch.cat(list(DataLoader(torch.arange(10), batch_size=5, shuffle=True))).tolist()
    assert order == again


SHUFFLED = [6, 7, 1, 4, 2, 0, 9, 8, 3, 5]


def test_resumes_in_the_middle_of_an_epoch() -> None:
    def loader() -> DataLoader:
        generator = torch.Generator().manual_seed(3)
        return DataLoader(TensorDataset(torch.arange(20)), batch_size=4, shuffle=True, generator=generator)

    whole = [b[0].tolist() for b in loader()]
    first = loader()
    iterator = iter(first)
    begun = [next(iterator)[0].tolist() for _ in range(2)]
    kept = first.state_dict()
    second = loader()
    second.load_state_dict(kept)
    assert begun + [b[0].tolist() for b in second] == whole


def test_a_worker_s_error_arrives_with_its_traceback() -> None:
    with pytest.raises(KeyError, match=r"Caught KeyError in DataLoader worker process \d[\s\S]*sample five"):
        list(DataLoader(Failing(), batch_size=2, num_workers=2))


def test_a_killed_worker_is_an_error_soon() -> None:
    began = time.monotonic()
    with pytest.raises(RuntimeError, match=r"worker.*(killed|exited)"):
        list(DataLoader(Dying(), batch_size=2, num_workers=1))
    assert time.monotonic() - began < 15


def test_collation() -> None:
    class Records(Dataset):
        def __len__(self) -> int:
            return 4

        def __getitem__(self, i: int) -> dict:
            return {"x": np.float32([i, i]), "name": str(i), "pair": (i, 2.0)}

    (batch,) = DataLoader(Records(), batch_size=4)
    assert batch["x"].shape == (4, 2)
    assert batch["name"] == ["0", "1", "2", "3"]
    assert batch["pair"][0].dtype == torch.int64
    assert batch["pair"][1].dtype == torch.float64


def test_a_worker_does_not_end_the_workers_of_a_loader_it_inherited() -> None:
    kept = [DataLoader(list(range(4)), batch_size=None, num_workers=1, persistent_workers=True)]
    assert list(kept[0]) == [0, 1, 2, 3]

    class Forgetful(Dataset):
        def __len__(self) -> int:
            return 4

        def __getitem__(self, index: int) -> int:
            kept.clear()
            gc.collect()
            return index

    assert list(DataLoader(Forgetful(), batch_size=None, num_workers=1)) == [0, 1, 2, 3]
    assert list(kept[0]) == [0, 1, 2, 3]
