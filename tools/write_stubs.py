"""Writes the type stubs of what the operator table binds while Flambeau is imported.

A type checker reads no table, so `flambeau.relu` and `x.relu()` are spelled out for it:
`flambeau/ops/__init__.pyi` (the functions), `flambeau/__init__.pyi` (the functions and the rest of
the package's face) and `flambeau/tensor/methods.pyi` (the methods).
Run it after adding an operator: `python tools/write_stubs.py`.
"""

from __future__ import annotations

import ast
import inspect
import re
import types
import typing
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import flambeau
from flambeau import Tensor
from flambeau.core.dtypes import ALIASES, DTYPES
from flambeau.ops import OPERATORS
from flambeau.tensor.storage_types import STORAGES
from flambeau.tensor.types import TYPES

ROOT = Path(flambeau.__file__).parent
HEADER = '"""Written by tools/write_stubs.py from the operator table; not to be edited."""\n'

_IMPORTS = """
import builtins
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy

from flambeau.core.device import device as _device
from flambeau.core.device import memory_format as _memory_format
from flambeau.core.dtypes import dtype as _dtype
from flambeau.core.generator import Generator as _Generator
from flambeau.core.shapes import Size as _Size
from flambeau.tensor.storage import TypedStorage as _TypedStorage
from flambeau.tensor.storage import UntypedStorage as _UntypedStorage
from flambeau.tensor.tensor import Tensor as _Tensor
"""

#: The types of Flambeau's own that signatures name.
_OURS = set(re.findall(r"as _(\w+)", _IMPORTS))


def methods_stub() -> str:
    """The text of `flambeau/tensor/methods.pyi`: every method that is bound to `Tensor` from outside its class."""
    own = _written_in_class(ROOT / "tensor" / "tensor.py", "Tensor")
    lines = []
    for name in sorted(vars(Tensor)):
        value = vars(Tensor)[name]
        if name in own or isinstance(value, types.MemberDescriptorType) or name in ("__module__", "__doc__"):
            continue
        if isinstance(value, property):
            lines += ["    @property", f"    def {name}(self) -> {_result(value.fget)}: ..."]
        elif callable(value):
            remark = "  # type: ignore[override]" if name in ("__eq__", "__ne__") else ""
            lines.append(f"    def {name}{_signature(value, method=True)}: ...{remark}")
    return f"{HEADER}{_IMPORTS}\nclass TensorMethods:\n" + "\n".join(lines) + "\n"


def package_stub() -> str:
    """The text of `flambeau/__init__.pyi`: what `flambeau.` offers."""
    source = (ROOT / "__init__.py").read_text()
    imports = [line for line in _imports(source) if " as _" not in line]
    lines = [f"from flambeau import {name} as {name}" for name in sorted(_packages())]
    lines += imports
    lines += [f"from flambeau.{module} import {name} as {name}" for name, module in sorted(flambeau._FUNCTIONS.items())]
    taken = {line.rsplit(" ", 1)[1] for line in lines}
    lines += ["", "__version__: builtins.str"]
    lines += [f"{name}: _dtype" for name in sorted({*DTYPES, *ALIASES} - taken)]
    lines += [f"{name}: Any" for name in sorted({*TYPES, *STORAGES} - taken)]
    lines += [f"from flambeau.ops import {name} as {name}" for name in _operators() if name not in taken]
    return f"{HEADER}{_IMPORTS}\n" + "\n".join(lines) + "\n"


def operators_stub() -> str:
    """The text of `flambeau/ops/__init__.pyi`: the operators as functions."""
    families = sorted(path.stem for path in (ROOT / "ops").glob("*.py") if not path.stem.startswith("_"))
    lines = [f"from flambeau.ops import {name} as {name}" for name in families if name not in OPERATORS]
    lines += [f"from flambeau.ops.table import {name} as {name}" for name in ("OPERATORS", "PRIMITIVES")]
    lines += [f"def {name}{_signature(OPERATORS[name])}: ..." for name in _operators()]
    return f"{HEADER}{_IMPORTS}\n" + "\n".join(lines) + "\n"


def _operators() -> list[str]:
    return sorted(name for name in OPERATORS if name.isidentifier())


def _packages() -> Iterator[str]:
    for name in flambeau._PACKAGES:
        if (ROOT / name / "__init__.py").is_file() or (ROOT / f"{name}.py").is_file():
            yield name


