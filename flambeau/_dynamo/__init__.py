"""The names below which PyTorch's tracer lies; the compiler here is `flambeau.compiler`."""

from typing import Any as _Any

from flambeau._dynamo import config as config
from flambeau._dynamo import eval_frame as eval_frame
from flambeau._dynamo import exc as exc
from flambeau._dynamo.explaining import explain as explain
from flambeau.compiler import compile as _compile
from flambeau.compiler.control import allow_in_graph as allow_in_graph
from flambeau.compiler.control import assume_constant_result as assume_constant_result
from flambeau.compiler.control import disable as disable
from flambeau.compiler.control import is_compiling as is_compiling
from flambeau.compiler.control import list_backends as list_backends
from flambeau.compiler.control import reset as reset
from flambeau.compiler.module import OptimizedModule as OptimizedModule
from flambeau.compiler.settings import set_stance as set_stance
from flambeau.tensor.tracing import need_value as _need_value


def optimize(backend: str = "inductor", *, nopython: bool = False, dynamic: bool | None = None, **more: _Any) -> _Any:
    """A decorator: `flambeau.compile` under its older name."""
    return _compile(backend=backend, fullgraph=nopython, dynamic=dynamic, **more)


def mark_dynamic(t: _Any, index: _Any, **bounds: _Any) -> None:
    """Does nothing: programs are made anew for each shape, up to `config.recompile_limit` of them."""


def maybe_mark_dynamic(t: _Any, index: _Any) -> None:
    """Does nothing; see `mark_dynamic`."""


def mark_static(t: _Any, index: _Any = None) -> None:
    """Does nothing: programs are made for one shape anyway."""


def mark_static_address(t: _Any, guard: bool = True) -> None:
    """Does nothing: a program reads its inputs where they lie."""


def graph_break(msg: str = "") -> None:
    """A function that calls this runs eagerly when it is compiled: programs have no gaps."""
    _need_value(f"graph_break({msg!r})" if msg else "graph_break()")


def reset_code_caches() -> None:
    """See `reset`."""
    reset()


def is_dynamo_supported() -> bool:
    """True."""
    return True


is_inductor_supported = is_dynamo_supported
