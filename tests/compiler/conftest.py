"""Compiler tests run with the graph verifier on."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import flambeau
from flambeau.compiler import passes

sys.path.insert(0, str(Path(__file__).parent))  # for compiler_helpers


@pytest.fixture(autouse=True)
def verified() -> Iterator[None]:
    """Every pass is checked; each test begins with the same random numbers."""
    flambeau.manual_seed(0)
    before, passes.verifying = passes.verifying, True
    yield
    passes.verifying = before
