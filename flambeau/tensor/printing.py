"""How tensors print: PyTorch's format, to the character."""

from __future__ import annotations

import math
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


def set_printoptions(
    precision: int | None = None,
    threshold: float | None = None,
    edgeitems: int | None = None,
    linewidth: int | None = None,
    profile: str | None = None,
    sci_mode: bool | None = None,
) -> None:
    """Sets how tensors print. `profile` is "default", "short" or "full"; `sci_mode=None` decides itself."""
    profiles = {"default": (4, 1000, 3), "short": (2, 1000, 2), "full": (4, math.inf, 3)}
    if profile is not None:
        options.precision, options.threshold, options.edgeitems = profiles[profile]
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


class _Formatter:
    """One width and one notation for all elements that are shown."""

    def __init__(self, shown: np.ndarray):
        self.floating = shown.dtype.kind == "f"
        self.int_mode, self.sci_mode, self.width = True, False, 1
        if not self.floating:
            self.width = max([1, *(len(str(v)) for v in shown.ravel().tolist())])
            return
        finite = shown[np.isfinite(shown) & (shown != 0)].astype(np.float64)
        if finite.size == 0:
            self._widen(shown)
            return
        magnitudes = np.abs(finite)
        low, high = magnitudes.min(), magnitudes.max()
        self.int_mode = bool(np.all(finite == np.ceil(finite)))
        far_apart = high / low > 1000.0
        if self.int_mode:
            self.sci_mode = bool(far_apart or high > 1.0e8)
        else:
            self.sci_mode = bool(far_apart or high > 1.0e8 or low < 1.0e-4)
        if options.sci_mode is not None:
            self.sci_mode = options.sci_mode
        self._widen(shown)

    def _widen(self, shown: np.ndarray) -> None:
        values = shown[np.isfinite(shown) & (shown != 0)]
        widths = [len(self._number(float(v))) for v in np.unique(values)]
        if self.int_mode and not self.sci_mode:
            widths = [w for w in widths]
            others = shown[~np.isfinite(shown)]
            self.width = max([1, *widths, *((len(str(float(v))) if widths else len(str(float(v)))) for v in others)])
            if others.size and not values.size:
                self.width = max(self.width, 3)
        else:
            self.width = max([1, *widths])

    def _number(self, value: float) -> str:
        if self.sci_mode:
            return f"{value:.{options.precision}e}"
        if self.int_mode:
            text = f"{value:.0f}"
            return text if math.isinf(value) or math.isnan(value) else text + "."
        return f"{value:.{options.precision}f}"

    def __call__(self, value: Any) -> str:
        text = self._number(value) if self.floating else str(value)
        return " " * (self.width - len(text)) + text


class _ComplexFormatter:
    """Real and imaginary parts, each with its own width and notation."""

    def __init__(self, shown: np.ndarray):
        self.real, self.imag = _Formatter(shown.real), _Formatter(shown.imag)
        self.width = self.real.width + self.imag.width + 1

    def __call__(self, value: complex) -> str:
        imag = self.imag(abs(value.imag)).lstrip() if False else self.imag(value.imag).lstrip()
        sign = "" if imag.startswith("-") else "+"
        return f"{self.real(value.real)}{sign}{imag}j"


def _vector(array: np.ndarray, indent: int, shorten: bool, fmt: Any) -> str:
    per_line = max(1, (options.linewidth - indent) // (fmt.width + 2))
    edge = options.edgeitems

    def texts(part: np.ndarray) -> list[str]:
        return [fmt(v) for v in part.tolist()]

    if shorten and not edge:
        cells = ["..."]
    elif shorten and array.shape[0] > 2 * edge:
        cells = [*texts(array[:edge]), " ...", *texts(array[-edge:])]
    else:
        cells = texts(array)
    lines = [", ".join(cells[i : i + per_line]) for i in range(0, len(cells), per_line)]
    return "[" + (",\n" + " " * (indent + 1)).join(lines) + "]"


def _nested(array: np.ndarray, indent: int, shorten: bool, fmt: Any) -> str:
    if array.ndim == 0:
        return fmt(array.item())
    if array.ndim == 1:
        return _vector(array, indent, shorten, fmt)
    edge = options.edgeitems
    if shorten and array.shape[0] > 2 * edge:
        parts = [_nested(a, indent + 1, shorten, fmt) for a in array[:edge]]
        parts.append("...")
        parts += [_nested(a, indent + 1, shorten, fmt) for a in array[-edge:]] if edge else []
    else:
        parts = [_nested(a, indent + 1, shorten, fmt) for a in array]
    return "[" + ("," + "\n" * (array.ndim - 1) + " " * (indent + 1)).join(parts) + "]"


def _corners(array: np.ndarray) -> np.ndarray:
    """The elements that are shown of an array too large to print whole."""
    edge = options.edgeitems
    for axis, size in enumerate(array.shape):
        if size > 2 * edge:
            ends = [*range(edge), *range(size - edge, size)]
            array = np.take(array, ends, axis=axis)
    return array


def _contents(array: np.ndarray, indent: int) -> str:
    if array.dtype.kind == "V" or array.dtype.itemsize == 2 and array.dtype.kind == "f":
        array = array.astype(np.float32)
    if array.size == 0:
        return "[]"
    shorten = array.size > options.threshold
    shown = _corners(array) if shorten else array
    fmt = _ComplexFormatter(shown) if array.dtype.kind == "c" else _Formatter(shown)
    return _nested(array, indent, shorten, fmt)


def tensor_str(t: Tensor) -> str:
    """The text of `repr(t)`."""
    from flambeau.core.dtypes import (
        bool_,
        complex64,
        complex128,
        float64,
        get_default_dtype,
        int64,
    )

    is_parameter = type(t).__name__ == "Parameter"
    prefix = "tensor("
    array = t._array
    notes = []
    default = get_default_dtype()
    usual = (default, int64, bool_, complex128 if default is float64 else complex64)
    plain_dtype = t.dtype in usual
    if array.size == 0:
        text = "[]"
        if array.ndim != 1:
            notes.append(f"size={tuple(array.shape)}")
        plain_dtype = t.dtype is default
    else:
        text = _contents(array, len(prefix))
    if not plain_dtype:
        notes.append(f"dtype={t.dtype}")
    if t.grad_fn is not None:
        name = t.grad_fn.name()
        notes.append(f"grad_fn=<{name}>")
    elif t.requires_grad:
        notes.append("requires_grad=True")
    result = _with_notes(prefix + text, notes, len(prefix))
    if is_parameter:
        return "Parameter containing:\n" + result
    return result


def _with_notes(text: str, notes: list[str], indent: int) -> str:
    last_line = len(text) - text.rfind("\n") - 1
    for note in notes:
        if last_line + len(note) + 2 > options.linewidth:
            text += ",\n" + " " * indent + note
            last_line = indent + len(note)
        else:
            text += ", " + note
            last_line += len(note) + 2
    return text + ")"
