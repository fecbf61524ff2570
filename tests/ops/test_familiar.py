"""Which shapes get code of their own."""

from __future__ import annotations

from flambeau.ops.familiar import Familiar


def test_the_first_ones_at_once_and_others_when_they_come_again() -> None:
    familiar = Familiar(at_once=2)
    assert familiar("a") and familiar("b") and familiar("a")
    assert [familiar("c") for _ in range(4)] == [False, False, True, True]
    assert not familiar("d") and familiar("b")


def test_it_does_not_grow_for_ever() -> None:
    familiar = Familiar(at_once=0)
    for k in range(20_000):
        familiar(k)
    assert len(familiar._counts) < 5000


def test_others_may_never_be() -> None:
    familiar = Familiar(at_once=1, later=False)
    assert [familiar(key) for key in "abbbba"] == [True, False, False, False, False, True]
