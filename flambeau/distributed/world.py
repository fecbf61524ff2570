"""The group of all processes: one process."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any
from urllib.parse import parse_qs, urlparse


class Backend(str):
    """The name of what carries messages. In a world of one there are none to carry."""

    UNDEFINED, GLOO, NCCL, MPI, UCC = "undefined", "gloo", "nccl", "mpi", "ucc"


class ProcessGroup:
    """Some of the processes: this one."""

    def __init__(self, backend: str):
        self.backend = Backend(backend)

    def rank(self) -> int:
        """0"""
        return 0

    def size(self) -> int:
        """1"""
        return 1

    def name(self) -> str:
        """The backend's name."""
        return str(self.backend)


class group:
    """`group.WORLD`: the group of all processes, once there is one."""

    WORLD: ProcessGroup | None = None


def is_available() -> bool:
    """False: libraries take that for leave to go on in one process, without what is not here.

    A program that asks for a world of one process without asking this first gets it.
    """
    return False


def is_initialized() -> bool:
    """Whether `init_process_group` was called."""
    return group.WORLD is not None


def is_gloo_available() -> bool:
    """True"""
    return True


def is_nccl_available() -> bool:
    """False: there is no GPU."""
    return False


def is_mpi_available() -> bool:
    """False"""
    return False


def is_torchelastic_launched() -> bool:
    """Whether `torchrun` started this process."""
    return os.environ.get("TORCHELASTIC_RUN_ID") is not None


def _asked(world_size: int, rank: int, init_method: str | None) -> tuple[int, int]:
    """How many processes there shall be and which one this is, from arguments, the address or the environment."""
    query = parse_qs(urlparse(init_method).query) if init_method else {}
    if world_size < 0:
        world_size = int(query["world_size"][0] if "world_size" in query else os.environ.get("WORLD_SIZE", "1"))
    if rank < 0:
        rank = int(query["rank"][0] if "rank" in query else os.environ.get("RANK", "0"))
    return world_size, rank


def init_process_group(
    backend: str | None = None, init_method: str | None = None, timeout: Any = None, world_size: int = -1,
    rank: int = -1, store: Any = None, group_name: str = "", pg_options: Any = None, device_id: Any = None,
) -> None:  # fmt: skip
    """Makes the group of all processes.

    Args:
        backend: "gloo", "mpi" or none named.
        init_method: an address; only the numbers in it are read.
        timeout: accepted: nothing is waited for.
        world_size: the number of processes: 1.
        rank: which one this is: 0.
        store: accepted: nothing is exchanged.
        group_name: accepted.
        pg_options: accepted.
        device_id: accepted.

    Raises:
        NotImplementedError: for a world of several processes.
        RuntimeError: for "nccl", which needs a GPU.
        ValueError: where there is one already, and for a rank outside it.
    """
    if group.WORLD is not None:
        raise ValueError("trying to initialize the default process group twice!")
    name = (backend or "gloo").lower()
    if "nccl" in name and "gloo" not in name:
        raise RuntimeError("Distributed package doesn't have NCCL built in: Flambeau computes on the processor")
    size, rank = _asked(world_size, rank, init_method)
    if size != 1:
        raise NotImplementedError(
            f"torch.distributed with {size} processes is not there: Flambeau computes in one process (world_size=1)"
        )
    if rank != 0:
        raise ValueError(f"Invalid rank {rank} in a world of {size} process")
    group.WORLD = ProcessGroup(name)


def member(of: Any = None) -> ProcessGroup:
    """The group, or that of all processes.

    Raises:
        ValueError: where there is none.
    """
    if group.WORLD is None:
        raise ValueError(
            "Default process group has not been initialized, please make sure to call init_process_group."
        )
    return group.WORLD if of is None else of


def destroy_process_group(group_: Any = None) -> None:
    """Ends the group of all processes."""
    if member(group_) is group.WORLD:
        group.WORLD = None


def get_rank(group: Any = None) -> int:
    """0: which process this is."""
    return member(group).rank()


def get_world_size(group: Any = None) -> int:
    """1: how many there are."""
    return member(group).size()


def get_backend(group: Any = None) -> Backend:
    """The name given to `init_process_group`."""
    return member(group).backend


def new_group(
    ranks: Iterable[int] | None = None, timeout: Any = None, backend: str | None = None, **options: Any
) -> ProcessGroup:
    """A group of some processes: of this one.

    Raises:
        ValueError: for a rank that there is not.
    """
    whole = member()
    wanted = [0] if ranks is None else list(ranks)
    if wanted != [0]:
        raise ValueError(f"the new group's ranks {wanted} are not those of a world of one process")
    return ProcessGroup(backend or str(whole.backend))


def get_process_group_ranks(group: Any = None) -> list[int]:
    """`[0]`"""
    member(group)
    return [0]


def get_global_rank(group: Any, group_rank: int) -> int:
    """The rank in the world of a rank in a group."""
    return group_rank


def get_group_rank(group: Any, global_rank: int) -> int:
    """The rank in a group of a rank in the world."""
    return global_rank
