"""PyTorch's switches for how things are computed: what they ask for is so already, or is kept and told back."""

from __future__ import annotations

import warnings

_kept = {"precision": "highest", "deterministic": False, "warn_only": False, "warn_always": False, "interop": 1}
_PRECISIONS = ("highest", "high", "medium")


def use_deterministic_algorithms(mode: bool, *, warn_only: bool = False) -> None:
    """All computation here is deterministic for a seed, a number of threads and a machine; the wish is kept."""
    _kept["deterministic"], _kept["warn_only"] = bool(mode), bool(warn_only)


def are_deterministic_algorithms_enabled() -> bool:
    """What `use_deterministic_algorithms` was told."""
    return bool(_kept["deterministic"])


def is_deterministic_algorithms_warn_only_enabled() -> bool:
    """What `use_deterministic_algorithms` was told."""
    return bool(_kept["warn_only"])


def set_deterministic_debug_mode(debug_mode: int | str) -> None:
    """0 or "default", 1 or "warn", 2 or "error": see `use_deterministic_algorithms`.

    Raises:
        RuntimeError: for another mode.
    """
    names = {"default": 0, "warn": 1, "error": 2}
    mode = names.get(debug_mode, debug_mode) if isinstance(debug_mode, str) else debug_mode
    if mode not in (0, 1, 2):
        raise RuntimeError(f"invalid value of debug_mode, expected 0, 1, or 2, but got {debug_mode}")
    use_deterministic_algorithms(mode > 0, warn_only=mode == 1)


def get_deterministic_debug_mode() -> int:
    """0, 1 or 2, as `set_deterministic_debug_mode` takes them."""
    return 0 if not _kept["deterministic"] else 1 if _kept["warn_only"] else 2


def set_float32_matmul_precision(precision: str) -> None:
    """How exactly products of float32 are computed: always in float32 here, whatever is wished.

    Asking for "highest" also keeps compiled programs from Winograd's algorithm for convolutions, which rounds more.
    Another precision than "highest", "high" and "medium" changes nothing, with a warning.
    """
    if precision not in _PRECISIONS:
        warnings.warn(
            f"{precision} is not one of 'highest', 'high', or 'medium'; the current setFloat32MatmulPrecision call has "
            "no effect.",
            stacklevel=2,
        )
        return
    _kept["precision"], _kept["set"] = precision, True


def get_float32_matmul_precision() -> str:
    """What was set; "highest" at first."""
    return str(_kept["precision"])


def set_warn_always(b: bool) -> None:
    """Whether warnings that come once by default come each time."""
    _kept["warn_always"] = bool(b)
    if b:
        warnings.simplefilter("always")


def is_warn_always_enabled() -> bool:
    """What `set_warn_always` was told."""
    return bool(_kept["warn_always"])


def set_flush_denormal(mode: bool) -> bool:
    """False: the processor's treatment of denormal numbers is left as it is."""
    return False


def set_num_interop_threads(count: int) -> None:
    """Kept; independent operators run one after another here. Raises `RuntimeError` unless positive."""
    if not isinstance(count, int) or count < 1:
        raise RuntimeError("set_num_interop_threads expects a positive integer")
    _kept["interop"] = count


def get_num_interop_threads() -> int:
    """What `set_num_interop_threads` was told."""
    return int(_kept["interop"])


def exact_convolutions() -> bool:
    """Whether somebody asked for the "highest" precision, which rules Winograd's algorithm out."""
    return bool(_kept.get("set")) and _kept["precision"] == "highest"
