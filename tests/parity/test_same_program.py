"""The same program with one import changed: equal initial weights and losses, eager and compiled."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import flambeau

pytestmark = pytest.mark.parity
torch = pytest.importorskip("torch")
STEPS = 100


def load_benchmark() -> Any:
    path = Path(__file__).parents[2] / "benchmarks" / "same_program.py"
    spec = importlib.util.spec_from_file_location("same_program", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


program = load_benchmark()


@pytest.fixture(scope="module")
def reference() -> dict[str, Any]:
    found = {}
    for job in program.JOBS:
        samples = program.samples_of(job)
        found[job] = samples, program.run(torch, job, samples, STEPS)
    return found


@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "compiled"])
@pytest.mark.parametrize("job", list(program.JOBS))
def test_same_weights_and_losses(job: str, compiled: bool, reference: dict[str, Any]) -> None:
    samples, (weights, losses) = reference[job]
    ours, our_losses = program.run(flambeau, job, samples, STEPS, compiled)
    for a, b in zip(ours, weights, strict=True):
        np.testing.assert_array_equal(a, b)
    np.testing.assert_allclose(our_losses, losses, rtol=1e-4)
