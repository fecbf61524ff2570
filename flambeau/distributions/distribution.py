"""The base of all distributions: shapes, validation, and what each family may say about itself."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any, ClassVar

from flambeau.autograd import no_grad
from flambeau.core.shapes import Size
from flambeau.distributions import constraints
from flambeau.distributions.utils import (
    all_true,
    as_size,
    broadcast_all,
    lazy_property,
    logits_to_probs,
    probs_to_logits,
)
from flambeau.tensor import Tensor

__all__ = ["Distribution"]


class Distribution:
    """A probability distribution, or a batch of independent ones.

    batch_shape: the shape of the parameters, one distribution each.
    event_shape: the shape of a single draw from one of them.
    validate_args: whether to check parameters and values; by default what `set_default_validate_args` said.

    Samples have shape `sample_shape + batch_shape + event_shape`. Checks are left out while a program is traced.
    """

    has_rsample = False
    has_enumerate_support = False
    _validate_args = __debug__

    @staticmethod
    def set_default_validate_args(value: bool) -> None:
        """Switches the checks of parameters and values on or off, for all distributions that do not say."""
        if value not in (True, False):
            raise ValueError
        Distribution._validate_args = value

    def __init__(
        self,
        batch_shape: Sequence[int] = Size(),
        event_shape: Sequence[int] = Size(),
        validate_args: bool | None = None,
    ) -> None:
        self._batch_shape, self._event_shape = as_size(batch_shape), as_size(event_shape)
        if validate_args is not None:
            self._validate_args = validate_args
        if self._validate_args:
            self._validate_parameters()
        super().__init__()

    # ---- validation

    def _validate_parameters(self) -> None:
        try:
            wanted = self.arg_constraints
        except NotImplementedError:
            warnings.warn(
                f"{self.__class__} does not define `arg_constraints`. "
                "Please set `arg_constraints = {}` or initialize the distribution "
                "with `validate_args=False` to turn off validation.",
                stacklevel=3,
            )
            return
        for name, constraint in wanted.items():
            if constraints.is_dependent(constraint):
                continue
            if name not in self.__dict__ and isinstance(getattr(type(self), name), lazy_property):
                continue  # made from another parameter that is checked
            value = getattr(self, name)
            if not all_true(constraint.check(value)):
                raise ValueError(
                    f"Expected parameter {name} ({type(value).__name__} of shape {tuple(value.shape)}) "
                    f"of distribution {self!r} to satisfy the constraint {constraint!r}, "
                    f"but found invalid values:\n{value}"
                )

    def _validate_sample(self, value: Tensor) -> None:
        """Raises `ValueError` where `value` cannot be a draw: its shape does not fit or it is out of support."""
        if not isinstance(value, Tensor):
            raise ValueError("The value argument to log_prob must be a Tensor")
        shape = value.size()
        if shape[len(shape) - len(self._event_shape) :] != self._event_shape:
            raise ValueError(
                f"The right-most size of value must match event_shape: {shape} vs {self._event_shape}."
            )
        expected = self._batch_shape + self._event_shape
        for have, want in zip(reversed(shape), reversed(expected), strict=False):
            if have != want and have != 1 and want != 1:
                raise ValueError(
                    f"Value is not broadcastable with batch_shape+event_shape: {shape} vs {expected}."
                )
        try:
            support = self.support
        except NotImplementedError:
            warnings.warn(
                f"{self.__class__} does not define `support` to enable sample validation. "
                "Please initialize the distribution with `validate_args=False` to turn off validation.",
                stacklevel=3,
            )
            return
        if support is None:
            raise AssertionError("support is unexpectedly None")
        if not all_true(support.check(value)):
            raise ValueError(
                f"Expected value argument ({type(value).__name__} of shape {tuple(value.shape)}) "
                f"to be within the support ({support!r}) of the distribution {self!r}, "
                f"but found invalid values:\n{value}"
            )

    # ---- shapes

    @property
    def batch_shape(self) -> Size:
        """The shape over which parameters are batched."""
        return self._batch_shape

    @property
    def event_shape(self) -> Size:
        """The shape of a single draw."""
        return self._event_shape

    def expand(self, batch_shape: Sequence[int], _instance: Any = None) -> Any:
        """The same distribution with its batch dimensions expanded to `batch_shape`; memory is shared."""
        raise NotImplementedError

    def _extended_shape(self, sample_shape: Sequence[int] = Size()) -> Size:
        """The shape of what `sample(sample_shape)` returns."""
        return Size(tuple(as_size(sample_shape)) + tuple(self._batch_shape) + tuple(self._event_shape))

    def _get_checked_instance(self, cls: type, _instance: Any = None) -> Any:
        """An instance without parameters for `expand` to fill; a subclass with its own `__init__` gives its own."""
        if _instance is not None:
            return _instance
        if type(self).__init__ != cls.__init__:  # type: ignore[misc]
            raise NotImplementedError(
                f"Subclass {self.__class__.__name__} of {cls.__name__} that defines a custom __init__ method "
                "must also define a custom .expand() method."
            )
        return self.__new__(type(self))

    def _finish_expand(self, new: Any, batch_shape: Sequence[int]) -> Any:
        """Gives an instance that `expand` filled its shapes; its parameters were checked before."""
        Distribution.__init__(new, batch_shape, self._event_shape, validate_args=False)
        new._validate_args = self._validate_args
        return new

    # ---- what a family says about itself

    @property
    def arg_constraints(self) -> dict[str, constraints.Constraint]:
        """For each parameter, what its values must satisfy."""
        raise NotImplementedError

    @property
    def support(self) -> Any:
        """What every draw satisfies."""
        raise NotImplementedError

    @property
    def mean(self) -> Tensor:
        """The expected value."""
        raise NotImplementedError

    @property
    def mode(self) -> Tensor:
        """The most likely value."""
        raise NotImplementedError(f"{self.__class__} does not implement mode")

    @property
    def variance(self) -> Tensor:
        """The expected squared distance from the mean."""
        raise NotImplementedError

    @property
    def stddev(self) -> Tensor:
        """The square root of the variance."""
        return self.variance.sqrt()

    def sample(self, sample_shape: Sequence[int] = Size()) -> Tensor:
        """Draws without gradients: `sample_shape + batch_shape + event_shape`."""
        with no_grad():
            return self.rsample(sample_shape)

    def rsample(self, sample_shape: Sequence[int] = Size()) -> Tensor:
        """Draws that are differentiable functions of the parameters (reparameterized)."""
        raise NotImplementedError

    def sample_n(self, n: int) -> Tensor:
        """`sample((n,))`, its old name."""
        warnings.warn(
            "`sample_n(n)` will be deprecated. Use `sample((n,))` instead.", FutureWarning, stacklevel=2
        )
        return self.sample(Size((n,)))

    def log_prob(self, value: Tensor) -> Tensor:
        """The logarithm of the density (of the probability, if discrete) at `value`."""
        raise NotImplementedError

    def cdf(self, value: Tensor) -> Tensor:
        """The probability of a draw up to `value`."""
        raise NotImplementedError

    def icdf(self, value: Tensor) -> Tensor:
        """The value below which draws fall with probability `value`."""
        raise NotImplementedError

    def enumerate_support(self, expand: bool = True) -> Tensor:
        """All values of a discrete distribution along a new first dimension."""
        raise NotImplementedError

    def entropy(self) -> Tensor:
        """The expectation of -log p, in nats."""
        raise NotImplementedError

    def perplexity(self) -> Tensor:
        """exp of the entropy."""
        return self.entropy().exp()

    def __repr__(self) -> str:
        shown = {k: self.__dict__[k] for k in self.arg_constraints if k in self.__dict__}
        texts = [f"{k}: {v if v.numel() == 1 else v.size()}" for k, v in shown.items()]
        return f"{self.__class__.__name__}({', '.join(texts)})"


class WithParameters(Distribution):
    """A distribution whose parameters are tensors that broadcast against each other.

    `_event_dims` names the parameters (those that can be made lazily, too) and how many dimensions
    of each belong to an event.
    """

    _event_dims: ClassVar[dict[str, int]] = {}

    def _take(self, validate_args: bool | None, **values: Any) -> None:
        """Takes the parameters of a distribution of single numbers: broadcasts, keeps and checks them."""
        for name, tensor in zip(values, broadcast_all(*values.values()), strict=True):
            self.__dict__[name] = tensor
        Distribution.__init__(self, tensor.size(), validate_args=validate_args)

    @classmethod
    def _family(cls) -> type:
        """The class that declares the parameters, whose `__init__` a subclass should not change."""
        return next(c for c in cls.__mro__ if "_event_dims" in c.__dict__)

    def expand(self, batch_shape: Sequence[int], _instance: Any = None) -> Any:
        """The same distribution with its batch dimensions expanded to `batch_shape`; memory is shared."""
        new = self._get_checked_instance(self._family(), _instance)
        batch_shape = as_size(batch_shape)
        for name, value in self.__dict__.items():  # in the order in which they were given or made
            if name in self._event_dims:
                event = tuple(value.shape[value.dim() - self._event_dims[name] :])
                new.__dict__[name] = value.expand(tuple(batch_shape) + event)
        return self._finish_expand(new, batch_shape)


class ProbsOrLogits(WithParameters):
    """A distribution of probabilities, given as `probs` or as `logits`; the others are made at need."""

    _event_dims: ClassVar[dict[str, int]] = {"probs": 0, "logits": 0}
    _is_binary: ClassVar[bool] = True

    def _take_either(self, probs: Any, logits: Any, validate_args: bool | None, **others: Any) -> None:
        """Takes the one that is given, broadcast with `others`, and checks all."""
        self._check_one_given(probs, logits)
        given = {"probs": probs} if logits is None else {"logits": logits}
        self._take(validate_args, **others, **given)

    @staticmethod
    def _check_one_given(probs: Any, logits: Any) -> None:
        if (probs is None) == (logits is None):
            raise ValueError("Either `probs` or `logits` must be specified, but not both.")

    @property
    def _param(self) -> Tensor:
        """The parameter that was given: it came first."""
        return next(v for k, v in self.__dict__.items() if k in ("probs", "logits"))

    @property
    def param_shape(self) -> Size:
        """The shape of the parameter that was given."""
        return self._param.size()

    def _new(self, *args: Any, **kwargs: Any) -> Tensor:
        return self._param.new(*args, **kwargs)

    @lazy_property
    def logits(self) -> Tensor:
        """log(p / (1 - p)), or log(p) of categories."""
        return probs_to_logits(self.probs, self._is_binary)

    @lazy_property
    def probs(self) -> Tensor:
        """The probabilities."""
        return logits_to_probs(self.logits, self._is_binary)
