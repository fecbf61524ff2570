"""Conditions on values: an eager call looks at once, a compiled program at each call, on what it has computed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from flambeau.core.state import state
from flambeau.ops.table import Primitive
from flambeau.tensor.tensor import Tensor


@dataclass(frozen=True, repr=False)
class _Check:
    """A check as an attribute of a graph: equal ones are equal, and written alike in each process."""

    function: Callable[..., Any]
    arguments: tuple[Any, ...]

    def __repr__(self) -> str:
        return f"{self.function.__module__}.{self.function.__qualname__}{self.arguments}"


def _checked(input: np.ndarray, witness: np.ndarray, check: _Check) -> np.ndarray:
    check.function(*check.arguments, witness)
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
    a module, or a `partial` of one with its first arguments, which hash.
    """
    if state.tracer is None:
        check(witness._array)
        return result
    function, arguments = (check.func, check.args) if isinstance(check, partial) else (check, ())
    return _required(result, witness, check=_Check(function, arguments))
