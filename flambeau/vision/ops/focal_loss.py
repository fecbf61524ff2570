"""The focal loss of detectors, whose classes are few among much background."""

from __future__ import annotations

from flambeau.nn import functional as F
from flambeau.tensor import Tensor
from flambeau.vision.ops.box_losses import _reduced


def sigmoid_focal_loss(
    inputs: Tensor,
    targets: Tensor,
    alpha: float = 0.25,
    gamma: float = 2,
    reduction: str = "none",
) -> Tensor:
    """`-alpha_t (1 - p_t)^gamma log p_t` with `p_t` the probability given to what is true.

    T.-Y. Lin et al., "Focal Loss for Dense Object Detection", ICCV 2017.

    Args:
        inputs: logits of any shape.
        targets: 0 or 1 for each, of the same shape and dtype.
        alpha: the weight of ones, `1 - alpha` that of zeros, from 0 to 1; negative for none.
        gamma: how little easy examples count.
        reduction: `"none"`, `"mean"` or `"sum"`.

    Raises:
        ValueError: for another alpha or reduction.
    """
    if not (0 <= alpha <= 1) and alpha != -1:
        raise ValueError(f"Invalid alpha value: {alpha}. alpha must be in the range [0,1] or -1 for ignore.")
    p = inputs.sigmoid()
    cross_entropy = F.binary_cross_entropy_with_logits(inputs, targets, reduction="none")
    missed = 1 - (p * targets + (1 - p) * (1 - targets))
    loss = cross_entropy * missed**gamma
    if alpha >= 0:
        loss = (alpha * targets + (1 - alpha) * (1 - targets)) * loss
    return _reduced(loss, reduction)
