"""Key points and boxes on images: on tensors just as torchvision draws them, on other images with smooth edges."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from flambeau.tensor import Tensor
from flambeau.vision.utils import on_tensors, smooth
from flambeau.vision.utils.on_tensors import Color, Colors


def draw_keypoints(
    image: Any,
    keypoints: Any,
    connectivity: Sequence[tuple[int, int]] | None = None,
    colors: Colors = None,
    radius: float = 2,
    width: float | None = None,
    visibility: Any = None,
    *,
    truth: Any = None,
) -> Any:
    """The image with dots at key points, and lines between them; it is left as it is.

    Args:
        image: a tensor `(3, H, W)` of bytes or of floating point from 0 to 1; or a PIL image or an array `(C, H, W)`,
            `(H, W)` or `(H, W, 3)`, drawn on with smooth edges and a dark rim.
        keypoints: `(instances, K, 2)`, in pixels; without the first dimension where the image is no tensor.
        connectivity: pairs of points to join.
        colors: one colour; or, where the image is no tensor, one for each instance.
        radius: of the dots in pixels.
        width: of the lines in pixels; 3 on tensors and 1.5 on other images by default.
        visibility: `(instances, K)`; false hides a point and its lines.
        truth: true points, drawn in green, each joined to its key point (Flambeau's own; for images that are no
            tensors).

    Raises:
        ValueError: for shapes that do not fit.
        TypeError: for images of another dtype.
        NotImplementedError: for `truth` on a tensor.
    """
    if isinstance(image, Tensor):
        if truth is not None:
            raise NotImplementedError("draw_keypoints: truth on a tensor; give the image as an array")
        color: Any = colors
        return on_tensors.draw_keypoints(
            image, keypoints, connectivity, color, radius, 3 if width is None else int(width), visibility
        )
    return smooth.draw_keypoints(
        image, keypoints, connectivity, colors, radius, 1.5 if width is None else width, visibility, truth=truth
    )


def draw_bounding_boxes(
    image: Any,
    boxes: Any,
    labels: Sequence[str | None] | None = None,
    colors: Colors = None,
    fill: bool = False,
    width: float | None = None,
    font: str | None = None,
    font_size: int | None = None,
    label_colors: Colors = None,
    label_background_colors: Colors = None,
    fill_labels: bool = False,
) -> Any:
    """The image with boxes and their labels; it is left as it is.

    Args:
        image: as of `draw_keypoints`; tensors may also be grey, `(1, H, W)`.
        boxes: `(N, 4)`, each x1, y1, x2, y2 in pixels; on tensors also `(N, 8)`, the four corners of turned boxes.
        labels: a text, or none, for each.
        colors: one colour or one for each.
        fill: shade the boxes.
        width: of the lines in pixels; 1 on tensors and 1.5 on other images by default.
        font: the file of a TrueType font.
        font_size: its size.
        label_colors, label_background_colors, fill_labels: colours of the labels' letters and grounds, and whether
            they have one; for tensors.

    Raises:
        ValueError: for shapes and numbers that do not fit.
        NotImplementedError: for the labels' colours on an image that is no tensor.
    """
    if isinstance(image, Tensor):
        return on_tensors.draw_bounding_boxes(
            image, boxes, labels, colors, fill, 1 if width is None else int(width), font, font_size,
            label_colors, label_background_colors, fill_labels,
        )  # fmt: skip
    if label_colors or label_background_colors or fill_labels:
        raise NotImplementedError(
            "draw_bounding_boxes: label_colors, label_background_colors and fill_labels on an image that is no tensor"
        )
    return smooth.draw_bounding_boxes(
        image, boxes, labels, colors, fill, 1.5 if width is None else width, font, font_size
    )


__all__ = ["Color", "draw_bounding_boxes", "draw_keypoints"]
