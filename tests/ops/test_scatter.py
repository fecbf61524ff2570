"""Scattering, against plain loops."""

from __future__ import annotations

import numpy as np
import pytest

import flambeau as torch

JOIN = {
    "sum": np.sum, "prod": np.prod, "mean": np.mean, "amax": np.max, "amin": np.min,
}  # fmt: skip


def reference(
    x: np.ndarray, dim: int, index: np.ndarray, src: np.ndarray, reduce: str, include_self: bool
) -> np.ndarray:
    """Gathers, for each place, what falls there, and reduces it."""
    fallen: dict[tuple, list] = {}
    for at in np.ndindex(index.shape):
        place = (*at[:dim], int(index[at]), *at[dim + 1 :])
        fallen.setdefault(place, []).append(src[at])
    out = x.copy()
    for place, values in fallen.items():
        found = JOIN[reduce]([x[place], *values] if include_self else values)
        out[place] = np.floor(found) if x.dtype.kind in "iu" else found
    return out


@pytest.mark.parametrize("include_self", [True, False])
@pytest.mark.parametrize("reduce", JOIN)
@pytest.mark.parametrize("dtype", ["float64", "float32", "int64", "int8", "bfloat16", "float16"])
def test_scatter_reduce(dtype: str, reduce: str, include_self: bool) -> None:
    rng = np.random.default_rng(0)
    for dim, shape in ((0, (4, 3)), (1, (3, 5)), (2, (2, 3, 4)), (-1, (5,))):
        x = rng.integers(-3, 4, shape).astype(np.float64)
        src = rng.integers(-3, 4, [n + 1 for n in shape]).astype(np.float64)
        index = rng.integers(0, shape[dim], shape)
        kind = getattr(torch, dtype)
        ours = torch.scatter_reduce(
            torch.from_numpy(x).to(kind), dim, torch.from_numpy(index), torch.from_numpy(src).to(kind),
            reduce, include_self=include_self,
        )  # fmt: skip
        exact = np.int64 if kind.is_signed and not kind.is_floating_point else np.float64
        wanted = reference(x.astype(exact), dim % len(shape), index, src.astype(exact), reduce, include_self)
        assert ours.dtype is kind
        if kind.is_floating_point:
            np.testing.assert_allclose(ours.double().numpy(), wanted, rtol=1e-2 if kind.itemsize == 2 else 1e-6)
        else:
            np.testing.assert_array_equal(ours.numpy(), wanted.astype(ours.numpy().dtype))


@pytest.mark.parametrize("include_self", [True, False])
@pytest.mark.parametrize("reduce", ["prod", "mean", "amax", "amin"])
def test_index_reduce(reduce: str, include_self: bool) -> None:
    rng = np.random.default_rng(1)
    x, src = rng.normal(size=(3, 4)), rng.normal(size=(3, 5))
    index = np.array([0, 3, 3, 0, 2])
    wanted = reference(x, 1, np.broadcast_to(index, (3, 5)), src, reduce, include_self)
    ours = torch.index_reduce(
        torch.from_numpy(x), 1, torch.from_numpy(index), torch.from_numpy(src), reduce, include_self=include_self
    )
    np.testing.assert_allclose(ours.numpy(), wanted)


def test_scatter_with_a_reduction() -> None:
    x, index = torch.ones(3), torch.tensor([0, 0, 2])
    assert x.scatter(0, index, 3.0, reduce="add").tolist() == [7, 1, 4]
    assert x.scatter(0, index, torch.tensor([2.0, 3.0, 4.0]), reduce="multiply").tolist() == [6, 1, 4]
    assert x.scatter(0, index, 3.0).tolist() == [3, 1, 3]
    assert x.clone().scatter_reduce_(0, index, x * 5, "amax").tolist() == [5, 1, 5]


def test_numbers_of_no_dimension() -> None:
    x, zero = torch.tensor(2.0), torch.tensor(0)
    assert x.scatter(0, zero, torch.tensor(5.0)).item() == 5
    assert x.scatter_add(0, zero, torch.tensor(5.0)).item() == 7
    assert x.index_add(0, zero, torch.tensor(5.0)).item() == 7
    assert x.index_reduce(0, zero[None], torch.tensor(5.0), "prod").item() == 10
    assert x.index_fill(0, zero, 3).item() == 3
    assert torch.take_along_dim(x, zero).item() == 2


def test_masked_scatter_takes_elements_in_order() -> None:
    x = torch.zeros(2, 3)
    mask = torch.tensor([[True, False, True], [False, True, False]])
    assert x.masked_scatter(mask, torch.tensor([1.0, 2.0, 3.0, 4.0])).tolist() == [[1, 0, 2], [0, 3, 0]]
    x.masked_scatter_(mask[0], torch.arange(4.0))
    assert x.tolist() == [[0, 0, 1], [2, 0, 3]]


def test_in_place_forms_change_the_tensor() -> None:
    x, v = torch.zeros(2, 3), torch.tensor([0, 2])
    x.index_fill_(1, v, 1).index_add_(1, v, torch.ones(2, 2)).index_copy_(1, v[:1], torch.full((2, 1), 9.0))
    x.put_(torch.tensor([1, -2]), torch.tensor([7.0, 8.0]))
    assert x.tolist() == [[9, 7, 2], [9, 8, 2]]


@pytest.mark.parametrize(
    "key",
    [
        (0,), (np.array([0, 2, 0]),), (np.array([[0], [-1]]), np.array([1, 1])), (slice(None), np.array([1, 1, -2])),
        (np.array([0, 0]), slice(None), np.array([3, 3])), (slice(None), np.array([0, 2]), np.array([1, 1])),
        (slice(1, None), np.array(1), slice(None)),
    ],
    ids=str,
)  # fmt: skip
def test_accumulating_at_any_index_is_add_at(key: tuple) -> None:
    rng = np.random.default_rng(3)
    x = rng.normal(size=(3, 3, 4))
    wanted = x.copy()
    values = rng.normal(size=wanted[key].shape)
    np.add.at(wanted, key, values)
    ours = torch.from_numpy(x)
    indices = tuple(torch.from_numpy(np.asarray(k)) if not isinstance(k, slice) else k for k in key)
    if isinstance(key[0], slice) and key[0].start is None:
        indices = (None, *indices[1:])
    if all(i is None or isinstance(i, torch.Tensor) for i in indices):
        np.testing.assert_allclose(ours.index_put(indices, torch.from_numpy(values), accumulate=True).numpy(), wanted)
    leaf = torch.from_numpy(x).requires_grad_()
    leaf[tuple(slice(None) if i is None else i for i in indices)].backward(torch.from_numpy(values))
    np.testing.assert_allclose(leaf.grad.numpy(), wanted - x, atol=1e-12)


def test_gradients_of_indices_into_empty_tensors() -> None:
    x = torch.zeros(2, 3, 0, requires_grad=True)
    x[[0, 1], :, :].sum().backward()
    assert x.grad.shape == (2, 3, 0)
    y = torch.zeros(2, 0, 4, requires_grad=True)
    y[torch.tensor(True), torch.tensor([1])].sum().backward()
    assert y.grad.shape == (2, 0, 4)
