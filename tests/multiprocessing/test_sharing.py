"""Tensors that several processes see, and processes that stand and fall together."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import flambeau as torch
from flambeau import multiprocessing as mp


def add(index: int, shared: torch.Tensor, model: torch.nn.Module) -> None:
    shared[index] += index + 1
    with torch.no_grad():
        model.weight[index] = index  # type: ignore[index, operator]


def answer(questions: Any, answers: Any) -> None:
    answers.put(questions.get() * 2)
    questions.get()  # what a process shares is there as long as the process


def fail(index: int) -> None:
    if index == 1:
        raise ValueError("the second fails")


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_processes_write_to_one_memory(method: str) -> None:
    shared, model = torch.zeros(2).share_memory_(), torch.nn.Linear(1, 2)
    model.share_memory()
    mp.start_processes(add, (shared, model), nprocs=2, start_method=method)
    assert shared.tolist() == [1, 2]
    assert model.weight.flatten().tolist() == [0, 1]


def test_tensors_go_through_queues() -> None:
    context = mp.get_context("spawn")
    questions, answers = context.SimpleQueue(), context.SimpleQueue()
    process = context.Process(target=answer, args=(questions, answers))
    process.start()
    questions.put(torch.arange(3.0))
    assert answers.get().tolist() == [0, 2, 4]
    questions.put(None)
    process.join()
    with pytest.raises(RuntimeError, match="non-leaf"):
        questions.put(torch.ones(1, requires_grad=True) * 2)


def test_the_failure_of_one_is_told() -> None:
    with pytest.raises(mp.ProcessRaisedException, match="the second fails") as raised:
        mp.start_processes(fail, nprocs=2, start_method="fork")
    assert raised.value.error_index == 1


PROGRAM = """
import torch, torch.multiprocessing as mp

def work(rank, x):
    x += rank + torch.ones(2)

if __name__ == "__main__":
    x = torch.zeros(2).share_memory_()
    mp.spawn(work, args=(x,), nprocs=2)
    print(x.tolist(), torch.__name__)
"""


def test_new_processes_find_torch(tmp_path: Path) -> None:
    path = tmp_path / "program.py"
    path.write_text(PROGRAM)
    done = subprocess.run(
        [sys.executable, "-m", "flambeau.run", str(path)], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.stdout.strip() == "[3.0, 3.0] flambeau", done.stderr
