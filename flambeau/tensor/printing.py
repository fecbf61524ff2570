"""How tensors print: PyTorch's format, to the character."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from flambeau.tensor.tensor import Tensor


class PrintOptions:
    """The settings of `set_printoptions`."""

    precision: int = 4
    threshold: float = 1000
    edgeitems: int = 3
    linewidth: int = 80
    sci_mode: bool | None = None


options = PrintOptions()

#: For each profile its precision, threshold and edge items; lines have 80 characters in all.
PROFILES = {"default": (4, 1000, 3), "short": (2, 1000, 2), "full": (4, math.inf, 3)}


def set_printoptions(
    precision: int | None = None,
    threshold: float | None = None,
    edgeitems: int | None = None,
    linewidth: int | None = None,
    profile: str | None = None,
    sci_mode: bool | None = None,
) -> None:
    """Sets how tensors print.

    Args:
        precision: digits after the point.
        threshold: tensors of more elements are printed in parts.
        edgeitems: how many elements at each end of a dimension are then shown.
        linewidth: characters in a line.
        profile: "default", "short" or "full" sets all of the above.
        sci_mode: whether to write 1.0000e+00; left out, each tensor's own numbers decide.
    """
    if profile is not None and profile in PROFILES:
        options.precision, options.threshold, options.edgeitems = PROFILES[profile]
        options.linewidth = 80
    if precision is not None:
        options.precision = precision
    if threshold is not None:
        options.threshold = threshold
    if edgeitems is not None:
        options.edgeitems = edgeitems
    if linewidth is not None:
        options.linewidth = linewidth
    options.sci_mode = sci_mode


def get_printoptions() -> dict[str, Any]:
    """The settings as keyword arguments of `set_printoptions`."""
    names = ("precision", "threshold", "edgeitems", "linewidth", "sci_mode")
    return {name: getattr(options, name) for name in names}


@contextlib.contextmanager
def printoptions(**settings: Any) -> Iterator[None]:
    """`set_printoptions(**settings)` for a `with` block."""
    before = get_printoptions()
    set_printoptions(**settings)
    try:
        yield
    finally:
        set_printoptions(**before)


# Elements -------------------------------------------------------------------------------------


class _Formatter:
    """One notation and one width for all elements that are shown.

    Numbers that are all whole print as `3.`; numbers far apart, very large or very small as
    `3.0000e+00`; others as `3.0000`.
    """

    def __init__(self, shown: np.ndarray):
        self.floating = shown.dtype.kind == "f"
        self.whole, self.scientific, self.width = True, False, 1
        if not self.floating:
            self.width = max([1, *(len(str(x)) for x in shown.ravel().tolist())])
            return
        values = shown[np.isfinite(shown) & (shown != 0)].astype(np.float64)
        if not values.size:
            return
        magnitudes = np.abs(values)
        low, high = magnitudes.min(), magnitudes.max()
        self.whole = bool(np.all(values == np.ceil(values)))
        self.scientific = options.sci_mode
        if options.sci_mode is None:
            self.scientific = bool(high / low > 1000.0 or high > 1.0e8 or low < 1.0e-4)
        self.width = max(len(self._text(x)) for x in np.unique(values).tolist())

    def _text(self, x: float) -> str:
        if self.scientific:
            return f"{x:.{options.precision}e}"
        if not self.whole:
            return f"{x:.{options.precision}f}"
        return f"{x:.0f}." if math.isfinite(x) else f"{x:.0f}"

    def __call__(self, x: Any) -> str:
        text = self._text(x) if self.floating else str(x)
        return text.rjust(self.width)


class _ComplexFormatter:
    """Real and imaginary parts, each with a notation and width of its own."""

    def __init__(self, shown: np.ndarray):
        self.real, self.imag = _Formatter(shown.real), _Formatter(shown.imag)
        self.width = self.real.width + self.imag.width + 1

    def __call__(self, x: complex) -> str:
        imag = self.imag(x.imag).lstrip() + "j"
        sign = "" if imag[0] in "+-" else "+"
        return self.real(x.real) + sign + imag


# Rows and blocks ------------------------------------------------------------------------------


def _row(array: np.ndarray, indent: int, shorten: bool, fmt: Any) -> str:
    per_line = max(1, (options.linewidth - indent) // (fmt.width + 2))
    edge = options.edgeitems
    if shorten and not edge:
        cells = ["..."]
    elif shorten and len(array) > 2 * edge:
        ends = [[fmt(x) for x in part.tolist()] for part in (array[:edge], array[-edge:])]
        cells = [*ends[0], " ...", *ends[1]]
    else:
        cells = [fmt(x) for x in array.tolist()]
    lines = [", ".join(cells[i : i + per_line]) for i in range(0, len(cells), per_line)]
    return "[" + (",\n" + " " * (indent + 1)).join(lines) + "]"


def _block(array: np.ndarray, indent: int, shorten: bool, fmt: Any) -> str:
    if array.ndim == 0:
        return fmt(array.item())
    if array.ndim == 1:
        return _row(array, indent, shorten, fmt)
    edge = options.edgeitems
    if shorten and len(array) > 2 * edge:
        first = [_block(a, indent + 1, shorten, fmt) for a in array[:edge]]
        last = [_block(a, indent + 1, shorten, fmt) for a in array[len(array) - edge :]]
        parts = [*first, "...", *last]
    else:
        parts = [_block(a, indent + 1, shorten, fmt) for a in array]
    return "[" + ("," + "\n" * (array.ndim - 1) + " " * (indent + 1)).join(parts) + "]"


def _corners(array: np.ndarray) -> np.ndarray:
    """The elements that are shown of an array too large to print whole."""
    edge = options.edgeitems
    for axis, size in enumerate(array.shape):
        if size > 2 * edge:
            array = np.take(array, [*range(edge), *range(size - edge, size)], axis=axis)
    return array


def _contents(array: np.ndarray, indent: int) -> str:
    if array.dtype.kind == "V":  # bfloat16, which Python's formatting does not know
        array = array.astype(np.float32)
    if array.dtype.kind == "W":  # complex32, likewise
        array = array.astype(np.complex64)
    shorten = array.size > options.threshold
    shown = _corners(array) if shorten else array
    fmt = _ComplexFormatter(shown) if array.dtype.kind == "c" else _Formatter(shown)
    return _block(array, indent, shorten, fmt)


# The whole ------------------------------------------------------------------------------------


def tensor_str(t: Tensor) -> str:
    """The text of `repr(t)`."""
    kind = type(t).__name__
    prefix = "tensor(" if kind in ("Tensor", "Parameter", "Buffer") else f"{kind}("
    array = t._array
    notes = []
    if array.size == 0:
        text = "[]"
        if array.ndim != 1:
            notes.append(f"size={tuple(array.shape)}")
        needs_dtype = not _is_usual(t, of_numbers=False)
    else:
        if not options.edgeitems:
            notes.append(f"size={tuple(array.shape)}")
        text = _contents(array, len(prefix))
        needs_dtype = not _is_usual(t)
    if needs_dtype:
        notes.append(f"dtype={t.dtype}")
    made_by = _name_of_node(t)
    if made_by is not None:
        notes.append(f"grad_fn=<{made_by}>")
    elif t.requires_grad:
        notes.append("requires_grad=True")
    return with_notes(prefix + text, notes, len(prefix))


def contents(array: np.ndarray, indent: int) -> str:
    """The elements alone, in brackets; what goes on in a new line is indented."""
    return _contents(array, indent) if array.size else "[]"


def _is_usual(t: Tensor, of_numbers: bool = True) -> bool:
    """Whether the printed elements alone tell the dtype."""
    from flambeau.core.dtypes import bool_, get_default_dtype, int64

    default = get_default_dtype()
    return t.dtype is default or (
        of_numbers and t.dtype in (int64, bool_, default.to_complex())
    )


def _name_of_node(t: Tensor) -> str | None:
    try:
        node = t.grad_fn
    except RuntimeError:  # a view whose base was changed in a way that is forbidden
        return "Invalid"
    return None if node is None else node.name().rpartition("::")[2]


def with_notes(text: str, notes: list[str], indent: int) -> str:
    """`text`, the notes after commas, in new lines where they do not fit, and a bracket."""
    length = len(text) - text.rfind("\n") + 1  # of the last line, counted as PyTorch does
    for note in notes:
        if length + len(note) + 2 > options.linewidth:
            text += ",\n" + " " * indent + note
            length = indent + len(note)
        else:
            text += ", " + note
            length += len(note) + 2
    return text + ")"
