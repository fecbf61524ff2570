"""The blocks that switch history on and off, where programs look for them."""

from flambeau.autograd.modes import enable_grad as enable_grad
from flambeau.autograd.modes import inference_mode as inference_mode
from flambeau.autograd.modes import no_grad as no_grad
from flambeau.autograd.modes import set_grad_enabled as set_grad_enabled


class set_multithreading_enabled:
    """Accepted, as a call and as a block: gradients are put together in the thread that asks for them, always."""

    def __init__(self, mode: bool) -> None:
        self.mode = mode

    def __enter__(self) -> None:
        """Nothing to do."""

    def __exit__(self, *raised: object) -> None:
        """Nothing to do."""
