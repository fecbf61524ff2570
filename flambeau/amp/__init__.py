"""Mixed precision, as `torch.amp`: products in bfloat16 or float16, losses in float32, gradients that keep."""

from flambeau.amp.autocast_mode import autocast as autocast
from flambeau.amp.autocast_mode import custom_bwd as custom_bwd
from flambeau.amp.autocast_mode import custom_fwd as custom_fwd
from flambeau.amp.autocast_mode import is_autocast_available as is_autocast_available
from flambeau.amp.grad_scaler import GradScaler as GradScaler
