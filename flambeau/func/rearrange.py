"""`rearrange`: dimensions by name, as einops writes them (Rogozhnikov, Einops, 2022)."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from itertools import chain

from flambeau import ops
from flambeau.tensor import Tensor

#: A side of a pattern: groups of names; a single dimension is a group of one.
Side = list[list[str]]


def rearrange(tensor: Tensor | Sequence[Tensor], pattern: str, **axes_lengths: int) -> Tensor:
    """The elements of `tensor` with its dimensions ordered, joined, split as the pattern says: `"b (h w) -> w b h"`.

    Args:
        tensor: a tensor, or several of one shape, which are stacked in front.
        pattern: names of dimensions left and right of `->`; names in parentheses share one dimension, `1` is a
            dimension of size 1, and `...` stands for all that have no name.
        axes_lengths: sizes of names, where a group on the left has more than one unknown.

    Raises:
        ValueError: for a pattern that does not fit the tensor, or itself.
    """
    x = tensor if isinstance(tensor, Tensor) else ops.stack(list(tensor))
    left, arrow, right = pattern.partition("->")
    if not arrow:
        raise ValueError(f"rearrange: the pattern {pattern!r} has no '->'")
    rest = [f"…{i}" for i in range(x.ndim - len(_side(left, [])))]
    if rest and "..." not in left:
        raise ValueError(f"rearrange: the pattern {pattern!r} does not fit a tensor of {x.ndim} dimensions")
    source, target = _side(left, rest), _side(right, rest)
    names, wanted = list(chain(*source)), list(chain(*target))
    for side in (names, wanted):
        if len(set(side)) < len(side):
            raise ValueError(f"rearrange: a name stands twice on a side of {pattern!r}")
    if set(names) != set(wanted):
        raise ValueError(f"rearrange: names on one side only of {pattern!r}: {sorted(set(names) ^ set(wanted))}")
    if unknown := set(axes_lengths) - set(names):
        raise ValueError(f"rearrange: sizes of names that {pattern!r} does not have: {sorted(unknown)}")
    if len(source) != x.ndim:
        raise ValueError(f"rearrange: the pattern {pattern!r} does not fit a tensor of {x.ndim} dimensions")
    sizes = dict(axes_lengths)
    for group, size in zip(source, x.shape, strict=True):
        _split(group, size, sizes, pattern)
    single = x.reshape([sizes[n] for n in names])
    ordered = single.permute([names.index(n) for n in wanted])
    return ordered.reshape([math.prod(sizes[n] for n in group) for group in target])


def _side(text: str, rest: list[str]) -> Side:
    """The groups of one side; `1` and `()` are groups without names."""
    groups: Side = []
    for part in re.findall(r"\([^)]*\)|\.\.\.|[^\s()]+|[()]", text):
        if part in ("(", ")"):
            raise ValueError(f"rearrange: parentheses do not match in {text!r}")
        if part == "...":
            groups += [[name] for name in rest]
            continue
        names = [n for n in part.strip("()").replace("...", " ".join(rest)).split() if n != "1"]
        for name in names:
            if not name.isidentifier() and not name.startswith("…"):
                raise ValueError(f"rearrange: {name!r} is no name of a dimension")
        groups.append(names)
    return groups


def _split(group: list[str], size: int, sizes: dict[str, int], pattern: str) -> None:
    """Finds the size of the one name of a group that has none yet."""
    unknown = [n for n in group if n not in sizes]
    known = math.prod(sizes[n] for n in group if n in sizes)
    if len(unknown) > 1:
        raise ValueError(f"rearrange: the sizes of {unknown} in {pattern!r} are not known")
    if unknown:
        sizes[unknown[0]] = size // known if known else 0
        known *= sizes[unknown[0]]
    if known != size:
        raise ValueError(f"rearrange: a dimension of size {size} does not split into {group} of {pattern!r}")
