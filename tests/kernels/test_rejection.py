"""Poisson, gamma and binomial numbers by kernels against those in Python: every bit, and the state afterwards."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from flambeau.core import rejection, twister
from flambeau.core.generator import Generator
from flambeau.kernels import jit, random
from flambeau.kernels import rejection as kernels
from flambeau.kernels.language import Module
from flambeau.kernels.target import named


def _rates(n: int, dtype: str, most: float) -> np.ndarray:
    return (np.random.default_rng(n).random(n) * most).astype(dtype)


DRAWS: dict[str, Callable[[Generator, int, str], np.ndarray]] = {
    "few events": lambda g, n, d: g.poisson(_rates(n, d, 9.9)),
    "many events": lambda g, n, d: g.poisson(_rates(n, d, 300)),
    "no events": lambda g, n, d: g.poisson(np.zeros(n, d)),
    "gamma": lambda g, n, d: g.standard_gamma(_rates(n, d, 3)),
    "few successes": lambda g, n, d: g.binomial(np.floor(_rates(n, d, 20)), _rates(n + 1, d, 1)[1:]),
    "many successes": lambda g, n, d: g.binomial(np.full(n, 1000, d), _rates(n, d, 1)),
    "certain": lambda g, n, d: g.binomial(np.full(n, 7, d), (np.arange(n) % 2).astype(d)),
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", DRAWS)
@pytest.mark.parametrize("ahead", [40, 1 << 14], ids=["in pieces", "at once"])
def test_kernels_draw_what_python_draws(name: str, dtype: str, ahead: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(twister._Kernels, "module", random)
    monkeypatch.setattr(rejection, "_AHEAD", ahead)
    for count in (1, 7, 300):
        found = []
        for little in (0.0, 1e30):
            monkeypatch.setattr(twister, "_LITTLE", little)
            g = Generator().manual_seed(count)
            g.normal(1)  # leaves one waiting
            numbers = [DRAWS[name](g, count, dtype) for _ in range(2)]
            found.append((b"".join(n.tobytes() for n in numbers), g.get_state().tobytes()))
        assert found[0] == found[1], count


@pytest.mark.parametrize("distribution", kernels.SAMPLERS)
@pytest.mark.parametrize("width", ["avx2", "avx512", "neon"])
def test_code_is_made_for_other_processors(distribution: str, width: str) -> None:
    module = Module(named(width))
    kernels.emit(module, "sample", distribution)
    assert jit.compile_object(module.text(), module.target)


def test_rates_must_not_be_negative() -> None:
    with pytest.raises(RuntimeError, match="invalid Poisson rate"):
        Generator().poisson(np.array([1.0, -1.0]))
