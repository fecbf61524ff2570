"""Define-by-run differentiation: modes, nodes, the engine, `Function`, and the checks of
derivatives.
"""

from typing import Any as _Any

from flambeau.autograd.engine import backward as backward
from flambeau.autograd.engine import grad as grad
from flambeau.autograd.modes import enable_grad as enable_grad
from flambeau.autograd.modes import inference_mode as inference_mode
from flambeau.autograd.modes import is_grad_enabled as is_grad_enabled
from flambeau.autograd.modes import no_grad as no_grad
from flambeau.autograd.modes import set_grad_enabled as set_grad_enabled

# What stands on the tensor is loaded at first use: the tensor itself stands on this package.
_LATER = {
    "Function": "function",
    "Variable": "function",
    "set_multithreading_enabled": "grad_mode",
    "once_differentiable": "function",
    "gradcheck": "gradcheck",
    "gradgradcheck": "gradcheck",
    "detect_anomaly": "anomaly",
    "set_detect_anomaly": "anomaly",
    "functional": "",
    "function": "",
    "graph": "",
    "profiler": "",
    "forward_ad": "",
    "grad_mode": "",
    "variable": "",
}


def __getattr__(name: str) -> _Any:
    import importlib

    if name not in _LATER:
        raise AttributeError(f"module 'flambeau.autograd' has no attribute '{name}'")
    if not _LATER[name]:
        return importlib.import_module(f"flambeau.autograd.{name}")
    module = importlib.import_module(f"flambeau.autograd.{_LATER[name]}")
    # All of its names at once: importing `gradcheck` has just put the module in the place of the function.
    globals().update({n: getattr(module, n) for n, where in _LATER.items() if where == _LATER[name]})
    return globals()[name]
