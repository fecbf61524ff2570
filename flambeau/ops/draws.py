"""Draws with a parameter for each element: Poisson, binomial, gamma and Dirichlet numbers, as PyTorch draws them."""

from __future__ import annotations

from typing import Any

import numpy as np

from flambeau.core.generator import Generator, default_generator
from flambeau.core.shapes import broadcast_shapes
from flambeau.ops.implicit_gradients import dirichlet_gradient, gamma_gradient
from flambeau.ops.pointwise import expect_tensor
from flambeau.ops.table import Primitive, Spec, operator
from flambeau.tensor.tensor import Tensor, wrap
from flambeau.tensor.tracing import need_value


def _generator(name: str, generator: Generator | None) -> Generator:
    need_value(f"{name}()")
    return default_generator if generator is None else generator


def _zeros(g: Tensor, source_shape: Any) -> Tensor:
    return g.new_zeros(source_shape)


def _made_from(name: str, derivative: Any) -> Primitive:
    """The identity on `made`, drawn with the help of `source`, which gets `derivative` for its gradient."""
    return Primitive(
        f"{name}_of", "made source", lambda made, source: made,
        rule=lambda made, source: made, derivative={"source": derivative}, node_name=f"{name}Backward0",
    )  # fmt: skip


def _no_derivative(name: str) -> Any:
    def refuse(g: Tensor) -> Tensor:
        raise RuntimeError(f"derivative for aten::{name} is not implemented")

    return refuse


_standard_gamma_gradient = Primitive(
    "_standard_gamma_grad",
    "input output",
    gamma_gradient,
    rule=lambda input, output: Spec(broadcast_shapes(input.shape, output.shape), input.dtype),
    derivative=dict.fromkeys(("input", "output"), _no_derivative("_standard_gamma_grad")),
)
_dirichlet_gradient = Primitive(
    "_dirichlet_grad",
    "x alpha total",
    dirichlet_gradient,
    rule=lambda x, alpha, total: Spec(broadcast_shapes(x.shape, alpha.shape, total.shape), x.dtype),
    derivative=dict.fromkeys(("x", "alpha", "total"), _no_derivative("_dirichlet_grad")),
)


@operator(method=False)
def _standard_gamma_grad(input: Tensor, output: Tensor) -> Tensor:
    """How gamma numbers `output` of concentrations `input` move with them."""
    return _standard_gamma_gradient(input, output)


@operator(method=False)
def _dirichlet_grad(x: Tensor, alpha: Tensor, total: Tensor) -> Tensor:
    """How Dirichlet numbers `x` move with their concentrations `alpha` of sum `total`, over 1 - x."""
    return _dirichlet_gradient(x, alpha, total)


def _dirichlet_backward(g: Tensor, made: Tensor, source: Tensor) -> Tensor:
    total = source.sum(-1, keepdim=True).expand_as(source)
    return _dirichlet_gradient(made, source, total) * (g - (made * g).sum(-1, keepdim=True))


_poisson_of = _made_from("Poisson", _zeros)
_binomial_of = _made_from("Binomial", _no_derivative("binomial"))
_gamma_of = _made_from(
    "StandardGamma", lambda g, made, source: g * _standard_gamma_gradient(source, made)
)
_dirichlet_of = _made_from("SampleDirichlet", lambda g, made, source: _dirichlet_backward(g, made, source))


@operator(method=False)
def poisson(input: Tensor, generator: Generator | None = None) -> Tensor:
    """Counts of events that come at the rates `input`; they take no gradient.

    Raises `RuntimeError` for negative rates.
    """
    expect_tensor(input, "poisson")
    _expect(input, "poisson_cpu", "float32", "float64", "float16", "bfloat16")
    return _poisson_of(wrap(_generator("poisson", generator).poisson(input._array)), input)


@operator(method=False)
def binomial(count: Tensor, prob: Tensor, generator: Generator | None = None) -> Tensor:
    """Numbers of successes among `count` trials of probability `prob`; it has no derivative."""
    for name, x in (("count", count), ("prob", prob)):
        expect_tensor(x, "binomial", name)
        if not x.is_floating_point():
            raise ValueError(f"binomial only supports floating-point dtypes for {name}, got: {_title(x)}")
    if count.dtype != prob.dtype:
        raise RuntimeError(f"Found dtype {_title(prob)} but expected {_title(count)}")
    _expect(count, "binomial_cpu", "float32", "float64", "float16")
    made = wrap(_generator("binomial", generator).binomial(count._array, prob._array))
    return _binomial_of(made, prob)


def _title(x: Tensor) -> str:
    return x.type().split(".")[-1].removesuffix("Tensor")


def _expect(x: Tensor, kernel: str, *stored: str) -> None:
    if x._array.dtype.name not in stored:
        raise NotImplementedError(f"\"{kernel}\" not implemented for '{_title(x)}'")


@operator(method=False)
def _standard_gamma(input: Tensor, generator: Generator | None = None) -> Tensor:
    """Gamma numbers of concentrations `input` and rate one, differentiable by them (implicitly reparameterized)."""
    expect_tensor(input, "_standard_gamma")
    return _gamma_of(wrap(_generator("_standard_gamma", generator).standard_gamma(input._array)), input)


@operator(method=False)
def _sample_dirichlet(input: Tensor, generator: Generator | None = None) -> Tensor:
    """Dirichlet numbers: gamma numbers of concentrations `input`, (*, n), over their sum in each row."""
    expect_tensor(input, "_sample_dirichlet")
    _expect(input, "dirichlet", "float32", "float64")
    stored = input._array.dtype
    source = _generator("_sample_dirichlet", generator)
    drawn = source.standard_gamma(input._array.astype(np.float64))
    shares = (drawn / drawn.sum(-1, keepdims=True)).astype(stored)
    below_one = np.nextafter(np.float32(1), np.float32(0))
    return _dirichlet_of(wrap(shares.clip(np.finfo(stored).tiny, below_one).astype(stored)), input)