def _imports(source: str) -> list[str]:
    """The names that a module takes from others, an import each."""
    found = []
    for node in ast.parse(source).body:
        if isinstance(node, ast.ImportFrom):
            found += [f"from {node.module} import {a.name} as {a.asname or a.name}" for a in node.names]
    return found


def _written_in_class(path: Path, name: str) -> set[str]:
    """The names that the body of a class defines in its own file, which a checker sees without help."""
    (body,) = (n.body for n in ast.parse(path.read_text()).body if isinstance(n, ast.ClassDef) and n.name == name)
    found: set[str] = set()
    for node in body:
        if isinstance(node, ast.FunctionDef):
            found.add(node.name)
        elif isinstance(node, ast.Assign):
            found |= {t.id for t in node.targets if isinstance(t, ast.Name)}
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            found.add(node.target.id)
    return found


def _signature(function: Callable[..., Any], method: bool = False) -> str:
    """The parameters and the result of an operator, each with its type."""
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return "(*args: Any, **kwargs: Any) -> Any"
    hints = _hints(function)
    parts: list[str] = []
    star = slash = False
    for position, (name, parameter) in enumerate(signature.parameters.items()):
        kind = parameter.kind
        if slash and kind is not parameter.POSITIONAL_ONLY:
            parts.append("/")
            slash = False
        if kind is parameter.KEYWORD_ONLY and not star:
            parts.append("*")
            star = True
        first = position == 0 and kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD)
        text = "self" if method and first else f"{name}: {_type(hints.get(name, Tensor if first else Any))}"
        if kind is parameter.VAR_POSITIONAL:
            text, star = "*" + text, True
            if method and position == 0:
                parts.append("self")
        elif kind is parameter.VAR_KEYWORD:
            text = "**" + text
        elif parameter.default is not parameter.empty and not (method and first):
            text += " = ..."
        parts.append(text)
        slash = kind is parameter.POSITIONAL_ONLY
    if slash:
        parts.append("/")
    return f"({', '.join(parts)}) -> {_result(function)}"


def _result(function: Any) -> str:
    found = _hints(function).get("return", Any)
    if found is Any and re.fullmatch("__[a-z]+__|<lambda>", getattr(function, "__name__", "")):
        found = Tensor  # Python's operators, and properties such as `T`: they all give tensors
    return _type(found)


def _hints(function: Any) -> dict[str, Any]:
    try:
        return typing.get_type_hints(function)
    except (NameError, TypeError):
        return {}


def _type(hint: Any) -> str:
    """A type as a stub writes it; names of built-in types are spelled whole, since methods hide some of them."""
    if hint is Any or hint is None or hint is type(None):
        return "None" if hint is not Any else "Any"
    if hint is Ellipsis:
        return "..."
    if isinstance(hint, typing.TypeVar):
        return "Any"
    arguments = typing.get_args(hint)
    origin = typing.get_origin(hint)
    if origin in (typing.Union, types.UnionType):
        return " | ".join(_type(argument) for argument in arguments)
    if origin is not None:
        if origin is typing.Literal:
            return f"typing.Literal[{', '.join(map(repr, arguments))}]"
        if isinstance(arguments[0], list):  # the arguments of a Callable
            inside = f"[{', '.join(map(_type, arguments[0]))}], {_type(arguments[1])}"
        else:
            inside = ", ".join(map(_type, arguments))
        return f"{_type(origin)}[{inside}]"
    if not isinstance(hint, type):
        return "Any"
    if hint.__module__ == "builtins":
        return f"builtins.{hint.__name__}"
    if hint.__module__ in ("collections.abc", "typing"):
        return hint.__name__
    module = hint.__module__
    if module.split(".")[0] == "numpy":
        return f"numpy.{hint.__name__}" + ("[Any, Any]" if hint.__name__ == "ndarray" else "")
    return f"_{hint.__name__}" if module.startswith("flambeau.") and hint.__name__ in _OURS else "Any"


STUBS = {
    ROOT / "__init__.pyi": package_stub,
    ROOT / "ops" / "__init__.pyi": operators_stub,
    ROOT / "tensor" / "methods.pyi": methods_stub,
}


def main() -> None:
    for path, text in STUBS.items():
        path.write_text(text())


if __name__ == "__main__":
    main()
