"""How this was built: `torch.__config__`."""

from __future__ import annotations

import platform


def show() -> str:
    """Versions and the processor, in lines."""
    import numpy

    import flambeau

    release = getattr(flambeau, "_release", "")
    return (
        f"Flambeau built with:\n  - Flambeau {release}\n  - NumPy {numpy.__version__}\n"
        f"  - Python {platform.python_version()}\n  - {platform.machine()}\n"
    )


def parallel_info() -> str:
    """How many threads compute, in lines."""
    from flambeau.kernels.threads import get_num_threads

    return f"Flambeau parallel backend: native threads\n\tget_num_threads() : {get_num_threads()}\n"
