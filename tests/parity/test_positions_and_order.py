"""Gathering, scattering and sorting beside PyTorch's, with as many elements as kernels take: eager, compiled, and errors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import flambeau

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.parity

RNG = np.random.default_rng(0)
SHAPE = (140, 150)
X = (RNG.standard_normal(SHAPE) * 3).round(1).astype(np.float32)
SOURCE = RNG.standard_normal((130, 150)).astype(np.float32)
INDEX, ROWS = RNG.integers(0, 130, (130, 150)), RNG.integers(-140, 140, 400)
WITH_NAN = X.copy()
WITH_NAN.flat[::101] = np.nan

CASES: dict[str, Callable[..., Any]] = {
    "gather 0": lambda x, i, s, r: x.gather(0, i),
    "gather 1": lambda x, i, s, r: x.gather(1, i),
    "scatter_add 0": lambda x, i, s, r: x.scatter_add(0, i, s),
    "scatter_add 1": lambda x, i, s, r: x.scatter_add(1, i, s),
    "scatter amax": lambda x, i, s, r: x.scatter_reduce(0, i, s, "amax"),
    "scatter amin without self": lambda x, i, s, r: x.scatter_reduce(1, i, s, "amin", include_self=False),
    "scatter mean": lambda x, i, s, r: x.scatter_reduce(1, i, s, "mean"),
    "scatter a number": lambda x, i, s, r: x.scatter(1, i, 2.5),
    "rows": lambda x, i, s, r: x[r],
    "columns": lambda x, i, s, r: x[:, r],
    "both": lambda x, i, s, r: x[r[:, None], r[None, :]],
    "put": lambda x, i, s, r: x.index_put((r,), x[:1], accumulate=True),
    "index_add": lambda x, i, s, r: x.index_add(0, r % 140, x.new_ones(400, 150)),
}
ORDERS: dict[str, Callable[..., Any]] = {
    "sort": lambda x: x.sort(dim=1, stable=True),
    "descending": lambda x: x.sort(dim=0, descending=True, stable=True),
    "topk": lambda x: x.topk(5, 1)[0],
    "smallest": lambda x: x.topk(30, 0, largest=False)[0],
    "kthvalue": lambda x: x.kthvalue(7, 1)[0],
    "median": lambda x: x.median(1)[0],
    "nanmedian": lambda x: x.nanmedian(1)[0],
    "of all": lambda x: x.median(),
    "quantile": lambda x: x.quantile(0.25, 1),
}


def _arrays(result: Any) -> list[np.ndarray]:
    return [r.detach().numpy() for r in (result if isinstance(result, tuple) else (result,))]


def _compare(f: Callable[..., Any], *arrays: np.ndarray) -> None:
    expected = _arrays(f(*(torch.from_numpy(a.copy()) for a in arrays)))
    own = [flambeau.from_numpy(a.copy()) for a in arrays]
    for run in (f, flambeau.compile(f, fullgraph=True)):
        for a, b in zip(_arrays(run(*own)), expected, strict=True):
            assert a.dtype == b.dtype
            np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", CASES)
def test_positions(name: str) -> None:
    _compare(CASES[name], X, INDEX, SOURCE, ROWS)


@pytest.mark.parametrize("name", ORDERS)
@pytest.mark.parametrize("kind", ["float32", "float64", "int64", "nan"])
def test_orders(name: str, kind: str) -> None:
    x = WITH_NAN if kind == "nan" else (X * 10).astype(kind)
    if kind == "int64" and name == "quantile":
        pytest.skip("quantiles are of floats")
    _compare(ORDERS[name], x)


WRONG: dict[str, Callable[..., Any]] = {
    "gather": lambda x, i: x.gather(0, i),
    "scatter": lambda x, i: x.scatter(0, i, x),
    "scatter_add": lambda x, i: x.scatter_add(0, i, x),
    "index": lambda x, i: x[i],
    "index_add": lambda x, i: x.index_add(0, i[:, 0], x),
}


@pytest.mark.parametrize("name", WRONG)
@pytest.mark.parametrize("compiled", [False, True])
def test_positions_out_of_range(name: str, compiled: bool) -> None:
    index = np.zeros(SHAPE, np.int64)
    index[77, 0] = 140
    f = WRONG[name]
    with pytest.raises((IndexError, RuntimeError)) as theirs:
        f(torch.from_numpy(X), torch.from_numpy(index))
    g = flambeau.compile(f, fullgraph=True) if compiled else f
    with pytest.raises((IndexError, RuntimeError)) as ours:
        g(flambeau.from_numpy(X), flambeau.from_numpy(index))
    assert type(ours.value) is type(theirs.value)
    if name in ("gather", "scatter", "index"):
        assert str(ours.value).startswith(str(theirs.value).split(" with size")[0])
