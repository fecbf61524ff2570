"""Samples: an image with what lies on it.

A sample is a dictionary with the image under `"image"` (a PIL image or a tensor) and, where it
has them, key points under `"keypoints"`, (…, N, 2), and boxes under `"boxes"`, (…, N, 4) as x1,
y1, x2, y2: NumPy arrays or tensors of floating point, in pixels from the top left corner of the
image. Every function of `functional`, and so every transform, takes a sample in the place of an
image and returns a new sample: the image changed, the points and boxes moved along, all other
entries as they were.

    sample = {"image": picture, "keypoints": points, "label": 3}
    sample = RandomAffine(10, translate=(0.1, 0.1))(sample)

Key points may leave the image. Boxes become the smallest upright boxes around their moved
corners, cut at the image's edges; one that has left the image has no width or no height.

A mirrored left eye is a right eye: flips swap the points of each pair of the sample's entry
`"flip_pairs"`, the data set's table (`flambeau.vision.datasets.face_points.flip_pairs_of(21)`), or of
their own: `hflip(sample, flip_pairs)`, `RandomHorizontalFlip(flip_pairs=...)`. An entry of `None` says
that the pairs are not known: flipping such a sample is an error.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from flambeau import ops
from flambeau.tensor import Tensor
from flambeau.vision.transforms.geometry import Size

Sample = dict[str, Any]
Move = Callable[..., np.ndarray]


def on_samples(move: Move | None = None) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Lets a function of images take samples too.

    `move(size, new_size, *arguments)` gives the matrix (3, 3) by which places move; without it
    they stay.
    """

    def extend(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def of_image_or_sample(img: Any, *arguments: Any, **options: Any) -> Any:
            if not isinstance(img, dict):
                return function(img, *arguments, **options)
            image = image_of(img)
            result = {**img, "image": function(image, *arguments, **options)}
            if move is not None and has_places(img):
                new_size = size_of(result["image"])
                matrix = move(size_of(image), new_size, *arguments, **options)
                move_places(result, matrix, new_size)
            return result

        return of_image_or_sample

    return extend


def image_of(sample: Sample) -> Any:
    if "image" not in sample:
        raise KeyError(f'a sample needs an "image"; this one has {sorted(map(str, sample))}')
    return sample["image"]


def has_places(sample: Sample) -> bool:
    return "keypoints" in sample or "boxes" in sample


def size_of(image: Any) -> Size:
    """Width and height of a PIL image or a tensor."""
    if isinstance(image, Tensor):
        return int(image.shape[-1]), int(image.shape[-2])
    return image.size


def move_places(sample: Sample, matrix: np.ndarray, size: Size) -> None:
    """Moves the sample's key points and boxes onto an image of this width and height."""
    if "keypoints" in sample:
        points = _floating(sample["keypoints"], "keypoints", 2)
        sample["keypoints"] = move_points(points, matrix)
    if "boxes" in sample:
        boxes = _floating(sample["boxes"], "boxes", 4)
        sample["boxes"] = move_boxes(boxes, matrix, size)


def move_points(points: Any, matrix: np.ndarray) -> Any:
    """Points (…, 2) at the places to which the matrix (3, 3) takes them."""
    columns = np.ascontiguousarray(matrix.T)
    linear, offset = _like(points, columns[:2]), _like(points, columns[2])
    moved = points @ linear + offset
    if matrix[2, 0] == matrix[2, 1] == 0:
        return moved[..., :2]
    return moved[..., :2] / moved[..., 2:]


def move_boxes(boxes: Any, matrix: np.ndarray, size: Size) -> Any:
    """The upright boxes (…, 4) around the moved ones, within an image of width and height."""
    corners = boxes[..., [0, 1, 2, 1, 2, 3, 0, 3]].reshape(*boxes.shape[:-1], 4, 2)
    moved = move_points(corners, matrix)
    limits = _like(boxes, np.array(size))
    if isinstance(moved, Tensor):
        low, high = (ops.minimum(edge.clamp(min=0), limits) for edge in (moved.amin(-2), moved.amax(-2)))
        return ops.cat([low, high], -1)
    low, high = (np.clip(edge, 0, limits) for edge in (moved.min(-2), moved.max(-2)))
    return np.concatenate([low, high], -1)


def swap_pairs(points: Any, pairs: Sequence[tuple[int, int]]) -> Any:
    """Points (…, N, 2) with those of each pair swapped."""
    order = list(range(points.shape[-2]))
    for one, other in pairs:
        order[one], order[other] = order[other], order[one]
    return points[..., order, :]


def _floating(places: Any, name: str, numbers: int) -> Any:
    if isinstance(places, (list, tuple)):
        places = np.array(places, np.float32)
    shape = tuple(places.shape)
    if not shape or shape[-1] != numbers:
        raise ValueError(f'"{name}" should be of shape (..., N, {numbers}), not {shape}')
    floating = places.is_floating_point() if isinstance(places, Tensor) else places.dtype.kind == "f"
    if not floating:
        raise TypeError(f'"{name}" should be floating point, not {places.dtype}')
    return places


def _like(places: Any, numbers: np.ndarray) -> Any:
    """Numbers of the same kind and type as the places."""
    if isinstance(places, Tensor):
        return ops.tensor(numbers.tolist(), dtype=places.dtype)
    return numbers.astype(places.dtype)
