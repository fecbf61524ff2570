"""`torch._VF`: the functions of `torch` in their plain form, as layers of PyTorch call them."""

from typing import Any


def __getattr__(name: str) -> Any:
    import flambeau

    found = getattr(flambeau, name, None) if not name.startswith("__") else None
    if not callable(found) or isinstance(found, type):
        raise AttributeError(f"module 'flambeau._VF' has no attribute '{name}'")
    return found
