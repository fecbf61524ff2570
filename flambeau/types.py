"""Names of types for annotations: `torch.types`."""

import os as _os
from collections.abc import Sequence as _Sequence
from typing import Any as _Any
from typing import TypeAlias

from flambeau.core.device import device as _device
from flambeau.core.dtypes import dtype as _dtype  # noqa: F401
from flambeau.core.shapes import Size as _Size
from flambeau.tensor.tensor import Tensor as _Tensor

Number: TypeAlias = int | float | bool
Device: TypeAlias = _device | str | int | None
_int, _float, _bool, _size = int, float, bool, _Size | list[int] | tuple[int, ...]
FileLike: TypeAlias = str | _os.PathLike[str] | _Any
TensorOrTensors: TypeAlias = _Tensor | _Sequence[_Tensor]
Storage: TypeAlias = _Any
