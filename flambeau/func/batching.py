"""`vmap`: a function of one sample as a function of a batch.

The function runs once a sample and the results are stacked. That is right for every function
whatever it does inside, gradients and control flow included; it saves no time over a loop, and
`flambeau.compile` of the whole is the way to make it fast.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import flambeau
from flambeau.func.trees import leaves_of, spread, with_leaves
from flambeau.tensor.tensor import Tensor
from flambeau.tensor.tracing import is_tracing


def vmap(
    func: Callable[..., Any],
    in_dims: Any = 0,
    out_dims: Any = 0,
    randomness: str = "error",
    *,
    chunk_size: int | None = None,
) -> Callable[..., Any]:
    """The function that applies `func` to each slice of its arguments and stacks the results.

    Args:
        in_dims: the dimension of each tensor argument to slice, or `None` for one passed whole;
            an int for all, or a tree of the arguments' form. Keyword arguments are sliced at
            dimension 0.
        out_dims: where the new dimension stands in each result.
        randomness: "error" refuses random numbers, "different" draws anew for each slice,
            "same" draws the same.
        chunk_size: accepted; slices are computed one by one.

    Raises:
        ValueError: where dimensions, sizes or the function's results do not fit.
        RuntimeError: for random numbers with `randomness="error"`.
    """
    if randomness not in ("error", "different", "same"):
        raise RuntimeError(
            "Only allowed values for randomness are 'error', 'different', or 'same'. Got "
            + randomness
        )
    if chunk_size is not None and chunk_size <= 0:
        raise ValueError(
            f"vmap: chunk_size should be None or greater than 0. (got {chunk_size})"
        )
    name = getattr(func, "__name__", repr(func))

    @functools.wraps(func)
    def mapped(*args: Any, **kwargs: Any) -> Any:
        call = f"vmap({name}, in_dims={in_dims}, ...)(<inputs>)"
        given, dims = _inputs(args, kwargs, in_dims, call, name)
        count = _batch_size(given, dims)
        form = (args, kwargs)
        if randomness == "different" or (randomness == "error" and is_tracing()):  # draws come later then
            state = None
        else:
            state = flambeau.get_rng_state()
        outputs = []
        for i in range(max(count, 1)):
            if state is not None and i and randomness == "same":
                flambeau.set_rng_state(state)
            sliced_args, sliced_kwargs = with_leaves(
                form, [_slice(x, d, i, count) for x, d in zip(given, dims, strict=True)]
            )
            outputs.append(func(*sliced_args, **sliced_kwargs))
        if randomness == "error" and state is not None and not _is_equal(state, flambeau.get_rng_state()):
            flambeau.set_rng_state(state)  # as if nothing had been drawn
            raise RuntimeError(
                "vmap: called random operation while in randomness error mode. Please either "
                "use the 'same' or 'different' randomness flags on vmap or perform the "
                "randomness operation out of vmap"
            )
        return _stacked(outputs, out_dims, count, name)

    return mapped


def _inputs(
    args: tuple[Any, ...], kwargs: dict[str, Any], in_dims: Any, call: str, name: str
) -> tuple[list[Any], list[int | None]]:
    """All leaves of the arguments, and the dimension to slice of each."""
    if not isinstance(in_dims, (int, tuple)):
        raise ValueError(
            f"{call}: expected `in_dims` to be int or a (potentially nested) tuple matching "
            f"the structure of inputs, got: {type(in_dims)}."
        )
    if not args and not kwargs:
        raise ValueError(
            f"vmap({name})(<inputs>): got no inputs. Maybe you forgot to add inputs, or you "
            "are trying to vmap over a function with no inputs. The latter is unsupported."
        )
    dims = spread(in_dims, args)
    if dims is None:
        raise ValueError(
            f"{call}: in_dims is not compatible with the structure of `inputs`. in_dims has "
            f"structure {in_dims!r} but inputs has structure of {len(args)} arguments."
        )
    given = leaves_of((args, kwargs))
    named = given[len(dims) :]
    dims = [*dims, *[0 if isinstance(x, Tensor) else None for x in named]]
    return given, [_checked_dim(x, d, call) for x, d in zip(given, dims, strict=True)]


def _checked_dim(x: Any, dim: Any, call: str) -> int | None:
    if dim is None:
        return None
    if not isinstance(dim, int):
        raise ValueError(
            f"{call}: Got in_dim={dim} for an input but in_dim must be either an integer "
            "dimension or None."
        )
    if not isinstance(x, Tensor):
        raise ValueError(
            f"{call}: Got in_dim={dim} for an input but the input is of type {type(x)}. We "
            "cannot vmap over non-Tensor arguments, please use None as the respective in_dim"
        )
    if not -x.ndim <= dim < x.ndim:
        raise ValueError(
            f"{call}: Got in_dim={dim} for some input, but that input is a Tensor of "
            f"dimensionality {x.ndim} so expected in_dim to satisfy -{x.ndim} <= in_dim < "
            f"{x.ndim}."
        )
    return dim % x.ndim


def _batch_size(given: list[Any], dims: list[int | None]) -> int:
    sizes = [x.shape[d] for x, d in zip(given, dims, strict=True) if d is not None]
    if not sizes:
        raise ValueError("vmap: Expected at least one Tensor to vmap over")
    if any(n != sizes[0] for n in sizes):
        raise ValueError(
            "vmap: Expected all tensors to have the same size in the mapped dimension, got "
            "sizes "
            f"{sizes} for the mapped dimension"
        )
    return sizes[0]


def _slice(x: Any, dim: int | None, i: int, count: int) -> Any:
    if dim is None:
        return x
    if not count:  # zeros stand in, to learn the form of the results
        return x.new_zeros([n for d, n in enumerate(x.shape) if d != dim])
    return x.select(dim, i)


def _is_equal(a: Any, b: Tensor) -> bool:
    return bool((a == b).all())


def _stacked(outputs: list[Any], out_dims: Any, count: int, name: str) -> Any:
    form = outputs[0]
    dims = spread(out_dims, form)
    if dims is None and isinstance(out_dims, tuple) and len(out_dims) == 1:
        dims = spread(out_dims[0], form)
    if dims is None:
        raise ValueError(
            f"vmap({name}, ..., out_dims={out_dims})(<inputs>): out_dims is not compatible "
            "with the structure of `outputs`."
        )
    columns = list(zip(*map(leaves_of, outputs), strict=True))
    results = []
    for parts, dim in zip(columns, dims, strict=True):
        if dim is None:
            results.append(parts[0])
            continue
        if not isinstance(parts[0], Tensor):
            raise ValueError(
                f"vmap({name}, ...): `{name}` must only return Tensors, got type "
                f"{type(parts[0])}. Did you "
                "mean to set out_dims= to None for output?"
            )
        joined = flambeau.stack(parts, dim)
        results.append(joined if count else joined.narrow(dim, 0, 0))
    return with_leaves(form, results)
