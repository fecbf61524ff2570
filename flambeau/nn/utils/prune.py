"""Pruning: parameters with elements masked to 0.

A pruned parameter `weight` is kept as `weight_orig` with a buffer `weight_mask`; a hook before
every forward multiplies the two.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from typing import Any

from flambeau import ops
from flambeau.nn.functional.distance import vector_norm
from flambeau.nn.module import Module
from flambeau.nn.utils.convert_parameters import parameters_to_vector
from flambeau.tensor import Tensor

__all__ = [
    "BasePruningMethod",
    "CustomFromMask",
    "Identity",
    "L1Unstructured",
    "LnStructured",
    "PruningContainer",
    "RandomStructured",
    "RandomUnstructured",
    "custom_from_mask",
    "global_unstructured",
    "identity",
    "is_pruned",
    "l1_unstructured",
    "ln_structured",
    "random_structured",
    "random_unstructured",
    "remove",
]


class BasePruningMethod(ABC):
    """A way to choose what is pruned: subclasses define `PRUNING_TYPE` and `compute_mask`.

    `PRUNING_TYPE` is `"unstructured"` (single elements), `"structured"` (slices along the
    attribute `dim`) or `"global"`.
    """

    PRUNING_TYPE: str
    _tensor_name: str

    def __call__(self, module: Module, inputs: Any) -> None:
        setattr(module, self._tensor_name, self.apply_mask(module))

    @abstractmethod
    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        """The mask for a tensor of this importance that is masked by `default_mask` already."""

    def apply_mask(self, module: Module) -> Tensor:
        """The masked parameter."""
        mask = getattr(module, f"{self._tensor_name}_mask")
        original = getattr(module, f"{self._tensor_name}_orig")
        return mask.to(original.dtype) * original

    @classmethod
    def apply(
        cls,
        module: Module,
        name: str,
        *args: Any,
        importance_scores: Tensor | None = None,
        **kwargs: Any,
    ) -> BasePruningMethod:
        """Prunes a parameter, also one that is pruned already (see `PruningContainer`).

        Args:
            module: whose parameter.
            name: which one.
            args: of the method.
            importance_scores: what to judge by, instead of the values.
            kwargs: of the method.
        """
        values = getattr(module, name)
        if importance_scores is not None and importance_scores.shape != values.shape:
            raise AssertionError(
                f"importance_scores should have the same shape as parameter {name} of {module}, "
                f"got {importance_scores.shape} vs {values.shape}"
            )
        scores = values if importance_scores is None else importance_scores
        method: BasePruningMethod = cls(*args, **kwargs)
        method._tensor_name = name
        former = _take_hook(module, name)
        if former is None:
            mask = method.compute_mask(scores.detach(), ops.ones_like(values).detach())
            module.register_parameter(f"{name}_orig", values)
            del module._parameters[name]
        else:
            container = former
            if not isinstance(former, PruningContainer):
                container = PruningContainer(former)
            container.add_pruning_method(method)  # type: ignore[union-attr]
            method = container
            present = getattr(module, f"{name}_mask").detach().clone()
            mask = method.compute_mask(scores.detach(), present)
        module.register_buffer(f"{name}_mask", mask)
        setattr(module, name, method.apply_mask(module))
        module.register_forward_pre_hook(method)
        return method

    def prune(
        self,
        t: Tensor,
        default_mask: Tensor | None = None,
        importance_scores: Tensor | None = None,
    ) -> Tensor:
        """A pruned copy of a tensor."""
        if importance_scores is not None and importance_scores.shape != t.shape:
            raise AssertionError(
                "importance_scores should have the same shape as tensor t, got "
                f"{importance_scores.shape} vs {t.shape}"
            )
        scores = t if importance_scores is None else importance_scores
        present = ops.ones_like(t) if default_mask is None else default_mask
        return t * self.compute_mask(scores, default_mask=present)

    def remove(self, module: Module) -> None:
        """Leaves the masked values as an ordinary parameter."""
        name = self._tensor_name
        values = self.apply_mask(module)
        delattr(module, name)
        original = module._parameters.pop(f"{name}_orig")
        del module._buffers[f"{name}_mask"]
        original.data = values.data  # type: ignore[union-attr]
        setattr(module, name, original)


def _take_hook(module: Module, name: str) -> BasePruningMethod | None:
    """Takes the pruning hook of a parameter out, if there is one."""
    for key, hook in module._forward_pre_hooks.items():
        if isinstance(hook, BasePruningMethod) and hook._tensor_name == name:
            del module._forward_pre_hooks[key]
            return hook
    return None


class PruningContainer(BasePruningMethod):
    """Several prunings of one parameter, one after the other."""

    def __init__(self, *args: BasePruningMethod) -> None:
        self._pruning_methods: tuple[BasePruningMethod, ...] = ()
        if args:
            self._tensor_name = args[0]._tensor_name
        for method in args:
            self.add_pruning_method(method)

    def add_pruning_method(self, method: Any) -> None:
        """Adds a pruning of the same parameter. Raises `TypeError`, `ValueError` for others."""
        if not isinstance(method, BasePruningMethod):
            raise TypeError(f"{type(method)} is not a BasePruningMethod subclass")
        if self._tensor_name != method._tensor_name:
            raise ValueError(
                "Can only add pruning methods acting on the parameter named "
                f"'{self._tensor_name}' to PruningContainer {self}. Found '{method._tensor_name}'"
            )
        self._pruning_methods += (method,)

    def __len__(self) -> int:
        return len(self._pruning_methods)

    def __iter__(self) -> Iterator[BasePruningMethod]:
        return iter(self._pruning_methods)

    def __getitem__(self, idx: int) -> BasePruningMethod:
        return self._pruning_methods[idx]

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        """The mask with what the last method prunes of that which is not pruned yet."""
        method = self._pruning_methods[-1]
        chosen = self._left_over(method, t, default_mask)
        mask = default_mask.to(t.dtype).clone()
        part = method.compute_mask(t[chosen], default_mask=default_mask[chosen])
        mask[chosen] = part.to(mask.dtype)
        return mask

    @staticmethod
    def _left_over(method: BasePruningMethod, t: Tensor, mask: Tensor) -> Any:
        """The index of what the method may still prune."""
        if method.PRUNING_TYPE == "unstructured":
            return mask == 1
        if method.PRUNING_TYPE == "global":
            return (slice(None),) * t.dim()
        if method.PRUNING_TYPE != "structured":
            raise ValueError(f"Unrecognized PRUNING_TYPE {method.PRUNING_TYPE}")
        dim = method.dim % t.dim()  # type: ignore[attr-defined]
        others = [i for i in range(t.dim()) if i != dim]
        index: list[Any] = [slice(None)] * t.dim()
        index[dim] = mask.sum(others) != 0
        return tuple(index)


class Identity(BasePruningMethod):
    """Prunes nothing, but sets up the mask."""

    PRUNING_TYPE = "unstructured"

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        return default_mask


class _Amount(BasePruningMethod):
    """Prunes an amount: a share between 0 and 1, or a number of elements or slices."""

    def __init__(self, amount: float) -> None:
        if not isinstance(amount, (int, float)):
            raise TypeError(f"Invalid type for amount: {amount}. Must be int or float.")
        if amount < 0 or (isinstance(amount, float) and amount > 1.0):
            raise ValueError(
                f"amount={amount} should either be a float in the range [0, 1] or a non-negative "
                "integer"
            )
        self.amount = amount

    def _count(self, size: int) -> int:
        count = self.amount if isinstance(self.amount, int) else round(self.amount * size)
        if count > size:
            raise ValueError(
                f"amount={count} should be smaller than the number of parameters to prune={size}"
            )
        return count


def _least(scores: Tensor, count: int) -> list[int]:
    """The positions of the least scores."""
    values = scores.reshape(-1).tolist()
    return sorted(range(len(values)), key=values.__getitem__)[:count]


class _SingleElements(_Amount):
    PRUNING_TYPE = "unstructured"

    def _scores(self, t: Tensor) -> Tensor:
        raise NotImplementedError(f"{type(self).__name__} does not say what matters least")

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        mask = default_mask.clone().reshape(-1)
        count = self._count(t.numel())
        if count:
            mask[_least(self._scores(t), count)] = 0
        return mask.reshape(default_mask.shape)


class RandomUnstructured(_SingleElements):
    """Prunes elements at random."""

    def _scores(self, t: Tensor) -> Tensor:
        return -ops.rand_like(t)  # PyTorch prunes those with the greatest draws


class L1Unstructured(_SingleElements):
    """Prunes the elements of the least size."""

    def _scores(self, t: Tensor) -> Tensor:
        return t.abs()


class _Slices(_Amount):
    PRUNING_TYPE = "structured"

    def __init__(self, amount: float, dim: int = -1) -> None:
        super().__init__(amount)
        self.dim = dim

    def _scores(self, t: Tensor, dim: int) -> Tensor:
        raise NotImplementedError(f"{type(self).__name__} does not say what matters least")

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        if t.dim() <= 1:
            raise ValueError(
                "Structured pruning can only be applied to multidimensional tensors. Found tensor "
                f"of shape {t.shape} with {t.dim()} dims"
            )
        if self.dim >= t.dim():
            raise IndexError(f"Invalid index {self.dim} for tensor of size {t.shape}")
        dim = self.dim % t.dim()
        count = self._count(t.size(dim))
        if count == 0:
            return default_mask
        kept = ops.ones(t.size(dim), dtype=default_mask.dtype)
        kept[_least(self._scores(t, dim), count)] = 0
        shape = [1] * t.dim()
        shape[dim] = -1
        return default_mask * kept.reshape(shape)


class RandomStructured(_Slices):
    """Prunes slices along `dim` at random."""

    def _scores(self, t: Tensor, dim: int) -> Tensor:
        return ops.rand(t.size(dim))


class LnStructured(_Slices):
    """Prunes the slices along `dim` of the least n-norm."""

    def __init__(self, amount: float, n: float, dim: int = -1) -> None:
        super().__init__(amount, dim)
        self.n = n

    def _scores(self, t: Tensor, dim: int) -> Tensor:
        return vector_norm(t.movedim(dim, 0).flatten(1), self.n, 1)


class CustomFromMask(BasePruningMethod):
    """Prunes by a given mask."""

    PRUNING_TYPE = "global"

    def __init__(self, mask: Tensor) -> None:
        self.mask = mask

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        if default_mask.shape != self.mask.shape:
            raise AssertionError(
                f"default_mask shape {default_mask.shape} must match self.mask shape "
                f"{self.mask.shape}"
            )
        return default_mask * self.mask.to(default_mask.dtype)


def identity(module: Module, name: str) -> Module:
    """Sets up a mask of ones."""
    Identity.apply(module, name)
    return module


def random_unstructured(module: Module, name: str, amount: float) -> Module:
    """Prunes elements at random."""
    RandomUnstructured.apply(module, name, amount)
    return module


def l1_unstructured(
    module: Module, name: str, amount: float, importance_scores: Tensor | None = None
) -> Module:
    """Prunes the elements of the least size."""
    L1Unstructured.apply(module, name, amount, importance_scores=importance_scores)
    return module


def random_structured(module: Module, name: str, amount: float, dim: int) -> Module:
    """Prunes slices along `dim` at random."""
    RandomStructured.apply(module, name, amount, dim)
    return module


def ln_structured(
    module: Module,
    name: str,
    amount: float,
    n: float,
    dim: int,
    importance_scores: Tensor | None = None,
) -> Module:
    """Prunes the slices along `dim` of the least n-norm."""
    LnStructured.apply(module, name, amount, n, dim, importance_scores=importance_scores)
    return module


def custom_from_mask(module: Module, name: str, mask: Tensor) -> Module:
    """Prunes by a given mask."""
    CustomFromMask.apply(module, name, mask)
    return module


def global_unstructured(
    parameters: Iterable[tuple[Module, str]],
    pruning_method: type[BasePruningMethod],
    importance_scores: dict[tuple[Module, str], Tensor] | None = None,
    **kwargs: Any,
) -> None:
    """Prunes several parameters as if they were one.

    Args:
        parameters: (module, name) pairs.
        pruning_method: an unstructured one.
        importance_scores: what to judge by, for some of the pairs.
        kwargs: of the method.

    Raises:
        TypeError: for a method that is not unstructured.
    """
    if not isinstance(parameters, Iterable):
        raise TypeError("global_unstructured(): parameters is not an Iterable")
    scores = {} if importance_scores is None else importance_scores
    if not isinstance(scores, dict):
        raise TypeError("global_unstructured(): importance_scores must be of type dict")
    if getattr(pruning_method, "PRUNING_TYPE", None) != "unstructured":
        raise TypeError(
            'Only "unstructured" PRUNING_TYPE supported for the `pruning_method`. Found method '
            f"{pruning_method} of type {getattr(pruning_method, 'PRUNING_TYPE', None)}"
        )
    pairs = list(parameters)
    values = [getattr(module, name) for module, name in pairs]
    importance = parameters_to_vector(
        [scores.get(pair, value) for pair, value in zip(pairs, values, strict=True)]
    )
    present = parameters_to_vector(
        [
            getattr(module, f"{name}_mask", ops.ones_like(value))
            for (module, name), value in zip(pairs, values, strict=True)
        ]
    )
    method = pruning_method(**kwargs)
    method._tensor_name = "all"
    mask = PruningContainer(method).compute_mask(importance.detach(), present.detach())
    start = 0
    for (module, name), value in zip(pairs, values, strict=True):
        end = start + value.numel()
        custom_from_mask(module, name, mask[start:end].view_as(value))
        start = end


def remove(module: Module, name: str) -> Module:
    """Makes the pruning of a parameter permanent. Raises `ValueError` if there is none."""
    hook = _take_hook(module, name)
    if hook is None:
        raise ValueError(
            f"Parameter '{name}' of module {module} has to be pruned before pruning can be removed"
        )
    hook.remove(module)
    return module


def is_pruned(module: Module) -> bool:
    """Whether a parameter of the module, or of one below it, is pruned."""
    return any(
        isinstance(hook, BasePruningMethod)
        for each in module.modules()
        for hook in each._forward_pre_hooks.values()
    )
