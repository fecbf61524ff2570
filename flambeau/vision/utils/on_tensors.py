"""Drawing on tensors, pixel for pixel as torchvision draws: by Pillow, without smooth edges.

Images are `(3, H, W)` of bytes or of floating point from 0 to 1, and the results are new tensors like them.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image, ImageColor, ImageDraw, ImageFont

import flambeau
from flambeau.tensor import Tensor

Color = str | tuple[int, int, int]
Colors = Color | Sequence[Color] | None
#: What multiples of, modulo 255, give the colours that objects take in turn.
_PALETTE = (2**25 - 1, 2**15 - 1, 2**21 - 1)
_FILL_OPACITY = 100
_DASH = 5.0


def draw_bounding_boxes(
    image: Tensor,
    boxes: Tensor,
    labels: Sequence[str | None] | None,
    colors: Colors,
    fill: bool,
    width: int,
    font: str | None,
    font_size: int | None,
    label_colors: Colors,
    label_background_colors: Colors,
    fill_labels: bool,
) -> Tensor:
    """Boxes `(N, 4)`, or `(N, 8)` of four corners, with their labels."""
    _check_image(image, (1, 3), "Only grayscale and RGB images are supported", "Tensor expected")
    if boxes.size(-1) == 4 and bool((boxes[:, :2] > boxes[:, 2:]).any()):
        raise ValueError(
            "Boxes need to be in (xmin, ymin, xmax, ymax) format. Use torchvision.ops.box_convert to convert them"
        )
    count = len(boxes)
    if not count:
        warnings.warn("boxes doesn't contain any box. No box was drawn", stacklevel=3)
        return image
    if labels is None:
        labels = [None] * count
    elif len(labels) != count:
        raise ValueError(
            f"Number of boxes ({count}) and labels ({len(labels)}) mismatch. Please specify labels for each box."
        )
    edges = _colors(colors, count)
    inks = _colors(label_colors or "black", count) if label_colors or fill_labels else edges
    grounds = _colors(label_background_colors, count) if fill_labels and label_background_colors else edges
    if font is None:
        if font_size is not None:
            warnings.warn("Argument 'font_size' will be ignored since 'font' is not set.", stacklevel=3)
        face: Any = ImageFont.load_default()
    else:
        face = ImageFont.truetype(font=font, size=font_size or 10)

    picture = _to_picture(image)
    draw = ImageDraw.Draw(picture, "RGBA") if fill else ImageDraw.Draw(picture)
    for box, edge, label, ink, ground in zip(
        boxes.long().tolist(), edges, labels, inks, grounds, strict=True
    ):
        inside = (*edge, _FILL_OPACITY) if fill else None
        if len(box) == 4:
            draw.rectangle(box, width=width, outline=edge, fill=inside)
        else:
            _turned_rectangle(draw, box, edge, inside, width)
        if label is None:
            continue
        at = (box[0] + width + 1, box[1] + width + 1)
        if fill_labels:
            left, top, right, bottom = draw.textbbox(at, label, font=face)
            draw.rectangle((left - 1, top - 1, right + 1, bottom + 1), fill=ground)
        draw.text(at, label, fill=ink, font=face)
    return _to_tensor(picture, image)


def draw_keypoints(
    image: Tensor,
    keypoints: Tensor,
    connectivity: Sequence[tuple[int, int]] | None,
    colors: Color | None,
    radius: float,
    width: int,
    visibility: Tensor | None,
) -> Tensor:
    """Key points `(instances, K, 2)` and the lines between them, which are white."""
    _check_image(image, (3,), "Pass an RGB image. Other Image formats are not supported")
    if keypoints.dim() != 3:
        raise ValueError("keypoints must be of shape (num_instances, K, 2)")
    if visibility is None:
        visibility = flambeau.ones(keypoints.shape[:-1], dtype=flambeau.bool)
    if visibility.dim() == 3:
        visibility = visibility.squeeze(-1)
    if visibility.dim() != 2:
        raise ValueError(
            f"visibility must be of shape (num_instances, K). Got ndim={visibility.dim()}"
        )
    if visibility.shape != keypoints.shape[:-1]:
        raise ValueError(
            "keypoints and visibility must have the same dimensionality for num_instances and K. "
            f"Got {visibility.shape=} and {keypoints.shape=}"
        )
    picture = _to_picture(image)
    draw = ImageDraw.Draw(picture)
    for points, shown in zip(keypoints.long().tolist(), visibility.bool().tolist(), strict=True):
        for (x, y), visible in zip(points, shown, strict=True):
            if visible:
                around = [x - radius, y - radius, x + radius, y + radius]
                draw.ellipse(around, fill=colors, outline=None, width=0)
        for one, other in connectivity or ():
            if shown[one] and shown[other]:
                draw.line((tuple(points[one]), tuple(points[other])), width=width)
    return _to_tensor(picture, image)


def draw_segmentation_masks(
    image: Tensor, masks: Tensor, alpha: float = 0.8, colors: Colors = None
) -> Tensor:
    """The image with masks in colour on it; black where masks overlap.

    Args:
        image: `(3, H, W)` of bytes, or of floating point from 0 to 1.
        masks: `(N, H, W)` or `(H, W)`, bool.
        alpha: from 0, masks are not seen, to 1, nothing is seen through them.
        colors: one colour or one for each mask, names or numbers of 0 to 255.

    Raises:
        TypeError: if the image is no tensor.
        ValueError: for other shapes and dtypes.
    """
    _check_image(image, (3,), "Pass an RGB image. Other Image formats are not supported")
    if masks.dim() == 2:
        masks = masks[None]
    if masks.dim() != 3:
        raise ValueError("masks must be of shape (H, W) or (batch_size, H, W)")
    if masks.dtype != flambeau.bool:
        raise ValueError(f"The masks must be of dtype bool. Got {masks.dtype}")
    if masks.shape[-2:] != image.shape[-2:]:
        raise ValueError("The image and the masks must have the same height and width")
    if not len(masks):
        warnings.warn("masks doesn't contain any mask. No mask was drawn", stacklevel=2)
        return image
    scale = 255 if image.is_floating_point() else 1
    with flambeau.no_grad():
        painted = image.detach().clone()
        for mask, color in zip(masks, _colors(colors, len(masks)), strict=True):
            shade = flambeau.tensor([part / scale for part in color]).to(image.dtype)
            painted = flambeau.where(mask, shade[:, None, None], painted)
        painted = painted.masked_fill(masks.sum(0) > 1, 0)
        return (image * (1 - alpha) + painted * alpha).to(image.dtype)


def flow_to_image(flow: Tensor) -> Tensor:
    """The directions of optical flow as hues, its speeds as their strength: bytes `(N, 3, H, W)` or `(3, H, W)`.

    The colours are those of S. Baker et al., "A Database and Evaluation Methodology for Optical Flow", ICCV 2007.

    Args:
        flow: how far each pixel moves to the right and down, float32 `(N, 2, H, W)` or `(2, H, W)`.

    Raises:
        ValueError: for another dtype or shape.
    """
    if flow.dtype != flambeau.float32:
        raise ValueError(f"Flow should be of dtype torch.float, got {flow.dtype}.")
    moved = flow.detach()[None] if flow.dim() == 3 else flow.detach()
    if moved.dim() != 4 or moved.size(1) != 2:
        raise ValueError(
            f"Input flow should have shape (2, H, W) or (N, 2, H, W), got {flow.shape}."
        )
    fastest = moved.square().sum(1).sqrt().max()
    moved = moved / (fastest + flambeau.finfo(flambeau.float32).eps)
    speed = moved.square().sum(1).sqrt()
    wheel = flambeau.from_numpy(_wheel())
    angle = flambeau.atan2(-moved[:, 1], -moved[:, 0]) / math.pi
    place = (angle + 1) / 2 * (len(wheel) - 1)
    before = place.floor().long()
    share = (place - before).unsqueeze(-1)
    hue = (1 - share) * (wheel[before] / 255.0) + share * (wheel[(before + 1) % len(wheel)] / 255.0)
    color = 1 - speed.unsqueeze(-1) * (1 - hue)
    image = (255 * color).floor().to(flambeau.uint8).permute(0, 3, 1, 2).contiguous()
    return image[0] if flow.dim() == 3 else image


def _wheel() -> np.ndarray:
    """55 hues (55, 3) from red by yellow, green, cyan, blue and magenta, with as many steps as the eye tells apart."""
    # Between two corners of the circle one channel rises or falls while the others stay.
    steps = {"RY": 15, "YG": 6, "GC": 4, "CB": 11, "BM": 13, "MR": 6}
    corners = {"R": "100", "Y": "110", "G": "010", "C": "011", "B": "001", "M": "101"}
    parts = []
    for ends, count in steps.items():
        start, end = (np.array([int(bit) for bit in corners[name]]) for name in ends)
        change = np.floor(255 * np.arange(count) / count)[:, None]
        parts.append(255 * start + (end - start) * change)
    return np.concatenate(parts).astype(np.float32)


# --- Images and colours


def _check_image(
    image: Any, channels: tuple[int, ...], message: str, wanted: str = "The image must be a tensor"
) -> None:
    if not isinstance(image, Tensor):
        raise TypeError(f"{wanted}, got {type(image)}")
    if not (image.dtype == flambeau.uint8 or image.is_floating_point()):
        raise ValueError(f"The image dtype must be uint8 or float, got {image.dtype}")
    if image.dim() != 3:
        raise ValueError("Pass individual images, not batches")
    if image.size(0) not in channels:
        raise ValueError(message)


def _to_picture(image: Tensor) -> Image.Image:
    """A PIL image in colour; fractions times a little less than 256, so that all bytes are equally wide."""
    pixels = image.detach()
    if image.is_floating_point():
        pixels = pixels.mul(256.0 - 1e-3).to(flambeau.uint8)
    array = pixels.cpu().numpy().transpose(1, 2, 0)
    return Image.fromarray(np.ascontiguousarray(array.repeat(3, 2) if array.shape[2] == 1 else array))


def _to_tensor(picture: Image.Image, like: Tensor) -> Tensor:
    out = flambeau.from_numpy(np.array(picture)).permute(2, 0, 1)
    return out.to(like.dtype) * (1 / 255) if like.is_floating_point() else out


def _colors(colors: Colors, count: int) -> list[tuple[int, int, int]]:
    """A colour for each of `count` objects."""
    if colors is None:
        each: Any = [tuple(number * part % 255 for part in _PALETTE) for number in range(count)]
    elif isinstance(colors, list):
        if len(colors) < count:
            raise ValueError(
                f"Number of colors must be equal or larger than the number of objects, but got {len(colors)} < {count}."
            )
        each = colors[:count]
    elif isinstance(colors, str | tuple):
        if isinstance(colors, tuple) and len(colors) != 3:
            raise ValueError("If passed as tuple, colors should be an RGB triplet")
        each = [colors] * count
    else:
        raise ValueError(f"colors must be a tuple or a string, or a list thereof, but got {colors}.")
    return [ImageColor.getrgb(color)[:3] if isinstance(color, str) else color for color in each]


def _turned_rectangle(
    draw: ImageDraw.ImageDraw, corners: list[int], color: Any, inside: Any, width: int
) -> None:
    """A box of four corners; its first side is dashed, so that its turn is seen."""
    points = list(zip(corners[::2], corners[1::2], strict=True))
    (x1, y1), (x2, y2) = points[:2]
    length = math.hypot(x2 - x1, y2 - y1)
    for number in range(math.ceil(length / _DASH)):
        if number % 2 == 0:
            ends = (number * _DASH / length, min((number + 1) * _DASH / length, 1.0))
            draw.line([(x1 + (x2 - x1) * at, y1 + (y2 - y1) * at) for at in ends], color, width)
    for start, end in zip(points[1:], [*points[2:], points[0]], strict=True):
        draw.line((start, end), width=width, fill=color)
    draw.polygon(corners, fill=inside, outline=None, width=0)
