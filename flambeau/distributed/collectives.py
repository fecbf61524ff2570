"""What processes do together. In a world of one each gives every process its own tensor."""

from __future__ import annotations

from enum import Enum
from typing import Any, NoReturn

from flambeau.autograd.modes import no_grad
from flambeau.distributed.world import member
from flambeau.tensor.tensor import Tensor


class ReduceOp(Enum):
    """How several tensors become one. The sum, mean, product… of one tensor is that tensor."""

    SUM, AVG, PRODUCT, MIN, MAX, BAND, BOR, BXOR = range(8)


class Work:
    """What `async_op=True` returns: work that is done."""

    def wait(self, timeout: Any = None) -> bool:
        """True"""
        return True

    def is_completed(self) -> bool:
        """True"""
        return True

    def is_success(self) -> bool:
        """True"""
        return True


def _done(group: Any, async_op: bool) -> Work | None:
    member(group)
    return Work() if async_op else None


def _this(rank: int | None, what: str) -> None:
    if rank not in (None, 0):
        raise ValueError(f"{what} {rank} is not in a world of one process")


def _copy(target: Tensor, source: Tensor) -> None:
    if target is not source:
        with no_grad():
            target.copy_(source.reshape(target.shape))


def _one(tensors: list[Any], what: str) -> None:
    if len(tensors) != 1:
        raise ValueError(f"{what} needs one tensor for each process of a world of one, got {len(tensors)}")


def all_reduce(tensor: Tensor, op: Any = ReduceOp.SUM, group: Any = None, async_op: bool = False) -> Work | None:
    """Every process's tensor becomes the sum of all: it stays as it is."""
    return _done(group, async_op)


def reduce(
    tensor: Tensor, dst: int | None = None, op: Any = ReduceOp.SUM, group: Any = None, async_op: bool = False,
    group_dst: int | None = None,
) -> Work | None:  # fmt: skip
    """One process's tensor becomes the sum of all: it stays as it is."""
    _this(dst, "dst")
    return _done(group, async_op)


def broadcast(
    tensor: Tensor, src: int | None = None, group: Any = None, async_op: bool = False, group_src: int | None = None
) -> Work | None:
    """Every process's tensor becomes that of `src`: it stays as it is."""
    _this(src, "src")
    return _done(group, async_op)


def all_gather(tensor_list: list[Tensor], tensor: Tensor, group: Any = None, async_op: bool = False) -> Work | None:
    """Fills `tensor_list` with every process's tensor."""
    _one(tensor_list, "all_gather")
    _copy(tensor_list[0], tensor)
    return _done(group, async_op)


def all_gather_into_tensor(
    output_tensor: Tensor, input_tensor: Tensor, group: Any = None, async_op: bool = False
) -> Work | None:
    """Every process's tensor, one after another."""
    _copy(output_tensor, input_tensor)
    return _done(group, async_op)


def gather(
    tensor: Tensor, gather_list: list[Tensor] | None = None, dst: int | None = None, group: Any = None,
    async_op: bool = False, group_dst: int | None = None,
) -> Work | None:  # fmt: skip
    """Fills `gather_list` of the process `dst` with every process's tensor."""
    _this(dst, "dst")
    if gather_list is None:
        raise ValueError("Argument ``gather_list`` must be specified on destination rank.")
    return all_gather(gather_list, tensor, group, async_op)


def scatter(
    tensor: Tensor, scatter_list: list[Tensor] | None = None, src: int | None = None, group: Any = None,
    async_op: bool = False, group_src: int | None = None,
) -> Work | None:  # fmt: skip
    """Gives each process its tensor of the list of `src`."""
    _this(src, "src")
    if scatter_list is None:
        raise ValueError("Argument ``scatter_list`` must be specified on source rank.")
    _one(scatter_list, "scatter")
    _copy(tensor, scatter_list[0])
    return _done(group, async_op)


def reduce_scatter(
    output: Tensor, input_list: list[Tensor], op: Any = ReduceOp.SUM, group: Any = None, async_op: bool = False
) -> Work | None:
    """Each process gets the sum of all tensors meant for it."""
    _one(input_list, "reduce_scatter")
    _copy(output, input_list[0])
    return _done(group, async_op)


def reduce_scatter_tensor(
    output: Tensor, input: Tensor, op: Any = ReduceOp.SUM, group: Any = None, async_op: bool = False
) -> Work | None:
    """Each process gets its part of the sum of all tensors."""
    _copy(output, input)
    return _done(group, async_op)


def all_to_all(
    output_tensor_list: list[Tensor], input_tensor_list: list[Tensor], group: Any = None, async_op: bool = False
) -> Work | None:
    """Each process sends a tensor to each."""
    _one(input_tensor_list, "all_to_all")
    _copy(output_tensor_list[0], input_tensor_list[0])
    return _done(group, async_op)


def all_to_all_single(
    output: Tensor, input: Tensor, output_split_sizes: Any = None, input_split_sizes: Any = None, group: Any = None,
    async_op: bool = False,
) -> Work | None:  # fmt: skip
    """Each process sends a part of a tensor to each."""
    _copy(output, input)
    return _done(group, async_op)


def all_gather_object(object_list: list[Any], obj: Any, group: Any = None) -> None:
    """Fills `object_list` with every process's object."""
    member(group)
    object_list[0] = obj


def gather_object(
    obj: Any, object_gather_list: list[Any] | None = None, dst: int | None = None, group: Any = None,
    group_dst: int | None = None,
) -> None:  # fmt: skip
    """Fills the list of the process `dst` with every process's object."""
    _this(dst, "dst")
    if object_gather_list is not None:
        all_gather_object(object_gather_list, obj, group)


def broadcast_object_list(
    object_list: list[Any], src: int | None = None, group: Any = None, device: Any = None, group_src: int | None = None
) -> None:
    """Every process's list becomes that of `src`: it stays as it is."""
    _this(src, "src")
    member(group)


def scatter_object_list(
    scatter_object_output_list: list[Any], scatter_object_input_list: list[Any] | None = None, src: int | None = None,
    group: Any = None, group_src: int | None = None,
) -> None:  # fmt: skip
    """Gives each process its object of the list of `src`."""
    _this(src, "src")
    member(group)
    if scatter_object_input_list is not None:
        scatter_object_output_list[0] = scatter_object_input_list[0]


def barrier(group: Any = None, async_op: bool = False, device_ids: Any = None) -> Work | None:
    """Waits for all processes: they are here."""
    return _done(group, async_op)


def monitored_barrier(group: Any = None, timeout: Any = None, wait_all_ranks: bool = False) -> None:
    """See `barrier`."""
    member(group)


def send(*args: Any, **kwargs: Any) -> NoReturn:
    """Raises `ValueError`: there is nobody to send to or to receive from."""
    member()
    raise ValueError("a world of one process has nobody to exchange tensors with")


recv = isend = irecv = send
