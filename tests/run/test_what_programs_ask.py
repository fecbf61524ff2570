"""What programs ask of PyTorch before they compute, and are told here."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import flambeau as torch
from flambeau.torch_version import TorchVersion

PROGRAM = """
import importlib.metadata, torch, torchvision
from torch.utils.data._utils.collate import default_collate
from torch.autograd.grad_mode import no_grad
from torch.nn.common_types import _size_2_t
from torch.types import Number
import torch._dynamo, torch._inductor.config

assert torch.__version__ >= (2, 0) and torch.version.__version__.startswith("2.")
assert importlib.metadata.version("torch") == torch.__version__
assert importlib.metadata.version("torchvision") == torchvision.__version__
torch._dynamo.config.suppress_errors = True
print(torch.cuda.max_memory_allocated() / 1024**2, torch.cuda.get_rng_state_all())
"""


def test_names_of_a_program(tmp_path: Path) -> None:
    path = tmp_path / "program.py"
    path.write_text(PROGRAM)
    done = subprocess.run(
        [sys.executable, "-m", "flambeau.run", str(path)], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.stdout == "0.0 []\n", done.stderr


def test_versions_compare_as_numbers() -> None:
    version = TorchVersion("2.13.0")
    assert version > "2.9" and version >= (2, 13) and version == "2.13.0" and not version < "2.4.1"
    assert version.split(".")[0] == "2"


def test_a_gpu_is_not_there() -> None:
    with torch.cuda.device(-1), torch.cuda.stream(None):
        assert torch.cuda.memory_allocated() == 0
    with pytest.raises(RuntimeError, match="CUDA"):
        torch.cuda.Event(enable_timing=True)
    with pytest.raises(AssertionError, match="CUDA"):
        torch.cuda.get_device_properties(0)
    with pytest.raises(TypeError, match=r"torch\.cuda\.FloatTensor"):
        torch.cuda.types.TYPES["FloatTensor"](2)
    assert not isinstance(torch.ones(1), torch.cuda.types.TYPES["FloatTensor"])


def test_scripts_stay_python() -> None:
    @torch.jit.script
    def double(x: torch.Tensor) -> torch.Tensor:
        return x * 2

    assert double(torch.ones(1)).item() == 2
    assert torch.jit.trace(torch.nn.Identity(), torch.ones(1))(3) == 3
    assert torch.jit.wait(torch.jit.fork(double, torch.ones(1))).item() == 2
    assert torch.jit.isinstance([1, 2], list[int]) and not torch.jit.isinstance({"a": 1}, dict[str, str])
    with pytest.raises(NotImplementedError, match="state_dict"):
        torch.jit.save(double, "double.pt")
    with pytest.raises(RuntimeError, match="eval mode"):
        torch.jit.freeze(torch.nn.Linear(1, 1))


def test_a_function_that_is_not_compiled() -> None:
    seen = []

    @torch.compiler.disable
    def look(x: torch.Tensor) -> torch.Tensor:
        seen.append(torch.compiler.is_compiling())
        return x + 1

    with pytest.warns(UserWarning, match="disable"):
        compiled = torch.compile(lambda x: look(x) * 2)
        assert compiled(torch.ones(1)).item() == 4
    assert seen == [False]


def test_graphs_of_programs_are_not_there() -> None:
    @torch.fx.wrap
    def triple(x: float) -> float:
        return 3 * x

    assert triple(1) == 3
    assert not isinstance(torch.nn.Identity(), torch.fx.GraphModule)
    with pytest.raises(NotImplementedError, match="symbolic_trace"):
        torch.fx.symbolic_trace(torch.nn.Identity())


def test_results_that_come_later() -> None:
    from flambeau.futures import Future, collect_all, wait_all

    first: Future[int] = Future()
    second: Future[int] = Future()
    doubled = first.then(lambda future: future.wait() * 2)
    together = collect_all([first, second])
    first.set_result(3)
    assert doubled.wait() == 6 and not together.done()
    second.set_exception(ValueError("the second"))
    assert together.done()
    with pytest.raises(ValueError, match="the second"):
        wait_all([first, second])
    with pytest.raises(RuntimeError, match="once"):
        first.set_result(4)


def test_only_scripted_modules_are_scripted() -> None:
    assert not isinstance(torch.nn.Linear(1, 1), torch.jit.ScriptModule)

    class Twice(torch.jit.ScriptModule):
        @torch.jit.script_method
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return 2 * x

    assert Twice()(torch.ones(1)).item() == 2
    assert "NumPy" in torch.__config__.show()
