"""What `torch.compile` is asked, and what programs say to the compiler besides: PyTorch's names and errors."""

from __future__ import annotations

import copy
import pickle
import warnings
from typing import Any

import pytest

import flambeau as torch
import flambeau._dynamo
import flambeau._inductor
from flambeau import nn
from flambeau._dynamo import config


def doubled(x: Any) -> Any:
    return x * 2


@pytest.mark.parametrize("mode", [None, "default", "lite", "reduce-overhead", "max-autotune", "max-autotune-no-cudagraphs"])
@pytest.mark.parametrize("dynamic", [None, True, False])
def test_modes(mode: str | None, dynamic: bool | None) -> None:
    f = torch.compile(doubled, mode=mode, dynamic=dynamic, fullgraph=True)
    for n in (1, 2, 3):
        assert f(torch.ones(n)).sum() == 2 * n


@pytest.mark.parametrize(
    ("options", "kind", "text"),
    [
        ({"mode": "fast"}, RuntimeError, "Unrecognized mode=fast, should be one of: default, lite, reduce-overhead"),
        ({"backend": "none"}, torch._dynamo.exc.InvalidBackend, "Invalid backend: 'none', see"),
        ({"options": {"nonsense": 1}}, RuntimeError, "Unexpected optimization option nonsense"),
        ({"options": {"triton.nonsense": 1}}, RuntimeError, "Unexpected optimization option triton"),
        ({"options": {"max_autotune": "yes"}}, RuntimeError, "Unexpected type of attr max_autotune, got str should be bool"),
        ({"mode": "default", "options": {}}, RuntimeError, "Either mode or options can be specified"),
        ({"backend": lambda graph, inputs: graph}, NotImplementedError, "no torch.fx graphs"),
    ],
)
def test_wrong_arguments(options: dict[str, Any], kind: type, text: str) -> None:
    with pytest.raises(kind, match=text):
        torch.compile(doubled, **options)


def test_what_is_no_function() -> None:
    with pytest.raises(AssertionError, match="A callable function is expected, but <class 'int'> is provided"):
        torch.compile(3)


def test_options_of_the_code_generator() -> None:
    f = torch.compile(doubled, options={"max_autotune": True, "triton.cudagraphs": False, "epilogue_fusion": True})
    assert f.tune and f(torch.ones(2)).sum() == 4
    with torch._inductor.config.patch(max_autotune=True):
        assert torch._inductor.config.max_autotune
    assert not torch._inductor.config.max_autotune


def test_errors_of_fullgraph() -> None:
    f = torch.compile(lambda x: x * x.sum().item(), fullgraph=True)
    with pytest.raises(torch._dynamo.exc.Unsupported, match=r"item\(\) cannot be traced .*test_options"):
        f(torch.ones(2))
    g = torch.compile(lambda x: x + torch.ones(7), fullgraph=True)
    with pytest.raises(RuntimeError, match="must match the size"):
        g(torch.ones(2))


def test_settings() -> None:
    with pytest.raises(AttributeError, match="torch._dynamo.config.nonsense does not exist"):
        config.nonsense = 1
    with pytest.raises(AttributeError, match="does not exist"):
        config.patch(nonsense=1)
    config.suppress_errors = True

    @config.patch("cache_size_limit", 3)
    def limited() -> int:
        assert config.recompile_limit == config.cache_size_limit == 3
        f = torch.compile(doubled)
        with pytest.warns(UserWarning, match="doubled was specialised 3 times"):
            for n in range(1, 9):
                assert f(torch.ones(n)).sum() == 2 * n
        return f.traces

    assert limited() == 3 and config.recompile_limit == 8


def test_limits_that_are_errors() -> None:
    f = torch.compile(doubled)
    f(torch.ones(1))
    with config.patch({"error_on_recompile": True}):
        f(torch.ones(1))
        with pytest.raises(torch._dynamo.exc.RecompileError, match="doubled"):
            f(torch.ones(2))
    with config.patch(fail_on_recompile_limit_hit=True, recompile_limit=1), pytest.raises(
        torch._dynamo.exc.FailOnRecompileLimitHit
    ):
        f(torch.ones(2))


def test_ever_new_shapes() -> None:
    """Sequences of many lengths: so many programs, one warning, and never a trace after that."""
    layer = nn.Linear(4, 3)
    f = torch.compile(lambda x: layer(x).relu().sum())
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for n in [*range(1, 40), 3, 5]:
            x = torch.randn(n, 4)
            assert torch.allclose(f(x), layer(x).relu().sum(), atol=1e-4)
    assert f.traces == 8 and len(caught) == 1


def test_reset() -> None:
    f = torch.compile(doubled)
    f(torch.ones(1))
    torch._dynamo.reset()
    assert not f.programs
    f(torch.ones(1))
    assert f.traces == 2


