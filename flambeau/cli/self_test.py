"""The compiled kernels tried out on this processor, each against NumPy in double precision."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

import flambeau
from flambeau.nn import functional as F

#: Errors, as a share of the largest number of the result, that single precision explains.
TOLERANCE = 1e-4

Numbers = tuple[np.ndarray, ...]


@dataclass(frozen=True)
class Trial:
    """A kernel: what calls it, the shapes of its inputs, and what NumPy makes of them."""

    name: str
    compute: Callable[..., Any]
    shapes: tuple[tuple[int, ...], ...]
    expected: Callable[..., np.ndarray]


@dataclass(frozen=True)
class Outcome:
    """What came of a trial; `problem` is empty where all is well."""

    name: str
    problem: str
    error: float
    seconds: float

    def __str__(self) -> str:
        exact = f"right to {self.error:.0e}" if self.error else "right"
        return self.problem or f"{exact}, {self.seconds * 1000:.0f} ms"


def _gradient(function: Callable[..., Any]) -> Callable[..., Any]:
    """The gradient, for the last input, of the sum of a function's squares."""

    def compute(*inputs: Any) -> Any:
        last = inputs[-1].detach().requires_grad_()
        function(*inputs[:-1], last).square().sum().backward()
        return last.grad

    return compute


def _windows(x: np.ndarray, size: int) -> np.ndarray:
    """All windows of the last two dimensions, `(N, C, H', W', size, size)`."""
    return np.lib.stride_tricks.sliding_window_view(x, (size, size), (2, 3))


def _convolution(x: np.ndarray, weight: np.ndarray) -> np.ndarray:
    padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
    return np.einsum("nchwij,ocij->nohw", _windows(padded, 3), weight)


def _weight_gradient(x: np.ndarray, weight: np.ndarray) -> np.ndarray:
    padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
    return np.einsum("nchwij,nohw->ocij", _windows(padded, 3), 2 * _convolution(x, weight))


def _softmax(x: np.ndarray) -> np.ndarray:
    powers = np.exp(x - x.max(1, keepdims=True))
    return powers / powers.sum(1, keepdims=True)


def _normalised(x: np.ndarray) -> np.ndarray:
    mean, variance = x.mean((0, 2, 3), keepdims=True), x.var((0, 2, 3), keepdims=True)
    return (x - mean) / np.sqrt(variance + 1e-5)


def _convolve(x: Any, weight: Any) -> Any:
    return F.conv2d(x, weight, padding=1)


_MAPS, _WEIGHT = (2, 8, 20, 22), (16, 8, 3, 3)
TRIALS = [
    Trial("product of matrices", lambda a, b: a @ b, ((65, 130), (130, 97)), lambda a, b: a @ b),
    Trial("convolution", _convolve, (_MAPS, _WEIGHT), _convolution),
    Trial("convolution, gradient", _gradient(_convolve), (_MAPS, _WEIGHT), _weight_gradient),
    Trial("max pooling", lambda x: F.max_pool2d(x, 2), (_MAPS,), lambda x: _windows(x, 2)[:, :, ::2, ::2].max((4, 5))),
    Trial("batch normalisation", lambda x: F.batch_norm(x, None, None, training=True), (_MAPS,), _normalised),
    Trial("softmax", lambda x: x.softmax(1), ((33, 70),), _softmax),
    Trial("sums", lambda x: x.sum(0), ((300, 41),), lambda x: x.sum(0)),
    Trial("element by element", lambda x: (x * 2 + 1).tanh().exp(), ((1003,),), lambda x: np.exp(np.tanh(x * 2 + 1))),
]  # fmt: skip


def try_kernels() -> list[Outcome]:
    """The outcomes of all trials; compiling them takes most of a second once, then they are read from the cache."""
    return [_try(trial) for trial in TRIALS]


def _try(trial: Trial) -> Outcome:
    rng = np.random.default_rng(0)
    inputs = [rng.standard_normal(shape).astype(np.float32) for shape in trial.shapes]
    started = time.perf_counter()
    try:
        found = flambeau.compile(trial.compute)(*map(flambeau.from_numpy, inputs)).detach().numpy()
    except Exception as error:
        return Outcome(trial.name, f"does not work here: {type(error).__name__}: {error}", np.inf, 0.0)
    seconds = time.perf_counter() - started
    expected = trial.expected(*(array.astype(np.float64) for array in inputs))
    if found.shape != expected.shape:
        return Outcome(trial.name, f"wrong: {found.shape} instead of {expected.shape}", np.inf, seconds)
    off = float(np.abs(found - expected).max() / np.abs(expected).max())
    problem = "" if off < TOLERANCE else f"WRONG: off by {off:.1e} of the largest number"
    return Outcome(trial.name, problem, off, seconds)
