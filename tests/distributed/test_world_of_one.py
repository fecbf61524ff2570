"""A world of one process: its group, what it does together with itself, and modules wrapped for it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import flambeau as torch
from flambeau import distributed as dist
from flambeau.nn.parallel import DistributedDataParallel
from flambeau.utils.data import DataLoader, TensorDataset
from flambeau.utils.data.distributed import DistributedSampler


@pytest.fixture
def world() -> Iterator[None]:
    dist.init_process_group("gloo", init_method="tcp://127.0.0.1:1234", rank=0, world_size=1)
    yield
    if dist.is_initialized():
        dist.destroy_process_group()


def test_the_group(world: None) -> None:
    assert (dist.get_rank(), dist.get_world_size(), dist.get_backend()) == (0, 1, "gloo")
    with pytest.raises(ValueError, match="twice"):
        dist.init_process_group("gloo")
    assert dist.get_process_group_ranks(dist.new_group([0])) == [0]
    with pytest.raises(ValueError, match="ranks"):
        dist.new_group([0, 1])
    dist.destroy_process_group()
    assert not dist.is_initialized()
    with pytest.raises(ValueError, match="not been initialized"):
        dist.get_rank()


def test_what_a_world_of_one_cannot_be(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(NotImplementedError, match="2 processes"):
        dist.init_process_group("gloo", rank=0, world_size=2)
    with pytest.raises(RuntimeError, match="NCCL"):
        dist.init_process_group("nccl")
    monkeypatch.setenv("WORLD_SIZE", "4")
    with pytest.raises(NotImplementedError, match="4 processes"):
        dist.init_process_group("gloo")
    assert not dist.is_initialized()


def test_collectives(world: None) -> None:
    x = torch.arange(3.0)
    dist.all_reduce(x, op=dist.ReduceOp.SUM)
    work = dist.broadcast(x, src=0, async_op=True)
    assert work is not None and work.wait()
    assert x.tolist() == [0, 1, 2]
    out = [torch.zeros(3)]
    dist.all_gather(out, x)
    assert torch.equal(out[0], x)
    things: list[object] = [None]
    dist.all_gather_object(things, {"a": 1})
    assert things == [{"a": 1}]
    dist.barrier()
    with pytest.raises(ValueError, match="src 1"):
        dist.broadcast(x, src=1)
    with pytest.raises(ValueError, match="nobody"):
        dist.send(x, 1)


def test_a_wrapped_module_trains_as_the_module_does(world: None) -> None:
    torch.manual_seed(0)
    module = torch.nn.Linear(3, 1)
    wrapped = DistributedDataParallel(module)
    x = torch.randn(4, 3)
    with wrapped.no_sync():
        wrapped(x).sum().backward()
    assert torch.equal(module.weight.grad, x.sum(0, keepdim=True))  # type: ignore[arg-type]
    assert list(wrapped.state_dict()) == ["module.weight", "module.bias"]
    sampler = DistributedSampler(range(5), shuffle=False)
    assert [b.tolist() for (b,) in DataLoader(TensorDataset(torch.arange(5)), 2, sampler=sampler)] == [[0, 1], [2, 3], [4]]


def test_wrapping_needs_a_group() -> None:
    with pytest.raises(ValueError, match="not been initialized"):
        DistributedDataParallel(torch.nn.Linear(2, 2))


def test_an_optimizer_that_keeps_its_state_whole(world: None) -> None:
    from flambeau.distributed.optim import ZeroRedundancyOptimizer

    torch.manual_seed(0)
    module = torch.nn.Linear(2, 1)
    twin = torch.nn.Linear(2, 1)
    twin.load_state_dict(module.state_dict())
    shared = ZeroRedundancyOptimizer(module.parameters(), torch.optim.Adam, lr=0.1)
    plain = torch.optim.Adam(twin.parameters(), lr=0.1)
    for network, optimizer in ((module, shared), (twin, plain)):
        for _ in range(2):
            optimizer.zero_grad()
            network(torch.ones(1, 2)).sum().backward()
            optimizer.step()
    assert torch.equal(module.weight, twin.weight)
    shared.load_state_dict(shared.state_dict())


def test_splitting_and_joining_batches() -> None:
    from flambeau.nn.parallel.scatter_gather import gather, scatter, scatter_kwargs

    x = torch.arange(4.0)
    parts = scatter({"x": x, "n": [x, 1]}, ["cpu", "cpu"])
    assert [p["x"].tolist() for p in parts] == [[0, 1], [2, 3]] and parts[1]["n"][1] == 1
    assert torch.equal(gather([p["x"] for p in parts], "cpu"), x)
    assert scatter_kwargs((x,), {"a": 1}, ["cpu"]) == (((x,),), ({"a": 1},))
