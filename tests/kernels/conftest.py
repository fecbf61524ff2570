"""Kernel tests keep their machine code in a folder of their own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from flambeau.kernels import threads
from flambeau.kernels.target import Target, can_run, named

RUNNABLE = [name for name in ("sse2", "avx2", "avx512", "neon") if can_run(named(name))]


@pytest.fixture(scope="session", autouse=True)
def _private_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    patch = pytest.MonkeyPatch()
    patch.setenv("FLAMBEAU_CACHE_DIR", str(tmp_path_factory.mktemp("machine-code")))
    yield
    patch.undo()


@pytest.fixture(params=RUNNABLE)
def target(request: pytest.FixtureRequest) -> Target:
    """Every vector width that this machine runs."""
    return named(request.param)


@pytest.fixture(params=[1, 2, 3, 4])
def thread_count(request: pytest.FixtureRequest) -> Iterator[int]:
    before = threads.get_num_threads()
    threads.set_num_threads(request.param)
    yield request.param
    threads.set_num_threads(before)
