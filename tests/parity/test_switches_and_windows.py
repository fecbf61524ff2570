"""Switches, windows and other small names beside PyTorch's."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import flambeau

torch = pytest.importorskip("torch")
pytestmark = [pytest.mark.parity, pytest.mark.filterwarnings("ignore:some is not")]


@pytest.mark.parametrize("name", ["hann", "hamming", "blackman", "bartlett", "kaiser"])
@pytest.mark.parametrize("length", [0, 1, 2, 7, 64])
@pytest.mark.parametrize("periodic", [True, False])
def test_windows(name: str, length: int, periodic: bool) -> None:
    for dtype in ("float32", "float64"):
        ours, theirs = (
            getattr(t, f"{name}_window")(length, periodic, dtype=getattr(t, dtype)) for t in (flambeau, torch)
        )
        assert str(ours.dtype) == str(theirs.dtype)
        np.testing.assert_allclose(ours.numpy(), theirs.numpy(), atol=2e-6 if dtype == "float32" else 1e-12)


def test_switches_are_told_back() -> None:
    for t in (flambeau, torch):
        assert t.get_float32_matmul_precision() == "highest" and not t.are_deterministic_algorithms_enabled()
        t.set_float32_matmul_precision("high")
        t.use_deterministic_algorithms(True, warn_only=True)
        assert t.get_float32_matmul_precision() == "high" and t.get_deterministic_debug_mode() == 1
        t.use_deterministic_algorithms(False)
        t.set_float32_matmul_precision("some")  # a warning
        assert t.get_float32_matmul_precision() == "high"
        t.set_float32_matmul_precision("highest")
    flambeau.core.switches._kept.pop("set", None)


def test_highest_precision_rules_winograd_out() -> None:
    from flambeau.core import switches

    def product(x: Any, w: Any) -> Any:
        return flambeau.nn.functional.conv2d(x, w, padding=1)

    x, w = flambeau.randn(2, 64, 16, 16), flambeau.randn(64, 64, 3, 3)
    exact = flambeau.nn.functional.conv2d(x.double(), w.double(), padding=1).numpy()
    errors = []
    for precision in ("high", "highest"):
        flambeau.set_float32_matmul_precision(precision)
        errors.append(float(np.abs(flambeau.compile(product)(x, w).numpy() - exact).max()))
    switches._kept.pop("set", None)
    assert errors[1] < errors[0]


def test_data_parallel() -> None:
    for t in (flambeau, torch):
        net = t.nn.DataParallel(t.nn.Linear(2, 3))
        assert list(net.state_dict()) == ["module.weight", "module.bias"]
        assert net(t.ones(1, 2)).shape == (1, 3)
