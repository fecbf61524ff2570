"""Mixed precision, as `torch.amp`, as far as programs need it that switch it on for GPUs alone.

On the processor everything is computed in the tensors' own dtypes: `autocast` that is enabled raises
`NotImplementedError`, and a `GradScaler` for a GPU is switched off, with PyTorch's warning.
"""

from flambeau.amp.autocast_mode import autocast
from flambeau.amp.grad_scaler import GradScaler

__all__ = ["GradScaler", "autocast"]
