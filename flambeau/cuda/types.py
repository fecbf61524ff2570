"""`torch.cuda.FloatTensor` and its kin: types that no tensor here has."""

from __future__ import annotations

from typing import Any, NoReturn

from flambeau.tensor.types import TYPES as CPU_TYPES


class _Absent(type):
    """A type of tensors on a GPU: nothing is one, and none can be made."""

    def __instancecheck__(cls, other: Any) -> bool:
        return False

    def __call__(cls, *data: Any, **options: Any) -> NoReturn:
        raise TypeError(
            f"type torch.cuda.{cls.__name__} not available. Flambeau is not built with CUDA: it computes on the processor"
        )

    def __str__(cls) -> str:
        return f"torch.cuda.{cls.__name__}"


TYPES = {
    name: _Absent(name, (), {"__module__": "torch.cuda", "__doc__": "Tensors on a GPU: there are none."})
    for name in CPU_TYPES
}
