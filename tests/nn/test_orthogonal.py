"""Matrices that stay orthogonal, under each map, tall and wide."""

from __future__ import annotations

import pytest

import flambeau as torch
from flambeau.nn.utils.parametrizations import orthogonal

MAPS = ["matrix_exp", "cayley", "householder"]


def off(weight: torch.Tensor) -> float:
    """How far the shorter side's vectors are from orthonormal."""
    product = weight.mT @ weight if weight.shape[-2] >= weight.shape[-1] else weight @ weight.mT
    return float((product - torch.eye(product.shape[-1])).abs().max())


@pytest.mark.parametrize("sizes", [(4, 4), (5, 3), (3, 5)])
@pytest.mark.parametrize("kind", MAPS)
@pytest.mark.parametrize("trivialised", [True, False])
def test_a_layer_stays_orthogonal(kind: str, sizes: tuple[int, int], trivialised: bool) -> None:
    torch.manual_seed(0)
    layer = torch.nn.Linear(*sizes)
    if not trivialised and kind != "householder":
        with pytest.raises(NotImplementedError, match="use_trivialization=False"):
            orthogonal(layer, orthogonal_map=kind, use_trivialization=False).weight = torch.eye(*sizes[::-1])
        return
    orthogonal(layer, orthogonal_map=kind, use_trivialization=trivialised)
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.1)
    before = layer.weight.detach().clone()
    for _ in range(3):
        optimizer.zero_grad()
        layer(torch.randn(8, sizes[0])).square().sum().backward()
        optimizer.step()
        assert off(layer.weight) < 1e-5
    assert (layer.weight - before).abs().max() > 1e-3


def test_what_is_assigned_is_kept() -> None:
    torch.manual_seed(0)
    layer = orthogonal(torch.nn.Linear(3, 3))
    wanted, _ = torch.linalg.qr(torch.randn(3, 3))
    layer.weight = wanted
    torch.testing.assert_close(layer.weight, wanted)
    assert "matrix" in str(layer.parametrizations.weight[0].orthogonal_map)  # type: ignore[index, union-attr]


def test_what_is_refused() -> None:
    with pytest.raises(ValueError, match="1 dimensions"):
        orthogonal(torch.nn.Linear(3, 3), "bias")
    with pytest.raises(ValueError, match="Got: polar"):
        orthogonal(torch.nn.Linear(3, 3), orthogonal_map="polar")
