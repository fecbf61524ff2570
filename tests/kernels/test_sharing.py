"""How programs are done: the way that takes less time of late, the other tried now and then."""

from __future__ import annotations

import pytest

from flambeau.kernels import sharing
from flambeau.kernels.sharing import Sharing


class _Clock:
    """Calls that take the time they are told, by a clock of their own."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch):
        self.now, self.done = 1, []
        self.takes = {"together": 50, "alone": 80}
        monkeypatch.setattr(sharing, "perf_counter_ns", lambda: self.now)

    def way(self, name: str):
        def call() -> None:
            self.now += self.takes[name]
            self.done.append(name)

        return call

    def calls(self, what: Sharing, count: int) -> list[str]:
        self.done = []
        for _ in range(count):
            what.run(self.way("together"), self.way("alone"))
        return self.done


def test_the_faster_way(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = _Clock(monkeypatch)
    what = Sharing()
    done = clock.calls(what, 200)
    assert done.count("alone") < 20 and "alone" in done
    clock.takes = {"together": 500, "alone": 80}
    done = clock.calls(what, 100)
    assert done[-50:].count("together") <= 6  # found out soon
    clock.takes = {"together": 50, "alone": 80}
    assert clock.calls(what, 1200)[-50:].count("alone") <= 6  # and back again


def test_long_programs_are_not_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = _Clock(monkeypatch)
    clock.takes = {"together": 50_000_000, "alone": 90_000_000}
    done = clock.calls(Sharing(), 400)
    assert done.count("alone") == 0


def test_workers_that_sleep_are_woken_before_it_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = _Clock(monkeypatch)
    what = Sharing()
    what.alone = True

    def together() -> None:
        clock.now += 50 if clock.done[-1:] == ["together"] else 300
        clock.done.append("together")

    for _ in range(100):
        what.run(together, clock.way("alone"))
    assert not what.alone
