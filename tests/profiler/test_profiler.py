"""The profiler: what it collects, its tables, its traces, its schedule."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import flambeau as torch
from flambeau.profiler import (
    ProfilerAction,
    ProfilerActivity,
    profile,
    record_function,
    schedule,
    tensorboard_trace_handler,
)


def _work() -> None:
    w = torch.randn(4, 5, requires_grad=True)
    with record_function("forward"):
        loss = (torch.randn(3, 4) @ w).relu().sum()
    loss.backward()


def test_operators_and_named_stretches_are_counted() -> None:
    with profile(activities=[ProfilerActivity.CPU], record_shapes=True) as measured:
        for _ in range(3):
            _work()
    averages = {a.key: a for a in measured.key_averages()}
    assert averages["aten::mm"].count == 6  # forward and the weight's gradient
    assert averages["forward"].count == 3 and averages["aten::relu"].count == 3
    assert averages["forward"].self_cpu_time_total < averages["forward"].cpu_time_total
    by_shape = measured.key_averages(group_by_input_shape=True)
    assert ((3, 4), (4, 5)) in {a.input_shapes for a in by_shape if a.key == "aten::mm"}
    with profile() as nothing:
        pass
    assert not nothing.events()
    torch.ones(2).relu()
    assert not nothing.events()  # it is over


def test_table_is_sorted_and_cut() -> None:
    with profile() as measured:
        _work()
    table = measured.key_averages().table(sort_by="cpu_time_total", row_limit=1)
    assert "forward" in table and "aten::mm" not in table and "# of Calls" in table
    with pytest.raises(AttributeError, match="cuda_time_total"):
        measured.key_averages().table(sort_by="cuda_time_total")


def test_chrome_trace(tmp_path: Path) -> None:
    with profile(record_shapes=True) as measured:
        _work()
    measured.export_chrome_trace(tmp_path / "trace.json")
    events = json.loads((tmp_path / "trace.json").read_text())["traceEvents"]
    forward = next(e for e in events if e["name"] == "forward")
    product = next(e for e in events if e["name"] == "aten::mm")
    assert forward["ts"] <= product["ts"] and product["ts"] + product["dur"] <= forward["ts"] + forward["dur"]
    assert product["args"]["Input Dims"] == [[3, 4], [4, 5]]


def test_schedule() -> None:
    plan = schedule(wait=1, warmup=1, active=2, repeat=1, skip_first=1)
    names = [plan(step).name for step in range(7)]
    assert names == ["NONE", "NONE", "WARMUP", "RECORD", "RECORD_AND_SAVE", "NONE", "NONE"]
    with pytest.raises(ValueError, match="active"):
        schedule(wait=0, warmup=0, active=0)


def test_steps_of_a_schedule_are_recorded_and_handed_over(tmp_path: Path) -> None:
    seen: list[Any] = []
    plan = schedule(wait=1, warmup=0, active=2, repeat=2)

    def ready(p: profile) -> None:
        seen.append((p.step_num, len([e for e in p.events() if e.name == "aten::relu"])))

    with profile(schedule=plan, on_trace_ready=ready) as measured:
        for _ in range(8):
            torch.ones(2).relu()
            measured.step()
    assert seen == [(2, 2), (5, 2)]
    with profile(on_trace_ready=tensorboard_trace_handler(str(tmp_path))):
        torch.ones(2).relu()
    assert len(list(tmp_path.glob("*.pt.trace.json"))) == 1
    assert plan(0) is ProfilerAction.NONE


def test_compiled_programs_are_one_operator() -> None:
    f = torch.compile(lambda x: x.relu() * 2)
    x = torch.ones(4)
    f(x)
    with profile() as measured:
        f(x)
    assert [e.name for e in measured.events()] == ["flambeau::compiled"]


def test_what_is_not_collected_is_an_error() -> None:
    with pytest.raises(NotImplementedError, match="with_stack"):
        profile(with_stack=True)
    with pytest.raises(ValueError, match="CPU"):
        profile(activities=[ProfilerActivity.CUDA])
