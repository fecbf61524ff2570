"""Sequences of different lengths in one batch: packed, padded, and back.

A packed sequence holds the elements of all sequences time step by time step, the longest sequence
first, so that the sequences still running at a step are the first ones of its block.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple, Self

from flambeau import ops
from flambeau.core.dtypes import int64
from flambeau.tensor import Tensor

__all__ = [
    "PackedSequence",
    "invert_permutation",
    "pack_padded_sequence",
    "pack_sequence",
    "pad_packed_sequence",
    "pad_sequence",
    "unpack_sequence",
    "unpad_sequence",
]


class _Packed(NamedTuple):
    data: Tensor
    batch_sizes: Tensor
    sorted_indices: Tensor | None
    unsorted_indices: Tensor | None


class PackedSequence(_Packed):
    """What `pack_padded_sequence` and `pack_sequence` return and recurrent layers take.

    Attributes:
        data: the elements, `(sum of lengths, *)`.
        batch_sizes: how many sequences run at each step.
        sorted_indices: the order that puts the longest first, `None` if they were in it.
        unsorted_indices: the order that undoes it.
    """

    __slots__ = ()

    def __new__(
        cls,
        data: Any,
        batch_sizes: Tensor | None = None,
        sorted_indices: Tensor | None = None,
        unsorted_indices: Tensor | None = None,
    ) -> Self:
        if batch_sizes is None:
            data, batch_sizes = data
        if unsorted_indices is None:
            unsorted_indices = invert_permutation(sorted_indices)
        return super().__new__(cls, data, batch_sizes, sorted_indices, unsorted_indices)

    def _with_data(self, data: Tensor) -> PackedSequence:
        if data is self.data:
            return self
        return type(self)(data, self.batch_sizes, self.sorted_indices, self.unsorted_indices)

    def to(self, *args: Any, **kwargs: Any) -> PackedSequence:
        """The same with its data converted as `Tensor.to`."""
        return self._with_data(self.data.to(*args, **kwargs))

    def cpu(self, *args: Any, **kwargs: Any) -> PackedSequence:
        """The same on the CPU."""
        return self._with_data(self.data.cpu(*args, **kwargs))

    def cuda(self, *args: Any, **kwargs: Any) -> PackedSequence:
        """Raises what a tensor raises: there is no CUDA device in this process."""
        return self._with_data(self.data.cuda(*args, **kwargs))

    def double(self) -> PackedSequence:
        """The same in float64."""
        return self._with_data(self.data.double())

    def float(self) -> PackedSequence:
        """The same in float32."""
        return self._with_data(self.data.float())

    def half(self) -> PackedSequence:
        """The same in float16."""
        return self._with_data(self.data.half())

    def long(self) -> PackedSequence:
        """The same in int64."""
        return self._with_data(self.data.long())

    def int(self) -> PackedSequence:
        """The same in int32."""
        return self._with_data(self.data.int())

    def short(self) -> PackedSequence:
        """The same in int16."""
        return self._with_data(self.data.short())

    def char(self) -> PackedSequence:
        """The same in int8."""
        return self._with_data(self.data.char())

    def byte(self) -> PackedSequence:
        """The same in uint8."""
        return self._with_data(self.data.byte())

    def pin_memory(self) -> PackedSequence:
        """The same with pinned data."""
        return self._with_data(self.data.pin_memory())

    @property
    def is_cuda(self) -> bool:
        return self.data.is_cuda

    def is_pinned(self) -> bool:
        """Whether the data is pinned."""
        return self.data.is_pinned()


def invert_permutation(permutation: Tensor | None) -> Tensor | None:
    """The permutation that undoes another."""
    if permutation is None:
        return None
    order = permutation.tolist()
    inverse = [0] * len(order)
    for position, source in enumerate(order):
        inverse[source] = position
    return ops.tensor(inverse, dtype=int64)


def pack_padded_sequence(
    input: Tensor,
    lengths: Tensor | Sequence[int],
    batch_first: bool = False,
    enforce_sorted: bool = True,
) -> PackedSequence:
    """Packs `(T, B, *)`, or `(B, T, *)` with `batch_first`.

    Args:
        input: the padded sequences.
        lengths: of each sequence.
        batch_first: whether the batch is the first dimension.
        enforce_sorted: require decreasing lengths; otherwise they are sorted here.

    Raises:
        RuntimeError: for lengths that are not positive, not sorted, or too many or few.
    """
    steps = [int(n) for n in (lengths.tolist() if isinstance(lengths, Tensor) else lengths)]
    if batch_first:
        input = input.transpose(0, 1)
    if len(steps) != input.size(1):
        raise RuntimeError(
            f"Expected `len(lengths)` to be equal to batch_size, but got {len(steps)} "
            f"(batch_size={input.size(1)})"
        )
    if any(n <= 0 for n in steps):
        raise RuntimeError(
            "Length of all samples has to be greater than 0, but found an element in 'lengths' "
            "that is <= 0"
        )
    sorted_indices = None
    if not enforce_sorted:
        order = sorted(range(len(steps)), key=lambda i: -steps[i])
        steps = [steps[i] for i in order]
        sorted_indices = ops.tensor(order, dtype=int64)
        input = input.index_select(1, sorted_indices)
    elif any(after > before for before, after in itertools.pairwise(steps)):
        raise RuntimeError(
            "`lengths` array must be sorted in decreasing order when `enforce_sorted` is True. "
            "You can pass `enforce_sorted=False` to pack_padded_sequence and/or pack_sequence to "
            "sidestep this requirement if you do not need ONNX exportability."
        )
    if steps[0] > input.size(0):
        raise RuntimeError(
            f"Expected sequence length to be at most {input.size(0)}, but got {steps[0]}"
        )
    batch = len(steps)
    running = [sum(n > t for n in steps) for t in range(steps[0])]
    rows = [t * batch + b for t, count in enumerate(running) for b in range(count)]
    flat = input.reshape(input.size(0) * batch, *input.shape[2:])
    data = flat.index_select(0, ops.tensor(rows, dtype=int64))
    return PackedSequence(data, ops.tensor(running, dtype=int64), sorted_indices)


def pad_packed_sequence(
    sequence: PackedSequence,
    batch_first: bool = False,
    padding_value: float = 0.0,
    total_length: int | None = None,
) -> tuple[Tensor, Tensor]:
    """The padded sequences `(T, B, *)` (or batch first) and their lengths.

    Args:
        sequence: what was packed.
        batch_first: whether the batch shall be the first dimension.
        padding_value: what to pad with.
        total_length: T, at least the longest length.

    Raises:
        ValueError: if `total_length` is less than the longest length.
    """
    running = sequence.batch_sizes.tolist()
    longest = len(running)
    if total_length is not None and total_length < longest:
        raise ValueError(
            "Expected total_length to be at least the length of the longest sequence in input, "
            f"but got total_length={total_length} and max sequence length being {longest}"
        )
    data = sequence.data
    batch = running[0]
    padding = len(data)  # the row of padding stands behind the elements
    starts = itertools.accumulate(running, initial=0)
    rows = [
        start + b if b < count else padding
        for start, count in zip(starts, running, strict=False)
        for b in range(batch)
    ]
    rows += [padding] * (batch * ((total_length or longest) - longest))
    extended = ops.cat([data, data.new_full((1, *data.shape[1:]), padding_value)])
    padded = extended.index_select(0, ops.tensor(rows, dtype=int64))
    padded = padded.reshape(-1, batch, *data.shape[1:])
    lengths = ops.tensor([sum(count > b for count in running) for b in range(batch)])
    if sequence.unsorted_indices is not None:
        padded = padded.index_select(1, sequence.unsorted_indices)
        lengths = lengths[sequence.unsorted_indices]
    return padded.transpose(0, 1) if batch_first else padded, lengths


def pad_sequence(
    sequences: Any,
    batch_first: bool = False,
    padding_value: float = 0.0,
    padding_side: str = "right",
) -> Tensor:
    """Sequences `(L_i, *)` as one tensor `(T, B, *)`, or `(B, T, *)` with `batch_first`.

    Raises:
        RuntimeError: if there is nothing to iterate over, or for an unknown side.
    """
    if not isinstance(sequences, Iterable):
        raise RuntimeError(
            "pad_sequence: Expected iterable for input sequences, but got arg of type: "
            f"{type(sequences)}"
        )
    sequences = list(sequences)
    if padding_side not in ("left", "right"):
        raise RuntimeError(
            f"Expected padding_side to be one of left or right, but got {padding_side}."
        )
    if not sequences:
        raise RuntimeError("received an empty list of sequences")
    longest = max(each.size(0) for each in sequences)
    padded = []
    for each in sequences:
        missing = longest - each.size(0)
        around = (0, 0) * (each.dim() - 1)
        ends = (missing, 0) if padding_side == "left" else (0, missing)
        padded.append(ops.constant_pad_nd(each, (*around, *ends), padding_value))
    return ops.stack(padded, 0 if batch_first else 1)


def unpad_sequence(
    padded_sequences: Tensor, lengths: Tensor, batch_first: bool = False
) -> list[Tensor]:
    """The sequences that `pad_sequence` padded."""
    if not batch_first:
        padded_sequences = padded_sequences.transpose(0, 1)
    return [
        each[: int(length)]
        for each, length in zip(padded_sequences, lengths.tolist(), strict=True)
    ]


def pack_sequence(sequences: Sequence[Tensor], enforce_sorted: bool = True) -> PackedSequence:
    """Packs sequences `(L_i, *)`; see `pack_padded_sequence`."""
    lengths = [each.size(0) for each in sequences]
    return pack_padded_sequence(pad_sequence(sequences), lengths, enforce_sorted=enforce_sorted)


def unpack_sequence(packed_sequences: PackedSequence) -> list[Tensor]:
    """The sequences that `pack_sequence` packed."""
    padded, lengths = pad_packed_sequence(packed_sequences, batch_first=True)
    return unpad_sequence(padded, lengths, batch_first=True)
