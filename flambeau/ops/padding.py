"""Padding with a constant."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from flambeau.ops.parts import _slice
from flambeau.ops.table import Kernel, Primitive, Spec, operator
from flambeau.tensor.tensor import Tensor

_pad = Primitive(
    "constant_pad_nd",
    "input",
    lambda x, before, after, value: np.pad(
        x, tuple(zip(before, after, strict=True)), constant_values=np.asarray(value, x.dtype)
    ),
    rule=lambda x, before, after, value: Spec(
        [a + n + b for n, a, b in zip(x.shape, before, after, strict=True)], x.dtype
    ),
    derivative={
        "input": lambda g, input_shape, before: _slice(
            g,
            starts=before,
            stops=tuple(a + n for a, n in zip(before, input_shape, strict=True)),
            steps=(1,) * len(before),
        )
    },
    lowering=Kernel("pad"),
)


@operator(method=False)
def constant_pad_nd(input: Tensor, pad: Sequence[int], value: Any = 0) -> Tensor:
    """`input` with `pad` = (left, right, top, bottom, ...) elements of `value` around its last
    dimensions; negative counts crop.
    """
    rank = input.ndim
    if len(pad) % 2 or len(pad) // 2 > rank:
        raise RuntimeError(
            f"Length of pad should be even and at most twice the input's {rank} dimensions, got {len(pad)}"
        )
    before, after = [0] * rank, [0] * rank
    for i in range(len(pad) // 2):
        before[rank - 1 - i], after[rank - 1 - i] = int(pad[2 * i]), int(pad[2 * i + 1])
    shape = input._array.shape
    for d, (n, a, b) in enumerate(zip(shape, before, after, strict=True)):
        if n + a + b < 0:
            raise RuntimeError(
                f"The input size {n}, plus negative padding {a} and {b} resulted in a negative output "
                f"size, which is invalid. Check dimension {d} of your input."
            )
    starts = tuple(max(-a, 0) for a in before)
    stops = tuple(n - max(-b, 0) for n, b in zip(shape, after, strict=True))
    if any(starts) or stops != tuple(shape):
        input = _slice(input, starts=starts, stops=stops, steps=(1,) * rank)
    return _pad(
        input, before=tuple(max(a, 0) for a in before), after=tuple(max(b, 0) for b in after), value=value
    )