def test_stances() -> None:
    f = torch.compile(doubled)
    with torch.compiler.set_stance("force_eager"):
        f(torch.ones(1))
        assert f.traces == 0
    f(torch.ones(1))
    with torch.compiler.set_stance("eager_on_recompile"):
        assert f(torch.ones(3)).sum() == 6 and f(torch.ones(1)).sum() == 2
    assert f.traces == 1
    with torch.compiler.set_stance("fail_on_recompile"):
        f(torch.ones(1))
        with pytest.raises(RuntimeError, match="Detected recompile when torch.compile stance is 'fail_on_recompile'"):
            f(torch.ones(2))

    @torch.compiler.set_stance("force_eager")
    def eagerly() -> None:
        torch.compile(doubled)(torch.ones(1))

    eagerly()
    torch.compiler.set_stance("eager_then_compile")
    try:
        g = torch.compile(doubled)
        g(torch.ones(1))
        assert g.traces == 0
        g(torch.ones(1))
        assert g.traces == 1
    finally:
        torch.compiler.set_stance("default")
    with pytest.raises(RuntimeError, match="invalid torch.compile stance"):
        torch.compiler.set_stance("never")


def test_eager_operators_go_on() -> None:
    """Settings are about functions that users compile, not about what eager execution compiles for itself."""
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU())
    optimizer = torch.optim.Adam(model.parameters())
    with torch.compiler.set_stance("fail_on_recompile"), config.patch(error_on_recompile=True, recompile_limit=1):
        for size in (32, 33, 34):
            optimizer.zero_grad()
            model(torch.randn(16, 3, size, size)).square().mean().backward()
            optimizer.step()


def test_disabled_parts_and_questions() -> None:
    asked: list[bool] = []

    @torch.compiler.disable
    def alone(x: Any) -> Any:
        asked.append(torch.compiler.is_compiling())
        return x + 1

    f = torch.compile(lambda x: alone(x) * 2)
    with pytest.warns(UserWarning, match="alone"):
        assert f(torch.ones(1)).item() == 4
    assert asked == [False]
    torch.compiler.cudagraph_mark_step_begin()
    assert torch.compiler.list_backends() == ["inductor"] and torch.compiler.get_default_backend() == "inductor"
    g = torch.compile(lambda x: (torch._dynamo.graph_break(), x)[1])
    with pytest.warns(UserWarning, match="graph_break"):
        g(torch.ones(1))
    torch._dynamo.mark_dynamic(torch.ones(2), 0)


def test_explanations() -> None:
    found = torch._dynamo.explain(doubled)(torch.ones(2))
    assert (found.graph_count, found.graph_break_count, found.op_count) == (1, 0, 1) and "mul" in str(found)
    broken = torch._dynamo.explain(lambda x: x * x.sum().item())(torch.ones(2))
    assert broken.graph_count == 0 and "item()" in broken.break_reasons[0]


# Compiled modules -------------------------------------------------------------------------------------


def test_a_compiled_module_is_its_module() -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.Dropout(0.5))
    compiled = torch.compile(model)
    assert isinstance(compiled, torch._dynamo.OptimizedModule) and len(compiled) == 2
    assert list(compiled.state_dict()) == ["_orig_mod.0.weight", "_orig_mod.0.bias"]
    model.eval()
    assert not compiled.training
    compiled.train()
    assert model.training and model[1].training
    compiled.eval()
    compiled.note = 3
    assert model.note == 3
    del compiled.note
    assert not hasattr(model, "note")
    x = torch.ones(1, 2)
    twin = copy.deepcopy(compiled)
    assert torch.equal(twin(x), compiled(x)) and twin._orig_mod is not model
    loaded = pickle.loads(pickle.dumps(compiled))
    assert torch.equal(loaded(x), compiled(x))
    compiled.load_state_dict({k: v * 0 for k, v in compiled.state_dict().items()})
    assert compiled(x).abs().sum() == 0


def test_hooks_on_a_compiled_module() -> None:
    compiled, seen = torch.compile(nn.Linear(2, 2)), []
    handle = compiled.register_forward_hook(lambda module, inputs, out: seen.append(out.shape))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        compiled(torch.ones(1, 2))
        compiled(torch.ones(1, 2))
    handle.remove()
    compiled(torch.ones(1, 2))
    assert seen == [(1, 2)] * 2


def test_compiled_parts_of_compiled_things() -> None:
    class Outer(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = torch.compile(nn.Linear(2, 2))

        def forward(self, x: Any) -> Any:
            return self.inner(x) + 1

        def other(self, x: Any) -> Any:
            return self.inner(x) - 1

    outer = torch.compile(Outer(), fullgraph=True)
    x = torch.ones(1, 2)
    assert torch.allclose(outer(x) - 2, outer.other(x), atol=1e-6)
    module = nn.Linear(2, 2)
    module.compile(fullgraph=True)
    assert module(x).shape == (1, 2)
    assert torch.compile(torch.compile(doubled))(x).sum() == 4
