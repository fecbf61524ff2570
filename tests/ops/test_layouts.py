"""Dense tensors asked as sparse ones, older products of sparse matrices, and names that are no more."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import flambeau as torch

X = torch.arange(6.0).reshape(2, 3)


def test_dense_tensors_are_dense() -> None:
    assert X.to_dense() is X and X.to_dense(torch.float64).dtype is torch.float64
    assert (X.sparse_dim(), X.dense_dim()) == (0, 2)


@pytest.mark.parametrize(
    ("name", "needed"),
    [
        ("coalesce", "sparse coordinate tensor"),
        ("is_coalesced", "sparse coordinate tensor"),
        ("indices", "sparse coordinate tensor"),
        ("values", "sparse tensor"),
        ("crow_indices", "sparse row compressed tensor"),
        ("row_indices", "sparse column compressed tensor"),
    ],
)
def test_parts_of_sparse_tensors_are_refused(name: str, needed: str) -> None:
    with pytest.raises(RuntimeError, match=f"{name} expected {needed} layout but got Strided"):
        getattr(X, name)()


def test_another_layout_is_named() -> None:
    with pytest.raises(RuntimeError, match="crow_indices expected sparse row compressed tensor layout but got Sparse"):
        X.to_sparse().crow_indices()


def test_copies_of_parts() -> None:
    rows = X.to_sparse_csr()
    found = torch.crow_indices_copy(rows)
    assert found.tolist() == [0, 2, 5] and found.data_ptr() != rows.crow_indices().data_ptr()
    assert torch.values_copy(X.to_sparse()).tolist() == [1, 2, 3, 4, 5]


def test_products() -> None:
    a = torch.tensor([[0.0, 1.0, 2.0], [0.0, 0.0, 0.0], [3.0, 0.0, 0.0]])
    sparse, b = a.to_sparse(), torch.randn(3, 2)
    expected = a.numpy() @ b.numpy()
    for found in (torch.dsmm(sparse, b), torch.hspmm(sparse, b).to_dense(), torch.smm(sparse, b).to_dense()):
        np.testing.assert_allclose(found.numpy(), expected, rtol=1e-6)
    assert torch.hspmm(sparse, b).indices().tolist() == [[0, 2]]
    added = torch.sspaddmm(torch.ones(3, 2).to_sparse(), sparse, b, beta=2, alpha=3)
    np.testing.assert_allclose(added.to_dense().numpy(), 2 + 3 * expected, rtol=1e-6)
    with pytest.raises(RuntimeError, match="can only be called on sparse tensors"):
        X.smm(X)


def test_hardshrink_is_a_method() -> None:
    assert torch.tensor([-1.0, 0.2, 0.7]).hardshrink(0.5).tolist() == [-1, 0, pytest.approx(0.7)]


def test_float_power_in_place_needs_double_precision() -> None:
    x = torch.tensor([2.0, 3.0], dtype=torch.float64)
    assert x.float_power_(2) is x and x.tolist() == [4, 9]
    with pytest.raises(RuntimeError, match="has dtype Float but the operation's result requires dtype Double"):
        torch.ones(2).float_power_(2)


@pytest.mark.parametrize("name", ["eig", "symeig", "lstsq", "solve", "matrix_rank"])
def test_removed_functions_say_what_to_call(name: str) -> None:
    with pytest.raises(RuntimeError, match=r"is now removed.*torch\.linalg"):
        getattr(torch, name)(X)


def test_storages_have_types() -> None:
    s = torch.LongStorage([1, 2, 3])
    assert s.tolist() == [1, 2, 3] and isinstance(s, torch.LongStorage) and not isinstance(s, torch.FloatStorage)
    assert isinstance(X.storage(), torch.FloatStorage) and X.storage_type() is torch.Storage
    s[0] = 7
    assert s.clone().fill_(1).tolist() == [1, 1, 1] and s.tolist() == [7, 2, 3]
    assert torch.IntStorage(2).copy_(torch.IntStorage([4, 5])).tolist() == [4, 5]
    assert repr(torch.FloatStorage([1])) == " 1.0\n[torch.storage.TypedStorage(dtype=torch.float32, device=cpu) of size 1]"
    halves = torch.TypedStorage(wrap_storage=X.untyped_storage(), dtype=torch.float16)
    assert halves.dtype is torch.float16 and halves.size() == 12
    assert torch.UntypedStorage(5).nbytes() == 5 and torch.UntypedStorage([1, 2]).tolist() == [1, 2]
    assert torch.ByteStorage(wrap_storage=X.untyped_storage()).size() == 24


def test_errors_have_names() -> None:
    assert issubclass(torch.OutOfMemoryError, RuntimeError) and torch.cuda.OutOfMemoryError is torch.OutOfMemoryError
    assert issubclass(torch.AcceleratorError, RuntimeError)


def test_autocast_is_switched_by_functions() -> None:
    def switched(*on: Any) -> tuple[bool, bool]:
        torch.set_autocast_enabled(*on, True)
        found = torch.is_autocast_enabled(*on), torch.mm(torch.ones(2, 2), torch.ones(2, 2)).dtype is torch.bfloat16
        torch.set_autocast_enabled(*on, False)
        return found

    assert switched("cpu") == (True, True) and switched() == (True, False)
    assert not torch.is_autocast_enabled() and not torch.is_autocast_enabled("cpu")
