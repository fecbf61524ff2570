"""Sparse tensors beside PyTorch's: values, patterns, gradients, prints, errors, optimizers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import flambeau

torch = pytest.importorskip("torch")
pytestmark = [pytest.mark.parity, pytest.mark.filterwarnings("ignore:Sparse (CSR|CSC|invariant)")]
BOTH = (flambeau, torch)


def _coo(t: Any, requires_grad: bool = False, dtype: str = "float64") -> Any:
    indices = t.tensor([[0, 1, 1, 2, 0], [2, 0, 2, 1, 2]])
    values = t.tensor([3.0, 4.0, 5.0, -1.5, 0.5], dtype=getattr(t, dtype))
    return t.sparse_coo_tensor(indices, values, (3, 4), requires_grad=requires_grad)


def _dense(t: Any, *shape: int, requires_grad: bool = False) -> Any:
    x = t.arange(int(np.prod(shape)), dtype=t.float64).reshape(shape) / 7 - 1
    return x.requires_grad_() if requires_grad else x


def _plain(x: Any) -> np.ndarray:
    if str(x.layout) != "torch.strided":
        x = x.to_dense()
    return x.detach().numpy()


CASES: dict[str, Callable[[Any], Any]] = {
    "to_dense": lambda t: _coo(t).to_dense(),
    "coalesce": lambda t: _coo(t).coalesce().values(),
    "coalesced indices": lambda t: _coo(t).coalesce().indices(),
    "mm": lambda t: t.sparse.mm(_coo(t), _dense(t, 4, 2)),
    "function mm": lambda t: t.mm(_coo(t), _dense(t, 4, 2)),
    "matmul": lambda t: _coo(t) @ _dense(t, 4, 2),
    "vector": lambda t: _coo(t) @ _dense(t, 4),
    "addmm": lambda t: t.addmm(_dense(t, 3, 2), _coo(t), _dense(t, 4, 2), beta=2, alpha=0.5),
    "sparse addmm": lambda t: t.sparse.addmm(_dense(t, 3, 2), _coo(t), _dense(t, 4, 2)),
    "sparse @ sparse": lambda t: t.sparse.mm(_coo(t), _coo(t).t()),
    "add": lambda t: _coo(t) + _coo(t),
    "add dense": lambda t: _dense(t, 3, 4) + _coo(t),
    "function add": lambda t: t.add(_coo(t), _coo(t), alpha=3),
    "sub": lambda t: _coo(t) - _coo(t) * 3,
    "mul": lambda t: _coo(t) * 2.5,
    "mul sparse": lambda t: _coo(t) * _coo(t).coalesce(),
    "mul dense": lambda t: _coo(t) * _dense(t, 3, 4),
    "div": lambda t: _coo(t) / 4,
    "neg": lambda t: -_coo(t),
    "abs": lambda t: t.abs(_coo(t)),
    "sqrt": lambda t: (_coo(t) * _coo(t)).coalesce().sqrt(),
    "relu": lambda t: t.relu(_coo(t)),
    "tanh": lambda t: _coo(t).tanh(),
    "sum": lambda t: t.sparse.sum(_coo(t)),
    "sum 0": lambda t: t.sparse.sum(_coo(t), 0),
    "sum 1": lambda t: t.sparse.sum(_coo(t), [1]),
    "softmax": lambda t: t.sparse.softmax(_coo(t), 1),
    "log_softmax": lambda t: t.sparse.log_softmax(_coo(t), 0),
    "transpose": lambda t: _coo(t).transpose(0, 1),
    "t": lambda t: t.t(_coo(t)),
    "index_select": lambda t: _coo(t).index_select(1, t.tensor([2, 0, 2])),
    "row": lambda t: _coo(t)[1],
    "csr": lambda t: _coo(t).to_sparse_csr(),
    "csr parts": lambda t: _coo(t).to_sparse_csr().crow_indices(),
    "csc parts": lambda t: _coo(t).to_sparse_csc().row_indices(),
    "csr matmul": lambda t: _coo(t).to_sparse_csr() @ _dense(t, 4, 2),
    "csr of parts": lambda t: t.sparse_csr_tensor([0, 1, 3], [1, 0, 2], [1.0, 2.0, 3.0], (2, 3)),
    "csr times number": lambda t: _coo(t).to_sparse_csr() * 3,
    "to_sparse": lambda t: t.tensor([[0.0, 2.0], [3.0, 0.0]]).to_sparse(),
    "to_sparse 1": lambda t: t.tensor([[[0.0, 2.0], [3.0, 0.0]], [[0, 0], [0, 0]]]).to_sparse(1).values(),
    "hybrid": lambda t: t.sparse_coo_tensor(t.tensor([[0, 2, 0]]), _dense(t, 3, 2), (4, 2)),
    "hybrid coalesce": lambda t: t.sparse_coo_tensor(t.tensor([[0, 2, 0]]), _dense(t, 3, 2), (4, 2)).coalesce().values(),
    "sparse_mask": lambda t: _dense(t, 3, 4).sparse_mask(_coo(t).coalesce()),
    "to": lambda t: _coo(t).to(t.float32),
    "zeros": lambda t: t.sparse_coo_tensor(size=(2, 3)) if t is torch else t.sparse_coo_tensor((2, 3)),
    "spdiags": lambda t: t.sparse.spdiags(_dense(t, 2, 4), t.tensor([0, -1]), (4, 4)),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_values_and_layouts(name: str) -> None:
    ours, theirs = (CASES[name](t) for t in BOTH)
    assert str(ours.layout) == str(theirs.layout)
    assert tuple(ours.shape) == tuple(theirs.shape) and str(ours.dtype) == str(theirs.dtype)
    np.testing.assert_allclose(_plain(ours), _plain(theirs), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize(
    "make",
    [
        lambda t: _coo(t),
        lambda t: _coo(t, requires_grad=True),
        lambda t: _coo(t, dtype="float32").coalesce(),
        lambda t: _coo(t).to_sparse_csr(),
        lambda t: t.sparse_coo_tensor(t.tensor([[0, 1]]), t.tensor([1, 2]), (3,)),
        lambda t: t.sparse_coo_tensor(t.tensor([[0, 2, 0]]), _dense(t, 3, 2), (4, 2)),
    ],
    ids=["coo", "leaf", "float32", "csr", "whole numbers", "hybrid"],
)
def test_prints(make: Callable[[Any], Any]) -> None:
    assert repr(make(flambeau)) == repr(make(torch))


def _gradients(t: Any, f: Callable[[Any, Any, Any], Any]) -> list[np.ndarray]:
    s, d = _coo(t, requires_grad=True), _dense(t, 4, 2, requires_grad=True)
    f(t, s, d).backward()
    return [_plain(s.grad), _plain(d.grad)]


@pytest.mark.parametrize(
    "f",
    [
        lambda t, s, d: t.sparse.mm(s, d).square().sum(),
        lambda t, s, d: ((s.coalesce() * 2) @ d).sum(),
        lambda t, s, d: (s.to_dense() @ d).pow(3).sum(),
        lambda t, s, d: (t.sparse.softmax(s, 1).to_dense() @ d).square().sum(),
    ],
    ids=["mm", "scaled", "dense", "softmax"],
)
def test_gradients(f: Callable[[Any, Any, Any], Any]) -> None:
    for ours, theirs in zip(_gradients(flambeau, f), _gradients(torch, f), strict=True):
        # PyTorch's gradient of a dense copy is dense; ours keeps the pattern of the leaf.
        np.testing.assert_allclose(ours, np.where(ours != 0, theirs, 0), rtol=1e-10, atol=1e-12)
        assert (ours != 0).any()


@pytest.mark.parametrize(
    ("message", "make"),
    [
        ("size is inconsistent with indices", lambda t: t.sparse_coo_tensor([[5]], [1.0], (3,))),
        ("found negative index", lambda t: t.sparse_coo_tensor([[-1]], [1.0], (3,))),
        ("uncoalesced", lambda t: _coo(t).indices()),
        ("same nnz", lambda t: t.sparse_coo_tensor([[0, 1]], [1.0], (3,))),
    ],
    ids=["large", "negative", "uncoalesced", "nnz"],
)
def test_errors(message: str, make: Callable[[Any], Any]) -> None:
    for t in BOTH:
        with pytest.raises(RuntimeError, match=message):
            made = make(t)
            if t is torch and made.layout is torch.sparse_coo:
                torch.sparse_coo_tensor(made._indices(), made._values(), made.shape, check_invariants=True)


def test_operators_that_do_not_know_it_say_so() -> None:
    s = _coo(flambeau)
    for f in (flambeau.cumsum, flambeau.sort, flambeau.exp, lambda x, *a: x.reshape(-1)):
        with pytest.raises((NotImplementedError, RuntimeError), match=r"to_dense|sparse"):
            f(s, 0) if f is not flambeau.exp else f(s)
    with pytest.raises(TypeError, match="sparse_coo"):
        s.numpy()


def _trained(t: Any, optimizer: str, options: dict[str, Any], padding: int | None) -> np.ndarray:
    rng = np.random.default_rng(0)
    table = t.nn.Embedding(20, 5, sparse=True, padding_idx=padding, dtype=t.float64)
    with t.no_grad():
        table.weight.copy_(t.from_numpy(rng.standard_normal((20, 5))))
    update = getattr(t.optim, optimizer)(table.parameters(), **options)
    target = t.from_numpy(rng.standard_normal((6, 5)))
    for _ in range(100):
        update.zero_grad()
        words = t.from_numpy(rng.integers(0, 20, 6))
        loss = (table(words) - target).square().sum() + table(words[:2]).sum()
        loss.backward()
        assert table.weight.grad.is_sparse
        update.step()
    return table.weight.detach().numpy()


@pytest.mark.parametrize(
    ("optimizer", "options"),
    [("SGD", {"lr": 0.05}), ("Adagrad", {"lr": 0.1, "lr_decay": 0.01}), ("SparseAdam", {"lr": 0.02}),
     ("SparseAdam", {"lr": 0.02, "betas": (0.8, 0.95), "maximize": True})],
)  # fmt: skip
@pytest.mark.parametrize("padding", [None, 3])
def test_embeddings_train_alike(optimizer: str, options: dict[str, Any], padding: int | None) -> None:
    ours, theirs = (_trained(t, optimizer, options, padding) for t in BOTH)
    np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=1e-9)


def test_a_graph_network_learns_alike() -> None:
    def losses(t: Any) -> list[float]:
        rng = np.random.default_rng(1)
        edges = t.from_numpy(rng.integers(0, 12, (2, 40)))
        adjacency = t.sparse_coo_tensor(edges, t.ones(40, dtype=t.float64) / 4, (12, 12)).coalesce()
        x = t.from_numpy(rng.standard_normal((12, 6)))
        w = [t.from_numpy(rng.standard_normal(s)).requires_grad_() for s in ((6, 8), (8, 3))]
        y = t.from_numpy(rng.integers(0, 3, 12))
        update, found = t.optim.Adam(w, lr=0.05), []
        for _ in range(20):
            update.zero_grad()
            hidden = t.relu(t.spmm(adjacency, x @ w[0]))
            loss = t.nn.functional.cross_entropy(t.spmm(adjacency, hidden @ w[1]), y)
            loss.backward()
            update.step()
            found.append(float(loss))
        return found

    np.testing.assert_allclose(losses(flambeau), losses(torch), rtol=1e-9)


@pytest.mark.parametrize("writer", BOTH, ids=["flambeau", "torch"])
def test_files(writer: Any) -> None:
    import io

    stream = io.BytesIO()
    writer.save({"coo": _coo(writer), "csr": _coo(writer).to_sparse_csr()}, stream)
    reader = torch if writer is flambeau else flambeau
    stream.seek(0)
    for name, found in reader.load(stream).items():
        assert str(found.layout) == f"torch.sparse_{name}"
        np.testing.assert_allclose(_plain(found), _plain(_coo(flambeau)))
