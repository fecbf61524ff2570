"""Devices, layouts and memory formats: PyTorch's names for where and how elements are stored."""

from __future__ import annotations

_KNOWN = {"cpu", "cuda", "mps", "xpu", "xla", "meta", "hpu", "mtia"}


class device:
    """Where a tensor lives: `device("cpu")`, `device("cuda", 0)`.

    Raises `RuntimeError` for a type that PyTorch does not know. Tensors live on the CPU.
    """

    __slots__ = ("index", "type")

    type: str
    index: int | None

    def __init__(self, type: str | device | int, index: int | None = None):
        if isinstance(type, device):
            type, index = type.type, type.index
        elif isinstance(type, int):
            type, index = "cuda", type
        elif ":" in type:
            if index is not None:
                raise RuntimeError(
                    f"type (string) must not include an index because index was passed explicitly: {type}"
                )
            type, _, number = type.partition(":")
            if not number.isdigit():
                raise RuntimeError(f"Invalid device string: '{type}:{number}'")
            index = int(number)
        if type not in _KNOWN:
            raise RuntimeError(
                f"Expected one of {', '.join(sorted(_KNOWN))} device type at start of device string: {type}"
            )
        self.type, self.index = type, index

    def __eq__(self, other: object) -> bool:
        return isinstance(other, device) and (self.type, self.index) == (other.type, other.index)

    def __hash__(self) -> int:
        return hash((self.type, self.index))

    def __enter__(self) -> device:
        """Inside, new tensors are made on this device: the CPU, or `NotImplementedError`."""
        check_device(self)
        return self

    def __exit__(self, *error: object) -> None:
        """Nothing to undo: there is one device."""

    def __str__(self) -> str:
        return self.type if self.index is None else f"{self.type}:{self.index}"

    def __repr__(self) -> str:
        index = "" if self.index is None else f", index={self.index}"
        return f"device(type='{self.type}'{index})"

    def __reduce__(self) -> tuple:
        return device, (self.type, self.index)


CPU = device("cpu")


def check_device(where: str | device | int | None) -> device:
    """The CPU device; `NotImplementedError` for any other, naming what works."""
    if where is None:
        return CPU
    found = device(where)
    if found.type != "cpu":
        raise NotImplementedError(
            f"device '{found}' is not available: Flambeau computes on the CPU, use device='cpu'"
        )
    return found


def set_default_device(device: str | device | int | None) -> None:
    """Where new tensors are made. Raises `NotImplementedError` for anything but the CPU."""
    check_device(device)


def get_default_device() -> device:
    """Where new tensors are made: the CPU."""
    return CPU


class layout:
    """How elements are arranged: `flambeau.strided` (dense)."""

    def __init__(self, name: str):
        self.name = name

    def __repr__(self) -> str:
        return f"torch.{self.name}"

    def __reduce__(self) -> str:
        return self.name


class memory_format:
    """The order of a tensor's strides, as `flambeau.contiguous_format`."""

    def __init__(self, name: str):
        self.name = name

    def __repr__(self) -> str:
        return f"torch.{self.name}"

    def __reduce__(self) -> str:
        return self.name


strided = layout("strided")
sparse_coo = layout("sparse_coo")
sparse_csr = layout("sparse_csr")
sparse_csc = layout("sparse_csc")
contiguous_format = memory_format("contiguous_format")
preserve_format = memory_format("preserve_format")
channels_last = memory_format("channels_last")
channels_last_3d = memory_format("channels_last_3d")
