"""The self-test of the kernels, and what `flambeau doctor` says of it."""

from __future__ import annotations

import dataclasses
import json
import sys
from pathlib import Path

import pytest

from flambeau.cli import self_test
from flambeau.cli.app import run
from flambeau.cli.doctor import _kept_programs


def test_all_kernels_are_right_here() -> None:
    outcomes = self_test.try_kernels()
    assert len(outcomes) == len({outcome.name for outcome in outcomes}) == 8
    assert [outcome.problem for outcome in outcomes] == [""] * 8
    assert all(outcome.error < 1e-5 and "right" in str(outcome) for outcome in outcomes)


def test_a_wrong_kernel_is_told_of(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    good = self_test.TRIALS[-1]
    trials = [
        good,
        dataclasses.replace(good, name="off", expected=lambda x: good.expected(x) + 0.01),
        dataclasses.replace(good, name="shape", expected=lambda x: good.expected(x)[:5]),
        dataclasses.replace(good, name="broken", compute=lambda x: x.reshape(7)),
    ]
    monkeypatch.setattr(self_test, "TRIALS", trials)
    monkeypatch.setattr(sys, "argv", ["flambeau", "doctor", "--json"])
    assert run() == 1
    said = capsys.readouterr()
    facts = json.loads(said.out.splitlines()[0])
    assert facts["wrong_kernels"] == ["off", "shape", "broken"]
    assert "WRONG: off by" in facts["kernel, off"] and "wrong: (1003,) instead of (5,)" in facts["kernel, shape"]
    assert "does not work here: RuntimeError" in facts["kernel, broken"]
    assert "cannot be trusted here: off, shape, broken" in " ".join(said.err.split())


def test_doctor(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["flambeau", "doctor"])
    assert run() == 0
    said = capsys.readouterr().out
    for name in ("numpy", "vector features", "threads", "compiled programs", "kernel, convolution", "missing extras"):
        assert name in said


def test_the_folder_of_compiled_programs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("FLAMBEAU_CACHE_DIR", str(tmp_path / "none"))
    monkeypatch.setenv("FLAMBEAU_CACHE_LIMIT", "200M")
    assert _kept_programs() == f"0 files, 0 of at most 200 MiB, in {tmp_path / 'none'}"
    monkeypatch.setenv("FLAMBEAU_CACHE_LIMIT", "0")
    assert _kept_programs().startswith("nothing is kept")
    monkeypatch.setenv("FLAMBEAU_CACHE_LIMIT", "much")
    assert "FLAMBEAU_CACHE_LIMIT='much' is no size" in _kept_programs()
