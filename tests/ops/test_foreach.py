"""Operators on lists of tensors: each is its operator, tensor by tensor."""

from __future__ import annotations

import pytest

import flambeau as torch
from flambeau.ops import foreach


def lists() -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    torch.manual_seed(0)
    return [torch.rand(3), torch.rand(2, 2)], [torch.rand(3) + 1, torch.rand(2, 2) + 1]


@pytest.mark.parametrize("name", foreach._UNARY)
def test_one_list(name: str) -> None:
    x, _ = lists()
    found = getattr(foreach, f"_foreach_{name}")(x)
    for got, each in zip(found, x, strict=True):
        torch.testing.assert_close(got, getattr(each, name)(), equal_nan=True)
    given = getattr(foreach, f"_foreach_{name}_")(x)
    for got, changed, same in zip(found, x, given, strict=True):
        assert same is changed
        torch.testing.assert_close(got, changed, equal_nan=True)


@pytest.mark.parametrize("name", foreach._BINARY)
def test_two_lists_or_one_number(name: str) -> None:
    x, y = lists()
    for got, a, b in zip(getattr(foreach, f"_foreach_{name}")(x, y), x, y, strict=True):
        assert torch.equal(got, getattr(a, name)(b))
    number = getattr(foreach, f"_foreach_{name}")(x, 0.5)
    for got, a in zip(number, x, strict=True):
        assert torch.equal(got, getattr(a, name)(torch.tensor(0.5)))
    getattr(foreach, f"_foreach_{name}_")(x, [0.5, 0.5])
    for got, a in zip(number, x, strict=True):
        assert torch.equal(got, a)


def test_products_and_quotients() -> None:
    x, y = lists()
    before = [t.clone() for t in x]
    foreach._foreach_addcmul_(x, y, y, value=0.5)
    foreach._foreach_addcdiv_(x, y, y, [1.0, 2.0])
    for got, a, b, value in zip(x, before, y, (1.0, 2.0), strict=True):
        torch.testing.assert_close(got, a + 0.5 * b * b + value)


def test_the_rest() -> None:
    x, y = lists()
    between = foreach._foreach_lerp(x, y, 0.25)
    torch.testing.assert_close(between[0], x[0] + 0.25 * (y[0] - x[0]))
    foreach._foreach_copy_(x, y)
    assert torch.equal(x[1], y[1])
    assert torch.equal(foreach._foreach_norm(x)[0], x[0].norm())
    assert torch.equal(foreach._foreach_max(x)[0], x[0].max())
    assert torch.equal(foreach._foreach_add([x[0]], [y[0]], alpha=2)[0], x[0] + 2 * y[0])
    torch.testing.assert_close(foreach._foreach_pow(2.0, x)[0], 2.0 ** x[0])
    foreach._foreach_zero_(x)
    assert not x[0].any()


def test_lists_that_misfit() -> None:
    x, y = lists()
    with pytest.raises(RuntimeError, match="same number of tensors, got 2 and 1"):
        foreach._foreach_add(x, y[:1])
    with pytest.raises(RuntimeError, match="at least one tensor"):
        foreach._foreach_abs([])
    with pytest.raises(AttributeError, match="_foreach_fold"):
        foreach._foreach_fold(x)
