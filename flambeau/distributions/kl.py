"""The Kullback-Leibler divergence, and the table of pairs of families it is known for."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

from flambeau.distributions.distribution import Distribution
from flambeau.tensor import Tensor

__all__ = ["register_kl", "kl_divergence"]

Divergence = Callable[[Any, Any], Tensor]

_KL_REGISTRY: dict[tuple[type, type], Divergence] = {}
#: What was found for types of arguments before; `None` where there is nothing.
_KL_MEMOIZE: dict[tuple[type, type], Divergence | None] = {}


def register_kl(type_p: type, type_q: type) -> Callable[[Divergence], Divergence]:
    """A decorator: the function computes `kl_divergence(p, q)` for these classes and those derived from them.

    @register_kl(Normal, Normal)
    def of_normals(p, q): ...
    """
    for name, kind in (("type_p", type_p), ("type_q", type_q)):
        if not (isinstance(kind, type) and issubclass(kind, Distribution)):
            raise TypeError(f"Expected {name} to be a Distribution subclass but got {kind}")

    def register(function: Divergence) -> Divergence:
        _KL_REGISTRY[type_p, type_q] = function
        _KL_MEMOIZE.clear()
        return function

    return register


def _distance(kind: type, ancestor: type) -> int:
    """How many classes stand between a class and one it is derived from."""
    return kind.__mro__.index(ancestor)


def _dispatch_kl(type_p: type, type_q: type) -> Divergence | None:
    """The function registered for the nearest classes; a warning where p and q disagree on which that is."""
    matches = [(p, q) for p, q in _KL_REGISTRY if issubclass(type_p, p) and issubclass(type_q, q)]
    if not matches:
        return None
    near_p = min(matches, key=lambda m: (_distance(type_p, m[0]), _distance(type_q, m[1])))
    near_q = min(matches, key=lambda m: (_distance(type_q, m[1]), _distance(type_p, m[0])))
    if _KL_REGISTRY[near_p] is not _KL_REGISTRY[near_q]:
        warnings.warn(
            f"Ambiguous kl_divergence({type_p.__name__}, {type_q.__name__}). "
            f"Please register_kl({near_p[0].__name__}, {near_q[1].__name__})",
            RuntimeWarning,
            stacklevel=3,
        )
    return _KL_REGISTRY[near_p]


def kl_divergence(p: Distribution, q: Distribution) -> Tensor:
    """KL(p || q), the expectation under p of log p(x) - log q(x): a tensor of the batch shape.

    Raises `NotImplementedError` for pairs that nobody registered.
    """
    types = type(p), type(q)
    if types not in _KL_MEMOIZE:
        _KL_MEMOIZE[types] = _dispatch_kl(*types)
    function = _KL_MEMOIZE[types]
    if function is None:
        raise NotImplementedError(
            f"No KL(p || q) is implemented for p type {p.__class__.__name__} and q type {q.__class__.__name__}"
        )
    return function(p, q)
