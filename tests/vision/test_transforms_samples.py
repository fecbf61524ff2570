"""Key points and boxes move with the image: a bright spot is found where its point says."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

import flambeau
from flambeau.vision import transforms as T
from flambeau.vision.transforms import functional as F

WIDTH, HEIGHT = 61, 49
SPOTS = np.array([(20.0, 14.0), (41.0, 18.0), (30.0, 33.0)])

BILINEAR = T.InterpolationMode.BILINEAR
CORNERS = [[0, 0], [60, 0], [60, 48], [0, 48]]
MOVES = {
    "hflip": lambda s: F.hflip(s),
    "vflip": lambda s: F.vflip(s),
    "crop": lambda s: F.crop(s, 5, 7, 40, 45),
    "crop beyond": lambda s: F.crop(s, -6, -3, 60, 70),
    "resize": lambda s: F.resize(s, [90, 80]),
    "resize the shorter edge": lambda s: F.resize(s, 75),
    "pad": lambda s: F.pad(s, [3, 8, 1, 2]),
    "pad mirrored": lambda s: F.pad(s, (3, 4), padding_mode="reflect"),
    "center crop": lambda s: F.center_crop(s, [44, 70]),
    "resized crop": lambda s: F.resized_crop(s, 4, 5, 40, 42, [70, 60]),
    "rotate": lambda s: F.rotate(s, 20, BILINEAR),
    "rotate, expanded": lambda s: F.rotate(s, -35, BILINEAR, expand=True),
    "rotate about a place": lambda s: F.rotate(s, 12, BILINEAR, center=[30, 20]),
    "affine": lambda s: F.affine(s, 10, [4, -3], 1.1, [6.0, -4.0], BILINEAR),
    "affine about a place": lambda s: F.affine(s, -9, [0, 2], 0.9, 5.0, BILINEAR, center=[20, 20]),
    "perspective": lambda s: F.perspective(s, CORNERS, [[4, 3], [58, 5], [55, 46], [2, 44]]),
}


def picture(spot: np.ndarray) -> np.ndarray:
    """A soft bright spot on black, as bytes."""
    y, x = np.mgrid[:HEIGHT, :WIDTH] + 0.5
    distance = (x - spot[0]) ** 2 + (y - spot[1]) ** 2
    return np.round(250 * np.exp(-distance / 4)).astype(np.uint8)


def middle(pixels: np.ndarray) -> np.ndarray:
    """The centre of mass of what is bright."""
    weights = pixels.astype(float)
    y, x = np.mgrid[: weights.shape[0], : weights.shape[1]] + 0.5
    return np.array([(weights * x).sum(), (weights * y).sum()]) / weights.sum()


@pytest.mark.parametrize("kind", ["PIL", "tensor"])
@pytest.mark.parametrize("name", MOVES)
def test_points_stay_on_what_they_mark(name: str, kind: str) -> None:
    for spot in SPOTS:
        image = picture(spot)
        sample = {
            "image": Image.fromarray(image) if kind == "PIL" else flambeau.from_numpy(image[None]),
            "keypoints": spot[None] if kind == "PIL" else flambeau.tensor(spot[None]),
            "label": 3,
        }
        moved = MOVES[name](sample)
        pixels = np.asarray(moved["image"]) if kind == "PIL" else moved["image"].numpy()[0]
        found = np.asarray(moved["keypoints"])[0]
        np.testing.assert_allclose(found, middle(pixels), atol=0.35)
        assert moved["label"] == 3
        assert sample["keypoints"][0][0] == spot[0], "the given sample is left as it was"


@pytest.mark.parametrize("name", MOVES)
def test_boxes_hold_the_moved_corners(name: str) -> None:
    box = np.array([[15.0, 10.0, 40.0, 30.0]], np.float32)
    corners = np.array([[15, 10], [40, 10], [40, 30], [15, 30]], np.float32)
    image = flambeau.zeros(1, HEIGHT, WIDTH)
    moved = MOVES[name]({"image": image, "keypoints": corners, "boxes": box})
    height, width = moved["image"].shape[-2:]
    points = moved["keypoints"].clip(0, [width, height])
    expected = [*points.min(0), *points.max(0)]
    np.testing.assert_allclose(moved["boxes"][0], expected, rtol=1e-5, atol=1e-4)
    as_tensor = MOVES[name]({"image": image, "boxes": flambeau.from_numpy(box)})
    np.testing.assert_allclose(as_tensor["boxes"].numpy(), moved["boxes"], rtol=1e-5, atol=1e-4)


def test_a_flip_swaps_left_and_right_points() -> None:
    points = np.array([[10.0, 5], [40, 6], [25, 30]])
    sample = {"image": Image.new("L", (60, 40)), "keypoints": points}
    flipped = T.RandomHorizontalFlip(1.0, flip_pairs=[(0, 1)])(sample)
    np.testing.assert_array_equal(flipped["keypoints"], [[20, 6], [50, 5], [35, 30]])


def test_a_pipeline_of_transforms() -> None:
    flambeau.manual_seed(1)
    pipeline = T.Compose(
        [
            T.RandomAffine(20, (0.1, 0.1), (0.9, 1.1), interpolation=BILINEAR),
            T.ColorJitter(0.1),
            T.RandomCrop((44, 56), pad_if_needed=True),
            T.ToTensor(),
            T.Normalize([0.0], [0.5]),
        ]
    )
    for spot in SPOTS:
        moved = pipeline({"image": Image.fromarray(picture(spot)), "keypoints": spot[None]})
        np.testing.assert_allclose(
            moved["keypoints"][0], middle(moved["image"].numpy()[0]), atol=0.4
        )


def test_colours_leave_points_alone() -> None:
    sample = {"image": Image.new("RGB", (20, 20), (90, 20, 200)), "keypoints": SPOTS}
    for transform in (T.ColorJitter(0.5, 0.5, 0.5, 0.2), T.GaussianBlur(3), T.Grayscale(), T.ToTensor()):
        assert transform(sample)["keypoints"] is SPOTS


@pytest.mark.parametrize(
    ("sample", "error", "text"),
    [
        ({"keypoints": SPOTS}, KeyError, 'a sample needs an "image"'),
        ({"image": Image.new("L", (9, 9)), "keypoints": SPOTS[0][:1]}, ValueError, "shape"),
        ({"image": Image.new("L", (9, 9)), "boxes": SPOTS}, ValueError, r"\(..., N, 4\)"),
        ({"image": Image.new("L", (9, 9)), "keypoints": SPOTS.astype(int)}, TypeError, "floating"),
    ],
    ids=["no image", "one number", "boxes of two numbers", "whole numbers"],
)
def test_wrong_samples(sample: dict, error: type, text: str) -> None:
    with pytest.raises(error, match=text):
        F.hflip(sample)


@pytest.mark.parametrize("transform", ["AugMix", "ElasticTransform"])
def test_moves_that_points_cannot_follow(transform: str) -> None:
    image = flambeau.zeros(3, 64, 64, dtype=flambeau.uint8)
    with pytest.raises(NotImplementedError, match="points"):
        getattr(T, transform)()({"image": image, "keypoints": SPOTS})


def test_a_sample_may_bring_its_pairs() -> None:
    """A flip takes those of the sample where it has none of its own; unknown ones are an error."""
    points = np.array([[1.0, 2.0], [7.0, 3.0], [4.0, 5.0]])
    sample = {"image": Image.new("L", (10, 8)), "keypoints": points, "flip_pairs": [(0, 1)]}
    for flip, moved in ((F.hflip, [10, 0]), (F.vflip, [0, 8])):
        expected = np.abs(np.array(moved) - points)[[1, 0, 2]]
        np.testing.assert_allclose(flip(sample)["keypoints"], expected)
    np.testing.assert_allclose(F.hflip(sample, [(0, 2)])["keypoints"], np.abs([10, 0] - points)[[2, 1, 0]])
    with pytest.raises(ValueError, match="which of 3 points change places in a mirror"):
        F.hflip({**sample, "flip_pairs": None})
