"""Conditions on values: an eager call looks at once, a compiled program at each call, on what it has computed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from flambeau.core.state import state
from flambeau.ops.table import Primitive
from flambeau.tensor.tensor import Tensor


def _checked(input: np.ndarray, witness: np.ndarray, check: Callable[[np.ndarray], None]) -> np.ndarray:
    check(witness)
    return input


#: `input`, once `check` has looked at `witness` without raising.
_required = Primitive(
    "required",
    "input witness",
    _checked,
    rule=lambda input, witness, check: input,
    derivative={"input": lambda g: g},
)


def required(result: Tensor, witness: Tensor, check: Callable[[np.ndarray], Any]) -> Tensor:
    """`result`, if `check` does not raise for the elements of `witness`.

    In a compiled program the check belongs to what is computed from the tensor that this gives. `check` is a function of
    a module or a `partial` of one: programs are equal where their checks are.
    """
    if state.tracer is None:
        check(witness._array)
        return result
    return _required(result, witness, check=check)
